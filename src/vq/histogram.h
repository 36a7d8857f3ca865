// SPDX-License-Identifier: Apache-2.0
// Streamed histogram over the top 21 bits of a float's key (sign, exponent, 12 bits of mantissa). bfloat16 and
// binary16 values have at most 10 bits of mantissa, so theirs is a histogram of distinct values.
#ifndef HEL_VQ_HISTOGRAM_H
#define HEL_VQ_HISTOGRAM_H

#include "vq/bins.h"
#include "vq/values.h"

enum { HEL_HISTOGRAM_SHIFT = 11, HEL_HISTOGRAM_CELLS = 1 << (32 - HEL_HISTOGRAM_SHIFT) };

typedef struct hel_histogram {
    uint32_t *cells;      // counts by key >> HEL_HISTOGRAM_SHIFT; after hel_histogram_group the number of its bin
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

// Makes every occupied cell a bin where they are exact or at most `most`, else gathers them to at most `most` bins of
// near-equal count * width^2, the bin's share of the quantisation error. The bins come empty: fill them with
// hel_bin_add(&bins[hel_histogram_bin(...)], value). The counts are lost.
hel_status hel_histogram_group(hel_histogram *histogram, uint32_t most, hel_bins *out);

static inline uint32_t hel_histogram_bin(const hel_histogram *histogram, float value) {
    return histogram->cells[hel_float_key(value) >> HEL_HISTOGRAM_SHIFT];
}
#endif
