// SPDX-License-Identifier: Apache-2.0
// Reads the tokenizer.ggml.* keys of a GGUF file (ggml-org/ggml, docs/gguf.md), as llama.cpp understands them.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/gguf.h"
#include "text/tokenizer_internal.h"

#define KEY(name) "tokenizer.ggml." name

static hel_status optional(hel_status status) { return status == HEL_ERROR_NOT_FOUND ? HEL_OK : status; }

static hel_status get_bool(const hel_archive *archive, const char *key, bool *out) {
    uint64_t value = *out;
    HEL_TRY(optional(hel_gguf_get_u64(archive, key, &value)));
    *out = value != 0;
    return HEL_OK;
}

static hel_status get_id(const hel_archive *archive, const char *key, uint32_t *out) {
    uint64_t value = HEL_TOKEN_NONE;
    HEL_TRY(optional(hel_gguf_get_u64(archive, key, &value)));
    if (value > HEL_TOKEN_NONE) return hel_fail(HEL_ERROR_FORMAT, "%s is no token id", key);
    *out = (uint32_t)value;
    return HEL_OK;
}

// Zero-terminated copy of a string, NULL where the key is missing; free with hel_free.
static hel_status get_text(const hel_archive *archive, const char *key, char **out) {
    hel_gguf_string value;
    *out = NULL;
    hel_status status = hel_gguf_get_string(archive, key, &value);
    if (status) return optional(status);
    *out = hel_string_copy_n(value.bytes, value.size);
    return *out ? HEL_OK : hel_fail_memory(value.size);
}

static hel_status token_kind(const hel_archive *archive, uint64_t id, bool typed, hel_token_kind *out) {
    double type = HEL_TOKEN_NORMAL;
    if (typed) HEL_TRY(hel_gguf_array_f64(archive, KEY("token_type"), id, &type));
    if (!(type >= HEL_TOKEN_NORMAL && type <= HEL_TOKEN_BYTE))
        return hel_fail(HEL_ERROR_FORMAT, "token %llu has the unknown type %g", (unsigned long long)id, type);
    *out = (hel_token_kind)type;
    return HEL_OK;
}

static hel_status same_size(const hel_archive *archive, const char *key, uint64_t count, bool *out_present) {
    uint64_t size = 0;
    hel_status status = hel_gguf_array_size(archive, key, &size);
    *out_present = status == HEL_OK;
    if (status) return optional(status);
    if (size == count) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s has %llu entries for %llu tokens", key, (unsigned long long)size,
                    (unsigned long long)count);
}

static hel_status read_tokens(const hel_archive *archive, hel_tokenizer *tokenizer) {
    bool typed, scored;
    HEL_TRY(same_size(archive, KEY("token_type"), tokenizer->vocab.count, &typed));
    HEL_TRY(same_size(archive, KEY("scores"), tokenizer->vocab.count, &scored));
    if (tokenizer->bpe.by_scores && !scored) return hel_fail(HEL_ERROR_FORMAT, "%s is missing", KEY("scores"));
    for (uint32_t id = 0; id < tokenizer->vocab.count; id++) {
        hel_gguf_string piece;
        hel_token_kind kind = HEL_TOKEN_HOLE;
        double score = 0;
        HEL_TRY(hel_gguf_array_string(archive, KEY("tokens"), id, &piece));
        HEL_TRY(token_kind(archive, id, typed, &kind));
        if (tokenizer->bpe.byte_level && kind == HEL_TOKEN_BYTE)
            return hel_fail(HEL_ERROR_FORMAT, "token %u: byte type in a byte-level vocabulary", id);
        if (tokenizer->bpe.longest_match && kind == HEL_TOKEN_NORMAL)
            HEL_TRY(hel_tokenizer_set_rwkv(tokenizer, archive->path, id, piece.bytes, piece.size));
        else HEL_TRY(hel_tokenizer_set_piece(tokenizer, id, piece.bytes, piece.size, kind, !tokenizer->bpe.longest_match));
        if (scored) HEL_TRY(hel_gguf_array_f64(archive, KEY("scores"), id, &score));
        if (isnan(score)) return hel_fail(HEL_ERROR_FORMAT, "the score of token %u is not a number", id);
        tokenizer->vocab.tokens[id].score = (float)score;
        if (kind == HEL_TOKEN_CONTROL || kind == HEL_TOKEN_USER)
            HEL_TRY(hel_added_add(&tokenizer->raw, id, piece.bytes, piece.size, false, false));
    }
    return HEL_OK;
}

static hel_status read_merges(const hel_archive *archive, hel_tokenizer *tokenizer) {
    uint64_t count;
    HEL_TRY(hel_gguf_array_size(archive, KEY("merges"), &count));
    HEL_TRY(hel_merges_init(&tokenizer->bpe.merges, count));
    for (uint64_t i = 0; i < count; i++) {
        hel_gguf_string line;
        HEL_TRY(hel_gguf_array_string(archive, KEY("merges"), i, &line));
        HEL_TRY(hel_tokenizer_add_merge_line(tokenizer, line.bytes, line.size));
    }
    return HEL_OK;
}

