// SPDX-License-Identifier: Apache-2.0
// The long convolution of 64 channels with as many filters, gates, padding and crop included; filters are transformed before. Where
// a device has transforms of its own, the way that a plan does not take is timed as well; where their taps are given, the ways for
// filters as long as rows and for those of a few taps.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/works.h"
#include "kernels.h"
#include "ops/fftconv.h"

// Exact values are computed at a few places of one row: each is a sum over all steps before it.
enum { DEFAULT_CHANNELS = 64, LENGTHS = 8, SHORTEST = 1 << 13, PLACES = 64 };

typedef struct length {
    struct fftconv_state *all;
    uint32_t steps, taps, group;
    hel_fftconv_plan plan;
    hel_exec exec;
    hel_buffer *spectra;
    double exact[PLACES];
} length;

// Rows of each array are `longest` apart on the host; on the device, a length's rows are close to each other.
typedef struct fftconv_state {
    hel_bench_run *run;
    uint32_t channels, longest, taps;
    float *u, *h, *gate; // [channels, longest], zeros behind the taps
    hel_buffer *on_u, *on_gate, *on_y;
    length lengths[3 * LENGTHS]; // each by one way or more
    uint32_t n_lengths, groups;
} fftconv_state;

static uint32_t place_of(uint32_t steps, uint32_t i) { return (uint32_t)((uint64_t)(steps - 1) * (i + 1) / PLACES); }

// ---------------------------------------------------------------- timing

static hel_convolution_call call_of(const length *l, bool transform) {
    const fftconv_state *all = l->all;
    hel_convolution_call call = {
        .rows = all->channels, .channels = all->channels, .transform = transform, .u = {.buffer = all->on_u}};
    if (transform) {
        call.y = hel_bind(l->spectra);
        return call;
    }
    call.gate_in = call.gate_out = (hel_binding){.buffer = all->on_gate};
    call.spectra = hel_bind(l->spectra);
    call.y = (hel_binding){.buffer = all->on_y};
    return call;
}

// The first `steps` of all rows, close to each other.
static hel_status upload(const length *l, const float *values, uint32_t steps, hel_buffer *to) {
    const fftconv_state *all = l->all;
    for (uint32_t c = 0; c < all->channels; c++)
        HEL_TRY(hel_buffer_write(all->run->device, HEL_QUEUE_COMPUTE, to, (uint64_t)c * steps * sizeof(float),
                                 values + (size_t)c * all->longest, steps * sizeof(float)));
    return HEL_OK;
}

static hel_status error_of(const length *l, double *out) {
    float got[PLACES];
    for (uint32_t i = 0; i < PLACES; i++)
        HEL_TRY(hel_buffer_read(l->all->run->device, HEL_QUEUE_COMPUTE, l->all->on_y, place_of(l->steps, i) * sizeof(float),
                                &got[i], sizeof(float)));
    *out = hel_bench_error_db(got, l->exact, PLACES);
    return HEL_OK;
}

static hel_status time_length(void *user, hel_bench_measure *measure, double *out_seconds) {
    length *l = user;
    hel_convolution_call call = call_of(l, false);
    HEL_TRY(upload(l, l->all->u, l->steps, l->all->on_u));
    HEL_TRY(upload(l, l->all->gate, l->steps, l->all->on_gate));
    HEL_TRY(hel_exec_wait(&l->exec));
    hel_exec_reset(&l->exec);
    double start = hel_bench_now();
    hel_fftconv_run(&l->exec, &l->plan, &call);
    HEL_TRY(l->exec.status);
    HEL_TRY(hel_exec_wait(&l->exec));
    *out_seconds = hel_bench_now() - start;
    return error_of(l, &measure->error_db);
}

// ---------------------------------------------------------------- a length

static void make_exact(length *l) {
    const fftconv_state *all = l->all;
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t t = place_of(l->steps, i);
        double sum = 0.0;
        for (uint32_t s = 0; s <= t && s < l->taps; s++) sum += (double)all->h[s] * ((double)all->u[t - s] * all->gate[t - s]);
        l->exact[i] = sum * all->gate[t];
    }
}

static hel_status make_length(length *l, hel_fftconv_way way) {
    const hel_device *device = l->all->run->device;
    HEL_TRY(hel_fftconv_plan_init_as(device, l->steps, l->taps, way, &l->plan));
    HEL_TRY(hel_buffer_create(device, l->all->channels * l->plan.spectrum_size, &l->spectra));
    hel_convolution_call transform = call_of(l, true), convolve = call_of(l, false);
    HEL_TRY(hel_exec_init(&l->exec, device));
    hel_exec_plan_begin(&l->exec);
    hel_fftconv_run(&l->exec, &l->plan, &transform);
    hel_fftconv_run(&l->exec, &l->plan, &convolve);
    HEL_TRY(hel_exec_plan_end(&l->exec));
    hel_exec_reset(&l->exec);
    HEL_TRY(upload(l, l->all->h, l->plan.filter_steps, l->all->on_u));
    hel_fftconv_run(&l->exec, &l->plan, &transform);
    make_exact(l);
    return l->exec.status;
}

