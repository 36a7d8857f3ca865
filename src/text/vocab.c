// SPDX-License-Identifier: Apache-2.0
#include "text/vocab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

// Finaliser of MurmurHash3 (Appleby), over the seed and the value.
uint64_t hel_vocab_mix(uint64_t seed, uint64_t value) {
    uint64_t x = seed ^ value;
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

uint64_t hel_vocab_hash(uint64_t seed, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    uint64_t hash = hel_vocab_mix(seed, size);
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = hel_vocab_mix(hash, word);
    }
    uint64_t word = 0;
    if (size) memcpy(&word, at, size);
    return hel_vocab_mix(hash, word);
}

hel_status hel_vocab_init(hel_vocab *vocab, uint32_t count) {
    *vocab = (hel_vocab){.count = count};
    memset(vocab->byte_ids, 0xff, sizeof vocab->byte_ids);
    vocab->tokens = hel_alloc_zero(count, sizeof *vocab->tokens);
    if (!vocab->tokens) return hel_fail_memory((size_t)count * sizeof *vocab->tokens);
    hel_text_append(&vocab->bytes, "", 0);
    vocab->seed = hel_vocab_mix((uintptr_t)vocab->tokens, (uintptr_t)vocab);
    return hel_text_ok(&vocab->bytes);
}

void hel_vocab_finish(hel_vocab *vocab) {
    hel_text_finish(&vocab->bytes);
    hel_free(vocab->tokens);
    hel_free(vocab->slots);
    *vocab = (hel_vocab){0};
}

hel_status hel_vocab_set(hel_vocab *vocab, uint32_t id, const void *bytes, size_t size, hel_token_kind kind,
                         bool in_model) {
    hel_token *token = &vocab->tokens[id];
    if (token->kind != HEL_TOKEN_HOLE) return hel_fail(HEL_ERROR_FORMAT, "token id %u is given twice", id);
    if (size > HEL_LONGEST_PIECE)
        return hel_fail(HEL_ERROR_FORMAT, "token %u has %zu bytes, more than %d", id, size, HEL_LONGEST_PIECE);
    if (vocab->bytes.size > UINT32_MAX - size) return hel_fail(HEL_ERROR_FORMAT, "vocabulary exceeds 4 GiB");
    *token = (hel_token){.offset = (uint32_t)vocab->bytes.size, .size = (uint32_t)size, .kind = (uint8_t)kind,
                         .in_model = in_model && kind != HEL_TOKEN_BYTE && size > 0};
    hel_text_append(&vocab->bytes, bytes, size);
    if (token->in_model) vocab->longest = HEL_MAX(vocab->longest, token->size);
    return hel_text_ok(&vocab->bytes);
}

// The slot that holds these bytes, or the free one where they belong.
static uint32_t slot_of(const hel_vocab *vocab, const void *bytes, size_t size) {
    uint32_t slot = (uint32_t)hel_vocab_hash(vocab->seed, bytes, size) & vocab->slot_mask;
    for (;; slot = (slot + 1) & vocab->slot_mask) {
        uint32_t id = vocab->slots[slot];
        if (id == HEL_TOKEN_NONE) return slot;
        if (vocab->tokens[id].size == size && !memcmp(hel_vocab_bytes(vocab, id), bytes, size)) return slot;
    }
}

hel_status hel_vocab_index(hel_vocab *vocab) {
    if (vocab->count > UINT32_MAX / 8) return hel_fail(HEL_ERROR_FORMAT, "%u tokens are too many", vocab->count);
    uint32_t slots = 16;
    while (slots < vocab->count * 2) slots *= 2;
    vocab->slots = hel_alloc_array(slots, sizeof *vocab->slots);
    if (!vocab->slots) return hel_fail_memory(slots * sizeof *vocab->slots);
    memset(vocab->slots, 0xff, slots * sizeof *vocab->slots);
    vocab->slot_mask = slots - 1;
    for (uint32_t id = 0; id < vocab->count; id++) {
        const hel_token *token = &vocab->tokens[id];
        if (!token->in_model) continue;
        uint32_t slot = slot_of(vocab, hel_vocab_bytes(vocab, id), token->size);
        if (vocab->slots[slot] != HEL_TOKEN_NONE)
            return hel_fail(HEL_ERROR_FORMAT, "tokens %u and %u are the same piece", vocab->slots[slot], id);
        vocab->slots[slot] = id;
    }
    return HEL_OK;
}

uint32_t hel_vocab_find(const hel_vocab *vocab, const void *bytes, size_t size) {
    if (!size || size > vocab->longest) return HEL_TOKEN_NONE;
    return vocab->slots[slot_of(vocab, bytes, size)];
}

uint32_t hel_vocab_find_text(const hel_vocab *vocab, const void *bytes, size_t size) {
    uint32_t id = hel_vocab_find(vocab, bytes, size);
    if (id == HEL_TOKEN_NONE) return id;
    uint8_t kind = vocab->tokens[id].kind;
    return kind == HEL_TOKEN_NORMAL || kind == HEL_TOKEN_USER ? id : HEL_TOKEN_NONE;
}

typedef struct scored { float score; uint32_t id; } scored;

static int better_score_first(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

hel_status hel_vocab_rank(hel_vocab *vocab) {
    scored *order = hel_alloc_array(vocab->count, sizeof *order);
    if (!order) return hel_fail_memory((size_t)vocab->count * sizeof *order);
    for (uint32_t id = 0; id < vocab->count; id++) order[id] = (scored){vocab->tokens[id].score, id};
    qsort(order, vocab->count, sizeof *order, better_score_first);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < vocab->count; i++) {
        if (i && order[i].score != order[i - 1].score) rank++;
        vocab->tokens[order[i].id].rank = rank;
    }
    hel_free(order);
    return HEL_OK;
}
