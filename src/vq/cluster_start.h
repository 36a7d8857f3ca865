// SPDX-License-Identifier: Apache-2.0
// Where Lloyd's iterations begin: k of the points, drawn at random on the host.
#ifndef HEL_VQ_CLUSTER_START_H
#define HEL_VQ_CLUSTER_START_H

#include "vq/cluster_device.h"

// `centroids` [k, d] get k different points.
void hel_cluster_start_sample(const hel_cluster_points *points, uint32_t k, uint64_t seed, float *centroids);

// k-means++; where fewer than k points are different, some are taken again.
hel_status hel_cluster_start_plusplus(const hel_cluster_points *points, uint32_t k, uint64_t seed,
                                      hel_cluster_progress *progress, float *centroids);

#endif
