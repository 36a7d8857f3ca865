// SPDX-License-Identifier: Apache-2.0
// Writes tokenizer.json and tokenizer_config.json as huggingface/tokenizers reads them.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

static const char LOWER_BLOCK[] = "\xe2\x96\x81";

static void print_string(hel_text *out, const char *bytes, size_t size) {
    hel_text_append(out, "\"", 1);
    for (size_t at = 0, length; at < size; at += length) {
        int32_t codepoint = hel_utf8_next(bytes + at, size - at, &length);
        if (codepoint == '"' || codepoint == '\\') hel_text_print(out, "\\%c", (char)codepoint);
        else if (codepoint >= 0 && codepoint < 0x20) hel_text_print(out, "\\u%04x", (unsigned)codepoint);
        else if (codepoint < 0) hel_text_print(out, "\\ufffd");
        else hel_text_append(out, bytes + at, length);
    }
    hel_text_append(out, "\"", 1);
}

static void print_flag(hel_text *out, const char *name, bool value) {
    hel_text_print(out, "\"%s\":%s", name, value ? "true" : "false");
}

// A token as the file spells it: the inverse of hel_tokenizer_set_piece.
static void append_spelling(const hel_tokenizer *tokenizer, uint32_t id, hel_text *out) {
    const hel_token *token = &tokenizer->vocab.tokens[id];
    const char *bytes = hel_vocab_bytes(&tokenizer->vocab, id);
    bool verbatim = token->kind == HEL_TOKEN_CONTROL || token->kind == HEL_TOKEN_USER;
    if (token->kind == HEL_TOKEN_BYTE) hel_text_print(out, "<0x%02X>", (unsigned)(unsigned char)*bytes);
    else if (verbatim || (tokenizer->bpe.byte_level && !token->in_model)) hel_text_append(out, bytes, token->size);
    else if (tokenizer->bpe.byte_level) hel_alphabet_append_piece(bytes, token->size, out);
    else hel_spm_append_piece(bytes, token->size, out);
}

static void print_spelling(const hel_tokenizer *tokenizer, uint32_t id, hel_text *scratch, hel_text *out) {
    hel_text_clear(scratch);
    append_spelling(tokenizer, id, scratch);
    if (scratch->failed) out->failed = true;
    else print_string(out, scratch->bytes, scratch->size);
}

static void print_added(const hel_tokenizer *tokenizer, hel_text *scratch, hel_text *out) {
    const hel_added *lists[] = {&tokenizer->raw, &tokenizer->normalized};
    uint8_t *flags = hel_alloc_zero(tokenizer->vocab.count, 1); // 1 added, 2 normalized, 4 strips left, 8 strips right
    const char *separator = "";
    if (!flags) out->failed = true;
    for (size_t list = 0; flags && list < 2; list++)
        for (uint32_t i = 0; i < lists[list]->count; i++) {
            const hel_added_token *token = &lists[list]->tokens[i];
            flags[token->id] =
                (uint8_t)(1 | list << 1 | (size_t)token->strip_left << 2 | (size_t)token->strip_right << 3);
        }
    hel_text_print(out, "\"added_tokens\":[");
    for (uint32_t id = 0; flags && id < tokenizer->vocab.count; id++) {
        if (!flags[id]) continue;
        hel_text_print(out, "%s\n{\"id\":%u,\"content\":", separator, id);
        print_spelling(tokenizer, id, scratch, out);
        hel_text_print(out, ",\"single_word\":false,");
        print_flag(out, "lstrip", flags[id] & 4);
        hel_text_print(out, ",");
        print_flag(out, "rstrip", flags[id] & 8);
        hel_text_print(out, ",");
        print_flag(out, "normalized", flags[id] & 2);
        hel_text_print(out, ",");
        print_flag(out, "special", tokenizer->vocab.tokens[id].kind == HEL_TOKEN_CONTROL);
        hel_text_print(out, "}");
        separator = ",";
    }
    hel_text_print(out, "],\n");
    hel_free(flags);
}

static bool uses_metaspace(const hel_tokenizer *tokenizer) {
    return tokenizer->prefix == HEL_PREFIX_UNLESS_SPACE || tokenizer->prefix == HEL_PREFIX_FIRST_PART_ONLY
           || (tokenizer->pretokenizer.count && tokenizer->pretokenizer.stages[0].pattern == HEL_PATTERN_SPACES);
}

