// SPDX-License-Identifier: Apache-2.0
#include "text/merges.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

hel_status hel_merges_init(hel_merges *merges, uint64_t capacity) {
    *merges = (hel_merges){0};
    if (capacity > UINT32_MAX / 8)
        return hel_fail(HEL_ERROR_FORMAT, "%llu merges are too many", (unsigned long long)capacity);
    uint32_t slots = 16;
    while (slots < capacity * 2) slots *= 2;
    merges->rules = hel_alloc_array(capacity, sizeof *merges->rules);
    merges->slots = hel_alloc_array(slots, sizeof *merges->slots);
    if (!merges->rules || !merges->slots) {
        hel_merges_finish(merges);
        return hel_fail_memory(capacity * sizeof *merges->rules);
    }
    memset(merges->slots, 0xff, slots * sizeof *merges->slots);
    merges->slot_mask = slots - 1;
    merges->capacity = (uint32_t)capacity;
    merges->seed = hel_vocab_mix((uintptr_t)merges->slots, (uintptr_t)merges->rules);
    return HEL_OK;
}

void hel_merges_finish(hel_merges *merges) {
    hel_free(merges->rules);
    hel_free(merges->slots);
    *merges = (hel_merges){0};
}

static uint32_t slot_of(const hel_merges *merges, uint32_t left, uint32_t right) {
    uint32_t slot = (uint32_t)hel_vocab_mix(merges->seed, (uint64_t)left << 32 | right) & merges->slot_mask;
    for (;; slot = (slot + 1) & merges->slot_mask) {
        uint32_t rank = merges->slots[slot];
        if (rank == UINT32_MAX || (merges->rules[rank].left == left && merges->rules[rank].right == right)) return slot;
    }
}

static hel_status no_such_piece(uint32_t rank, const char *what) {
    return hel_fail(HEL_ERROR_FORMAT, "merge %u %s a piece that is not in the vocabulary", rank, what);
}

hel_status hel_merges_add(hel_merges *merges, const hel_vocab *vocab, const char *left, size_t left_size,
                          const char *right, size_t right_size) {
    uint32_t rank = merges->count;
    char whole[HEL_LONGEST_PIECE];
    if (rank == merges->capacity) return hel_fail(HEL_ERROR_INTERNAL, "more merges than were announced");
    uint32_t left_id = hel_vocab_find(vocab, left, left_size), right_id = hel_vocab_find(vocab, right, right_size);
    if (left_id == HEL_TOKEN_NONE || right_id == HEL_TOKEN_NONE) return no_such_piece(rank, "joins");
    if (left_size + right_size > sizeof whole) return no_such_piece(rank, "makes");
    memcpy(whole, left, left_size);
    memcpy(whole + left_size, right, right_size);
    uint32_t result = hel_vocab_find(vocab, whole, left_size + right_size);
    if (result == HEL_TOKEN_NONE) return no_such_piece(rank, "makes");
    if (vocab->tokens[result].kind == HEL_TOKEN_CONTROL) return HEL_OK;
    uint32_t slot = slot_of(merges, left_id, right_id);
    if (merges->slots[slot] != UINT32_MAX)
        return hel_fail(HEL_ERROR_FORMAT, "merges %u and %u join the same pair", merges->slots[slot], rank);
    merges->slots[slot] = rank;
    merges->rules[merges->count++] = (hel_merge){left_id, right_id, result};
    return HEL_OK;
}

const hel_merge *hel_merges_find(const hel_merges *merges, uint32_t left, uint32_t right) {
    uint32_t rank = merges->slots[slot_of(merges, left, right)];
    return rank == UINT32_MAX ? NULL : &merges->rules[rank];
}
