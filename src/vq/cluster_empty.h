// SPDX-License-Identifier: Apache-2.0
// What becomes of clusters without points.
#ifndef HEL_VQ_CLUSTER_EMPTY_H
#define HEL_VQ_CLUSTER_EMPTY_H

#include <helicoid/kmeans.h>

#include "vq/cluster_points.h"

uint32_t hel_cluster_count_empty(const uint64_t *counts, uint32_t k);

// Gives centroids without points new places, as `policy` says, after the others became means.
// HEL_KMEANS_EMPTY_ERROR is HEL_ERROR_UNSUPPORTED where there is such a one. They stay where all distances are zero.
hel_status hel_cluster_refill(const hel_cluster_points *points, const uint32_t *labels, const uint64_t *counts, uint32_t k,
                              hel_kmeans_empty policy, float *centroids);

#endif
