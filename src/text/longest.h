// SPDX-License-Identifier: Apache-2.0
// The longest token that a text begins with, as the tokenizers of RWKV and WordPiece choose: the model's tokens in order of
// their bytes, narrowed down byte by byte.
#ifndef HEL_TEXT_LONGEST_H
#define HEL_TEXT_LONGEST_H

#include "text/vocab.h"

typedef struct hel_longest {
    uint32_t *ids; // of the tokens that text may become, sorted; NULL where a tokenizer merges instead
    uint32_t count;
} hel_longest;

hel_status hel_longest_init(const hel_vocab *vocab, hel_longest *out);
void hel_longest_finish(hel_longest *longest);

// The token, and its size in *out_size; HEL_TOKEN_NONE where none is at the beginning of the text (size > 0). Takes time for
// each byte that some token shares with the text, times the logarithm of the vocabulary.
uint32_t hel_longest_match(const hel_longest *longest, const hel_vocab *vocab, const char *text, size_t size, uint32_t *out_size);

#endif
