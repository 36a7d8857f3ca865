// SPDX-License-Identifier: Apache-2.0
// hel_kmeans_fit and hel_kmeans_assign: Lloyd's iterations over a device.
#include <helicoid/kmeans.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "vq/cluster_device.h"
#include "vq/cluster_empty.h"
#include "vq/cluster_line.h"
#include "vq/cluster_start.h"
#include "vq/kmeans.h"

static const hel_kmeans_params defaults = {
    .struct_size = sizeof(hel_kmeans_params),
    .k = 256,
    .iterations = 25,
    .tolerance = 1e-4,
    .start = HEL_KMEANS_START_PLUSPLUS,
    .empty = HEL_KMEANS_EMPTY_SPLIT,
};

void hel_kmeans_params_init(hel_kmeans_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

typedef struct fit {
    hel_kmeans_params params;
    hel_cluster_points points;
    hel_cluster_device on;
    hel_cluster_progress progress;
    hel_kmeans_result *result;
    uint32_t *before;  // labels of the pass before, NULL where none is needed
    float *next;       // [k, d]
    double threshold;  // squared move below which a fit has converged
} fit;

static hel_status check_shape(uint64_t n, uint32_t d, uint32_t k) {
    uint64_t values, bytes;
    if (!n || !d || !k)
        return hel_fail(HEL_ERROR_ARGUMENT, "%llu points of %u values and %u centroids: none of these can be zero",
                        (unsigned long long)n, d, k);
    if (!hel_size_mul(n, d, &values) || !hel_size_mul(values, sizeof(double), &bytes) || bytes > SIZE_MAX / 2 ||
        (uint64_t)k * d > SIZE_MAX / (2 * sizeof(double)))
        return hel_fail(HEL_ERROR_ARGUMENT, "%llu points of %u values do not fit an address", (unsigned long long)n, d);
    return HEL_OK;
}

hel_status hel_kmeans_params_check(const hel_kmeans_params *given, uint64_t n, uint32_t d, hel_kmeans_params *params) {
    *params = defaults;
    HEL_TRY(HEL_PARAMS_READ(given, params, "hel_kmeans_params"));
    HEL_TRY(check_shape(n, d, params->k));
    if (params->k > n)
        return hel_fail(HEL_ERROR_ARGUMENT, "%u centroids for %llu points", params->k, (unsigned long long)n);
    if (!(params->tolerance >= 0)) return hel_fail(HEL_ERROR_ARGUMENT, "the tolerance is %g", params->tolerance);
    if ((unsigned)params->start > HEL_KMEANS_START_SAMPLE || (unsigned)params->empty > HEL_KMEANS_EMPTY_ERROR)
        return hel_fail(HEL_ERROR_ARGUMENT, "start %d or empty %d is none that this version has", (int)params->start,
                        (int)params->empty);
    return HEL_OK;
}

// ---------------------------------------------------------------- one iteration

static void count_labels(hel_kmeans_result *result) {
    memset(result->counts, 0, result->k * sizeof *result->counts);
    for (uint64_t i = 0; i < result->n; i++) result->counts[result->labels[i]]++;
}

static hel_status label_points(fit *f) {
    HEL_TRY(hel_cluster_label(&f->on, f->result->centroids, &f->progress, f->result->labels));
    count_labels(f->result);
    return HEL_OK;
}

static hel_status move_centroids(fit *f) {
    hel_kmeans_result *r = f->result;
    memcpy(f->next, r->centroids, (size_t)r->k * r->d * sizeof *f->next);
    if (f->params.exact) HEL_TRY(hel_cluster_means(&f->points, r->labels, r->counts, r->k, f->next));
    else HEL_TRY(hel_cluster_update(&f->on, f->next));
    return hel_cluster_refill(&f->points, r->labels, r->counts, r->k, f->params.empty, f->next);
}

// The largest squared move of a centroid.
static double largest_move(const hel_kmeans_result *r, const float *next) {
    double largest = 0;
    for (uint32_t c = 0; c < r->k; c++) {
        double move = 0;
        for (size_t at = (size_t)c * r->d; at < (size_t)(c + 1) * r->d; at++)
            move += ((double)next[at] - r->centroids[at]) * ((double)next[at] - r->centroids[at]);
        largest = fmax(largest, move);
    }
    return largest;
}

// Leaves labels that belong to the centroids.
static hel_status iterate(fit *f) {
    hel_kmeans_result *r = f->result;
    HEL_TRY(label_points(f));
    while (r->iterations < f->params.iterations && !r->converged) {
        HEL_TRY(move_centroids(f));
        r->iterations++;
        r->converged = largest_move(r, f->next) <= f->threshold;
        memcpy(r->centroids, f->next, (size_t)r->k * r->d * sizeof *f->next);
        memcpy(f->before, r->labels, r->n * sizeof *f->before);
        HEL_TRY(label_points(f));
        if (memcmp(f->before, r->labels, r->n * sizeof *f->before) == 0) r->converged = true;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- a fit

static hel_status allocate(fit *f) {
    hel_kmeans_result *r = f->result;
    size_t cells = (size_t)r->k * r->d;
    r->centroids = hel_alloc_array(cells, sizeof *r->centroids);
    r->counts = hel_alloc_array(r->k, sizeof *r->counts);
    r->labels = hel_alloc_array(r->n, sizeof *r->labels);
    f->next = hel_alloc_array(cells, sizeof *f->next);
    if (f->params.iterations) f->before = hel_alloc_array(r->n, sizeof *f->before);
    if (r->centroids && r->counts && r->labels && f->next && (f->before || !f->params.iterations)) return HEL_OK;
    return hel_fail_memory((2 * cells + 2 * r->n) * sizeof(float));
}

static hel_status place_centroids(fit *f) {
    hel_kmeans_result *r = f->result;
    if (r->d == 1 && f->params.exact) {
        r->converged = true;
        return hel_cluster_line_on(&f->on, r->k, r->centroids);
    }
    if (f->params.start == HEL_KMEANS_START_PLUSPLUS)
        return hel_cluster_start_plusplus(&f->points, r->k, f->params.seed, &f->progress, r->centroids);
    hel_cluster_start_sample(&f->points, r->k, f->params.seed, r->centroids);
    return HEL_OK;
}

static hel_status prepare(fit *f, const hel_device *device) {
    bool line = f->result->d == 1 && f->params.exact, sums = !f->params.exact && f->params.iterations;
    if (line) f->params.iterations = 0;
    uint64_t passes = (uint64_t)f->params.iterations + 1, total;
    if (!hel_size_mul(passes, f->result->n, &total)) total = UINT64_MAX;
    f->progress = (hel_cluster_progress){f->params.progress, f->params.user, "clustering", 0, total};
    HEL_TRY(allocate(f));
    double spread = 0;
    if (f->params.iterations && f->params.tolerance > 0) HEL_TRY(hel_cluster_spread(&f->points, &spread));
    f->threshold = f->params.tolerance * f->params.tolerance * spread;
    return hel_cluster_device_create(device, &f->points, f->result->k, sums, &f->on);
}

hel_status hel_kmeans_count_empty(hel_kmeans_empty policy, hel_kmeans_result *result) {
    result->empty = hel_cluster_count_empty(result->counts, result->k);
    if (!result->empty || policy != HEL_KMEANS_EMPTY_ERROR) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%u of %u clusters have no points", result->empty, result->k);
}

static hel_status finish(fit *f) {
    hel_kmeans_result *r = f->result;
    HEL_TRY(hel_kmeans_count_empty(f->params.empty, r));
    for (uint64_t i = 0; i < r->n; i++)
        r->squared_error += hel_cluster_distance(&f->points, i, r->centroids + (size_t)r->labels[i] * r->d);
    return HEL_OK;
}

hel_status hel_kmeans_fit(const hel_device *device, const float *points, uint64_t n, uint32_t d,
                          const hel_kmeans_params *params, hel_kmeans_result *out) {
    HEL_REQUIRE(device && out);
    *out = (hel_kmeans_result){0};
    if (!points) return hel_fail(HEL_ERROR_ARGUMENT, "there are no points");
    fit f = {.result = out};
    HEL_TRY(hel_kmeans_params_check(params, n, d, &f.params));
    HEL_TRY(hel_cluster_points_init(points, n, d, &f.points));
    *out = (hel_kmeans_result){.n = n, .k = f.params.k, .d = d};
    hel_status status = prepare(&f, device);
    if (status == HEL_OK) status = place_centroids(&f);
    if (status == HEL_OK) status = iterate(&f);
    if (status == HEL_OK) status = finish(&f);
    hel_cluster_device_finish(&f.on);
    hel_free(f.before);
    hel_free(f.next);
    if (status != HEL_OK) hel_kmeans_result_finish(out);
    return status;
}

void hel_kmeans_result_finish(hel_kmeans_result *result) {
    if (!result) return;
    hel_free(result->centroids);
    hel_free(result->counts);
    hel_free(result->labels);
    *result = (hel_kmeans_result){0};
}

// ---------------------------------------------------------------- labels alone

// One scale for both, since they are compared.
static hel_status scale_both(const float *values, uint64_t n, uint32_t d, const float *centroids, uint32_t k,
                             hel_cluster_points *out) {
    hel_cluster_points book;
    hel_status status = hel_cluster_points_init(centroids, k, d, &book);
    if (status != HEL_OK) {
        hel_error_prefix("the centroids: ");
        return status;
    }
    HEL_TRY(hel_cluster_points_init(values, n, d, out));
    out->scale = HEL_MIN(out->scale, book.scale);
    return HEL_OK;
}

hel_status hel_kmeans_assign(const hel_device *device, const float *points, uint64_t n, uint32_t d, const float *centroids,
                             uint32_t k, uint32_t *out_labels, float *out_distances) {
    HEL_REQUIRE(device && centroids);
    if (!points) return hel_fail(HEL_ERROR_ARGUMENT, "there are no points");
    HEL_TRY(check_shape(n, d, k));
    hel_cluster_points all;
    HEL_TRY(scale_both(points, n, d, centroids, k, &all));
    uint32_t *labels = out_labels ? out_labels : hel_alloc_array(n, sizeof *labels);
    if (!labels) return hel_fail_memory(n * sizeof *labels);
    hel_cluster_device on;
    hel_cluster_progress none = {.total = n};
    hel_status status = hel_cluster_device_create(device, &all, k, false, &on);
    if (status == HEL_OK) status = hel_cluster_label(&on, centroids, &none, labels);
    for (uint64_t i = 0; status == HEL_OK && out_distances && i < n; i++)
        out_distances[i] = (float)hel_cluster_distance(&all, i, centroids + (size_t)labels[i] * d);
    hel_cluster_device_finish(&on);
    if (!out_labels) hel_free(labels);
    return status;
}
