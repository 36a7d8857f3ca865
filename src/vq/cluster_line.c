// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_line.h"

#include <math.h>
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

static hel_status fit_sorted(const hel_values *values, uint32_t k, float *codebook) {
    float *sorted = hel_alloc_array(values->count, sizeof *sorted);
    if (!sorted) return hel_fail_memory(values->count * sizeof *sorted);
    hel_bins bins = {0};
    hel_status status = hel_values_copy(values, sorted);
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

// ---------------------------------------------------------------- on a device

enum { CELL_BITS = (1 << HEL_HISTOGRAM_SHIFT) - 1 };

// Whether each cell holds one value at most, and the device's values are these times the scale (vq/cluster_points.h), without
// rounding.
static bool cells_hold(const hel_cluster_points *points) {
    for (uint64_t i = 0; i < points->n; i++) {
        float value = points->values[i];
        if ((hel_float_bits(value) & CELL_BITS) || (value != 0 && fabs(value * points->scale) < 0x1p-40)) return false;
    }
    return true;
}

// A cell's value has no bits below the cell's: of negative ones that is the last key, as keys are the bits turned round.
static float value_of(uint32_t cell, double scale) {
    uint32_t key = cell << HEL_HISTOGRAM_SHIFT;
    return (float)(hel_key_float(key & 0x80000000u ? key : key | CELL_BITS) / scale);
}

static hel_status bins_of(const uint32_t *cells, double scale, hel_bins *out) {
    uint32_t n = 0;
    for (uint32_t cell = 0; cell < HEL_HISTOGRAM_CELLS; cell++) n += cells[cell] > 0;
    hel_bin *bins = hel_alloc_array(n, sizeof *bins);
    if (!bins) return hel_fail_memory(n * sizeof *bins);
    *out = (hel_bins){.bins = bins, .n = n};
    for (uint32_t cell = 0; cell < HEL_HISTOGRAM_CELLS; cell++)
        if (cells[cell]) *bins++ = hel_bin_of(cells[cell], value_of(cell, scale));
    return HEL_OK;
}

static hel_status check_counts(const hel_cluster_device *on, const uint32_t *cells) {
    uint64_t total = 0;
    for (uint32_t cell = 0; cell < HEL_HISTOGRAM_CELLS; cell++) total += cells[cell];
    if (total == on->points->n) return HEL_OK;
    return hel_fail(HEL_ERROR_DEVICE, "%s:%u: %llu of %llu values were counted", on->device->backend, on->device->index,
                    (unsigned long long)total, (unsigned long long)on->points->n);
}

static hel_status fit_counted(const hel_cluster_device *on, uint32_t k, float *codebook) {
    uint32_t *cells = hel_alloc_array(HEL_HISTOGRAM_CELLS, sizeof *cells);
    if (!cells) return hel_fail_memory(HEL_HISTOGRAM_CELLS * sizeof *cells);
    hel_bins bins = {0};
    hel_status status = hel_cluster_histogram(on, HEL_HISTOGRAM_SHIFT, cells);
    if (status == HEL_OK) status = check_counts(on, cells);
    if (status == HEL_OK) status = bins_of(cells, on->points->scale, &bins);
    hel_free(cells);
    if (status == HEL_OK) status = solve(&bins, k, codebook);
    hel_bins_finish(&bins);
    return status;
}

// The host counts as fast as the CPU as a device; the null device counts nothing.
static bool counts_values(const hel_device *device) {
    return device->type != HEL_DEVICE_TYPE_CPU && device->type != HEL_DEVICE_TYPE_NONE &&
           HEL_HISTOGRAM_CELLS * sizeof(uint32_t) <= device->limits.max_binding;
}

hel_status hel_cluster_line_on(const hel_cluster_device *on, uint32_t k, float *codebook) {
    const hel_cluster_points *points = on->points;
    if (counts_values(on->device) && points->n <= UINT32_MAX && cells_hold(points)) return fit_counted(on, k, codebook);
    return hel_cluster_line(&(hel_values){.count = points->n, .data = points->values}, k, codebook);
}
