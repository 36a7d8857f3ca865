// SPDX-License-Identifier: Apache-2.0
// Globally optimal k-means in one dimension. Clusters of an optimum are intervals, so the problem is a shortest path
// over the bins with exactly k edges. Edge costs obey the quadrangle inequality, hence the least cost is convex in k
// and a price per cluster finds it (Aggarwal, Schieber, Tokuyama: "Finding a minimum-weight k-link path in graphs with
// Monge property", 1994); for one price a monotone queue finds the path in O(n log n) (Hirschberg, Larmore: "The least
// weight subsequence problem", 1987).
#ifndef HEL_VQ_KMEANS1D_H
#define HEL_VQ_KMEANS1D_H

#include "vq/bins.h"

typedef struct hel_partition {
    uint32_t *bounds;    // cluster c holds bins bounds[c] .. bounds[c + 1] - 1
    uint32_t clusters;   // min(k, number of bins)
    double cost;         // squared distances to the clusters' means, within bins too
    double lower_bound;  // no partition along bins into `clusters` clusters costs less (Lagrange dual, less what
                         // rounding can do)
    double price;        // per cluster at which it is a shortest path
} hel_partition;

// k >= 1, at least one bin, all bins occupied. The search begins at `price`, that of a partition of bins much like these; 0
// where there is none. Sequential and deterministic.
hel_status hel_kmeans1d_solve(const hel_bins *bins, uint32_t k, double price, hel_partition *out);
void hel_partition_finish(hel_partition *partition);

// Means of the clusters, ascending.
void hel_partition_means(const hel_bins *bins, const hel_partition *partition, double *means);
#endif
