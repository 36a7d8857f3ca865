// SPDX-License-Identifier: Apache-2.0
#include "models/hyena_stream.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/hyena_filter.h"
#include "ops/fftconv_stream.h"
#include "ops/transpose.h"

// Bytes of a chunk of steps of x.
enum { CHUNK_BYTES = 4 << 20 };

typedef struct job {
    const hel_device *device;
    const hel_hyper *hyper;
    const hel_hyena_mixer *mixer;
    const hel_hyena_stream *stream;
    uint32_t batch, length, width, order;
    uint32_t chunk;                       // steps
    hel_exec exec;
    hel_buffer *state;                    // of the short filters
    float *rows;                          // a chunk of one array
    float *v;                             // [batch, width, length], as are
    float *gates[HEL_HYENA_MAX_ORDER - 1]; // x_0 .. x_(N-2)
} job;

static uint64_t elements_of(const job *j) { return (uint64_t)j->batch * j->length * j->width; }

static float *steps_of(const job *j, float *array, uint32_t item, uint32_t channel, uint32_t first) {
    return array + ((size_t)item * j->width + channel) * j->length + first;
}

static hel_status tell(const job *j, const char *what, uint64_t done) {
    const hel_hyena_stream *stream = j->stream;
    if (!stream->progress || stream->progress(stream->progress_user, what, done, (uint64_t)j->batch * j->length)) return HEL_OK;
    return hel_fail(HEL_ERROR_CANCELLED, "the operator was cancelled");
}

// ---------------------------------------------------------------- projections, some steps at a time

// Columns of `from`, turned to rows of `to`.
static void keep(job *j, hel_columns from, float *to, uint32_t item, uint32_t first) {
    uint64_t mark = hel_exec_mark(&j->exec);
    uint32_t count = from.of.rows;
    hel_tensor turned = hel_exec_tensor(&j->exec, j->width, count);
    hel_transpose shape = {.rows = count, .cols = j->width, .valid = count, .x_first = from.first, .x_stride = from.of.cols,
                           .y_stride = count};
    hel_transpose_run(&j->exec, from.of.where, &shape, turned.where);
    hel_exec_download(&j->exec, turned, j->rows);
    for (uint32_t c = 0; c < j->width && !hel_exec_idle(&j->exec); c++)
        memcpy(steps_of(j, to, item, c, first), j->rows + (size_t)c * count, count * sizeof *to);
    hel_exec_release(&j->exec, mark);
}

static void project(job *j, uint32_t item, uint32_t first, uint32_t count) {
    uint64_t mark = hel_exec_mark(&j->exec);
    hel_tensor x = hel_exec_tensor(&j->exec, count, j->width);
    hel_exec_upload(&j->exec, x, j->rows);
    hel_tensor p = hel_hyena_project(&j->exec, j->hyper, j->mixer, x, hel_bind(j->state));
    for (uint32_t i = 0; i + 1 < j->order; i++) keep(j, hel_hyena_part(j->hyper, p, i), j->gates[i], item, first);
    hel_tensor gated = hel_activate_gated(&j->exec, HEL_IDENTITY, hel_hyena_part(j->hyper, p, j->order - 1),
                                          hel_hyena_part(j->hyper, p, j->order));
    keep(j, hel_columns_all(gated), j->v, item, first);
    hel_exec_release(&j->exec, mark);
}

// Of the product, for an item's steps from `first` on.
static void multiply(job *j, uint32_t item, uint32_t first, uint32_t count) {
    uint64_t mark = hel_exec_mark(&j->exec);
    hel_tensor turned = hel_exec_tensor(&j->exec, j->width, count), z = hel_exec_tensor(&j->exec, count, j->width);
    for (uint32_t c = 0; c < j->width && !hel_exec_idle(&j->exec); c++)
        memcpy(j->rows + (size_t)c * count, steps_of(j, j->gates[0], item, c, first), count * sizeof *j->rows);
    hel_exec_upload(&j->exec, turned, j->rows);
    hel_transpose shape = {.rows = j->width, .cols = count, .valid = j->width, .x_stride = count, .y_stride = j->width};
    hel_transpose_run(&j->exec, turned.where, &shape, z.where);
    hel_exec_download(&j->exec, hel_linear(&j->exec, z, &j->mixer->out), j->rows);
    hel_exec_release(&j->exec, mark);
}

static hel_status project_all(job *j) {
    for (uint32_t item = 0; item < j->batch; item++) {
        HEL_TRY(hel_buffer_fill(j->device, j->state, 0, hel_buffer_size(j->state), 0));
        for (uint32_t first = 0; first < j->length; first += j->chunk) {
            uint32_t count = HEL_MIN(j->chunk, j->length - first);
            uint64_t at = (uint64_t)item * j->length + first;
            HEL_TRY(j->stream->read(j->stream->user, at * j->width, (uint64_t)count * j->width, j->rows));
            hel_exec_reset(&j->exec);
            project(j, item, first, count);
            HEL_TRY(j->exec.status);
            HEL_TRY(tell(j, "project", at + count));
        }
    }
    return HEL_OK;
}

static hel_status multiply_all(job *j) {
    for (uint32_t item = 0; item < j->batch; item++)
        for (uint32_t first = 0; first < j->length; first += j->chunk) {
            uint32_t count = HEL_MIN(j->chunk, j->length - first);
            hel_exec_reset(&j->exec);
            multiply(j, item, first, count);
            HEL_TRY(j->exec.status);
            HEL_TRY(j->stream->write(j->stream->user, (uint64_t)count * j->width, j->rows));
            HEL_TRY(tell(j, "multiply", (uint64_t)item * j->length + first + count));
        }
    return HEL_OK;
}

