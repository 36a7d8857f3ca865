// SPDX-License-Identifier: Apache-2.0
// What is particular to SentencePiece-style vocabularies: spaces, byte pieces, merges that follow from scores.
// (T. Kudo, J. Richardson, "SentencePiece", 2018; google/sentencepiece, src/bpe_model.cc.)
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

static const char LOWER_BLOCK[] = "\xe2\x96\x81"; // U+2581, the visible space
enum { LOWER_BLOCK_SIZE = 3 };

void hel_spm_append_text(const char *piece, size_t size, hel_text *out) {
    size_t plain = 0;
    for (size_t at = 0; at < size;) {
        if (size - at < LOWER_BLOCK_SIZE || memcmp(piece + at, LOWER_BLOCK, LOWER_BLOCK_SIZE)) {
            at++;
            continue;
        }
        hel_text_append(out, piece + plain, at - plain);
        hel_text_append(out, " ", 1);
        plain = at += LOWER_BLOCK_SIZE;
    }
    hel_text_append(out, piece + plain, size - plain);
}

void hel_spm_append_piece(const char *text, size_t size, hel_text *out) {
    for (size_t at = 0; at < size; at++) {
        if (text[at] == ' ') hel_text_append(out, LOWER_BLOCK, LOWER_BLOCK_SIZE);
        else hel_text_append(out, text + at, 1);
    }
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool hel_spm_byte_piece(const char *piece, size_t size, uint8_t *out) {
    if (size != 6 || memcmp(piece, "<0x", 3) || piece[5] != '>') return false;
    int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    if (high < 0 || low < 0) return false;
    *out = (uint8_t)(high * 16 + low);
    return true;
}

// True where no piece has a space behind something else, as SentencePiece trains them unless told otherwise. A space
// must be a token, for unknown characters on both sides of it could become one unknown token.
bool hel_spm_words_end_before_spaces(const hel_tokenizer *tokenizer) {
    const hel_vocab *vocab = &tokenizer->vocab;
    if (tokenizer->bpe.byte_level || tokenizer->bpe.whole_words) return false;
    if (hel_vocab_find_text(vocab, " ", 1) == HEL_TOKEN_NONE) return false;
    for (uint32_t id = 0; id < vocab->count; id++) {
        const char *bytes = hel_vocab_bytes(vocab, id);
        for (uint32_t at = 1; vocab->tokens[id].in_model && at < vocab->tokens[id].size; at++)
            if (bytes[at] == ' ' && bytes[at - 1] != ' ') return false;
    }
    return true;
}

static bool wants_prefix(const hel_tokenizer *tokenizer, const char *text, size_t size, bool first_part) {
    bool space = text[0] == ' ' || (size >= LOWER_BLOCK_SIZE && !memcmp(text, LOWER_BLOCK, LOWER_BLOCK_SIZE));
    switch (tokenizer->prefix) {
    case HEL_PREFIX_NONE: return false;
    case HEL_PREFIX_ALWAYS: return true;
    case HEL_PREFIX_UNLESS_SPACE: return !space;
    case HEL_PREFIX_FIRST_PART_ONLY: return first_part && !space;
    }
    return false;
}

hel_status hel_tokenizer_normalize(const hel_tokenizer *tokenizer, const char *text, size_t size, bool first_part,
                                   hel_text *out) {
    hel_text composed = {0};
    if (!size) return HEL_OK;
    if (tokenizer->bpe.byte_level) {
        if (tokenizer->nfc) return hel_utf8_append_nfc(text, size, out);
        hel_text_append(out, text, size);
        return hel_text_ok(out);
    }
    if (wants_prefix(tokenizer, text, size, first_part)) hel_text_append(out, " ", 1);
    if (tokenizer->nfc) {
        hel_status status = hel_utf8_append_nfc(text, size, &composed);
        if (status == HEL_OK) hel_spm_append_text(composed.bytes, composed.size, out);
        hel_text_finish(&composed);
        HEL_TRY(status);
    } else {
        hel_spm_append_text(text, size, out);
    }
    return hel_text_ok(out);
}

typedef struct derived { hel_merge merge; uint32_t rank, left_size; } derived;

// Best score first; of one piece's splits the one with the longer left part first, as transformers converts them.
static int in_order(const void *a, const void *b) {
    const derived *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->merge.result != y->merge.result) return x->merge.result < y->merge.result ? -1 : 1;
    return x->left_size > y->left_size ? -1 : x->left_size < y->left_size;
}

// Writes the splits of one token into two others; with `list` NULL only counts them.
static size_t split_token(const hel_vocab *vocab, uint32_t id, derived *list) {
    const char *bytes = hel_vocab_bytes(vocab, id);
    const hel_token *token = &vocab->tokens[id];
    size_t count = 0, length;
    if (hel_vocab_find_text(vocab, bytes, token->size) != id) return 0;
    for (size_t at = 0; at < token->size; at += length) {
        hel_utf8_next(bytes + at, token->size - at, &length);
        if (!at) continue;
        uint32_t left = hel_vocab_find_text(vocab, bytes, at);
        uint32_t right = left == HEL_TOKEN_NONE ? left : hel_vocab_find_text(vocab, bytes + at, token->size - at);
        if (right == HEL_TOKEN_NONE) continue;
        if (list) list[count] = (derived){{left, right, id}, token->rank, (uint32_t)at};
        count++;
    }
    return count;
}

hel_status hel_spm_derive_merges(const hel_vocab *vocab, hel_merge **out, size_t *out_count) {
    size_t count = 0;
    for (uint32_t id = 0; id < vocab->count; id++) count += split_token(vocab, id, NULL);
    derived *list = hel_alloc_array(count, sizeof *list);
    hel_merge *merges = hel_alloc_array(count, sizeof *merges);
    if (!list || !merges) {
        hel_free(list);
        hel_free(merges);
        return hel_fail_memory(count * (sizeof *list + sizeof *merges));
    }
    count = 0;
    for (uint32_t id = 0; id < vocab->count; id++) count += split_token(vocab, id, list + count);
    qsort(list, count, sizeof *list, in_order);
    for (size_t i = 0; i < count; i++) merges[i] = list[i].merge;
    hel_free(list);
    *out = merges;
    *out_count = count;
    return HEL_OK;
}
