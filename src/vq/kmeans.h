// SPDX-License-Identifier: Apache-2.0
// What fits of points in memory and of points read from a file share.
#ifndef HEL_VQ_KMEANS_H
#define HEL_VQ_KMEANS_H

#include <helicoid/kmeans.h>

// Reads `params` (NULL: the defaults) and checks them for n points of d values.
hel_status hel_kmeans_params_check(const hel_kmeans_params *params, uint64_t n, uint32_t d, hel_kmeans_params *out);

// Counts the clusters without points; with HEL_KMEANS_EMPTY_ERROR one is UNSUPPORTED.
hel_status hel_kmeans_count_empty(hel_kmeans_empty policy, hel_kmeans_result *result);

#endif
