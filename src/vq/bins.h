// SPDX-License-Identifier: Apache-2.0
// A distribution as the k-means solver wants it: disjoint intervals of values in ascending order, each with the
// count, sum and sum of squares of what lies in it. Made from distinct values (then nothing is lost) or from a
// histogram.
#ifndef HEL_VQ_BINS_H
#define HEL_VQ_BINS_H

#include <helicoid/common.h>

typedef struct hel_bin {
    double count, sum, squares;
    float low, high; // least and greatest value in it
} hel_bin;

typedef struct hel_bins {
    hel_bin *bins;
    uint32_t n; // bins in use
} hel_bins;

static inline void hel_bin_add(hel_bin *bin, float value) {
    if (bin->count == 0 || value < bin->low) bin->low = value;
    if (bin->count == 0 || value > bin->high) bin->high = value;
    bin->count += 1;
    bin->sum += value;
    bin->squares += (double)value * value;
}

// The distinct values of `sorted`, one bin each.
hel_status hel_bins_from_sorted(const float *sorted, uint64_t count, hel_bins *out);
// Drops empty bins and makes the sums of bins that hold one distinct value exact products.
void hel_bins_tidy(hel_bins *bins);
void hel_bins_finish(hel_bins *bins);
// True where every bin holds one distinct value, so that an optimum over the bins is one over the values.
bool hel_bins_exact(const hel_bins *bins);
#endif
