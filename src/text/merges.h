// SPDX-License-Identifier: Apache-2.0
// Merge rules of a BPE vocabulary: which pair of tokens becomes which, and in what order of precedence.
#ifndef HEL_TEXT_MERGES_H
#define HEL_TEXT_MERGES_H

#include "text/vocab.h"

typedef struct hel_merge { uint32_t left, right, result; } hel_merge;

typedef struct hel_merges {
    hel_merge *rules; // by rank
    uint32_t count, capacity;
    uint32_t *slots; // hash table of ranks
    uint32_t slot_mask;
    uint64_t seed;
} hel_merges;

hel_status hel_merges_init(hel_merges *merges, uint64_t capacity);
void hel_merges_finish(hel_merges *merges);

// Adds the rule of the next rank: the two pieces, as text bytes, and what they make must be in the vocabulary.
// A rule that makes a control token is left out: text never becomes one by merging.
hel_status hel_merges_add(hel_merges *merges, const hel_vocab *vocab, const char *left, size_t left_size,
                          const char *right, size_t right_size);

// The rule for a pair, NULL where there is none. Its rank is its place in `rules`.
const hel_merge *hel_merges_find(const hel_merges *merges, uint32_t left, uint32_t right);

#endif
