// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json (huggingface/tokenizers): models of type BPE, or of WordPiece over bytes and without a prefix, which is
// how RWKV's longest match is written there, with the parts named below; everything else is refused. The pipeline decides
// which of the two families of BPE it is: a ByteLevel pre-tokenizer makes it byte-level, spaces
// replaced by U+2581 (Replace or Metaspace) make it SentencePiece-style.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_json.h"

static hel_status refuse_affix(const json_t *model, const char *key) {
    const char *affix;
    HEL_TRY(hel_json_get_string(model, key, "", &affix));
    return *affix ? hel_tokenizer_json_unsupported("model with", key) : HEL_OK;
}

static hel_status read_model_options(const json_t *model, hel_bpe *bpe) {
    const char *type;
    double dropout;
    HEL_TRY(hel_json_get_string(model, "type", json_is_array(json_object_get(model, "merges")) ? "BPE" : NULL, &type));
    const char *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix")); // "##" unless it is given
    bpe->longest_match = type && bpe->byte_level && prefix && !*prefix && !strcmp(type, "WordPiece");
    if (!type || (strcmp(type, "BPE") && !bpe->longest_match))
        return hel_tokenizer_json_unsupported("model type", type ? type : "(none)");
    HEL_TRY(hel_json_get_f64(model, "dropout", 0, &dropout));
    if (dropout != 0) return hel_tokenizer_json_unsupported("model with", "dropout");
    HEL_TRY(refuse_affix(model, "continuing_subword_prefix"));
    HEL_TRY(refuse_affix(model, "end_of_word_suffix"));
    HEL_TRY(hel_json_get_bool(model, "fuse_unk", false, &bpe->fuse_unknown));
    HEL_TRY(hel_json_get_bool(model, "byte_fallback", false, &bpe->byte_fallback));
    HEL_TRY(hel_json_get_bool(model, "ignore_merges", false, &bpe->whole_words));
    if (bpe->byte_level && bpe->byte_fallback)
        return hel_tokenizer_json_unsupported("byte-level model with", "byte_fallback");
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

typedef struct added_entry {
    const char *content;
    size_t size;
    uint32_t id;
    bool special, normalized, strip_left, strip_right;
} added_entry;

static hel_status parse_added(const json_t *json, size_t index, added_entry *out) {
    const json_t *content = json_object_get(json, "content");
    bool single_word;
    if (!json_is_string(content)) return hel_fail(HEL_ERROR_FORMAT, "added token %zu has no content", index);
    *out = (added_entry){.content = json_string_value(content), .size = json_string_length(content)};
    HEL_TRY(token_id(json_object_get(json, "id"), out->content, &out->id));
    HEL_TRY(hel_json_get_bool(json, "special", false, &out->special));
    HEL_TRY(hel_json_get_bool(json, "normalized", !out->special, &out->normalized));
    HEL_TRY(hel_json_get_bool(json, "lstrip", false, &out->strip_left));
    HEL_TRY(hel_json_get_bool(json, "rstrip", false, &out->strip_right));
    HEL_TRY(hel_json_get_bool(json, "single_word", false, &single_word));
    return single_word ? hel_tokenizer_json_unsupported("added token with", "single_word") : HEL_OK;
}

// Where the token stands in the model's vocabulary too, the ids must agree.
static hel_status set_added(const hel_tokenizer_json *json, const added_entry *entry, hel_tokenizer *tokenizer) {
    bool no_zero = strlen(entry->content) == entry->size;
    const json_t *own = no_zero ? json_object_get(json->vocab, entry->content) : NULL;
    uint32_t own_id = entry->id;
    if (own) HEL_TRY(token_id(own, entry->content, &own_id));
    if (own_id != entry->id)
        return hel_fail(HEL_ERROR_FORMAT, "added token \"%.100s\" has id %u, in the vocabulary %u", entry->content,
                        entry->id, own_id);
    hel_token_kind kind = entry->special ? HEL_TOKEN_CONTROL : HEL_TOKEN_USER;
    return hel_tokenizer_set_piece(tokenizer, entry->id, entry->content, entry->size, kind, own != NULL);
}

// Control tokens are always looked for in the raw text, the others where the file says.
static hel_status list_added(const added_entry *entry, bool normalizes, hel_tokenizer *tokenizer) {
    if (!entry->normalized || entry->special || !normalizes)
        return hel_added_add(&tokenizer->raw, entry->id, entry->content, entry->size, entry->strip_left,
                             entry->strip_right);
    if (entry->strip_left || entry->strip_right)
        return hel_tokenizer_json_unsupported("normalized added token with", "lstrip or rstrip");
    hel_text normal = {0};
    hel_status status = hel_tokenizer_normalize(tokenizer, entry->content, entry->size, true, &normal);
    if (status == HEL_OK)
        status = hel_added_add(&tokenizer->normalized, entry->id, normal.bytes, normal.size, false, false);
    hel_text_finish(&normal);
    return status;
}

// Added tokens go first, so that the vocabulary's own entry of the same token is seen to be one.
static hel_status read_added(const hel_tokenizer_json *json, const hel_tokenizer_pipeline *pipe,
                             hel_tokenizer *tokenizer) {
    size_t i;
    const json_t *value;
    json_array_foreach(json->added, i, value) {
        added_entry entry;
        HEL_TRY(parse_added(value, i, &entry));
        HEL_TRY(set_added(json, &entry, tokenizer));
        HEL_TRY(list_added(&entry, pipe->normalizes, tokenizer));
    }
    return HEL_OK;
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
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (content && !strcmp(content, spelling)) return token_id(json_object_get(entry, "id"), spelling, out);
    }
    return hel_fail(HEL_ERROR_FORMAT, "token \"%.100s\" is not in the vocabulary", spelling);
}

static hel_status build(const hel_tokenizer_json *json, const hel_tokenizer_json_source *source, hel_tokenizer **out) {
    hel_tokenizer_pipeline pipe = {0};
    uint32_t count = 0;
    const char *unknown;
    HEL_TRY(hel_tokenizer_json_pipeline(json->root, &pipe));
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
    if (!unknown && tokenizer->bpe.longest_match) return hel_fail(HEL_ERROR_FORMAT, "a WordPiece model has no unk_token");
    HEL_TRY(hel_tokenizer_json_ends(json, source, tokenizer));
    HEL_TRY(hel_tokenizer_seal(tokenizer));
    if (tokenizer->bpe.longest_match) return hel_longest_init(&tokenizer->vocab, &tokenizer->bpe.longest);
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
                                            : hel_tokenizer_json_unsupported("model with", "no vocab object");
    json_decref(json.root);
    if (status) {
        hel_error_prefix("%s: ", source->name);
        hel_tokenizer_destroy(&tokenizer);
        return status;
    }
    *out = tokenizer;
    return HEL_OK;
}
