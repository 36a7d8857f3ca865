// SPDX-License-Identifier: Apache-2.0
#include "bench/read_device.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "bench/run.h"
#include "kernels.h"

enum { GROUPS = 4096, MOST_PASSES = 32, PATTERN = 0x01000193 };
#define LEAST_SECONDS 2e-3

static hel_recorded_dispatch pass_of(const hel_bench_device_reader *reader) {
    const hel_read_words_params params = {.n = (uint32_t)(reader->size / sizeof(uint32_t))};
    hel_recorded_dispatch pass = {.kernel = reader->kernel, .count = 2, .params_size = sizeof params, .groups = GROUPS,
                                  .bindings = {{reader->words, 0, reader->size}, {reader->sums, 0, GROUPS * sizeof(uint32_t)}}};
    memcpy(pass.params, &params, sizeof params);
    return pass;
}

static hel_status run_passes(const hel_bench_device_reader *reader, uint32_t passes) {
    const hel_device *device = reader->device;
    const hel_recorded_dispatch pass = pass_of(reader);
    for (uint32_t i = 0; i < passes; i++)
        HEL_TRY(hel_dispatch(device, pass.kernel, pass.bindings, pass.count, pass.params, pass.params_size, pass.groups, 0));
    return hel_device_wait_idle(device, HEL_QUEUE_COMPUTE);
}

// Launched as products are, which are replayed.
static hel_status record(hel_bench_device_reader *reader) {
    hel_recorded_dispatch passes[MOST_PASSES];
    if (!reader->device->features.recording) return HEL_OK;
    for (uint32_t i = 0; i < reader->passes; i++) passes[i] = pass_of(reader);
    return hel_recording_create(reader->device, passes, reader->passes, &reader->recording);
}

hel_status hel_bench_device_read(const hel_bench_device_reader *reader, double *out_seconds) {
    double start = hel_bench_now();
    if (reader->recording) {
        HEL_TRY(hel_recording_replay(reader->device, reader->recording));
        HEL_TRY(hel_device_wait_idle(reader->device, HEL_QUEUE_COMPUTE));
    } else {
        HEL_TRY(run_passes(reader, reader->passes));
    }
    *out_seconds = (hel_bench_now() - start) / reader->passes;
    return HEL_OK;
}

// Whether every word was read, whichever it was.
static hel_status check_sum(const hel_bench_device_reader *reader) {
    uint32_t sums[GROUPS], sum = 0;
    HEL_TRY(hel_buffer_read(reader->device, HEL_QUEUE_COMPUTE, reader->sums, 0, sums, sizeof sums));
    for (uint32_t g = 0; g < GROUPS; g++) sum += sums[g];
    if (sum == (uint32_t)(reader->size / sizeof sum * PATTERN)) return HEL_OK;
    return hel_fail(HEL_ERROR_DEVICE, "%s:%u: words that were read do not have their sum", reader->device->backend,
                    reader->device->index);
}

hel_status hel_bench_device_reader_open(const hel_device *device, uint64_t bytes, hel_bench_device_reader *out) {
    const uint64_t unit = HEL_MAX(device->limits.offset_alignment, 16u);
    out->device = device;
    const uint64_t most = HEL_MIN(HEL_MIN(device->limits.memory / 16, device->limits.max_binding), UINT32_MAX);
    out->size = HEL_MAX(HEL_MIN(bytes, most) / unit, 1u) * unit;
    HEL_TRY(hel_kernel_get(device, "read_words", NULL, 0, &out->kernel));
    HEL_TRY(hel_buffer_create(device, out->size, &out->words));
    HEL_TRY(hel_buffer_create(device, GROUPS * sizeof(uint32_t), &out->sums));
    HEL_TRY(hel_buffer_fill(device, out->words, 0, out->size, PATTERN));
    HEL_TRY(run_passes(out, 1));
    HEL_TRY(check_sum(out));
    double start = hel_bench_now();
    HEL_TRY(run_passes(out, 1));
    double seconds = hel_bench_now() - start;
    out->passes = seconds * MOST_PASSES <= LEAST_SECONDS ? MOST_PASSES : (uint32_t)ceil(LEAST_SECONDS / seconds);
    return record(out);
}

void hel_bench_device_reader_close(hel_bench_device_reader *reader) {
    if (reader->recording) hel_recording_destroy(reader->device, &reader->recording);
    if (reader->words) hel_buffer_destroy(reader->device, &reader->words);
    if (reader->sums) hel_buffer_destroy(reader->device, &reader->sums);
}
