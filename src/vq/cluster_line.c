// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_line.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "vq/fit.h"
#include "vq/kmeans1d.h"
#include "vq/sort.h"

enum { SORT_MOST = 1 << 22 };

bool hel_cluster_line_gathers(uint64_t n, uint32_t k) { return n > SORT_MOST && k <= HEL_CODEBOOK_MAX; }

static hel_status fit_gathered(const hel_values *values, uint32_t k, float *codebook) {
    hel_fit_options options = {.k = k, .percentile = 100};
    hel_fitted fitted;
    HEL_TRY(hel_fit_values(values, &options, &fitted));
    memcpy(codebook, fitted.codebook, k * sizeof *codebook);
    hel_fitted_finish(&fitted);
    return HEL_OK;
}

static hel_status solve(const hel_bins *bins, uint32_t k, float *codebook) {
    double *means = hel_alloc_array(k, sizeof *means);
    if (!means) return hel_fail_memory(k * sizeof *means);
    hel_partition partition;
    hel_status status = hel_kmeans1d_solve(bins, k, 0, &partition);
    if (status == HEL_OK) {
        hel_partition_means(bins, &partition, means);
        for (uint32_t c = 0; c < k; c++) codebook[c] = (float)means[c < partition.clusters ? c : partition.clusters - 1];
        hel_partition_finish(&partition);
    }
    hel_free(means);
    return status;
}

static hel_status copy_values(void *user, uint64_t first, const float *values, uint64_t count) {
    memcpy((float *)user + first, values, count * sizeof *values);
    return HEL_OK;
}

static hel_status fit_sorted(const hel_values *values, uint32_t k, float *codebook) {
    float *sorted = hel_alloc_array(values->count, sizeof *sorted);
    if (!sorted) return hel_fail_memory(values->count * sizeof *sorted);
    hel_bins bins = {0};
    hel_status status = hel_values_scan(values, copy_values, sorted);
    if (status == HEL_OK) status = hel_sort_floats(sorted, (uint32_t)values->count);
    if (status == HEL_OK) status = hel_bins_from_sorted(sorted, values->count, &bins);
    hel_free(sorted);
    if (status == HEL_OK) status = solve(&bins, k, codebook);
    hel_bins_finish(&bins);
    return status;
}

hel_status hel_cluster_line(const hel_values *values, uint32_t k, float *codebook) {
    if (values->count > UINT32_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu values are too many for an optimal codebook",
                        (unsigned long long)values->count);
    return (hel_cluster_line_gathers(values->count, k) ? fit_gathered : fit_sorted)(values, k, codebook);
}
