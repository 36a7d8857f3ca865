// SPDX-License-Identifier: Apache-2.0
// Streamed histogram over the top 21 bits of a float's key (sign, exponent, 12 bits of mantissa). bfloat16 and
// binary16 values have at most 10 bits of mantissa, so theirs is a histogram of distinct values.
#ifndef HEL_VQ_HISTOGRAM_H
#define HEL_VQ_HISTOGRAM_H

#include "vq/bins.h"
#include "vq/values.h"

enum { HEL_HISTOGRAM_SHIFT = 11, HEL_HISTOGRAM_CELLS = 1 << (32 - HEL_HISTOGRAM_SHIFT) };

typedef struct hel_histogram {
    uint32_t *cells;      // counts by key >> HEL_HISTOGRAM_SHIFT; after hel_histogram_group the numbers of its bins
    uint32_t first, last; // occupied cells lie in first .. last
    bool exact;           // no value uses bits of mantissa below the cells': one distinct value each
} hel_histogram;

// Counts all values, less than 2^32 of them. NaN and infinities are HEL_ERROR_UNSUPPORTED.
hel_status hel_histogram_create(const hel_values *values, hel_histogram *out);
void hel_histogram_finish(hel_histogram *histogram);

// The values of `count` <= HEL_HISTOGRAM_RANKS ranks (0 the least), exact: reads the values once more.
enum { HEL_HISTOGRAM_RANKS = 4 };
hel_status hel_histogram_select(const hel_histogram *histogram, const hel_values *values, const uint64_t *ranks,
                                uint32_t count, float *out);

// Makes bins of the cells, numbered in ascending order: one of each occupied cell where they are exact and fewer than
// 2^16, else at most `most` of near-equal count * width^2, a bin's share of the quantisation error, by joining light cells
// and cutting heavy ones. The tallies [*out_count] come empty: add each value to that of hel_histogram_bin(...). The counts
// are lost. The caller frees them with hel_free.
hel_status hel_histogram_group(hel_histogram *histogram, uint32_t most, hel_tally **out, uint32_t *out_count);

// After grouping a cell holds the number of its first bin and, above these bits, that of its parts less one.
enum { HEL_HISTOGRAM_BASE_BITS = 32 - HEL_HISTOGRAM_SHIFT };

static inline uint32_t hel_histogram_bin(const hel_histogram *histogram, float value) {
    uint32_t key = hel_float_key(value), cell = histogram->cells[key >> HEL_HISTOGRAM_SHIFT];
    uint32_t within = key & ((1u << HEL_HISTOGRAM_SHIFT) - 1), parts = (cell >> HEL_HISTOGRAM_BASE_BITS) + 1;
    return (cell & ((1u << HEL_HISTOGRAM_BASE_BITS) - 1)) + (within * parts >> HEL_HISTOGRAM_SHIFT);
}
#endif
