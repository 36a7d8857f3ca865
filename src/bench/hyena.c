// SPDX-License-Identifier: Apache-2.0
// The Hyena operator over one sequence, from projections to the last product, filters made anew each time.
#include <helicoid/hyena.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "bench/data.h"
#include "bench/random_operator.h"
#include "bench/works.h"

enum { DEFAULT_WIDTH = 64, DEFAULT_LENGTH = 1 << 16 };

typedef struct hyena_state {
    uint32_t width, length;
    float *x, *y; // [length, width]
    hel_hyena *hyena;
} hyena_state;

static hel_status time_forward(void *user, hel_bench_measure *measure, double *out_seconds) {
    (void)measure;
    hyena_state *s = user;
    double start = hel_bench_now();
    HEL_TRY(hel_hyena_forward(s->hyena, 1, s->length, s->x, s->y));
    *out_seconds = hel_bench_now() - start;
    return HEL_OK;
}

static hel_status make_operator(const hel_bench_run *run, hyena_state *s) {
    char *path = NULL;
    hel_hyena_params params = hel_hyena_params_default();
    params.max_length = s->length;
    HEL_TRY(hel_bench_path(run, "operator.safetensors", &path));
    hel_status status = hel_bench_write_operator(path, s->width);
    if (status == HEL_OK) status = hel_hyena_create(run->device, path, &params, &s->hyena);
    hel_free(path);
    return status;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    hyena_state *s = *state = hel_alloc_zero(1, sizeof *s);
    if (!s) return hel_fail_memory(sizeof *s);
    *s = (hyena_state){.width = run->params.channels ? run->params.channels : DEFAULT_WIDTH,
                       .length = run->params.length ? run->params.length : DEFAULT_LENGTH};
    size_t count = (size_t)s->width * s->length;
    s->x = hel_alloc_array(count, sizeof *s->x);
    s->y = hel_alloc_array(count, sizeof *s->y);
    if (!s->x || !s->y) return hel_fail_memory(count * sizeof *s->x);
    hel_bench_gaussian(13, 1.0f, s->x, count);
    HEL_TRY(make_operator(run, s));
    hel_bench_tell(run, "width", s->width);
    hel_bench_tell(run, "length", s->length);
    char name[HEL_BENCH_NAME];
    snprintf(name, sizeof name, "L%u", s->length);
    hel_bench_entry *entry = hel_bench_add(run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->round = time_forward;
    entry->user = s;
    entry->measure.tokens = s->length;
    entry->measure.bytes = 2.0 * (double)count * sizeof(float); // x, y
    return HEL_OK;
}

static void finish(hel_bench_run *run, void *state) {
    hyena_state *s = state;
    (void)run;
    if (!s) return;
    hel_hyena_destroy(&s->hyena);
    hel_free(s->x);
    hel_free(s->y);
    hel_free(s);
}

const hel_bench_work_row hel_bench_work_hyena = {
    .about = {"hyena", "The Hyena operator over a long sequence", "channels length"},
    .prepare = prepare, .finish = finish};
