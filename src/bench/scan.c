// SPDX-License-Identifier: Apache-2.0
// The scans of Mamba (a rate for each state of each channel) and of Mamba-2 (heads of 64 channels, 128 states), a text at once.
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/works.h"
#include "ops/ssm.h"

// Exact values are computed at a few steps of the first channel.
enum { DEFAULT_CHANNELS = 1536, DEFAULT_LENGTH = 2048, HEAD_DIM = 64, STATE = 16, HEADS_STATE = 128, PLACES = 64, ARRAYS = 6 };

typedef struct array {
    float *values;
    uint64_t rows, cols;
    hel_buffer *buffer;
} array;

// What is scanned: one set of arrays for both forms, each as large as the larger needs.
typedef struct scan_state {
    hel_bench_run *run;
    uint32_t channels, steps;
    array x, dt, bc, z, a, d;
    struct form *forms[2];
} scan_state;

typedef struct form {
    const scan_state *all;
    uint32_t heads, state;
    hel_exec exec;
    hel_buffer *h;
    double exact[PLACES];
} form;

static uint32_t place_of(const scan_state *all, uint32_t i) {
    return (uint32_t)((uint64_t)(all->steps - 1) * (i + 1) / PLACES);
}

// ---------------------------------------------------------------- a form

static hel_tensor tensor_of(const array *from, uint32_t cols) {
    return (hel_tensor){{.buffer = from->buffer}, (uint32_t)from->rows, cols};
}

static hel_tensor scan(form *f) {
    const scan_state *all = f->all;
    hel_tensor bc = tensor_of(&all->bc, 2 * HEADS_STATE);
    hel_ssm ssm = {.channels = all->channels, .state = f->state, .heads = f->heads, .groups = 1, .a = {.buffer = all->a.buffer},
                   .d = {.buffer = all->d.buffer}, .dt_bias = {.buffer = all->d.buffer}, .dt_high = 1e30f};
    hel_ssm_inputs in = {.x = hel_columns_all(tensor_of(&all->x, all->channels)),
                         .dt = {tensor_of(&all->dt, all->channels), 0, f->heads ? f->heads : all->channels},
                         .b = {bc, 0, f->state},
                         .c = {bc, HEADS_STATE, f->state}};
    if (!f->heads) in.gate = hel_columns_all(tensor_of(&all->z, all->channels));
    return hel_ssm_scan(&f->exec, &ssm, &in, hel_bind(f->h));
}

static hel_status error_of(const form *f, hel_tensor y, double *out) {
    float got[PLACES];
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t at = y.where.offset + (uint64_t)place_of(f->all, i) * y.cols * sizeof(float);
        HEL_TRY(hel_buffer_read(f->exec.device, HEL_QUEUE_COMPUTE, y.where.buffer, at, &got[i], sizeof(float)));
    }
    *out = hel_bench_error_db(got, f->exact, PLACES);
    return HEL_OK;
}

static hel_status time_form(void *user, hel_bench_measure *measure, double *out_seconds) {
    form *f = user;
    HEL_TRY(hel_buffer_fill(f->all->run->device, f->h, 0, hel_buffer_size(f->h), 0));
    HEL_TRY(hel_exec_wait(&f->exec));
    hel_exec_reset(&f->exec);
    double start = hel_bench_now();
    hel_tensor y = scan(f);
    HEL_TRY(f->exec.status);
    HEL_TRY(hel_exec_wait(&f->exec));
    *out_seconds = hel_bench_now() - start;
    return error_of(f, y, &measure->error_db);
}

// The recurrence of channel 0 in double precision.
static void make_exact(form *f) {
    const scan_state *all = f->all;
    double h[HEADS_STATE] = {0};
    for (uint32_t t = 0, place = 0; t < all->steps; t++) {
        const float *b = all->bc.values + (size_t)t * 2 * HEADS_STATE, *c = b + HEADS_STATE;
        double x = all->x.values[(size_t)t * all->channels], z = all->z.values[(size_t)t * all->channels], y = all->d.values[0] * x;
        double dt = log1p(exp(all->dt.values[(size_t)t * all->channels] + (f->heads ? all->d.values[0] : 0.0)));
        for (uint32_t n = 0; n < f->state; n++) {
            h[n] = exp(dt * all->a.values[f->heads ? 0 : (size_t)n * all->channels]) * h[n] + dt * b[n] * x;
            y += c[n] * h[n];
        }
        for (; place < PLACES && place_of(all, place) == t; place++) f->exact[place] = f->heads ? y : y * z / (1.0 + exp(-z));
    }
}

