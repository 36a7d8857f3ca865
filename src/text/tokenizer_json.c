// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json (huggingface/tokenizers): models of type BPE with the parts named below, everything else is
// refused. The pipeline decides which of the two families it is: a ByteLevel pre-tokenizer makes it byte-level,
// spaces replaced by U+2581 (Replace or Metaspace) make it SentencePiece-style.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_json.h"

static const char LOWER_BLOCK[] = "\xe2\x96\x81";

// What normalizer and pre_tokenizer say.
typedef struct pipeline {
    bool byte_level, spaces_replaced, normalizes;
    hel_prefix_space prefix;
    bool nfc;
    hel_pattern patterns[HEL_MAX_PATTERNS];
    uint32_t n_patterns;
} pipeline;

static hel_status unsupported(const char *part, const char *what) {
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s \"%.100s\" is not supported", part, what);
}

static bool equals(const json_t *value, const char *text) {
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static hel_status type_of(const json_t *object, const char *part, const char **out) {
    HEL_TRY(hel_json_get_string(object, "type", NULL, out));
    return *out ? HEL_OK : hel_fail(HEL_ERROR_FORMAT, "%s has no type", part);
}

static hel_status read_normalizer(const json_t *json, pipeline *out) {
    const char *type;
    if (!json || json_is_null(json)) return HEL_OK;
    HEL_TRY(type_of(json, "normalizer", &type));
    if (!strcmp(type, "Sequence")) {
        size_t i;
        const json_t *part;
        json_array_foreach(json_object_get(json, "normalizers"), i, part) HEL_TRY(read_normalizer(part, out));
        return HEL_OK;
    }
    out->normalizes = true;
    if (!strcmp(type, "NFC")) {
        out->nfc = true;
    } else if (!strcmp(type, "Prepend") && equals(json_object_get(json, "prepend"), LOWER_BLOCK)) {
        out->prefix = HEL_PREFIX_ALWAYS;
    } else if (!strcmp(type, "Replace") && equals(json_object_get(json_object_get(json, "pattern"), "String"), " ")
               && equals(json_object_get(json, "content"), LOWER_BLOCK)) {
        out->spaces_replaced = true;
    } else {
        return unsupported("normalizer", type);
    }
    return HEL_OK;
}

static hel_status add_pattern(pipeline *out, hel_pattern pattern) {
    if (out->n_patterns == HEL_MAX_PATTERNS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "more than %d pre-tokenizers", HEL_MAX_PATTERNS);
    out->patterns[out->n_patterns++] = pattern;
    return HEL_OK;
}

static hel_status read_byte_level(const json_t *json, pipeline *out) {
    bool prefix, regex;
    HEL_TRY(hel_json_get_bool(json, "add_prefix_space", true, &prefix));
    HEL_TRY(hel_json_get_bool(json, "use_regex", true, &regex));
    if (prefix) return unsupported("pre_tokenizer", "ByteLevel with add_prefix_space");
    out->byte_level = true;
    return regex ? add_pattern(out, HEL_PATTERN_GPT2) : HEL_OK;
}

static hel_status read_digits(const json_t *json, pipeline *out) {
    bool individual;
    HEL_TRY(hel_json_get_bool(json, "individual_digits", false, &individual));
    return add_pattern(out, individual ? HEL_PATTERN_DIGIT : HEL_PATTERN_DIGITS);
}

static hel_status read_split(const json_t *json, pipeline *out) {
    const json_t *regex = json_object_get(json_object_get(json, "pattern"), "Regex");
    hel_pattern pattern;
    if (!equals(json_object_get(json, "behavior"), "Isolated"))
        return unsupported("pre_tokenizer", "Split that is not Isolated");
    if (!json_is_string(regex)) return unsupported("pre_tokenizer", "Split without a Regex");
    if (!hel_pattern_from_regex(json_string_value(regex), &pattern))
        return unsupported("Split pattern", json_string_value(regex));
    return add_pattern(out, pattern);
}

static hel_status read_metaspace(const json_t *json, pipeline *out) {
    const char *scheme;
    bool prefix, split;
    HEL_TRY(hel_json_get_bool(json, "add_prefix_space", true, &prefix));
    HEL_TRY(hel_json_get_string(json, "prepend_scheme", prefix ? "always" : "never", &scheme));
    HEL_TRY(hel_json_get_bool(json, "split", true, &split));
    if (!equals(json_object_get(json, "replacement"), LOWER_BLOCK))
        return unsupported("pre_tokenizer", "Metaspace with another replacement");
    if (out->prefix != HEL_PREFIX_NONE || out->n_patterns)
        return unsupported("pre_tokenizer", "Metaspace beside others");
    if (!strcmp(scheme, "always")) out->prefix = HEL_PREFIX_UNLESS_SPACE;
    else if (!strcmp(scheme, "first")) out->prefix = HEL_PREFIX_FIRST_PART_ONLY;
    else if (strcmp(scheme, "never")) return unsupported("prepend_scheme", scheme);
    out->spaces_replaced = true;
    return split ? add_pattern(out, HEL_PATTERN_SPACES) : HEL_OK;
}

static hel_status read_pre_tokenizer(const json_t *json, pipeline *out) {
    const char *type;
    if (!json || json_is_null(json)) return HEL_OK;
    HEL_TRY(type_of(json, "pre_tokenizer", &type));
    if (!strcmp(type, "Sequence")) {
        size_t i;
        const json_t *part;
        json_array_foreach(json_object_get(json, "pretokenizers"), i, part) HEL_TRY(read_pre_tokenizer(part, out));
        return HEL_OK;
    }
    if (out->byte_level) return unsupported("pre_tokenizer after ByteLevel", type);
    if (!strcmp(type, "ByteLevel")) return read_byte_level(json, out);
    if (!strcmp(type, "Digits")) return read_digits(json, out);
    if (!strcmp(type, "Split")) return read_split(json, out);
    if (!strcmp(type, "Metaspace")) return read_metaspace(json, out);
    return unsupported("pre_tokenizer", type);
}

static hel_status read_pipeline(const json_t *root, pipeline *out) {
    HEL_TRY(read_normalizer(json_object_get(root, "normalizer"), out));
    HEL_TRY(read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), out));
    if (out->byte_level && (out->spaces_replaced || out->prefix != HEL_PREFIX_NONE))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "both byte-level and SentencePiece-style");
    if (!out->byte_level && !out->spaces_replaced)
        return hel_fail(HEL_ERROR_UNSUPPORTED,
                        "neither byte-level nor SentencePiece-style (no ByteLevel, Replace or Metaspace)");
    return HEL_OK;
}

