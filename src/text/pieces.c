// SPDX-License-Identifier: Apache-2.0
// Puts a tokenizer together from pieces as files spell them.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

// Far above every known vocabulary; ids of a hostile file shall not command memory.
enum { MAX_VOCAB = 1 << 22 };

hel_status hel_tokenizer_create(uint32_t vocab_size, hel_tokenizer **out) {
    if (vocab_size > MAX_VOCAB)
        return hel_fail(HEL_ERROR_FORMAT, "a vocabulary of %u tokens exceeds %d", vocab_size, MAX_VOCAB);
    hel_tokenizer *tokenizer = hel_alloc_zero(1, sizeof *tokenizer);
    if (!tokenizer) return hel_fail_memory(sizeof *tokenizer);
    tokenizer->bos = tokenizer->bpe.unknown = HEL_TOKEN_NONE;
    hel_status status = hel_vocab_init(&tokenizer->vocab, vocab_size);
    if (status) hel_tokenizer_destroy(&tokenizer);
    else *out = tokenizer;
    return status;
}

// Appends the text that a spelling stands for; false where a byte-level spelling is not in the alphabet.
static bool append_text(const hel_tokenizer *tokenizer, const char *piece, size_t size, hel_text *out) {
    if (tokenizer->bpe.byte_level) return hel_alphabet_append_bytes(piece, size, out);
    hel_spm_append_text(piece, size, out);
    return true;
}

static hel_status set_byte(hel_tokenizer *tokenizer, uint32_t id, const char *piece, size_t size) {
    uint8_t byte;
    if (!hel_spm_byte_piece(piece, size, &byte))
        return hel_fail(HEL_ERROR_FORMAT, "token %u is no byte like <0x0A>", id);
    if (tokenizer->vocab.byte_ids[byte] != HEL_TOKEN_NONE)
        return hel_fail(HEL_ERROR_FORMAT, "tokens %u and %u are the same byte", tokenizer->vocab.byte_ids[byte], id);
    HEL_TRY(hel_vocab_set(&tokenizer->vocab, id, &byte, 1, HEL_TOKEN_BYTE, false));
    tokenizer->vocab.byte_ids[byte] = id;
    return HEL_OK;
}

hel_status hel_tokenizer_set_piece(hel_tokenizer *tokenizer, uint32_t id, const char *piece, size_t size,
                                   hel_token_kind kind, bool in_model) {
    if (kind == HEL_TOKEN_BYTE) return set_byte(tokenizer, id, piece, size);
    if (hel_utf8_span(piece, size, true) != size) return hel_fail(HEL_ERROR_FORMAT, "token %u is not UTF-8", id);
    bool verbatim = kind == HEL_TOKEN_CONTROL || kind == HEL_TOKEN_USER;
    hel_text text = {0};
    bool spelled = append_text(tokenizer, piece, size, &text);
    hel_status status = hel_text_ok(&text);
    if (status == HEL_OK && !verbatim && spelled) {
        status = hel_vocab_set(&tokenizer->vocab, id, text.bytes, text.size, kind, in_model);
    } else if (status == HEL_OK) {
        // Merging can make it only where the alphabet's spelling is the text itself.
        bool same = spelled && text.size == size && (!size || !memcmp(text.bytes, piece, size));
        status = hel_vocab_set(&tokenizer->vocab, id, piece, size, kind, in_model && same);
    }
    hel_text_finish(&text);
    return status;
}

void hel_tokenizer_add_eos(hel_tokenizer *tokenizer, uint32_t id) {
    if (id == HEL_TOKEN_NONE || hel_tokenizer_is_eos(tokenizer, id) || tokenizer->n_eos == HEL_MAX_EOS) return;
    tokenizer->eos[tokenizer->n_eos++] = id;
}

// End-of-turn tokens of the chat families, and end-of-text tokens that a chat model keeps beside them.
static const char *const turn_ends[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
};

static hel_status check_id(const hel_tokenizer *tokenizer, const char *what, uint32_t id) {
    if (id == HEL_TOKEN_NONE) return HEL_OK;
    if (id < tokenizer->vocab.count && tokenizer->vocab.tokens[id].kind != HEL_TOKEN_HOLE) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s token %u is not in the vocabulary", what, id);
}

hel_status hel_tokenizer_seal(hel_tokenizer *tokenizer) {
    hel_vocab *vocab = &tokenizer->vocab;
    HEL_TRY(hel_vocab_index(vocab));
    for (unsigned byte = 0; tokenizer->bpe.byte_level && byte < 256; byte++)
        vocab->byte_ids[byte] = hel_vocab_find_text(vocab, &(unsigned char){(unsigned char)byte}, 1);
    if (tokenizer->bpe.by_scores) HEL_TRY(hel_vocab_rank(vocab));
    tokenizer->words_end_before_spaces = hel_spm_words_end_before_spaces(tokenizer);
    HEL_TRY(hel_added_sort(&tokenizer->raw));
    HEL_TRY(hel_added_sort(&tokenizer->normalized));
    HEL_TRY(check_id(tokenizer, "begin", tokenizer->bos));
    HEL_TRY(check_id(tokenizer, "unknown", tokenizer->bpe.unknown));
    for (uint32_t i = 0; i < tokenizer->n_eos; i++) HEL_TRY(check_id(tokenizer, "end", tokenizer->eos[i]));
    if (tokenizer->add_bos && tokenizer->bos == HEL_TOKEN_NONE)
        return hel_fail(HEL_ERROR_FORMAT, "texts shall begin with a begin token, but none is named");
    for (size_t i = 0; i < HEL_COUNT(turn_ends); i++) {
        uint32_t id = hel_tokenizer_find_special(tokenizer, turn_ends[i]);
        if (hel_tokenizer_is_special(tokenizer, id)) hel_tokenizer_add_eos(tokenizer, id);
    }
    tokenizer->family = hel_chat_detect(tokenizer);
    return HEL_OK;
}

hel_status hel_tokenizer_add_merge(hel_tokenizer *tokenizer, const char *left, size_t left_size, const char *right,
                                   size_t right_size) {
    hel_text text = {0};
    bool spelled = append_text(tokenizer, left, left_size, &text);
    size_t middle = text.size;
    spelled = spelled && append_text(tokenizer, right, right_size, &text);
    hel_text_append(&text, "", 0);
    hel_status status = hel_text_ok(&text);
    if (status == HEL_OK && !spelled)
        status = hel_fail(HEL_ERROR_FORMAT, "merge %u is not in the byte-level alphabet", tokenizer->bpe.merges.count);
    if (status == HEL_OK)
        status = hel_merges_add(&tokenizer->bpe.merges, &tokenizer->vocab, text.bytes, middle, text.bytes + middle,
                                text.size - middle);
    hel_text_finish(&text);
    return status;
}

hel_status hel_tokenizer_add_merge_line(hel_tokenizer *tokenizer, const char *line, size_t size) {
    const char *space = size ? memchr(line, ' ', size) : NULL;
    size_t left = space ? (size_t)(space - line) : 0, right = space ? size - left - 1 : 0;
    if (!left || !right || memchr(space + 1, ' ', right))
        return hel_fail(HEL_ERROR_FORMAT, "merge %u is not two pieces with a space between",
                        tokenizer->bpe.merges.count);
    return hel_tokenizer_add_merge(tokenizer, line, left, space + 1, right);
}
