// SPDX-License-Identifier: Apache-2.0
// Long convolutions of 128 channels one step after the other, beside the sums that they stand for.
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/works.h"
#include "kernels.h"
#include "ops/fftconv_decode.h"

// Sums over all that came before are timed, and results compared, at so many steps.
enum { DEFAULT_CHANNELS = 128, DEFAULT_LENGTH = 1 << 16, PLACES = 64 };

typedef struct decode_state {
    hel_bench_run *run;
    uint32_t channels, steps;
    float *u, *h; // [steps, channels], [channels, steps]
    double exact[PLACES]; // of channel 0
    hel_buffer *on_u, *on_y, *on_state, *on_taps, *on_step; // u and y of one step; taps [steps, channels]
    hel_fftconv_decoder decoder;
    hel_fftconv_sequence sequence;
    hel_exec exec;
} decode_state;

static uint32_t place_of(const decode_state *s, uint32_t i) {
    return (uint32_t)((uint64_t)(s->steps - 1) * (i + 1) / PLACES);
}

static hel_status give(const decode_state *s, uint32_t t) {
    const hel_device *device = s->run->device;
    HEL_TRY(hel_buffer_write(device, HEL_QUEUE_COMPUTE, s->on_u, 0, s->u + (size_t)t * s->channels, s->channels * sizeof(float)));
    return hel_buffer_write(device, HEL_QUEUE_COMPUTE, s->on_step, 0, &t, sizeof t);
}

// ---------------------------------------------------------------- by tiles

static hel_status step(decode_state *s, uint32_t t) {
    hel_fftconv_tokens tokens = {.u = {.buffer = s->on_u}, .y = {.buffer = s->on_y}};
    HEL_TRY(give(s, t));
    hel_fftconv_decode_step(&s->exec, &s->decoder, &s->sequence, (hel_binding){.buffer = s->on_step}, &tokens);
    hel_fftconv_decode_advance(&s->exec, &s->decoder, &s->sequence);
    return s->exec.status;
}

static hel_status time_tiles(void *user, hel_bench_measure *measure, double *out_seconds) {
    decode_state *s = user;
    float got[PLACES];
    uint32_t place = 0;
    s->sequence = (hel_fftconv_sequence){.state = {.buffer = s->on_state}, .rows = s->channels};
    HEL_TRY(hel_buffer_fill(s->run->device, s->on_state, 0, hel_buffer_size(s->on_state), 0));
    HEL_TRY(hel_exec_wait(&s->exec));
    hel_exec_reset(&s->exec);
    double start = hel_bench_now();
    for (uint32_t t = 0; t < s->steps; t++) {
        HEL_TRY(step(s, t));
        while (place < PLACES && place_of(s, place) == t) // a step may be several places of a short row
            HEL_TRY(hel_buffer_read(s->run->device, HEL_QUEUE_COMPUTE, s->on_y, 0, &got[place++], sizeof *got));
    }
    HEL_TRY(hel_exec_wait(&s->exec));
    *out_seconds = hel_bench_now() - start;
    measure->error_db = hel_bench_error_db(got, s->exact, PLACES);
    return HEL_OK;
}

// ---------------------------------------------------------------- by sums

// The step's kernel, with one block as long as all steps.
static void sum_up(decode_state *s) {
    hel_fftconv_step_params params = {.rows = s->channels, .channels = s->channels, .block = s->steps};
    hel_binding nothing = {.buffer = s->exec.nothing};
    hel_binding bindings[] = {{.buffer = s->on_u}, nothing, nothing, {.buffer = s->on_taps}, {.buffer = s->on_step},
                              {.buffer = s->on_state}, {.buffer = s->on_y}};
    uint32_t flags = 0;
    hel_exec_dispatch(&s->exec, &(hel_call){"fftconv_step", &flags, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                            hel_ceil_div(s->channels, HEL_FFTCONV_STEP_CHUNK)});
}

// Steps at the places take as long as those around them.
static hel_status time_sums(void *user, hel_bench_measure *measure, double *out_seconds) {
    (void)measure;
    decode_state *s = user;
    HEL_TRY(hel_exec_wait(&s->exec));
    hel_exec_reset(&s->exec);
    double start = hel_bench_now();
    for (uint32_t i = 0; i < PLACES; i++) {
        HEL_TRY(give(s, place_of(s, i)));
        sum_up(s);
    }
    HEL_TRY(s->exec.status);
    HEL_TRY(hel_exec_wait(&s->exec));
    *out_seconds = (hel_bench_now() - start) * s->steps / PLACES;
    return HEL_OK;
}

