// SPDX-License-Identifier: Apache-2.0
#include "device/suballoc.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

typedef struct free_range {
    uint64_t offset, size;
} free_range;

// Between two places that are taken lies at most one free range, so `taken` + 1 of them are always enough. Room for
// them is made when a place is taken, which may fail, and not when it is returned, which may not.
struct hel_suballoc {
    free_range *ranges; // by offset; no two touch
    size_t count, capacity;
    size_t taken;
    uint64_t used;
};

hel_status hel_suballoc_create(uint64_t size, hel_suballoc **out) {
    enum { FIRST_RANGES = 16 };
    *out = NULL;
    hel_suballoc *block = hel_alloc_zero(1, sizeof *block);
    free_range *ranges = hel_alloc_array(FIRST_RANGES, sizeof *ranges);
    if (!block || !ranges) {
        hel_free(block);
        hel_free(ranges);
        return hel_fail_memory(FIRST_RANGES * sizeof *ranges);
    }
    ranges[0] = (free_range){0, size};
    *block = (hel_suballoc){.ranges = ranges, .count = 1, .capacity = FIRST_RANGES};
    *out = block;
    return HEL_OK;
}

void hel_suballoc_destroy(hel_suballoc **block) {
    if (!*block) return;
    hel_free((*block)->ranges);
    hel_free(*block);
    *block = NULL;
}

uint64_t hel_suballoc_used(const hel_suballoc *block) { return block->used; }

static hel_status reserve(hel_suballoc *block, size_t count) {
    if (count <= block->capacity) return HEL_OK;
    free_range *ranges = hel_resize(block->ranges, 2 * block->capacity * sizeof *ranges);
    if (!ranges) return hel_fail_memory(2 * block->capacity * sizeof *ranges);
    block->ranges = ranges;
    block->capacity *= 2;
    return HEL_OK;
}

static void insert(hel_suballoc *block, size_t at, free_range range) {
    memmove(block->ranges + at + 1, block->ranges + at, (block->count++ - at) * sizeof range);
    block->ranges[at] = range;
}

static void erase(hel_suballoc *block, size_t at) {
    memmove(block->ranges + at, block->ranges + at + 1, (--block->count - at) * sizeof *block->ranges);
}

// Bytes from a range's start to the first aligned place in it.
static uint64_t gap_of(const free_range *range, uint64_t alignment) {
    return ((range->offset + alignment - 1) & ~(alignment - 1)) - range->offset;
}

static const free_range *best_fit(const hel_suballoc *block, uint64_t size, uint64_t alignment) {
    const free_range *best = NULL;
    for (const free_range *range = block->ranges; range < block->ranges + block->count; range++) {
        uint64_t gap = gap_of(range, alignment);
        if (gap <= range->size && size <= range->size - gap && (!best || range->size < best->size)) best = range;
    }
    return best;
}

// What remains of the range before and after the place stays free.
static void cut(hel_suballoc *block, size_t at, uint64_t gap, uint64_t size) {
    free_range whole = block->ranges[at], rest = {whole.offset + gap + size, whole.size - gap - size};
    if (gap) block->ranges[at++].size = gap;
    else erase(block, at);
    if (rest.size) insert(block, at, rest);
}

hel_status hel_suballoc_take(hel_suballoc *block, uint64_t size, uint64_t alignment, uint64_t *out_offset) {
    HEL_TRY(reserve(block, block->taken + 2));
    const free_range *best = best_fit(block, size, alignment);
    if (!best) return HEL_ERROR_DEVICE_MEMORY;
    uint64_t gap = gap_of(best, alignment);
    *out_offset = best->offset + gap;
    cut(block, (size_t)(best - block->ranges), gap, size);
    block->taken++;
    block->used += size;
    return HEL_OK;
}

void hel_suballoc_give(hel_suballoc *block, uint64_t offset, uint64_t size) {
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->ranges[middle].offset < offset) low = middle + 1;
        else high = middle;
    }
    free_range *after = low < block->count ? &block->ranges[low] : NULL;
    free_range *before = low > 0 ? &block->ranges[low - 1] : NULL;
    bool joins_before = before && before->offset + before->size == offset;
    bool joins_after = after && offset + size == after->offset;
    if (joins_before) {
        before->size += size + (joins_after ? after->size : 0);
        if (joins_after) erase(block, low);
    } else if (joins_after) {
        *after = (free_range){offset, size + after->size};
    } else {
        insert(block, low, (free_range){offset, size});
    }
    block->taken--;
    block->used -= size;
}