static hel_status add_form(scan_state *all, uint32_t index, const char *name, uint32_t heads, uint32_t state) {
    form *f = all->forms[index] = hel_alloc_zero(1, sizeof *f);
    if (!f) return hel_fail_memory(sizeof *f);
    *f = (form){.all = all, .heads = heads, .state = state};
    HEL_TRY(hel_buffer_create(all->run->device, (uint64_t)state * all->channels * sizeof(float), &f->h));
    HEL_TRY(hel_exec_init(&f->exec, all->run->device));
    hel_exec_plan_begin(&f->exec);
    scan(f);
    HEL_TRY(hel_exec_plan_end(&f->exec));
    make_exact(f);
    hel_bench_entry *entry = hel_bench_add(all->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->group = index + 1;
    entry->round = time_form;
    entry->user = f;
    entry->measure.tokens = all->steps;
    uint64_t row = heads ? 2 * (uint64_t)all->channels + heads : 4 * (uint64_t)all->channels; // x and y, dt, z
    entry->measure.bytes = (double)all->steps * (row + 2 * state) * sizeof(float);
    return HEL_OK;
}

// ---------------------------------------------------------------- the work

static hel_status make_array(const scan_state *all, const char *name, uint64_t rows, uint64_t cols, uint32_t seed, array *out) {
    size_t count = (size_t)(rows * cols);
    *out = (array){.values = hel_alloc_array(count, sizeof(float)), .rows = rows, .cols = cols};
    if (!out->values) return hel_fail_memory(count * sizeof(float));
    hel_bench_gaussian(seed, 1.0f, out->values, count);
    if (out == &all->a)
        for (size_t i = 0; i < count; i++) out->values[i] = -expf(out->values[i]);
    HEL_TRY(hel_buffer_create(all->run->device, count * sizeof(float), &out->buffer));
    HEL_TRY(hel_buffer_write(all->run->device, HEL_QUEUE_COMPUTE, out->buffer, 0, out->values, count * sizeof(float)));
    const hel_bench_run *run = all->run;
    if (!run->params.peers || !run->params.peers[0]) return HEL_OK;
    return hel_bench_write_npy(run, name, HEL_F32, (const uint64_t[]){rows, cols}, 2, out->values);
}

static hel_status make_arrays(scan_state *all) {
    HEL_TRY(make_array(all, "x.npy", all->steps, all->channels, 21, &all->x));
    HEL_TRY(make_array(all, "dt.npy", all->steps, all->channels, 22, &all->dt));
    HEL_TRY(make_array(all, "bc.npy", all->steps, 2 * HEADS_STATE, 23, &all->bc));
    HEL_TRY(make_array(all, "z.npy", all->steps, all->channels, 24, &all->z));
    HEL_TRY(make_array(all, "a.npy", STATE, all->channels, 25, &all->a));
    return make_array(all, "d.npy", 1, all->channels, 26, &all->d);
}

static hel_status prepare(hel_bench_run *run, void **state) {
    scan_state *all = *state = hel_alloc_zero(1, sizeof *all);
    if (!all) return hel_fail_memory(sizeof *all);
    all->run = run;
    all->channels = run->params.channels ? run->params.channels : DEFAULT_CHANNELS;
    all->steps = run->params.length ? run->params.length : DEFAULT_LENGTH;
    HEL_TRY(make_arrays(all));
    hel_bench_tell(run, "channels", all->channels);
    hel_bench_tell(run, "steps", all->steps);
    hel_bench_tell(run, "state", STATE);
    hel_bench_tell(run, "heads_state", HEADS_STATE);
    HEL_TRY(add_form(all, 0, "mamba", 0, STATE));
    if (all->channels % HEAD_DIM == 0) return add_form(all, 1, "mamba2", all->channels / HEAD_DIM, HEADS_STATE);
    hel_bench_note(run, "%u channels make no heads of %d: Mamba-2's scan is left out", all->channels, HEAD_DIM);
    return HEL_OK;
}

static void finish(hel_bench_run *run, void *state) {
    scan_state *all = state;
    if (!all) return;
    array *arrays[ARRAYS] = {&all->x, &all->dt, &all->bc, &all->z, &all->a, &all->d};
    for (uint32_t i = 0; i < ARRAYS; i++) {
        hel_buffer_destroy(run->device, &arrays[i]->buffer);
        hel_free(arrays[i]->values);
    }
    for (uint32_t i = 0; i < HEL_COUNT(all->forms) && all->forms[i]; i++) {
        hel_exec_finish(&all->forms[i]->exec);
        hel_buffer_destroy(run->device, &all->forms[i]->h);
        hel_free(all->forms[i]);
    }
    hel_free(all);
}

const hel_bench_work_row hel_bench_work_scan = {
    .about = {"scan", "Selective scans of Mamba and Mamba-2, a text at once", "channels length"},
    .prepare = prepare, .finish = finish};
