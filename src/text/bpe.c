// SPDX-License-Identifier: Apache-2.0
#include "text/bpe.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "text/utf8.h"

static const uint32_t NOBODY = UINT32_MAX;

// A stretch of the word, linked with its neighbours. One that was merged into its left neighbour has size 0.
typedef struct hel_symbol {
    uint32_t start, size;
    uint32_t id; // HEL_TOKEN_NONE: not in the vocabulary
    uint32_t previous, next;
} symbol;

// A pair that may be merged; void if one of the two has changed since, which its size tells.
typedef struct hel_candidate { uint32_t rank, left, size, result; } candidate;

void hel_ids_append(hel_ids *list, uint32_t id) {
    if (list->failed) return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        uint32_t *ids = capacity > SIZE_MAX / sizeof *ids ? NULL : hel_resize(list->ids, capacity * sizeof *ids);
        if (!ids) {
            list->failed = true;
            return;
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
}

hel_status hel_ids_ok(const hel_ids *list) {
    return list->failed ? hel_fail_memory(list->capacity * 2 * sizeof *list->ids) : HEL_OK;
}

void hel_bpe_scratch_finish(hel_bpe_scratch *scratch) {
    hel_free(scratch->symbols);
    hel_free(scratch->heap);
    *scratch = (hel_bpe_scratch){0};
}

// A word of n bytes has at most n symbols. Each merge takes one candidate off and puts at most two on, so 2n hold all.
static hel_status reserve(hel_bpe_scratch *scratch, size_t size) {
    if (size <= scratch->symbol_capacity) return HEL_OK;
    size_t capacity = HEL_MAX(size, 64);
    hel_bpe_scratch_finish(scratch);
    scratch->symbols = hel_alloc_array(capacity, sizeof *scratch->symbols);
    scratch->heap = hel_alloc_array(capacity, 2 * sizeof *scratch->heap);
    if (!scratch->symbols || !scratch->heap) {
        hel_bpe_scratch_finish(scratch);
        return hel_fail_memory(capacity * (sizeof *scratch->symbols + 2 * sizeof *scratch->heap));
    }
    scratch->symbol_capacity = capacity;
    return HEL_OK;
}

static bool before(const candidate *a, const candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void heap_push(hel_bpe_scratch *scratch, candidate entry) {
    candidate *heap = scratch->heap;
    size_t at = scratch->n_heap++;
    for (; at && before(&entry, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

static candidate heap_pop(hel_bpe_scratch *scratch) {
    candidate *heap = scratch->heap, top = heap[0], last = heap[--scratch->n_heap];
    size_t at = 0, count = scratch->n_heap;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &last)) break;
        heap[at] = heap[child];
        at = child;
    }
    if (count) heap[at] = last;
    return top;
}

// Offers the pair of `left` and its right neighbour, if it can be merged.
static void offer(const hel_bpe *bpe, const hel_vocab *vocab, hel_bpe_scratch *scratch, const char *word,
                  uint32_t left) {
    if (left == NOBODY || scratch->symbols[left].next == NOBODY) return;
    const symbol *a = &scratch->symbols[left], *b = &scratch->symbols[a->next];
    candidate entry = {.left = left, .size = a->size + b->size};
    if (bpe->by_scores) {
        entry.result = hel_vocab_find_text(vocab, word + a->start, entry.size);
        if (entry.result == HEL_TOKEN_NONE) return;
        entry.rank = vocab->tokens[entry.result].rank;
    } else {
        if (a->id == HEL_TOKEN_NONE || b->id == HEL_TOKEN_NONE) return;
        const hel_merge *rule = hel_merges_find(&bpe->merges, a->id, b->id);
        if (!rule) return;
        entry.result = rule->result;
        entry.rank = (uint32_t)(rule - bpe->merges.rules);
    }
    heap_push(scratch, entry);
}

// Splits the word into bytes or characters. By merges, as the tokenizers library has it, what can become no token at
// all is left out here already, so that its neighbours meet.
static void begin(const hel_bpe *bpe, const hel_vocab *vocab, hel_bpe_scratch *scratch, const char *word, size_t size) {
    bool drop = !bpe->by_scores && !bpe->byte_fallback && bpe->unknown == HEL_TOKEN_NONE;
    uint32_t count = 0;
    for (size_t at = 0, length; at < size; at += length) {
        length = 1;
        uint32_t id;
        if (bpe->byte_level) {
            id = vocab->byte_ids[(unsigned char)word[at]];
        } else {
            hel_utf8_next(word + at, size - at, &length);
            id = hel_vocab_find_text(vocab, word + at, length);
        }
        if (id == HEL_TOKEN_NONE && drop) continue;
        scratch->symbols[count] = (symbol){(uint32_t)at, (uint32_t)length, id, count - 1, count + 1};
        count++;
    }
    if (count) scratch->symbols[count - 1].next = NOBODY;
    scratch->n_symbols = count;
    scratch->n_heap = 0;
    for (uint32_t i = 0; i < count; i++) offer(bpe, vocab, scratch, word, i);
}

static void merge_all(const hel_bpe *bpe, const hel_vocab *vocab, hel_bpe_scratch *scratch, const char *word) {
    symbol *symbols = scratch->symbols;
    while (scratch->n_heap) {
        candidate best = heap_pop(scratch);
        symbol *left = &symbols[best.left];
        if (!left->size || left->next == NOBODY || left->size + symbols[left->next].size != best.size) continue;
        symbol *right = &symbols[left->next];
        left->size = best.size;
        left->id = best.result;
        left->next = right->next;
        right->size = 0;
        if (left->next != NOBODY) symbols[left->next].previous = best.left;
        offer(bpe, vocab, scratch, word, left->previous);
        offer(bpe, vocab, scratch, word, best.left);
    }
}

// What has no token: its bytes' tokens if all of them exist, otherwise the unknown token, otherwise nothing.
// Returns true where it put out the unknown token.
static bool spell(const hel_bpe *bpe, const hel_vocab *vocab, const char *bytes, size_t size, bool after_unknown,
                  hel_ids *out) {
    bool all = bpe->byte_fallback;
    for (size_t i = 0; i < size && all; i++) all = vocab->byte_ids[(unsigned char)bytes[i]] != HEL_TOKEN_NONE;
    for (size_t i = 0; i < size && all; i++) hel_ids_append(out, vocab->byte_ids[(unsigned char)bytes[i]]);
    if (all || bpe->unknown == HEL_TOKEN_NONE) return false;
    if (!(after_unknown && bpe->fuse_unknown)) hel_ids_append(out, bpe->unknown);
    return true;
}

static hel_status encode_longest(const hel_bpe *bpe, const hel_vocab *vocab, const char *word, size_t size, hel_ids *out) {
    for (size_t at = 0; at < size;) {
        uint32_t length = 1, id = hel_longest_match(&bpe->longest, vocab, word + at, size - at, &length);
        if (id != HEL_TOKEN_NONE) hel_ids_append(out, id);
        else spell(bpe, vocab, word + at, 1, false, out);
        at += length;
    }
    return hel_ids_ok(out);
}

hel_status hel_bpe_encode(const hel_bpe *bpe, const hel_vocab *vocab, hel_bpe_scratch *scratch, const char *word,
                          size_t size, hel_ids *out) {
    if (bpe->longest_match) return encode_longest(bpe, vocab, word, size, out);
    uint32_t whole = bpe->whole_words ? hel_vocab_find_text(vocab, word, size) : HEL_TOKEN_NONE;
    if (whole != HEL_TOKEN_NONE) {
        hel_ids_append(out, whole);
        return hel_ids_ok(out);
    }
    HEL_TRY(reserve(scratch, size));
    begin(bpe, vocab, scratch, word, size);
    merge_all(bpe, vocab, scratch, word);
    bool unknown = false;
    for (uint32_t i = 0; i < scratch->n_symbols; i = scratch->symbols[i].next) {
        const symbol *piece = &scratch->symbols[i];
        if (piece->id == HEL_TOKEN_NONE) {
            unknown = spell(bpe, vocab, word + piece->start, piece->size, unknown, out);
        } else {
            hel_ids_append(out, piece->id);
            unknown = false;
        }
    }
    return hel_ids_ok(out);
}