static hel_status add_way(fftconv_state *all, uint32_t steps, hel_fftconv_way way, const char *name, const length **out) {
    length *l = &all->lengths[all->n_lengths++];
    *l = (length){.all = all, .steps = steps, .taps = HEL_MIN(all->taps, steps), .group = all->groups};
    *out = l;
    HEL_TRY(make_length(l, way));
    hel_bench_entry *entry = hel_bench_add(all->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = way != HEL_FFTCONV_FASTEST;
    entry->group = l->group;
    entry->round = time_length;
    entry->user = l;
    entry->measure.bytes = 4.0 * all->channels * steps * sizeof(float); // u, two gates, y
    return HEL_OK;
}

// What the fastest is said to be faster than.
static hel_status add_other_way(fftconv_state *all, const length *fastest) {
    char name[HEL_BENCH_NAME];
    bool transforms = fastest->plan.transform != NULL;
    if (fastest->plan.own || hel_transform_least(all->run->device) == UINT32_MAX) return HEL_OK;
    snprintf(name, sizeof name, "L%u %s", fastest->steps, transforms ? "kernels" : "transform");
    hel_status status = add_way(all, fastest->steps, transforms ? HEL_FFTCONV_KERNELS : HEL_FFTCONV_TRANSFORM, name, &fastest);
    if (status != HEL_ERROR_UNSUPPORTED) return status;
    hel_bench_note(all->run, "%s: %s", name, hel_error_message());
    return HEL_OK;
}

static hel_status add_both_ways(fftconv_state *all, uint32_t steps) {
    char name[HEL_BENCH_NAME];
    const length *added;
    snprintf(name, sizeof name, "L%u long", steps);
    HEL_TRY(add_way(all, steps, HEL_FFTCONV_LONG, name, &added));
    snprintf(name, sizeof name, "L%u toeplitz", steps);
    return added->taps > HEL_FFTCONV_TOEPLITZ_MAX_TAPS ? HEL_OK : add_way(all, steps, HEL_FFTCONV_TOEPLITZ, name, &added);
}

static hel_status add_length(fftconv_state *all, uint32_t steps) {
    char name[HEL_BENCH_NAME];
    const length *fastest;
    all->groups++;
    snprintf(name, sizeof name, "steps_%u", all->groups);
    hel_bench_tell(all->run, name, steps);
    snprintf(name, sizeof name, "L%u", steps);
    HEL_TRY(add_way(all, steps, HEL_FFTCONV_FASTEST, name, &fastest));
    return all->run->params.taps ? add_both_ways(all, steps) : add_other_way(all, fastest);
}

// ---------------------------------------------------------------- the work

static hel_status write_for_peers(const fftconv_state *all) {
    const hel_bench_run *run = all->run;
    if (!run->params.peers || !run->params.peers[0]) return HEL_OK;
    const uint64_t shape[] = {all->channels, all->longest};
    HEL_TRY(hel_bench_write_npy(run, "u.npy", HEL_F32, shape, 2, all->u));
    HEL_TRY(hel_bench_write_npy(run, "h.npy", HEL_F32, shape, 2, all->h));
    return hel_bench_write_npy(run, "gate.npy", HEL_F32, shape, 2, all->gate);
}

static hel_status make_arrays(fftconv_state *all) {
    float **arrays[] = {&all->u, &all->h, &all->gate};
    hel_buffer **buffers[] = {&all->on_u, &all->on_gate, &all->on_y};
    size_t count = (size_t)all->channels * all->longest;
    for (uint32_t i = 0; i < 3; i++) {
        *arrays[i] = hel_alloc_array(count, sizeof(float));
        if (!*arrays[i]) return hel_fail_memory(count * sizeof(float));
        hel_bench_gaussian(11 + i, 1.0f, *arrays[i], count);
        HEL_TRY(hel_buffer_create(all->run->device, count * sizeof(float), buffers[i]));
    }
    for (uint32_t c = 0; c < all->channels; c++)
        memset(all->h + (size_t)c * all->longest + all->taps, 0, (all->longest - all->taps) * sizeof(float));
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    fftconv_state *all = *state = hel_alloc_zero(1, sizeof *all);
    if (!all) return hel_fail_memory(sizeof *all);
    all->run = run;
    all->channels = run->params.channels ? run->params.channels : DEFAULT_CHANNELS;
    all->longest = run->params.length ? run->params.length : SHORTEST << (LENGTHS - 1);
    all->taps = run->params.taps ? HEL_MIN(run->params.taps, all->longest) : all->longest;
    HEL_TRY(make_arrays(all));
    HEL_TRY(write_for_peers(all));
    hel_bench_tell(run, "channels", all->channels);
    hel_bench_tell(run, "taps", all->taps);
    hel_bench_tell(run, "lengths", run->params.length ? 1 : LENGTHS);
    if (run->params.length) return add_length(all, run->params.length);
    for (uint32_t i = 0; i < LENGTHS; i++) HEL_TRY(add_length(all, SHORTEST << i));
    return HEL_OK;
}

static void finish(hel_bench_run *run, void *state) {
    fftconv_state *all = state;
    if (!all) return;
    for (uint32_t i = 0; i < all->n_lengths; i++) {
        length *l = &all->lengths[i];
        if (l->exec.device) hel_exec_finish(&l->exec);
        hel_fftconv_plan_finish(&l->plan);
        hel_buffer_destroy(run->device, &l->spectra);
    }
    hel_buffer_destroy(run->device, &all->on_u);
    hel_buffer_destroy(run->device, &all->on_gate);
    hel_buffer_destroy(run->device, &all->on_y);
    hel_free(all->u);
    hel_free(all->h);
    hel_free(all->gate);
    hel_free(all);
}

const hel_bench_work_row hel_bench_work_fftconv = {
    .about = {"fftconv", "Long convolutions between gates, filters transformed before", "channels length taps"},
    .prepare = prepare, .finish = finish};
