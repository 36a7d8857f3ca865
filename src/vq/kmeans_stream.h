// SPDX-License-Identifier: Apache-2.0
// The optimal codebook for values that are read piece by piece and never lie in memory together. The numbers are those of
// hel_kmeans_fit, to the bit.
#ifndef HEL_VQ_KMEANS_STREAM_H
#define HEL_VQ_KMEANS_STREAM_H

#include <helicoid/kmeans.h>

// Where the values come from and, unless `labels` is NULL, where their labels go, in order.
typedef struct hel_kmeans_source {
    hel_status (*read)(void *user, uint64_t first, uint64_t count, float *out);
    hel_status (*labels)(void *user, const uint32_t *labels, uint64_t count);
    void *user;
} hel_kmeans_source;

// Whether hel_kmeans_fit's codebook can be had from a few passes over the values: `params` are checked ones.
bool hel_kmeans_streams(uint64_t n, uint32_t d, const hel_kmeans_params *params);

// For such n and params. The result has no labels. Beside the device's buffers for one piece it takes less than 64 MiB.
hel_status hel_kmeans_stream(const hel_device *device, const hel_kmeans_source *source, uint64_t n,
                             const hel_kmeans_params *params, hel_kmeans_result *out);

#endif
