// SPDX-License-Identifier: Apache-2.0
// A tokenizer as a whole: its life, what it is, ids back to text.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "text/tokenizer_internal.h"

void hel_tokenizer_destroy(hel_tokenizer **tokenizer) {
    if (!tokenizer || !*tokenizer) return;
    hel_vocab_finish(&(*tokenizer)->vocab);
    hel_merges_finish(&(*tokenizer)->bpe.merges);
    hel_longest_finish(&(*tokenizer)->bpe.longest);
    hel_added_finish(&(*tokenizer)->raw);
    hel_added_finish(&(*tokenizer)->normalized);
    hel_pretokenizer_finish(&(*tokenizer)->pretokenizer);
    hel_free((*tokenizer)->chat_template);
    hel_free(*tokenizer);
    *tokenizer = NULL;
}

void hel_tokenizer_free(void *memory) { hel_free(memory); }

uint32_t hel_tokenizer_find_special(const hel_tokenizer *tokenizer, const char *spelling) {
    size_t size = strlen(spelling);
    const hel_added_token *token = hel_added_match(&tokenizer->raw, &tokenizer->vocab, spelling, size, size);
    return token && token->size == size ? token->id : HEL_TOKEN_NONE;
}

uint32_t hel_tokenizer_vocab_size(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, 0);
    return tokenizer->vocab.count;
}

uint32_t hel_tokenizer_bos(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, HEL_TOKEN_NONE);
    return tokenizer->bos;
}

uint32_t hel_tokenizer_eos(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, HEL_TOKEN_NONE);
    return tokenizer->n_eos ? tokenizer->eos[0] : HEL_TOKEN_NONE;
}

uint32_t hel_tokenizer_unk(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, HEL_TOKEN_NONE);
    return tokenizer->bpe.unknown;
}

bool hel_tokenizer_adds_bos(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, false);
    return tokenizer->add_bos;
}

hel_chat_family hel_tokenizer_chat_family(const hel_tokenizer *tokenizer) {
    HEL_REQUIRE_OR(tokenizer, HEL_CHAT_NONE);
    return tokenizer->family;
}

bool hel_tokenizer_is_eos(const hel_tokenizer *tokenizer, uint32_t id) {
    HEL_REQUIRE_OR(tokenizer, false);
    for (uint32_t i = 0; i < tokenizer->n_eos; i++)
        if (tokenizer->eos[i] == id) return true;
    return false;
}

bool hel_tokenizer_is_special(const hel_tokenizer *tokenizer, uint32_t id) {
    HEL_REQUIRE_OR(tokenizer, false);
    if (id >= tokenizer->vocab.count) return false;
    uint8_t kind = tokenizer->vocab.tokens[id].kind;
    return kind == HEL_TOKEN_CONTROL || kind == HEL_TOKEN_UNKNOWN;
}

const char *hel_tokenizer_piece(const hel_tokenizer *tokenizer, uint32_t id, size_t *out_size) {
    if (out_size) *out_size = 0;
    HEL_REQUIRE_OR(tokenizer, "");
    if (id >= tokenizer->vocab.count) return "";
    if (out_size) *out_size = tokenizer->vocab.tokens[id].size;
    return hel_vocab_bytes(&tokenizer->vocab, id);
}

hel_status hel_tokenizer_decode(const hel_tokenizer *tokenizer, const uint32_t *ids, size_t count, bool with_special,
                                char **out_text, size_t *out_size) {
    if (!tokenizer || (count && !ids) || !out_text) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    hel_text text = {0};
    bool strip = tokenizer->prefix != HEL_PREFIX_NONE;
    hel_text_append(&text, "", 0);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= tokenizer->vocab.count) {
            hel_text_finish(&text);
            return hel_fail(HEL_ERROR_ARGUMENT, "id %u at %zu is not below the vocabulary's %u", ids[i], i,
                            tokenizer->vocab.count);
        }
        if (!with_special && hel_tokenizer_is_special(tokenizer, ids[i])) continue;
        size_t size;
        const char *piece = hel_tokenizer_piece(tokenizer, ids[i], &size);
        size_t skip = strip && !text.size && size && *piece == ' ';
        if (size) strip = false;
        hel_text_append(&text, piece + skip, size - skip);
    }
    if (hel_text_ok(&text)) {
        hel_text_finish(&text);
        return HEL_ERROR_MEMORY;
    }
    *out_text = text.bytes;
    if (out_size) *out_size = text.size;
    return HEL_OK;
}
