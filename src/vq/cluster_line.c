// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_line.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "vq/fit.h"
#include "vq/kmeans1d.h"
#include "vq/sort.h"

enum { SORT_MOST = 1 << 22 };

static hel_status fit_gathered(const float *values, uint64_t n, uint32_t k, float *codebook) {
    hel_values all = {.count = n, .data = values};
    hel_fit_options options = {.k = k, .percentile = 100};
    hel_fitted fitted;
    HEL_TRY(hel_fit_values(&all, &options, &fitted));
    memcpy(codebook, fitted.codebook, k * sizeof *codebook);
    hel_fitted_finish(&fitted);
    return HEL_OK;
}

static hel_status solve(const hel_bins *bins, uint32_t k, float *codebook) {
    double *means = hel_alloc_array(k, sizeof *means);
    if (!means) return hel_fail_memory(k * sizeof *means);
    hel_partition partition;
    hel_status status = hel_kmeans1d_solve(bins, k, &partition);
    if (status == HEL_OK) {
        hel_partition_means(bins, &partition, means);
        for (uint32_t c = 0; c < k; c++) codebook[c] = (float)means[c < partition.clusters ? c : partition.clusters - 1];
        hel_partition_finish(&partition);
    }
    hel_free(means);
    return status;
}

hel_status hel_cluster_line(const float *values, uint64_t n, uint32_t k, float *codebook) {
    if (n > UINT32_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu values are too many for an optimal codebook", (unsigned long long)n);
    if (n > SORT_MOST && k <= HEL_CODEBOOK_MAX) return fit_gathered(values, n, k, codebook);
    float *sorted = hel_alloc_array(n, sizeof *sorted);
    if (!sorted) return hel_fail_memory(n * sizeof *sorted);
    memcpy(sorted, values, n * sizeof *sorted);
    hel_bins bins = {0};
    hel_status status = hel_sort_floats(sorted, (uint32_t)n);
    if (status == HEL_OK) status = hel_bins_from_sorted(sorted, n, &bins);
    hel_free(sorted);
    if (status == HEL_OK) status = solve(&bins, k, codebook);
    hel_bins_finish(&bins);
    return status;
}
