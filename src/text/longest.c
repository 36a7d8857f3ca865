// SPDX-License-Identifier: Apache-2.0
#include "text/longest.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

typedef struct piece {
    const char *bytes;
    uint32_t size, id;
} piece;

static int by_bytes(const void *a, const void *b) {
    const piece *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, HEL_MIN(x->size, y->size));
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

static bool is_text(const hel_token *token) {
    return token->in_model && (token->kind == HEL_TOKEN_NORMAL || token->kind == HEL_TOKEN_USER);
}

hel_status hel_longest_init(const hel_vocab *vocab, hel_longest *out) {
    piece *pieces = hel_alloc_array((size_t)vocab->count + 1, sizeof *pieces);
    out->ids = hel_alloc_array((size_t)vocab->count + 1, sizeof *out->ids);
    out->count = 0;
    if (!pieces || !out->ids) {
        hel_free(pieces);
        hel_longest_finish(out);
        return hel_fail_memory((size_t)vocab->count * sizeof *pieces);
    }
    for (uint32_t id = 0; id < vocab->count; id++)
        if (is_text(&vocab->tokens[id])) pieces[out->count++] = (piece){hel_vocab_bytes(vocab, id), vocab->tokens[id].size, id};
    qsort(pieces, out->count, sizeof *pieces, by_bytes);
    for (uint32_t i = 0; i < out->count; i++) out->ids[i] = pieces[i].id;
    hel_free(pieces);
    return HEL_OK;
}

void hel_longest_finish(hel_longest *longest) {
    hel_free(longest->ids);
    *longest = (hel_longest){0};
}

// Of the pieces low .. high, which share `depth` bytes, the first whose next byte is `least` or more; ended ones come first.
static uint32_t first_from(const hel_longest *longest, const hel_vocab *vocab, uint32_t low, uint32_t high, uint32_t depth,
                           unsigned least) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, id = longest->ids[middle];
        bool below = vocab->tokens[id].size <= depth || (unsigned char)hel_vocab_bytes(vocab, id)[depth] < least;
        if (below) low = middle + 1;
        else high = middle;
    }
    return low;
}

uint32_t hel_longest_match(const hel_longest *longest, const hel_vocab *vocab, const char *text, size_t size, uint32_t *out_size) {
    uint32_t low = 0, high = longest->count, best = HEL_TOKEN_NONE;
    for (uint32_t depth = 0; depth < size; depth++) {
        unsigned byte = (unsigned char)text[depth];
        low = first_from(longest, vocab, low, high, depth, byte);
        high = first_from(longest, vocab, low, high, depth, byte + 1);
        if (low == high) break;
        if (vocab->tokens[longest->ids[low]].size != depth + 1) continue;
        best = longest->ids[low];
        *out_size = depth + 1;
    }
    return best;
}