static void print_normalizer(const hel_tokenizer *tokenizer, hel_text *out) {
    const char *separator = "";
    bool replaces = !tokenizer->bpe.byte_level && !uses_metaspace(tokenizer);
    if (!tokenizer->nfc && !replaces) {
        hel_text_print(out, "\"normalizer\":null,\n");
        return;
    }
    hel_text_print(out, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (tokenizer->nfc) {
        hel_text_print(out, "{\"type\":\"NFC\"}");
        separator = ",";
    }
    if (replaces && tokenizer->prefix == HEL_PREFIX_ALWAYS) {
        hel_text_print(out, "%s{\"type\":\"Prepend\",\"prepend\":\"%s\"}", separator, LOWER_BLOCK);
        separator = ",";
    }
    if (replaces)
        hel_text_print(out, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"%s\"}", separator,
                       LOWER_BLOCK);
    hel_text_print(out, "]},\n");
}

static void print_metaspace(const hel_tokenizer *tokenizer, hel_text *out) {
    const char *scheme = tokenizer->prefix == HEL_PREFIX_UNLESS_SPACE ? "always"
                         : tokenizer->prefix == HEL_PREFIX_NONE       ? "never"
                                                                      : "first";
    hel_text_print(out, "{\"type\":\"Metaspace\",\"replacement\":\"%s\",\"prepend_scheme\":\"%s\",", LOWER_BLOCK,
                   scheme);
    print_flag(out, "split", tokenizer->pretokenizer.count != 0);
    hel_text_print(out, "}");
}

// All stages but a last GPT-2 pattern, which ByteLevel has built in.
static void print_patterns(const hel_pretokenizer *pretokenizer, uint32_t count, hel_text *out) {
    for (uint32_t i = 0; i < count; i++) {
        hel_pattern pattern = pretokenizer->stages[i].pattern;
        const char *regex = hel_pattern_regex(pattern);
        if (regex) {
            hel_text_print(out, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
            print_string(out, regex, strlen(regex));
            hel_text_print(out, "},\"behavior\":\"Isolated\",\"invert\":false},");
        } else {
            hel_text_print(out, "{\"type\":\"Digits\",");
            print_flag(out, "individual_digits", pattern == HEL_PATTERN_DIGIT);
            hel_text_print(out, "},");
        }
    }
}

static void print_pre_tokenizer(const hel_tokenizer *tokenizer, hel_text *out) {
    const hel_pretokenizer *pretokenizer = &tokenizer->pretokenizer;
    hel_text_print(out, "\"pre_tokenizer\":");
    if (tokenizer->bpe.byte_level) {
        uint32_t count = pretokenizer->count;
        bool gpt2 = count && pretokenizer->stages[count - 1].pattern == HEL_PATTERN_GPT2;
        hel_text_print(out, "{\"type\":\"Sequence\",\"pretokenizers\":[");
        print_patterns(pretokenizer, count - gpt2, out);
        hel_text_print(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,");
        print_flag(out, "use_regex", gpt2);
        hel_text_print(out, "}]},\n");
        return;
    }
    if (uses_metaspace(tokenizer)) print_metaspace(tokenizer, out);
    else hel_text_print(out, "null");
    hel_text_print(out, ",\n");
}

static void print_post_processor(const hel_tokenizer *tokenizer, hel_text *scratch, hel_text *out) {
    if (!tokenizer->add_bos) {
        hel_text_print(out, "\"post_processor\":null,\n");
        return;
    }
    hel_text bos = {0};
    print_spelling(tokenizer, tokenizer->bos, scratch, &bos);
    if (bos.failed) out->failed = true;
    else
        hel_text_print(
            out,
            "\"post_processor\":{\"type\":\"TemplateProcessing\","
            "\"single\":[{\"SpecialToken\":{\"id\":%s,\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
            "\"pair\":[{\"SpecialToken\":{\"id\":%s,\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
            "{\"SpecialToken\":{\"id\":%s,\"type_id\":1}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
            "\"special_tokens\":{%s:{\"id\":%s,\"ids\":[%u],\"tokens\":[%s]}}},\n",
            bos.bytes, bos.bytes, bos.bytes, bos.bytes, bos.bytes, tokenizer->bos, bos.bytes);
    hel_text_finish(&bos);
}

static void print_decoder(const hel_tokenizer *tokenizer, hel_text *out) {
    if (tokenizer->bpe.byte_level) {
        hel_text_print(
            out,
            "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},\n");
        return;
    }
    hel_text_print(
        out,
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"%s\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}",
        LOWER_BLOCK);
    if (tokenizer->prefix != HEL_PREFIX_NONE)
        hel_text_print(out, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}");
    hel_text_print(out, "]},\n");
}

static void print_vocab(const hel_tokenizer *tokenizer, hel_text *scratch, hel_text *out) {
    const char *separator = "";
    hel_text_print(out, "\"vocab\":{");
    for (uint32_t id = 0; id < tokenizer->vocab.count; id++) {
        if (tokenizer->vocab.tokens[id].kind == HEL_TOKEN_HOLE) continue;
        hel_text_print(out, "%s\n", separator);
        print_spelling(tokenizer, id, scratch, out);
        hel_text_print(out, ":%u", id);
        separator = ",";
    }
    hel_text_print(out, "}");
}

static void print_merge_list(const hel_tokenizer *tokenizer, const hel_merge *merges, size_t count, hel_text *scratch,
                             hel_text *out) {
    hel_text_print(out, "\"merges\":[");
    for (size_t i = 0; i < count; i++) {
        hel_text_clear(scratch);
        append_spelling(tokenizer, merges[i].left, scratch);
        hel_text_append(scratch, " ", 1);
        append_spelling(tokenizer, merges[i].right, scratch);
        hel_text_print(out, i ? ",\n" : "\n");
        if (scratch->failed) out->failed = true;
        else print_string(out, scratch->bytes, scratch->size);
    }
    hel_text_print(out, "]");
}

// No word is too long for it, and nothing is put before what goes on inside one: the longest token at each place.
static void print_longest_model(const hel_tokenizer *tokenizer, hel_text *scratch, hel_text *out) {
    hel_text_print(out, "\"model\":{\"type\":\"WordPiece\",\"unk_token\":");
    print_spelling(tokenizer, tokenizer->bpe.unknown, scratch, out);
    hel_text_print(out, ",\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":2147483647,\n");
    print_vocab(tokenizer, scratch, out);
    hel_text_print(out, "}}\n");
}

static void print_model(const hel_tokenizer *tokenizer, const hel_merge *merges, size_t count, hel_text *scratch,
                        hel_text *out) {
    const hel_bpe *bpe = &tokenizer->bpe;
    hel_text_print(out, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    if (bpe->unknown == HEL_TOKEN_NONE) hel_text_print(out, "null");
    else print_spelling(tokenizer, bpe->unknown, scratch, out);
    hel_text_print(out, ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,");
    print_flag(out, "fuse_unk", bpe->fuse_unknown);
    hel_text_print(out, ",");
    print_flag(out, "byte_fallback", bpe->byte_fallback);
    hel_text_print(out, ",");
    print_flag(out, "ignore_merges", bpe->whole_words);
    hel_text_print(out, ",\n");
    print_vocab(tokenizer, scratch, out);
    hel_text_print(out, ",\n");
    print_merge_list(tokenizer, merges, count, scratch, out);
    hel_text_print(out, "}}\n");
}

static hel_status hand_out(hel_text *text, hel_text *scratch, char **out_text, size_t *out_size) {
    hel_status status = hel_text_ok(text);
    hel_text_finish(scratch);
    if (status) {
        hel_text_finish(text);
        return status;
    }
    *out_text = text->bytes;
    if (out_size) *out_size = text->size;
    return HEL_OK;
}

hel_status hel_tokenizer_print_json(const hel_tokenizer *tokenizer, char **out_text, size_t *out_size) {
    if (!tokenizer || !out_text) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    hel_text out = {0}, scratch = {0};
    hel_merge *derived = NULL;
    size_t count = tokenizer->bpe.merges.count;
    if (tokenizer->bpe.by_scores) HEL_TRY(hel_spm_derive_merges(&tokenizer->vocab, &derived, &count));
    hel_text_print(&out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    print_added(tokenizer, &scratch, &out);
    print_normalizer(tokenizer, &out);
    print_pre_tokenizer(tokenizer, &out);
    print_post_processor(tokenizer, &scratch, &out);
    print_decoder(tokenizer, &out);
    if (tokenizer->bpe.longest_match) print_longest_model(tokenizer, &scratch, &out);
    else print_model(tokenizer, derived ? derived : tokenizer->bpe.merges.rules, count, &scratch, &out);
    hel_free(derived);
    return hand_out(&out, &scratch, out_text, out_size);
}

static void print_named_token(const hel_tokenizer *tokenizer, const char *name, uint32_t id, hel_text *scratch,
                              hel_text *out) {
    if (id == HEL_TOKEN_NONE) return;
    hel_text_print(out, "\"%s\":", name);
    print_spelling(tokenizer, id, scratch, out);
    hel_text_print(out, ",\n");
}

hel_status hel_tokenizer_print_config_json(const hel_tokenizer *tokenizer, char **out_text, size_t *out_size) {
    if (!tokenizer || !out_text) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    hel_text out = {0}, scratch = {0};
    hel_text_print(&out, "{\n");
    print_named_token(tokenizer, "bos_token", tokenizer->bos, &scratch, &out);
    print_named_token(tokenizer, "eos_token", hel_tokenizer_eos(tokenizer), &scratch, &out);
    print_named_token(tokenizer, "unk_token", tokenizer->bpe.unknown, &scratch, &out);
    if (tokenizer->chat_template) {
        hel_text_print(&out, "\"chat_template\":");
        print_string(&out, tokenizer->chat_template, strlen(tokenizer->chat_template));
        hel_text_print(&out, ",\n");
    }
    print_flag(&out, "add_bos_token", tokenizer->add_bos);
    hel_text_print(&out,
                   ",\n\"clean_up_tokenization_spaces\":false,\n\"tokenizer_class\":\"PreTrainedTokenizerFast\"\n}\n");
    return hand_out(&out, &scratch, out_text, out_size);
}