// ---------------------------------------------------------------- the work

static void make_exact(decode_state *s) {
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t t = place_of(s, i);
        double sum = 0.0;
        for (uint32_t lag = 0; lag <= t; lag++) sum += (double)s->h[lag] * s->u[(size_t)(t - lag) * s->channels];
        s->exact[i] = sum;
    }
}

static hel_status make_arrays(decode_state *s) {
    const hel_device *device = s->run->device;
    size_t count = (size_t)s->channels * s->steps;
    s->u = hel_alloc_array(count, sizeof *s->u);
    s->h = hel_alloc_array(count, sizeof *s->h);
    if (!s->u || !s->h) return hel_fail_memory(count * sizeof(float));
    hel_bench_gaussian(11, 1.0f, s->u, count);
    hel_bench_gaussian(12, 1.0f, s->h, count);
    HEL_TRY(hel_buffer_create(device, s->channels * sizeof(float), &s->on_u));
    HEL_TRY(hel_buffer_create(device, s->channels * sizeof(float), &s->on_y));
    HEL_TRY(hel_buffer_create(device, sizeof(uint32_t), &s->on_step));
    HEL_TRY(hel_buffer_create(device, count * sizeof(float), &s->on_state));
    HEL_TRY(hel_buffer_create(device, count * sizeof(float), &s->on_taps));
    make_exact(s);
    return hel_buffer_write(device, HEL_QUEUE_COMPUTE, s->on_taps, 0, s->u, count * sizeof(float)); // any values
}

static hel_status make_decoder(decode_state *s) {
    hel_fftconv_filters filters = {.channels = s->channels, .filters = s->channels, .taps = s->steps, .h = s->h};
    HEL_TRY(hel_fftconv_decoder_init(s->run->device, &filters, s->steps, &s->decoder));
    HEL_TRY(hel_exec_init(&s->exec, s->run->device));
    s->sequence = (hel_fftconv_sequence){.state = {.buffer = s->on_state}, .rows = s->channels};
    hel_exec_plan_begin(&s->exec);
    hel_fftconv_decode_advance(&s->exec, &s->decoder, &s->sequence);
    return hel_exec_plan_end(&s->exec);
}

static hel_status add(decode_state *s, const char *name, bool baseline,
                      hel_status (*round)(void *user, hel_bench_measure *measure, double *out_seconds)) {
    hel_bench_entry *entry = hel_bench_add(s->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = baseline;
    entry->group = 1;
    entry->round = round;
    entry->user = s;
    entry->measure.tokens = s->steps;
    entry->measure.bytes = 2.0 * s->channels * s->steps * sizeof(float); // u, y
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    decode_state *s = *state = hel_alloc_zero(1, sizeof *s);
    if (!s) return hel_fail_memory(sizeof *s);
    s->run = run;
    s->channels = run->params.channels ? run->params.channels : DEFAULT_CHANNELS;
    s->steps = run->params.length ? run->params.length : DEFAULT_LENGTH;
    HEL_TRY(make_arrays(s));
    HEL_TRY(make_decoder(s));
    hel_bench_tell(run, "channels", s->channels);
    hel_bench_tell(run, "steps", s->steps);
    char name[HEL_BENCH_NAME];
    snprintf(name, sizeof name, "L%u", s->steps);
    HEL_TRY(add(s, name, false, time_tiles));
    return add(s, "direct sums", true, time_sums);
}

static void finish(hel_bench_run *run, void *state) {
    decode_state *s = state;
    if (!s) return;
    hel_buffer **buffers[] = {&s->on_u, &s->on_y, &s->on_state, &s->on_taps, &s->on_step};
    for (size_t i = 0; i < HEL_COUNT(buffers); i++) hel_buffer_destroy(run->device, buffers[i]);
    hel_exec_finish(&s->exec);
    hel_fftconv_decoder_finish(&s->decoder);
    hel_free(s->u);
    hel_free(s->h);
    hel_free(s);
}

const hel_bench_work_row hel_bench_work_fftconv_decode = {
    .about = {"fftconv_decode", "Long convolutions one step after the other", "channels length"},
    .prepare = prepare, .finish = finish};
