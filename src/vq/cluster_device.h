// SPDX-License-Identifier: Apache-2.0
// The points on a device, in slices that fit its limits, and the three kernels run over them.
#ifndef HEL_VQ_CLUSTER_DEVICE_H
#define HEL_VQ_CLUSTER_DEVICE_H

#include <helicoid/device.h>

#include "vq/cluster_points.h"

typedef struct hel_cluster_slice {
    hel_buffer *points;
    uint64_t first;
    uint32_t count;
} hel_cluster_slice;

typedef struct hel_cluster_device {
    const hel_device *device;
    const hel_cluster_points *points;
    uint32_t k;
    hel_cluster_slice *slices;
    uint32_t n_slices;
    uint32_t block;         // points whose sums are one partial, a power of two
    uint64_t blocks;        // of all slices
    uint64_t piece;         // points that are labelled in one dispatch
    hel_buffer *centroids, *labels, *partials, *counts;
} hel_cluster_device;

// `sums`: room for partial sums too. Finish it after a failure as well.
hel_status hel_cluster_device_create(const hel_device *device, const hel_cluster_points *points, uint32_t k, bool sums,
                                     hel_cluster_device *out);
void hel_cluster_device_finish(hel_cluster_device *on); // accepts a zeroed one

// What is called now and then while points are labelled; false cancels.
typedef struct hel_cluster_progress {
    hel_progress_callback report;
    void *user;
    const char *stage;
    uint64_t done, total;
} hel_cluster_progress;

hel_status hel_cluster_advance(hel_cluster_progress *progress, uint64_t points);

// Labels all points with the nearest of `centroids` [k, d], which are unscaled; where there is room for sums, these too.
hel_status hel_cluster_label(hel_cluster_device *on, const float *centroids, hel_cluster_progress *progress,
                             uint32_t *labels);

// Values on a line (d = 1): how many of them, as the device has them, fall into each of the cells [2^(32 - shift)] of the
// floats' keys (vq/values.h). For less than 2^32 of them.
hel_status hel_cluster_histogram(const hel_cluster_device *on, uint32_t shift, uint32_t *cells);

// After hel_cluster_label: the means of the clusters; those without points keep theirs.
hel_status hel_cluster_update(hel_cluster_device *on, float *centroids);

#endif