static hel_status refuse_affix(const json_t *model, const char *key) {
    const char *affix;
    HEL_TRY(hel_json_get_string(model, key, "", &affix));
    return *affix ? unsupported("model with", key) : HEL_OK;
}

static hel_status read_model_options(const json_t *model, hel_bpe *bpe) {
    const char *type;
    double dropout;
    HEL_TRY(hel_json_get_string(model, "type", json_is_array(json_object_get(model, "merges")) ? "BPE" : NULL, &type));
    if (!type || strcmp(type, "BPE")) return unsupported("model type", type ? type : "(none)");
    HEL_TRY(hel_json_get_f64(model, "dropout", 0, &dropout));
    if (dropout != 0) return unsupported("model with", "dropout");
    HEL_TRY(refuse_affix(model, "continuing_subword_prefix"));
    HEL_TRY(refuse_affix(model, "end_of_word_suffix"));
    HEL_TRY(hel_json_get_bool(model, "fuse_unk", false, &bpe->fuse_unknown));
    HEL_TRY(hel_json_get_bool(model, "byte_fallback", false, &bpe->byte_fallback));
    HEL_TRY(hel_json_get_bool(model, "ignore_merges", false, &bpe->whole_words));
    if (bpe->byte_level && bpe->byte_fallback) return unsupported("byte-level model with", "byte_fallback");
    return HEL_OK;
}

static hel_status token_id(const json_t *value, const char *spelling, uint32_t *out) {
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= UINT32_MAX)
        return hel_fail(HEL_ERROR_FORMAT, "token \"%.100s\" has no valid id", spelling);
    *out = (uint32_t)id;
    return HEL_OK;
}