static hel_status read_ends(const hel_archive *archive, hel_tokenizer *tokenizer) {
    static const char *const ends[] = {KEY("eos_token_id"), KEY("eot_token_id"), KEY("eom_token_id")};
    bool add_eos = false;
    HEL_TRY(get_id(archive, KEY("bos_token_id"), &tokenizer->bos));
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        uint32_t id = 0;
        HEL_TRY(get_id(archive, ends[i], &id));
        hel_tokenizer_add_eos(tokenizer, id);
    }
    HEL_TRY(get_bool(archive, KEY("add_bos_token"), &tokenizer->add_bos));
    HEL_TRY(get_bool(archive, KEY("add_eos_token"), &add_eos));
    if (add_eos) return hel_fail(HEL_ERROR_UNSUPPORTED, "%s is not supported", KEY("add_eos_token"));
    return get_text(archive, "tokenizer.chat_template", &tokenizer->chat_template);
}

// What llama.cpp takes for granted in each family before it reads the keys.
static hel_status begin_byte_level(const hel_archive *archive, hel_tokenizer *tokenizer) {
    char *name;
    tokenizer->bpe.byte_level = true;
    HEL_TRY(get_text(archive, KEY("pre"), &name));
    if (!name)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s is missing: how text is split into words is not known", KEY("pre"));
    bool llama3 = !strcmp(name, "llama-bpe") || !strcmp(name, "llama3") || !strcmp(name, "llama-v3");
    tokenizer->bpe.whole_words = tokenizer->add_bos = llama3;
    hel_status status = hel_pretokenizer_add_gguf(&tokenizer->pretokenizer, name);
    hel_free(name);
    return status;
}

static hel_status begin_spm(const hel_archive *archive, hel_tokenizer *tokenizer) {
    bool prefix = true;
    tokenizer->bpe.by_scores = tokenizer->bpe.byte_fallback = tokenizer->bpe.fuse_unknown = true;
    tokenizer->add_bos = true;
    HEL_TRY(get_bool(archive, KEY("add_space_prefix"), &prefix));
    tokenizer->prefix = prefix ? HEL_PREFIX_ALWAYS : HEL_PREFIX_NONE;
    return get_id(archive, KEY("unknown_token_id"), &tokenizer->bpe.unknown);
}

static hel_status begin_rwkv(const hel_archive *archive, hel_tokenizer *tokenizer) {
    (void)archive;
    hel_tokenizer_begin_rwkv(tokenizer);
    return HEL_OK;
}

static hel_status end_byte_level(const hel_archive *archive, hel_tokenizer *tokenizer) {
    HEL_TRY(hel_tokenizer_seal(tokenizer));
    return read_merges(archive, tokenizer);
}

static hel_status end_spm(const hel_archive *archive, hel_tokenizer *tokenizer) {
    (void)archive;
    return hel_tokenizer_seal(tokenizer);
}

static hel_status end_rwkv(const hel_archive *archive, hel_tokenizer *tokenizer) {
    (void)archive;
    return hel_tokenizer_seal_rwkv(tokenizer);
}

// The kinds of tokenizers: what goes before the tokens, and what makes it whole.
typedef hel_status step(const hel_archive *archive, hel_tokenizer *tokenizer);
typedef struct tokenizer_kind {
    const char *model;
    step *begin, *end;
} tokenizer_kind;
static const tokenizer_kind kinds[] = {
    {"gpt2", begin_byte_level, end_byte_level}, {"llama", begin_spm, end_spm}, {"rwkv", begin_rwkv, end_rwkv}};

static hel_status find_kind(const hel_archive *archive, const tokenizer_kind **out) {
    char *model;
    HEL_TRY(get_text(archive, KEY("model"), &model));
    *out = NULL;
    for (size_t i = 0; model && i < HEL_COUNT(kinds); i++)
        if (strcmp(model, kinds[i].model) == 0) *out = &kinds[i];
    hel_status status = HEL_OK;
    if (!*out) status = hel_fail(HEL_ERROR_UNSUPPORTED, "%s \"%.100s\" is not supported", KEY("model"), model ? model : "");
    hel_free(model);
    return status;
}

static hel_status build(const hel_archive *archive, hel_tokenizer **out) {
    uint64_t count;
    const tokenizer_kind *kind;
    HEL_TRY(hel_gguf_array_size(archive, KEY("tokens"), &count));
    HEL_TRY(find_kind(archive, &kind));
    HEL_TRY(hel_tokenizer_create(count > UINT32_MAX ? UINT32_MAX : (uint32_t)count, out));
    HEL_TRY(kind->begin(archive, *out));
    HEL_TRY(read_tokens(archive, *out));
    HEL_TRY(read_ends(archive, *out));
    return kind->end(archive, *out);
}

hel_status hel_tokenizer_read_gguf(const hel_archive *archive, hel_tokenizer **out) {
    hel_tokenizer *tokenizer = NULL;
    hel_status status = build(archive, &tokenizer);
    if (status) {
        hel_error_prefix("%s: ", archive->path);
        hel_tokenizer_destroy(&tokenizer);
        return status;
    }
    *out = tokenizer;
    return HEL_OK;
}
