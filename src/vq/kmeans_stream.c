// SPDX-License-Identifier: Apache-2.0
#include "vq/kmeans_stream.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/cluster_device.h"
#include "vq/cluster_line.h"
#include "vq/fit.h"
#include "vq/kmeans.h"

enum { PIECE = 1 << 20, FIT_PASSES = 3 }; // for the greatest magnitude, the histogram, and what it is refined by

typedef struct stream {
    const hel_device *device;
    const hel_kmeans_source *source;
    const hel_kmeans_params *params;
    hel_cluster_progress progress;
    hel_kmeans_result *result;
    double scale;     // of hel_cluster_points
    float *piece;     // [PIECE]
    uint32_t *labels; // [PIECE]
} stream;

bool hel_kmeans_streams(uint64_t n, uint32_t d, const hel_kmeans_params *params) {
    return d == 1 && params->exact && hel_cluster_line_gathers(n, params->k);
}

// What is read counts until labels are made, which count themselves.
static hel_status read_values(void *user, uint64_t first, uint64_t count, float *out) {
    stream *s = user;
    uint64_t of_fit = FIT_PASSES * s->result->n, left = of_fit - HEL_MIN(s->progress.done, of_fit);
    HEL_TRY(hel_cluster_advance(&s->progress, HEL_MIN(count, left)));
    return s->source->read(s->source->user, first, count, out);
}

static hel_values values_of(stream *s) {
    return (hel_values){.count = s->result->n, .read = read_values, .user = s, .piece = s->piece, .piece_count = PIECE};
}

// ---------------------------------------------------------------- passes over the values

static hel_status find_most(void *user, uint64_t first, const float *values, uint64_t count) {
    return hel_cluster_most(values, first, count, 1, user);
}

static hel_status fit(stream *s) {
    hel_kmeans_result *r = s->result;
    float most = 0;
    hel_values values = values_of(s);
    HEL_TRY(hel_values_scan(&values, find_most, &most));
    s->scale = hel_cluster_scale_of(most);
    r->converged = true;
    return hel_cluster_line(&values, r->k, r->centroids);
}

static hel_status label_piece(void *user, uint64_t first, const float *values, uint64_t count) {
    stream *s = user;
    hel_kmeans_result *r = s->result;
    hel_cluster_points points = {values, count, 1, s->scale};
    hel_cluster_device on;
    (void)first;
    hel_status status = hel_cluster_device_create(s->device, &points, r->k, false, &on);
    if (status == HEL_OK) status = hel_cluster_label(&on, r->centroids, &s->progress, s->labels);
    hel_cluster_device_finish(&on);
    HEL_TRY(status);
    for (uint64_t i = 0; i < count; i++) {
        r->counts[s->labels[i]]++;
        r->squared_error += hel_cluster_distance(&points, i, r->centroids + s->labels[i]);
    }
    return s->source->labels ? s->source->labels(s->source->user, s->labels, count) : HEL_OK;
}

// ---------------------------------------------------------------- both

static hel_status run(stream *s) {
    hel_kmeans_result *r = s->result;
    r->centroids = hel_alloc_array(r->k, sizeof *r->centroids);
    r->counts = hel_alloc_zero(r->k, sizeof *r->counts);
    s->piece = hel_alloc_array(PIECE, sizeof *s->piece);
    s->labels = hel_alloc_array(PIECE, sizeof *s->labels);
    if (!r->centroids || !r->counts || !s->piece || !s->labels) return hel_fail_memory(PIECE * sizeof *s->piece);
    HEL_TRY(fit(s));
    s->progress.done = FIT_PASSES * r->n;
    hel_values values = values_of(s);
    HEL_TRY(hel_values_scan(&values, label_piece, s));
    return hel_kmeans_count_empty(s->params->empty, r);
}

hel_status hel_kmeans_stream(const hel_device *device, const hel_kmeans_source *source, uint64_t n,
                             const hel_kmeans_params *params, hel_kmeans_result *out) {
    *out = (hel_kmeans_result){0};
    if (n > UINT32_MAX) return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu values are more than 2^32 - 1", (unsigned long long)n);
    *out = (hel_kmeans_result){.n = n, .k = params->k, .d = 1};
    stream s = {.device = device, .source = source, .params = params, .result = out,
                .progress = {params->progress, params->user, "clustering", 0, (FIT_PASSES + 1) * n}};
    hel_status status = run(&s);
    hel_free(s.piece);
    hel_free(s.labels);
    if (status != HEL_OK) hel_kmeans_result_finish(out);
    return status;
}
