// SPDX-License-Identifier: Apache-2.0
// The scalar codebook of helix-substrate, value for value: Lloyd's iterations from percentiles, in numpy's float
// arithmetic. Its sample of large tensors is drawn as numpy draws it.
#ifndef HEL_VQ_LLOYD_REFERENCE_H
#define HEL_VQ_LLOYD_REFERENCE_H

#include "vq/values.h"

enum { HEL_REFERENCE_SAMPLE = 500000 };

typedef enum hel_reference_stop {
    HEL_REFERENCE_RANGE,    // 0.3.3: every centroid moves less than 0.001 of the codebook's range
    HEL_REFERENCE_ALLCLOSE, // 0.2.0: numpy.allclose(old, new)
} hel_reference_stop;

// At most 10 iterations over min(k, distinct values) codes, k <= 256; `count` > 0 finite values. An empty cluster
// keeps its centroid; the codebook is the one before the move that was small enough.
hel_status hel_lloyd_reference(const float *data, uint32_t count, uint32_t k, hel_reference_stop stop, float *codebook,
                               uint32_t *out_k);

// The same over the reference's sample: RandomState(42).choice(n, 500000, replace=False) of larger tensors, in its order.
hel_status hel_lloyd_reference_sampled(const hel_values *values, uint32_t k, float *codebook, uint32_t *out_k);
#endif
