// SPDX-License-Identifier: Apache-2.0
// A distribution as the k-means solver wants it: disjoint intervals of values in ascending order, each with the
// count, sum and spread of what lies in it. Made from distinct values (then nothing is lost) or from tallies.
#ifndef HEL_VQ_BINS_H
#define HEL_VQ_BINS_H

#include <helicoid/common.h>

typedef struct hel_bin {
    double count, sum;
    double within;   // squared distances to the bin's mean
    float low, high; // least and greatest value in it
} hel_bin;

typedef struct hel_bins {
    hel_bin *bins;
    uint32_t n; // bins in use
} hel_bins;

// A bin of `count` times one value.
static inline hel_bin hel_bin_of(double count, float value) { return (hel_bin){count, count * value, 0, value, value}; }

// The distinct values of `sorted`, one bin each.
hel_status hel_bins_from_sorted(const float *sorted, uint64_t count, hel_bins *out);
void hel_bins_finish(hel_bins *bins);
// True where every bin holds one distinct value, so that an optimum over the bins is one over the values.
bool hel_bins_exact(const hel_bins *bins);

// What is known of the values of one bin while they go by; zeroed it is empty. Differences from a value of the bin keep
// their digits where sums of squares would not.
typedef struct hel_tally {
    double sum, squares;     // of the values less `origin`
    uint32_t count;
    float origin, low, high; // the first value, the least, the greatest
} hel_tally;

static inline void hel_tally_add(hel_tally *tally, float value) {
    if (tally->count++ == 0) tally->origin = tally->low = tally->high = value;
    if (value < tally->low) tally->low = value;
    if (value > tally->high) tally->high = value;
    double difference = (double)value - tally->origin;
    tally->sum += difference;
    tally->squares += difference * difference;
}

// A bin for each tally that holds something.
hel_status hel_bins_from_tallies(const hel_tally *tallies, uint32_t n, hel_bins *out);
#endif