// Ids of both lists, highest + 1; few of them may be missing.
static hel_status count_tokens(const hel_tokenizer_json *json, uint32_t *out) {
    uint64_t highest = 0, entries = json_object_size(json->vocab) + json_array_size(json->added);
    uint32_t id = 0;
    const char *spelling;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)json->vocab, spelling, value) {
        HEL_TRY(token_id(value, spelling, &id));
        if (id > highest) highest = id;
    }
    json_array_foreach(json->added, i, value) {
        HEL_TRY(token_id(json_object_get(value, "id"), "added", &id));
        if (id > highest) highest = id;
    }
    if (!entries) return hel_fail(HEL_ERROR_FORMAT, "the vocabulary is empty");
    if (highest > entries + 65536)
        return hel_fail(HEL_ERROR_FORMAT, "%llu tokens, but an id of %llu", (unsigned long long)entries,
                        (unsigned long long)highest);
    *out = (uint32_t)highest + 1;
    return HEL_OK;
}

// Added tokens go first, so that the vocabulary's own entry of the same token is seen to be one.
static hel_status read_added(const hel_tokenizer_json *json, const pipeline *pipe, hel_tokenizer *tokenizer) {
    size_t i;
    const json_t *entry;
    hel_text normal = {0};
    hel_status status = HEL_OK;
    json_array_foreach(json->added, i, entry) {
        const json_t *content = json_object_get(entry, "content");
        bool special, normalized, left, right, single;
        uint32_t id = 0, own = 0;
        if (!json_is_string(content)) {
            status = hel_fail(HEL_ERROR_FORMAT, "added token %zu has no content", i);
            break;
        }
        const char *bytes = json_string_value(content);
        size_t size = json_string_length(content);
        const json_t *in_model = strlen(bytes) == size ? json_object_get(json->vocab, bytes) : NULL;
        HEL_TRY_DONE(hel_json_get_bool(entry, "special", false, &special));
        HEL_TRY_DONE(hel_json_get_bool(entry, "normalized", !special, &normalized));
        HEL_TRY_DONE(hel_json_get_bool(entry, "lstrip", false, &left));
        HEL_TRY_DONE(hel_json_get_bool(entry, "rstrip", false, &right));
        HEL_TRY_DONE(hel_json_get_bool(entry, "single_word", false, &single));
        if (single) HEL_TRY_DONE(unsupported("added token with", "single_word"));
        HEL_TRY_DONE(token_id(json_object_get(entry, "id"), bytes, &id));
        if (in_model) HEL_TRY_DONE(token_id(in_model, bytes, &own));
        if (in_model && own != id)
            HEL_TRY_DONE(
                hel_fail(HEL_ERROR_FORMAT, "added token \"%.100s\" has id %u, in the vocabulary %u", bytes, id, own));
        HEL_TRY_DONE(hel_tokenizer_set_piece(tokenizer, id, bytes, size, special ? HEL_TOKEN_CONTROL : HEL_TOKEN_USER,
                                             in_model != NULL));
        if (!normalized || special || !pipe->normalizes) {
            HEL_TRY_DONE(hel_added_add(&tokenizer->raw, id, bytes, size, left, right));
            continue;
        }
        if (left || right) HEL_TRY_DONE(unsupported("normalized added token with", "lstrip or rstrip"));
        hel_text_clear(&normal);
        HEL_TRY_DONE(hel_tokenizer_normalize(tokenizer, bytes, size, true, &normal));
        HEL_TRY_DONE(hel_added_add(&tokenizer->normalized, id, normal.bytes, normal.size, false, false));
    }
done:
    hel_text_finish(&normal);
    return status;
}

static hel_status read_vocab(const hel_tokenizer_json *json, hel_tokenizer *tokenizer) {
    const char *spelling;
    json_t *value;
    json_object_foreach((json_t *)json->vocab, spelling, value) {
        uint32_t id = 0;
        uint8_t byte;
        size_t size = strlen(spelling);
        HEL_TRY(token_id(value, spelling, &id));
        const hel_token *token = &tokenizer->vocab.tokens[id];
        bool added = (token->kind == HEL_TOKEN_CONTROL || token->kind == HEL_TOKEN_USER) && token->size == size
                     && !memcmp(hel_vocab_bytes(&tokenizer->vocab, id), spelling, size);
        if (added) continue;
        bool is_byte = tokenizer->bpe.byte_fallback && hel_spm_byte_piece(spelling, size, &byte);
        hel_token_kind kind = is_byte ? HEL_TOKEN_BYTE : HEL_TOKEN_NORMAL;
        HEL_TRY(hel_tokenizer_set_piece(tokenizer, id, spelling, size, kind, true));
    }
    return HEL_OK;
}

