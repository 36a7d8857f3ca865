// SPDX-License-Identifier: Apache-2.0
// Points as k-means sees them on the host, and what is summed over them in double, always in the points' order.
#ifndef HEL_VQ_CLUSTER_POINTS_H
#define HEL_VQ_CLUSTER_POINTS_H

#include <helicoid/common.h>

// The device gets every value times `scale`, a power of two that brings the largest magnitude into [2^39, 2^40), rounded
// to a multiple of 2^-63: neither squares of differences nor sums of them overflow or leave the normal floats, on
// which devices agree.
typedef struct hel_cluster_points {
    const float *values; // [n, d]
    uint64_t n;
    uint32_t d;
    double scale;
} hel_cluster_points;

// Finds the scale; NaN and infinities are HEL_ERROR_UNSUPPORTED.
hel_status hel_cluster_points_init(const float *values, uint64_t n, uint32_t d, hel_cluster_points *out);

// The same in pieces: raises *most to the greatest magnitude of values first .. first + count - 1, and its scale.
hel_status hel_cluster_most(const float *values, uint64_t first, uint64_t count, uint32_t d, float *most);
double hel_cluster_scale_of(float most);

// `count` values scaled, and scaled back.
void hel_cluster_scale(const hel_cluster_points *points, const float *values, uint64_t count, float *out);
void hel_cluster_unscale(const hel_cluster_points *points, float *values, uint64_t count);

// Squared distance of point i from a centroid [d].
double hel_cluster_distance(const hel_cluster_points *points, uint64_t i, const float *centroid);

// Mean squared distance of the points from their mean.
hel_status hel_cluster_spread(const hel_cluster_points *points, double *out);

// centroids[c] = the mean of the points with label c; clusters without points keep theirs. counts [k] are given.
hel_status hel_cluster_means(const hel_cluster_points *points, const uint32_t *labels, const uint64_t *counts, uint32_t k,
                             float *centroids);

#endif
