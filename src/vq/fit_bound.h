// SPDX-License-Identifier: Apache-2.0
// A bound below the squared error of every codebook for values of which only bins are known.
#ifndef HEL_VQ_FIT_BOUND_H
#define HEL_VQ_FIT_BOUND_H

#include "vq/bins.h"

// For any `k` codes and any values that lie in the bins as these say. `price` as for hel_kmeans1d_solve.
hel_status hel_fit_bound(const hel_bins *bins, uint32_t k, double price, double *out);

#endif