// ---------------------------------------------------------------- convolutions, some channels at a time

// Each is gated for the next one, and the last by x_0, whose place it takes.
typedef struct convolving {
    const float *from[HEL_FFTCONV_BIAS + 1];
    float *to;
    const job *job;
} convolving;

static hel_status read_rows(void *user, hel_fftconv_array array, uint64_t first, uint64_t count, void *out) {
    memcpy(out, ((const convolving *)user)->from[array] + first, count * sizeof(float));
    return HEL_OK;
}

static hel_status write_rows(void *user, uint64_t count, const void *y) {
    convolving *c = user;
    memcpy(c->to, y, count * sizeof *c->to);
    c->to += count;
    return HEL_OK;
}

static bool tell_rows(void *user, const char *what, uint64_t done, uint64_t total) {
    const job *j = ((const convolving *)user)->job;
    return tell(j, what, done * j->batch * j->length / total) == HEL_OK;
}

// `taps` [width, length] is room for one convolution's; `bias` [order - 1, width].
static hel_status convolve(job *j, const hel_hyena_filter *filter, uint32_t o, float *taps, const float *bias) {
    float *gate = j->gates[j->order - 2 - o];
    HEL_TRY(hel_hyena_filter_make(filter, o, j->length, taps));
    convolving c = {.from = {[HEL_FFTCONV_U] = j->v, [HEL_FFTCONV_GATE_OUT] = gate, [HEL_FFTCONV_H] = taps,
                             [HEL_FFTCONV_BIAS] = bias + (size_t)o * j->width},
                    .to = o + 2 < j->order ? j->v : gate,
                    .job = j};
    hel_fftconv_stream stream = {.gate_out = true, .bias = true, .read = read_rows, .write = write_rows, .user = &c};
    hel_fftconv_params params = hel_fftconv_params_default();
    params.batch = j->batch;
    params.channels = j->width;
    params.steps = j->length;
    params.progress = tell_rows;
    params.user = &c;
    HEL_TRY(hel_fftconv_params_check(&params));
    return hel_fftconv_stream_run(j->device, &params, &stream);
}

static hel_status convolve_all(job *j) {
    hel_hyena_filter filter;
    HEL_TRY(hel_hyena_filter_read(j->device, j->hyper, j->mixer, j->length, &filter));
    size_t values = (size_t)j->width * j->length, biases = (size_t)j->width * (j->order - 1);
    float *taps = hel_alloc_array(values, sizeof *taps), *bias = hel_alloc_array(biases, sizeof *bias);
    hel_status status = taps && bias ? HEL_OK : hel_fail_memory(values * sizeof *taps);
    if (status == HEL_OK)
        status = hel_buffer_read(j->device, HEL_QUEUE_COMPUTE, j->mixer->bias, 0, bias, biases * sizeof *bias);
    for (uint32_t o = 0; status == HEL_OK && o + 1 < j->order; o++) status = convolve(j, &filter, o, taps, bias);
    hel_free(taps);
    hel_free(bias);
    hel_hyena_filter_finish(&filter);
    return status;
}

// ---------------------------------------------------------------- the whole

static hel_status prepare(job *j) {
    uint64_t fitting = CHUNK_BYTES / (j->width * sizeof(float));
    j->chunk = (uint32_t)HEL_MIN(HEL_MAX(fitting, 1), j->length);
    j->rows = hel_alloc_array((size_t)j->chunk * j->width, sizeof *j->rows);
    j->v = j->stream->room ? j->stream->room : hel_alloc_array(elements_of(j), sizeof *j->v);
    if (!j->rows || !j->v) return hel_fail_memory(elements_of(j) * sizeof *j->v);
    for (uint32_t i = 0; i + 1 < j->order; i++)
        if (!(j->gates[i] = hel_alloc_array(elements_of(j), sizeof *j->v))) return hel_fail_memory(elements_of(j) * sizeof *j->v);
    HEL_TRY(hel_buffer_create(j->device, hel_hyena_short_state(j->hyper) * sizeof(float), &j->state));
    HEL_TRY(hel_exec_init(&j->exec, j->device));
    hel_exec_plan_begin(&j->exec);
    project(j, 0, 0, j->chunk);
    multiply(j, 0, 0, j->chunk);
    return hel_exec_plan_end(&j->exec);
}

static hel_status run(job *j) {
    HEL_TRY(prepare(j));
    HEL_TRY(project_all(j));
    HEL_TRY(convolve_all(j));
    return multiply_all(j);
}

hel_status hel_hyena_stream_run(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t batch,
                                uint32_t length, const hel_hyena_stream *stream) {
    job j = {.device = device, .hyper = hyper, .mixer = mixer, .stream = stream, .batch = batch, .length = length,
             .width = hyper->hidden, .order = hyper->hyena.order};
    hel_status status = run(&j);
    hel_exec_finish(&j.exec);
    hel_buffer_destroy(device, &j.state);
    hel_free(j.rows);
    if (!stream->room) hel_free(j.v);
    for (uint32_t i = 0; i + 1 < j.order; i++) hel_free(j.gates[i]);
    return status;
}
