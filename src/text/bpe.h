// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding of one word: the best pair is merged until none is left, in O(n log n) by a heap over a linked
// list (as SentencePiece does it). "Best" is the lowest rank, of equal ones the leftmost. Ranks come from merge rules
// or, for vocabularies with scores, from the score of the piece that a pair would make.
#ifndef HEL_TEXT_BPE_H
#define HEL_TEXT_BPE_H

#include "text/longest.h"
#include "text/merges.h"
#include "text/vocab.h"

// Growing list of ids. Failure is sticky, as in hel_text.
typedef struct hel_ids {
    uint32_t *ids;
    size_t count, capacity;
    bool failed;
} hel_ids;

void hel_ids_append(hel_ids *list, uint32_t id);
hel_status hel_ids_ok(const hel_ids *list);

typedef struct hel_bpe {
    bool by_scores;     // pairs by vocab's ranks, otherwise by `merges`
    bool byte_level;    // symbols are bytes, otherwise UTF-8 characters
    bool byte_fallback; // characters without a token become one token a byte
    bool fuse_unknown;  // neighbouring unknown characters become one unknown token
    bool whole_words;   // a word that is a token is not merged up but taken
    bool longest_match; // nothing is merged: the longest token at each place is taken
    uint32_t unknown;   // HEL_TOKEN_NONE: what has no token is dropped
    hel_merges merges;
    hel_longest longest; // where longest_match
} hel_bpe;

// Memory of the merging, kept from word to word; {0} to begin with.
typedef struct hel_bpe_scratch {
    struct hel_symbol *symbols;
    struct hel_candidate *heap;
    size_t n_symbols, symbol_capacity, n_heap, heap_capacity;
} hel_bpe_scratch;

void hel_bpe_scratch_finish(hel_bpe_scratch *scratch);

// Appends the ids of one word of at most 2^31 bytes.
hel_status hel_bpe_encode(const hel_bpe *bpe, const hel_vocab *vocab, hel_bpe_scratch *scratch, const char *word,
                          size_t size, hel_ids *out);

#endif
