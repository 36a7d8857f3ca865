// SPDX-License-Identifier: Apache-2.0
// Added tokens: pieces that are matched verbatim in a text before anything is merged.
#ifndef HEL_TEXT_ADDED_H
#define HEL_TEXT_ADDED_H

#include "text/vocab.h"

typedef struct hel_added_token {
    uint32_t id;
    uint32_t offset, size; // of what is matched, in hel_added.bytes
    bool strip_left, strip_right; // white space beside the match is swallowed
} hel_added_token;

typedef struct hel_added {
    hel_added_token *tokens; // in order of their bytes once sorted
    uint32_t count, capacity;
    hel_text bytes;
    bool begins[256]; // first bytes of all tokens
} hel_added;

void hel_added_finish(hel_added *added);
// Copies the bytes. Empty ones are ignored.
hel_status hel_added_add(hel_added *added, uint32_t id, const void *bytes, size_t size, bool strip_left,
                         bool strip_right);
// Call once after the last add. Two tokens of the same bytes are HEL_ERROR_FORMAT.
hel_status hel_added_sort(hel_added *added);

// The longest token that begins at `text`, NULL where none does. Control tokens (kinds are looked up in `vocab`) count
// only if they end within the first `control_size` bytes.
const hel_added_token *hel_added_match(const hel_added *added, const hel_vocab *vocab, const char *text, size_t size,
                                       size_t control_size);

#endif
