// SPDX-License-Identifier: Apache-2.0
// The parts of the tokenizer.json reader: tokenizer_json.c (vocabulary, merges), tokenizer_json_pipeline.c (what is
// done to a text before merging), tokenizer_json_ends.c (which tokens begin and end a text; three files may say it).
#ifndef HEL_TEXT_TOKENIZER_JSON_H
#define HEL_TEXT_TOKENIZER_JSON_H

#include "text/tokenizer_internal.h"

typedef struct hel_tokenizer_json {
    json_t *root;
    const json_t *model, *vocab, *added; // borrowed from root; `added` may be NULL
} hel_tokenizer_json;

// What normalizer and pre_tokenizer say.
typedef struct hel_tokenizer_pipeline {
    bool byte_level, spaces_replaced;
    bool normalizes; // there is a normalizer, so that added tokens may be looked for before or after it
    bool nfc;
    hel_prefix_space prefix;
    hel_pattern patterns[HEL_MAX_PATTERNS];
    uint32_t n_patterns;
} hel_tokenizer_pipeline;

hel_status hel_tokenizer_json_pipeline(const json_t *root, hel_tokenizer_pipeline *out);

// HEL_ERROR_UNSUPPORTED, with the part and what it asks for.
hel_status hel_tokenizer_json_unsupported(const char *part, const char *what);

// Id of a token of the vocabulary or of the added ones; HEL_ERROR_FORMAT where there is none.
hel_status hel_tokenizer_json_find(const hel_tokenizer_json *json, const char *spelling, uint32_t *out);

// Fills in bos, add_bos, eos and the chat template.
hel_status hel_tokenizer_json_ends(const hel_tokenizer_json *json, const hel_tokenizer_json_source *source,
                                   hel_tokenizer *tokenizer);

#endif