static hel_status read_merges(const hel_tokenizer_json *json, hel_tokenizer *tokenizer) {
    size_t i;
    const json_t *merge, *merges = json_object_get(json->model, "merges");
    if (!json_is_array(merges)) return hel_fail(HEL_ERROR_FORMAT, "the model has no merges");
    HEL_TRY(hel_merges_init(&tokenizer->bpe.merges, json_array_size(merges)));
    json_array_foreach(merges, i, merge) {
        if (json_is_string(merge)) {
            HEL_TRY(hel_tokenizer_add_merge_line(tokenizer, json_string_value(merge), json_string_length(merge)));
            continue;
        }
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
            return hel_fail(HEL_ERROR_FORMAT, "merge %zu is no pair of pieces", i);
        HEL_TRY(hel_tokenizer_add_merge(tokenizer, json_string_value(left), json_string_length(left),
                                        json_string_value(right), json_string_length(right)));
    }
    return HEL_OK;
}

hel_status hel_tokenizer_json_find(const hel_tokenizer_json *json, const char *spelling, uint32_t *out) {
    size_t i;
    const json_t *entry, *own = json_object_get(json->vocab, spelling);
    if (own) return token_id(own, spelling, out);
    json_array_foreach(json->added, i, entry) {
        if (!equals(json_object_get(entry, "content"), spelling)) continue;
        return token_id(json_object_get(entry, "id"), spelling, out);
    }
    return hel_fail(HEL_ERROR_FORMAT, "token \"%.100s\" is not in the vocabulary", spelling);
}

static hel_status build(const hel_tokenizer_json *json, const hel_tokenizer_json_source *source, hel_tokenizer **out) {
    pipeline pipe = {0};
    uint32_t count = 0;
    const char *unknown;
    HEL_TRY(read_pipeline(json->root, &pipe));
    HEL_TRY(count_tokens(json, &count));
    HEL_TRY(hel_tokenizer_create(count, out));
    hel_tokenizer *tokenizer = *out;
    tokenizer->bpe.byte_level = pipe.byte_level;
    tokenizer->prefix = pipe.prefix;
    tokenizer->nfc = pipe.nfc;
    HEL_TRY(read_model_options(json->model, &tokenizer->bpe));
    for (uint32_t i = 0; i < pipe.n_patterns; i++)
        HEL_TRY(hel_pretokenizer_add(&tokenizer->pretokenizer, pipe.patterns[i]));
    HEL_TRY(read_added(json, &pipe, tokenizer));
    HEL_TRY(read_vocab(json, tokenizer));
    HEL_TRY(hel_json_get_string(json->model, "unk_token", NULL, &unknown));
    if (unknown) HEL_TRY(hel_tokenizer_json_find(json, unknown, &tokenizer->bpe.unknown));
    HEL_TRY(hel_tokenizer_json_ends(json, source, tokenizer));
    HEL_TRY(hel_tokenizer_seal(tokenizer));
    return read_merges(json, tokenizer);
}

hel_status hel_tokenizer_read_json(const hel_tokenizer_json_source *source, hel_tokenizer **out) {
    hel_tokenizer_json json = {0};
    hel_tokenizer *tokenizer = NULL;
    HEL_TRY(hel_json_parse(source->text, source->size, source->name, 0, &json.root));
    json.model = json_object_get(json.root, "model");
    json.vocab = json_object_get(json.model, "vocab");
    json.added = json_object_get(json.root, "added_tokens");
    hel_status status = HEL_OK;
    if (!json_is_object(json.model)) status = hel_fail(HEL_ERROR_FORMAT, "there is no \"model\"");
    if (status == HEL_OK)
        status = json_is_object(json.vocab) ? build(&json, source, &tokenizer)
                                            : unsupported("model with", "no vocab object");
    json_decref(json.root);
    if (status) {
        hel_error_prefix("%s: ", source->name);
        hel_tokenizer_destroy(&tokenizer);
        return status;
    }
    *out = tokenizer;
    return HEL_OK;
}
