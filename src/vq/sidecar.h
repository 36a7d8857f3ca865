// SPDX-License-Identifier: Apache-2.0
// Which values of a tensor are kept exactly: those below percentile 100 - p or above percentile p (linear
// interpolation, as numpy.percentile), and of these the `cap` of greatest magnitude.
#ifndef HEL_VQ_SIDECAR_H
#define HEL_VQ_SIDECAR_H

#include "vq/histogram.h"

typedef struct hel_kept {
    uint64_t position;
    float value;
} hel_kept;

// While it is filled a heap with the least one first; afterwards sorted by position.
typedef struct hel_sidecar {
    hel_kept *kept;
    uint32_t count, cap;
    float low, high; // values below or above are candidates
} hel_sidecar;

// Ranks whose values the two thresholds are interpolated between: those of the low one, then of the high one.
typedef struct hel_percentiles {
    uint64_t ranks[HEL_HISTOGRAM_RANKS];
    double weights[2];
} hel_percentiles;

hel_percentiles hel_percentiles_of(double percentile, uint64_t count);
// `values` of the four ranks.
hel_status hel_sidecar_create(const hel_percentiles *percentiles, const float values[HEL_HISTOGRAM_RANKS], uint32_t cap,
                              hel_sidecar *out);
void hel_sidecar_finish(hel_sidecar *sidecar);

// Takes the value in where it is a candidate and great enough; of equal magnitudes the earlier position stays.
// Returns false where the value is not kept. Where it is and another has to leave, `*evicted` is true and
// `*value` becomes the one that leaves.
bool hel_sidecar_offer(hel_sidecar *sidecar, uint64_t position, float *value, bool *evicted);
void hel_sidecar_sort(hel_sidecar *sidecar);

// numpy's linear interpolation between neighbours in the sorted order: float difference, double product.
static inline float hel_interpolate(float low, float high, double weight) {
    float difference = high - low;
    return (float)(weight >= 0.5 ? high - difference * (1 - weight) : low + difference * weight);
}
#endif
