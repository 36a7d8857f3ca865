// SPDX-License-Identifier: Apache-2.0
// Points on a line: the codebook of least squared error (vq/kmeans1d.h).
#ifndef HEL_VQ_CLUSTER_LINE_H
#define HEL_VQ_CLUSTER_LINE_H

#include "vq/cluster_points.h"

// `codebook` [k], ascending; the last one repeated where there are fewer different values. The optimum over all values
// up to 2^22 of them or where k is above 256; otherwise within hel_fit_values' certificate of it. Takes about 90 bytes
// a different value.
hel_status hel_cluster_line(const float *values, uint64_t n, uint32_t k, float *codebook);

#endif
