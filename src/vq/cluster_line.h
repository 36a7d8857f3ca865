// SPDX-License-Identifier: Apache-2.0
// Points on a line: the codebook of least squared error (vq/kmeans1d.h).
#ifndef HEL_VQ_CLUSTER_LINE_H
#define HEL_VQ_CLUSTER_LINE_H

#include "vq/cluster_device.h"
#include "vq/values.h"

// Whether the codebook of n values is made of a few passes over them; else all are sorted, which takes about 90 bytes a
// different value.
bool hel_cluster_line_gathers(uint64_t n, uint32_t k);

// `codebook` [k], ascending; the last one repeated where there are fewer different values. The optimum over all values
// up to 2^22 of them or where k is above 256; otherwise within hel_fit_values' certificate of it.
hel_status hel_cluster_line(const hel_values *values, uint32_t k, float *codebook);

// The same, to the bit, for the values that lie on a device: it counts them, unless it is the CPU or they have more digits
// than the histogram's cells (those of bfloat16 and binary16 have not).
hel_status hel_cluster_line_on(const hel_cluster_device *on, uint32_t k, float *codebook);

#endif
