// SPDX-License-Identifier: Apache-2.0
// Points to cluster, and k-means in double precision that shares nothing with the library's.
#ifndef TESTS_KMEANS_POINTS_H
#define TESTS_KMEANS_POINTS_H

#include "support/support.h"

#include <helicoid/helicoid.h>

#include "made_values.h"

// `groups` clouds, seeded.
static inline float *made_points(uint64_t n, uint32_t d, uint32_t groups, uint64_t seed) {
    float *points = malloc(n * d * sizeof *points);
    assert_non_null(points);
    for (uint64_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < d; j++) {
            float centre = 3 * made_value(made_mix(i + seed) % groups * d + j, seed + 100);
            points[i * d + j] = centre + made_value(i * d + j, seed) / 2;
        }
    return points;
}

static inline double point_distance(const float *point, const float *centroid, uint32_t d) {
    double sum = 0;
    for (uint32_t j = 0; j < d; j++) sum += ((double)point[j] - centroid[j]) * ((double)point[j] - centroid[j]);
    return sum;
}

static inline uint32_t nearest_centroid(const float *point, const float *centroids, uint32_t k, uint32_t d) {
    uint32_t label = 0;
    double least = INFINITY;
    for (uint32_t c = 0; c < k; c++) {
        double distance = point_distance(point, centroids + c * d, d);
        if (distance < least) least = distance, label = c;
    }
    return label;
}

// Lloyd's iterations from `centroids`, which become the last ones; empty clusters stay. Returns the squared error.
static inline double plain_lloyd(const float *points, uint64_t n, uint32_t d, uint32_t k, uint32_t iterations, float *centroids) {
    double *sums = malloc((size_t)k * d * sizeof *sums), error = 0;
    uint64_t *counts = malloc(k * sizeof *counts);
    for (uint32_t round = 0; round <= iterations; round++) {
        memset(sums, 0, (size_t)k * d * sizeof *sums);
        memset(counts, 0, k * sizeof *counts);
        error = 0;
        for (uint64_t i = 0; i < n; i++) {
            uint32_t label = nearest_centroid(points + i * d, centroids, k, d);
            error += point_distance(points + i * d, centroids + label * d, d);
            counts[label]++;
            for (uint32_t j = 0; j < d; j++) sums[label * d + j] += points[i * d + j];
        }
        for (uint32_t cell = 0; round < iterations && cell < k * d; cell++)
            if (counts[cell / d]) centroids[cell] = (float)(sums[cell] / (double)counts[cell / d]);
    }
    free(sums);
    free(counts);
    return error;
}

#endif
