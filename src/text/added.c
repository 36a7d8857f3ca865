// SPDX-License-Identifier: Apache-2.0
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

void hel_added_finish(hel_added *added) {
    hel_free(added->tokens);
    hel_text_finish(&added->bytes);
    *added = (hel_added){0};
}

hel_status hel_added_add(hel_added *added, uint32_t id, const void *bytes, size_t size, bool strip_left,
                         bool strip_right) {
    if (!size) return HEL_OK;
    if (added->count == added->capacity) {
        uint32_t capacity = added->capacity ? added->capacity * 2 : 16;
        hel_added_token *tokens = hel_resize(added->tokens, (size_t)capacity * sizeof *tokens);
        if (!tokens) return hel_fail_memory((size_t)capacity * sizeof *tokens);
        added->tokens = tokens;
        added->capacity = capacity;
    }
    if (added->bytes.size > UINT32_MAX - size) return hel_fail(HEL_ERROR_FORMAT, "added tokens exceed 4 GiB");
    added->tokens[added->count++] =
        (hel_added_token){id, (uint32_t)added->bytes.size, (uint32_t)size, strip_left, strip_right};
    hel_text_append(&added->bytes, bytes, size);
    added->begins[*(const unsigned char *)bytes] = true;
    return hel_text_ok(&added->bytes);
}

static const unsigned char *bytes_of(const hel_added *added, const hel_added_token *token) {
    return (const unsigned char *)added->bytes.bytes + token->offset;
}

// For sorting: a token with its bytes at hand, because qsort hands no context on.
typedef struct sort_entry { const unsigned char *bytes; hel_added_token token; } sort_entry;

static int by_bytes(const void *a, const void *b) {
    const sort_entry *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, HEL_MIN(x->token.size, y->token.size));
    return order ? order : (x->token.size > y->token.size) - (x->token.size < y->token.size);
}

hel_status hel_added_sort(hel_added *added) {
    hel_status status = HEL_OK;
    sort_entry *entries = hel_alloc_array(added->count, sizeof *entries);
    if (!entries) return hel_fail_memory(added->count * sizeof *entries);
    for (uint32_t i = 0; i < added->count; i++)
        entries[i] = (sort_entry){bytes_of(added, &added->tokens[i]), added->tokens[i]};
    qsort(entries, added->count, sizeof *entries, by_bytes);
    for (uint32_t i = 0; i < added->count && !status; i++) {
        added->tokens[i] = entries[i].token;
        if (i && !by_bytes(&entries[i - 1], &entries[i]))
            status = hel_fail(HEL_ERROR_FORMAT, "added tokens %u and %u are the same text", entries[i - 1].token.id,
                              entries[i].token.id);
    }
    hel_free(entries);
    return status;
}

// First of the tokens first ... last - 1, which agree up to `at`, whose byte at `at` is `byte` or more. Tokens that end
// at `at` come first of all.
static uint32_t first_from(const hel_added *added, uint32_t first, uint32_t last, size_t at, unsigned byte) {
    while (first < last) {
        uint32_t middle = first + (last - first) / 2;
        const hel_added_token *token = &added->tokens[middle];
        if (token->size <= at || bytes_of(added, token)[at] < byte) first = middle + 1;
        else last = middle;
    }
    return first;
}

const hel_added_token *hel_added_match(const hel_added *added, const hel_vocab *vocab, const char *text, size_t size,
                                       size_t control_size) {
    const hel_added_token *longest = NULL;
    uint32_t first = 0, last = added->count;
    if (!size || !added->begins[(unsigned char)*text]) return NULL;
    for (size_t at = 0; at < size; at++) {
        unsigned byte = (unsigned char)text[at];
        first = first_from(added, first, last, at, byte);
        last = first_from(added, first, last, at, byte + 1);
        if (first == last) break;
        const hel_added_token *token = &added->tokens[first];
        bool control = vocab->tokens[token->id].kind == HEL_TOKEN_CONTROL;
        if (token->size == at + 1 && (!control || token->size <= control_size)) longest = token;
    }
    return longest;
}
