// SPDX-License-Identifier: Apache-2.0
#include "vq/sort.h"

#include "base/error.h"
#include "base/memory.h"
#include "vq/values.h"

enum { DIGIT_BITS = 11, DIGITS = 3, BUCKETS = 1 << DIGIT_BITS };

static void sort_by_digit(const uint32_t *from, uint32_t *to, uint32_t count, uint32_t shift) {
    uint32_t starts[BUCKETS + 1] = {0};
    for (uint32_t i = 0; i < count; i++) starts[(from[i] >> shift & (BUCKETS - 1)) + 1]++;
    for (uint32_t b = 0; b < BUCKETS; b++) starts[b + 1] += starts[b];
    for (uint32_t i = 0; i < count; i++) to[starts[from[i] >> shift & (BUCKETS - 1)]++] = from[i];
}

hel_status hel_sort_floats(float *values, uint32_t count) {
    uint32_t *keys = hel_alloc_array(count, 2 * sizeof *keys);
    if (!keys) return hel_fail_memory((size_t)count * 2 * sizeof *keys);
    uint32_t *from = keys, *to = keys + count;
    for (uint32_t i = 0; i < count; i++) from[i] = hel_float_key(values[i]);
    for (uint32_t digit = 0; digit < DIGITS; digit++) {
        sort_by_digit(from, to, count, digit * DIGIT_BITS);
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    for (uint32_t i = 0; i < count; i++) values[i] = hel_key_float(from[i]);
    hel_free(keys);
    return HEL_OK;
}
