// SPDX-License-Identifier: Apache-2.0
// The nearest of k centroids for each of many points: what an iteration of k-means does most of, as it does it.
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/works.h"
#include "vq/cluster_device.h"

enum { DEFAULT_POINTS = 1 << 18, MOST_SHAPES = 9 };
static const uint32_t default_dims[] = {4, 8, 16}, default_codes[] = {256, 1024, 4096};

typedef struct shape {
    struct assign_state *all;
    hel_cluster_points points;
    hel_cluster_device on;
    float *values, *codes; // [count, d] and [k, d]
    uint32_t d, k;
} shape;

typedef struct assign_state {
    hel_bench_run *run;
    uint64_t count;
    uint32_t *labels; // [count]
    shape shapes[MOST_SHAPES];
    uint32_t n_shapes;
} assign_state;

// ---------------------------------------------------------------- timing

static double error_of(const shape *s) {
    double sum = 0;
    for (uint64_t i = 0; i < s->points.n; i++)
        sum += hel_cluster_distance(&s->points, i, s->codes + (size_t)s->all->labels[i] * s->d);
    return sum;
}

static hel_status time_shape(void *user, hel_bench_measure *measure, double *out_seconds) {
    shape *s = user;
    hel_cluster_progress none = {.total = s->points.n};
    double start = hel_bench_now();
    HEL_TRY(hel_cluster_label(&s->on, s->codes, &none, s->all->labels));
    *out_seconds = hel_bench_now() - start;
    measure->squared_error = error_of(s);
    return HEL_OK;
}

// ---------------------------------------------------------------- a shape

static hel_status write_for_peers(const shape *s) {
    const hel_bench_run *run = s->all->run;
    if (!run->params.peers || !run->params.peers[0]) return HEL_OK;
    char name[HEL_BENCH_NAME];
    uint64_t points[] = {s->points.n, s->d}, codes[] = {s->k, s->d};
    snprintf(name, sizeof name, "points_%u.npy", s->all->n_shapes);
    HEL_TRY(hel_bench_write_npy(run, name, HEL_F32, points, 2, s->values));
    snprintf(name, sizeof name, "codes_%u.npy", s->all->n_shapes);
    return hel_bench_write_npy(run, name, HEL_F32, codes, 2, s->codes);
}

static hel_status make_shape(shape *s) {
    uint64_t count = s->all->count;
    s->values = hel_alloc_array(count, s->d * sizeof *s->values);
    s->codes = hel_alloc_array(s->k, s->d * sizeof *s->codes);
    if (!s->values || !s->codes) return hel_fail_memory(count * s->d * sizeof *s->values);
    hel_bench_gaussian(4, 1.0f, s->values, count * s->d);
    hel_bench_gaussian(5, 1.0f, s->codes, (uint64_t)s->k * s->d);
    HEL_TRY(hel_cluster_points_init(s->values, count, s->d, &s->points));
    return hel_cluster_device_create(s->all->run->device, &s->points, s->k, false, &s->on);
}

// Shapes, like groups of entries, are counted from 1.
static hel_status add_shape(assign_state *a, uint32_t d, uint32_t k) {
    shape *s = &a->shapes[a->n_shapes++];
    char name[HEL_BENCH_NAME];
    *s = (shape){.all = a, .d = d, .k = k};
    snprintf(name, sizeof name, "d%u k%u", d, k);
    HEL_TRY(make_shape(s));
    HEL_TRY(write_for_peers(s));
    hel_bench_entry *entry = hel_bench_add(a->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->group = a->n_shapes;
    entry->round = time_shape;
    entry->user = s;
    entry->measure.flops = 2.0 * (double)a->count * d * k;
    return HEL_OK;
}

static void finish_shape(shape *s) {
    hel_cluster_device_finish(&s->on);
    hel_free(s->values);
    hel_free(s->codes);
}

// What a device has no room for is noted, and the others are measured.
static hel_status try_shape(assign_state *a, uint32_t d, uint32_t k) {
    hel_status status = add_shape(a, d, k);
    if (status != HEL_ERROR_UNSUPPORTED) return status;
    hel_bench_note(a->run, "assign d%u k%u: %s", d, k, hel_error_message());
    finish_shape(&a->shapes[--a->n_shapes]);
    return HEL_OK;
}

// ---------------------------------------------------------------- the work

static hel_status add_shapes(assign_state *a) {
    const hel_bench_params *params = &a->run->params;
    const uint32_t *dims = params->dims ? &params->dims : default_dims, *codes = params->k ? &params->k : default_codes;
    uint32_t n_dims = params->dims ? 1 : HEL_COUNT(default_dims), n_codes = params->k ? 1 : HEL_COUNT(default_codes);
    for (uint32_t i = 0; i < n_dims; i++)
        for (uint32_t j = 0; j < n_codes; j++) HEL_TRY(try_shape(a, dims[i], codes[j]));
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    assign_state *a = *state = hel_alloc_zero(1, sizeof *a);
    if (!a) return hel_fail_memory(sizeof *a);
    a->run = run;
    a->count = run->params.count ? run->params.count : DEFAULT_POINTS;
    a->labels = hel_alloc_array(a->count, sizeof *a->labels);
    if (!a->labels) return hel_fail_memory(a->count * sizeof *a->labels);
    HEL_TRY(add_shapes(a));
    hel_bench_tell(run, "count", a->count);
    hel_bench_tell(run, "shapes", a->n_shapes);
    return HEL_OK;
}

static void finish(hel_bench_run *run, void *state) {
    assign_state *a = state;
    (void)run;
    if (!a) return;
    for (uint32_t i = 0; i < a->n_shapes; i++) finish_shape(&a->shapes[i]);
    hel_free(a->labels);
    hel_free(a);
}

const hel_bench_work_row hel_bench_work_assign = {
    .about = {"assign", "The nearest of k centroids for each point, as k-means asks for it", "count dims k"},
    .prepare = prepare, .finish = finish, .any_k = true};
