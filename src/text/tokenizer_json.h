// SPDX-License-Identifier: Apache-2.0
// The two halves of the tokenizer.json reader: tokenizer_json.c (vocabulary, merges, pipeline) and
// tokenizer_json_ends.c (which tokens begin and end a text, which may stand in three files).
#ifndef HEL_TEXT_TOKENIZER_JSON_H
#define HEL_TEXT_TOKENIZER_JSON_H

#include "text/tokenizer_internal.h"

typedef struct hel_tokenizer_json {
    json_t *root;
    const json_t *model, *vocab, *added; // borrowed from root; `added` may be NULL
} hel_tokenizer_json;

// Id of a token of the vocabulary or of the added ones; HEL_ERROR_FORMAT where there is none.
hel_status hel_tokenizer_json_find(const hel_tokenizer_json *json, const char *spelling, uint32_t *out);

// Fills in bos, add_bos, eos and the chat template.
hel_status hel_tokenizer_json_ends(const hel_tokenizer_json *json, const hel_tokenizer_json_source *source,
                                   hel_tokenizer *tokenizer);

#endif
