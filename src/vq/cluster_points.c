// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_points.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"

enum { TOP_EXPONENT = 40 };

hel_status hel_cluster_most(const float *values, uint64_t first, uint64_t count, uint32_t d, float *most) {
    for (uint64_t i = 0; i < count; i++) {
        float magnitude = fabsf(values[i]);
        if (!(magnitude <= 0x1.fffffep127f))
            return hel_fail(HEL_ERROR_UNSUPPORTED, "value %llu of point %llu is NaN or infinite",
                            (unsigned long long)((first + i) % d), (unsigned long long)((first + i) / d));
        if (magnitude > *most) *most = magnitude;
    }
    return HEL_OK;
}

double hel_cluster_scale_of(float most) {
    int exponent = TOP_EXPONENT;
    if (most > 0) frexp(most, &exponent);
    return ldexp(1, TOP_EXPONENT - exponent);
}

hel_status hel_cluster_points_init(const float *values, uint64_t n, uint32_t d, hel_cluster_points *out) {
    float most = 0;
    HEL_TRY(hel_cluster_most(values, 0, n * d, d, &most));
    *out = (hel_cluster_points){values, n, d, hel_cluster_scale_of(most)};
    return HEL_OK;
}

// Floats of 2^-40 and more have no bits below 2^-63.
static float scaled(double value) {
    return (float)(fabs(value) >= 0x1p-40 ? value : rint(value * 0x1p63) * 0x1p-63);
}

void hel_cluster_scale(const hel_cluster_points *points, const float *values, uint64_t count, float *out) {
    for (uint64_t i = 0; i < count; i++) out[i] = scaled(values[i] * points->scale);
}

void hel_cluster_unscale(const hel_cluster_points *points, float *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) values[i] = (float)(values[i] / points->scale);
}

double hel_cluster_distance(const hel_cluster_points *points, uint64_t i, const float *centroid) {
    const float *point = points->values + i * points->d;
    double sum = 0;
    for (uint32_t j = 0; j < points->d; j++) {
        double difference = (double)point[j] - centroid[j];
        sum += difference * difference;
    }
    return sum;
}

hel_status hel_cluster_spread(const hel_cluster_points *points, double *out) {
    uint32_t d = points->d;
    double *mean = hel_alloc_zero(d, sizeof *mean), sum = 0;
    if (!mean) return hel_fail_memory(d * sizeof *mean);
    for (uint64_t i = 0; i < points->n; i++)
        for (uint32_t j = 0; j < d; j++) mean[j] += points->values[i * d + j];
    for (uint32_t j = 0; j < d; j++) mean[j] /= (double)points->n;
    for (uint64_t i = 0; i < points->n; i++)
        for (uint32_t j = 0; j < d; j++) {
            double difference = points->values[i * d + j] - mean[j];
            sum += difference * difference;
        }
    hel_free(mean);
    *out = sum / (double)points->n;
    return HEL_OK;
}

hel_status hel_cluster_means(const hel_cluster_points *points, const uint32_t *labels, const uint64_t *counts, uint32_t k,
                             float *centroids) {
    uint32_t d = points->d;
    size_t cells = (size_t)k * d;
    double *sums = hel_alloc_zero(cells, sizeof *sums);
    if (!sums) return hel_fail_memory(cells * sizeof *sums);
    for (uint64_t i = 0; i < points->n; i++) {
        double *sum = sums + (size_t)labels[i] * d;
        for (uint32_t j = 0; j < d; j++) sum[j] += points->values[i * d + j];
    }
    for (size_t cell = 0; cell < cells; cell++)
        if (counts[cell / d]) centroids[cell] = (float)(sums[cell] / (double)counts[cell / d]);
    hel_free(sums);
    return HEL_OK;
}
