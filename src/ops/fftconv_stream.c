// SPDX-License-Identifier: Apache-2.0
#include "ops/fftconv_stream.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "ops/fftconv.h"

// Bytes of rows, or of their filters' spectra, that are under way at once; what else there is of them is as much each.
enum { BYTES_AT_ONCE = 64 << 20 };

static const hel_fftconv_params defaults = {.struct_size = sizeof(hel_fftconv_params), .batch = 1, .channels = 1};

void hel_fftconv_params_init(hel_fftconv_params *params, size_t struct_size) { HEL_PARAMS_WRITE(params, struct_size, &defaults); }

hel_status hel_fftconv_params_check(hel_fftconv_params *params) {
    HEL_REQUIRE(params->batch && params->channels && params->steps);
    HEL_REQUIRE(params->dtype == HEL_FFTCONV_F32 || params->dtype == HEL_FFTCONV_BF16);
    if (params->steps > HEL_FFTCONV_MAX_STEPS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%u steps are more than %u", params->steps, HEL_FFTCONV_MAX_STEPS);
    uint64_t rows = (uint64_t)params->batch * params->channels;
    if (rows > UINT32_MAX) return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu rows are more than 2^32", (unsigned long long)rows);
    if (!params->filters) params->filters = params->channels;
    if (!params->taps) params->taps = params->steps;
    if (params->filters != 1 && params->filters != params->channels)
        return hel_fail(HEL_ERROR_ARGUMENT, "%u filters for %u channels: one for all, or one for each", params->filters,
                        params->channels);
    if (params->taps > params->steps)
        return hel_fail(HEL_ERROR_ARGUMENT, "filters of %u taps are longer than the %u steps", params->taps, params->steps);
    return HEL_OK;
}

typedef struct job {
    const hel_fftconv_params *params;
    const hel_fftconv_stream *stream;
    hel_fftconv_plan plan;
    hel_exec exec;
    uint32_t at_once;  // rows: whole batch items, or some channels of one
    uint32_t channels; // among them
    uint32_t filters;
    hel_storage storage;
    uint64_t row;     // bytes from one to the next on the device
    unsigned char *rows; // on the host, of one array, or of filters
    hel_buffer *u, *gate_in, *gate_out, *bias, *spectra, *y;
} job;

static hel_status make_rows(const job *j, bool wanted, hel_buffer **out) {
    return wanted ? hel_buffer_create(j->plan.device, j->at_once * j->row, out) : HEL_OK;
}

static hel_binding rows_bound(const job *j, hel_buffer *buffer, uint32_t count) {
    return buffer ? (hel_binding){buffer, 0, count * j->row} : (hel_binding){0};
}

// Rows as the device has them: halves of odd ones are apart from those of the next.
static hel_status upload(const job *j, hel_fftconv_array array, uint64_t first, uint32_t count, hel_buffer *to) {
    uint64_t steps = j->plan.steps, size = steps * hel_fftconv_unit(j->params, array);
    if (!to) return HEL_OK;
    uint32_t at_once = size == j->row ? count : 1;
    for (uint32_t i = 0; i < count; i += at_once) {
        unsigned char *row = j->rows + i * j->row;
        HEL_TRY(j->stream->read(j->stream->user, array, (first + i) * steps, at_once * steps, row));
        if (size < j->row) memset(row + size, 0, j->row - size);
    }
    return hel_buffer_write(j->plan.device, HEL_QUEUE_COMPUTE, to, 0, j->rows, count * j->row);
}

static hel_status download(const job *j, uint32_t count) {
    uint64_t steps = j->plan.steps, size = steps * hel_fftconv_unit(j->params, HEL_FFTCONV_U);
    HEL_TRY(hel_buffer_read(j->plan.device, HEL_QUEUE_COMPUTE, j->y, 0, j->rows, count * j->row));
    for (uint32_t i = 1; i < count && size < j->row; i++) memmove(j->rows + i * size, j->rows + i * j->row, size);
    return j->stream->write(j->stream->user, count * steps, j->rows);
}

static hel_status upload_bias(const job *j, uint32_t channel, uint32_t count) {
    if (!j->bias) return HEL_OK;
    HEL_TRY(j->stream->read(j->stream->user, HEL_FFTCONV_BIAS, channel, count, j->rows));
    return hel_buffer_write(j->plan.device, HEL_QUEUE_COMPUTE, j->bias, 0, j->rows, count * sizeof(float));
}

// ---------------------------------------------------------------- what runs on the device

static void transform_filters(job *j, uint32_t count) {
    hel_convolution_call call = {
        .rows = count, .channels = count, .transform = true, .u = {.buffer = j->y}, .y = {.buffer = j->spectra}};
    hel_fftconv_run(&j->exec, &j->plan, &call);
}

static void convolve(job *j, uint32_t count) {
    uint32_t channels = HEL_MIN(j->channels, count);
    hel_convolution_call call = {.rows = count,
                                 .channels = channels,
                                 .filters = HEL_MIN(j->filters, channels),
                                 .storage = j->storage,
                                 .y_storage = j->storage,
                                 .u = rows_bound(j, j->u, count),
                                 .gate_in = rows_bound(j, j->gate_in, count),
                                 .gate_out = rows_bound(j, j->gate_out, count),
                                 .bias = {.buffer = j->bias},
                                 .spectra = {.buffer = j->spectra},
                                 .y = rows_bound(j, j->y, count)};
    hel_fftconv_run(&j->exec, &j->plan, &call);
}

// The filters of channels from `channel` on, zeros behind their taps, go through y.
static hel_status load_filters(job *j, uint32_t channel, uint32_t count) {
    uint32_t taps = j->params->taps, steps = j->plan.filter_steps;
    HEL_TRY(j->stream->read(j->stream->user, HEL_FFTCONV_H, (uint64_t)channel * taps, (uint64_t)count * taps, j->rows));
    uint64_t given = taps * sizeof(float), row = steps * sizeof(float);
    for (uint32_t i = count; i-- > 0 && taps < steps;) {
        memmove(j->rows + i * row, j->rows + i * given, given);
        memset(j->rows + i * row + given, 0, row - given);
    }
    HEL_TRY(hel_buffer_write(j->plan.device, HEL_QUEUE_COMPUTE, j->y, 0, j->rows, count * row));
    hel_exec_reset(&j->exec);
    transform_filters(j, count);
    return j->exec.status;
}

// ---------------------------------------------------------------- rows

// From row `first` on, whose channel is `channel`.
static hel_status run_rows(job *j, uint64_t first, uint32_t channel, uint32_t count) {
    HEL_TRY(upload(j, HEL_FFTCONV_U, first, count, j->u));
    HEL_TRY(upload(j, HEL_FFTCONV_GATE_IN, first, count, j->gate_in));
    HEL_TRY(upload(j, HEL_FFTCONV_GATE_OUT, first, count, j->gate_out));
    HEL_TRY(upload_bias(j, channel, HEL_MIN(j->channels, count)));
    hel_exec_reset(&j->exec);
    convolve(j, count);
    HEL_TRY(j->exec.status);
    return download(j, count);
}

static hel_status tell(const job *j, uint64_t done) {
    const hel_fftconv_params *p = j->params;
    if (!p->progress || p->progress(p->user, "convolve", done, (uint64_t)p->batch * p->channels)) return HEL_OK;
    return hel_fail(HEL_ERROR_CANCELLED, "the convolution was cancelled");
}

static hel_status run_all(job *j) {
    uint32_t channels = j->params->channels, loaded = UINT32_MAX; // the channel that spectra begin with
    uint64_t rows = (uint64_t)j->params->batch * channels;
    for (uint64_t first = 0, count; first < rows; first += count) {
        uint32_t channel = (uint32_t)(first % channels), filter = j->params->filters == 1 ? 0 : channel;
        count = HEL_MIN(j->at_once, j->channels == channels ? rows - first : channels - channel);
        uint32_t filters = (uint32_t)HEL_MIN(j->filters, count);
        if (filter != loaded) HEL_TRY(load_filters(j, filter, filters));
        loaded = filter;
        HEL_TRY(run_rows(j, first, channel, (uint32_t)count));
        HEL_TRY(tell(j, first + count));
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- beginning and end

// At most `most` rows at a time.
static void choose_rows(job *j, uint64_t most) {
    uint64_t row = HEL_MAX(j->plan.steps * sizeof(float), j->params->filters == 1 ? 0 : j->plan.spectrum_size);
    j->storage = j->params->dtype == HEL_FFTCONV_BF16 ? HEL_STORAGE_BF16 : HEL_STORAGE_F32;
    j->row = hel_storage_row(j->storage, j->plan.steps);
    uint64_t rows = (uint64_t)j->params->batch * j->params->channels;
    most = HEL_MIN(most, HEL_MIN(BYTES_AT_ONCE, j->plan.device->limits.max_buffer) / row);
    j->at_once = (uint32_t)HEL_MIN(HEL_MAX(most, 1), rows);
    j->channels = HEL_MIN(j->at_once, j->params->channels);
    j->at_once -= j->at_once % j->channels;
    j->filters = j->params->filters == 1 ? 1 : j->channels;
}

static hel_status prepare(job *j, uint64_t most) {
    const hel_device *device = j->plan.device;
    choose_rows(j, most);
    // Of rows, of filters, or of biases.
    uint64_t filters = (uint64_t)j->filters * j->plan.filter_steps * sizeof(float), rows = HEL_MAX(j->at_once * j->row, filters);
    uint64_t size = HEL_MAX(rows, j->channels * sizeof(float));
    j->rows = hel_alloc(size);
    if (!j->rows) return hel_fail_memory(size);
    HEL_TRY(make_rows(j, true, &j->u));
    HEL_TRY(hel_buffer_create(device, rows, &j->y));
    HEL_TRY(make_rows(j, j->stream->gate_in, &j->gate_in));
    HEL_TRY(make_rows(j, j->stream->gate_out, &j->gate_out));
    HEL_TRY(hel_buffer_create(device, j->filters * j->plan.spectrum_size, &j->spectra));
    if (j->stream->bias) HEL_TRY(hel_buffer_create(device, j->channels * sizeof(float), &j->bias));
    HEL_TRY(hel_exec_init(&j->exec, device));
    hel_exec_plan_begin(&j->exec);
    transform_filters(j, j->filters);
    convolve(j, j->at_once);
    return hel_exec_plan_end(&j->exec);
}

static void finish(job *j) {
    const hel_device *device = j->plan.device;
    hel_buffer **buffers[] = {&j->u, &j->gate_in, &j->gate_out, &j->bias, &j->spectra, &j->y};
    for (size_t i = 0; i < HEL_COUNT(buffers); i++) hel_buffer_destroy(device, buffers[i]);
    if (j->exec.device) hel_exec_finish(&j->exec);
    j->exec = (hel_exec){0};
    hel_free(j->rows);
    j->rows = NULL;
}

// With half as many rows as long as the device has no room for more.
static hel_status prepare_fitting(job *j) {
    hel_status status = prepare(j, UINT64_MAX);
    while (status == HEL_ERROR_DEVICE_MEMORY && j->at_once > 1) {
        uint32_t half = j->at_once / 2;
        finish(j);
        status = prepare(j, half);
    }
    return status;
}

hel_status hel_fftconv_stream_run(const hel_device *device, const hel_fftconv_params *params, const hel_fftconv_stream *stream) {
    job j = {.params = params, .stream = stream};
    HEL_TRY(hel_fftconv_plan_init(device, params->steps, params->taps, &j.plan));
    hel_status status = prepare_fitting(&j);
    if (status == HEL_OK) status = run_all(&j);
    finish(&j);
    hel_fftconv_plan_finish(&j.plan);
    return status;
}

// ---------------------------------------------------------------- arrays

typedef struct arrays_at {
    const hel_fftconv_arrays *arrays;
    const hel_fftconv_params *params;
    uint64_t written;
} arrays_at;

static hel_status read_array(void *user, hel_fftconv_array array, uint64_t first, uint64_t count, void *out) {
    const arrays_at *at = user;
    const hel_fftconv_arrays *a = at->arrays;
    const void *const from[] = {[HEL_FFTCONV_U] = a->u, [HEL_FFTCONV_GATE_IN] = a->gate_in, [HEL_FFTCONV_GATE_OUT] = a->gate_out,
                                [HEL_FFTCONV_H] = a->h, [HEL_FFTCONV_BIAS] = a->bias};
    size_t unit = hel_fftconv_unit(at->params, array);
    memcpy(out, (const unsigned char *)from[array] + first * unit, count * unit);
    return HEL_OK;
}

static hel_status write_array(void *user, uint64_t count, const void *y) {
    arrays_at *at = user;
    size_t unit = hel_fftconv_unit(at->params, HEL_FFTCONV_U);
    memcpy((unsigned char *)at->arrays->y + at->written * unit, y, count * unit);
    at->written += count;
    return HEL_OK;
}

hel_status hel_fftconv(const hel_device *device, const hel_fftconv_params *params, const hel_fftconv_arrays *arrays) {
    HEL_REQUIRE(device && arrays && arrays->u && arrays->h && arrays->y);
    hel_fftconv_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_fftconv_params"));
    HEL_TRY(hel_fftconv_params_check(&values));
    hel_fftconv_stream stream = {arrays->gate_in != NULL, arrays->gate_out != NULL, arrays->bias != NULL, read_array, write_array,
                                 &(arrays_at){arrays, &values, 0}};
    return hel_fftconv_stream_run(device, &values, &stream);
}
