// SPDX-License-Identifier: Apache-2.0
#include "convolution.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

// ---------------------------------------------------------------- twiddles

// Angles are in turns. A block is what is left modulo x^n - z, z = e^(2 pi i angle); it is split by s = sqrt(z).
static void put_root(double angle, uint32_t root, float *out) {
    const double two_pi = 6.283185307179586476925;
    out[0] = (float)cos(two_pi * angle / root);
    out[1] = (float)sin(two_pi * angle / root);
}

// The angle of a block's descendant `levels` below, the j-th in order.
static double angle_below(double angle, uint32_t levels, uint32_t j) {
    for (uint32_t bit = levels; bit-- > 0;) angle = (angle + (j >> bit & 1)) / 2;
    return angle;
}

static uint32_t log2_of(uint32_t power) {
    uint32_t bits = 0;
    while (power >> bits > 1) bits++;
    return bits;
}

static size_t tile_turns(uint32_t width) { return CPU_TURNS_ACROSS + 2 * (size_t)log2_of(width) * width; }

static float *put_tile(double angle, uint32_t width, float *out) {
    uint32_t levels = log2_of(width), at = 0;
    for (uint32_t l = 0; l < levels; l++)
        for (uint32_t j = 0; j < 1u << l; j += 2, at += 2) put_root(angle_below(angle, l, j), 2, out + at);
    out += CPU_TURNS_ACROSS;
    for (uint32_t row = 0; row < width; row++) {
        double first = angle_below(angle, levels, row);
        for (uint32_t l = 0; l < levels; l++, first /= 2) {
            float s[2];
            put_root(first, 2, s);
            out[2 * l * width + row] = s[0];
            out[(2 * l + 1) * width + row] = s[1];
        }
    }
    return out + 2 * (size_t)levels * width;
}

static size_t block_turns(uint32_t size, uint32_t width) {
    uint32_t tile = width * width;
    if (size == tile) return tile_turns(width);
    uint32_t parts = size == 2 * tile ? 2 : 4;
    return CPU_TURNS_NODE + parts * block_turns(size / parts, width);
}

static float *put_block(double angle, uint32_t size, uint32_t width, float *out) {
    uint32_t tile = width * width;
    if (size == tile) return put_tile(angle, width, out);
    uint32_t levels = size == 2 * tile ? 1 : 2;
    put_root(angle, 2, out);
    put_root(angle, 4, out + 2);
    put_root(3 * angle, 4, out + 4);
    out += CPU_TURNS_NODE;
    for (uint32_t j = 0; j < 1u << levels; j++) out = put_block(angle_below(angle, levels, j), size >> levels, width, out);
    return out;
}

static float *put_half(const cpu_convolution *plan, double angle, float *out) {
    uint32_t odd = plan->odd;
    if (odd > 1) {
        for (uint32_t root = 0; root < odd; root++)
            for (uint32_t power = 0; power < odd; power++) put_root(power * (angle + root), odd, out + 2 * (root * odd + power));
        out += CPU_TURNS_ODD;
    }
    for (uint32_t root = 0; root < odd; root++) out = put_block((angle + root) / odd, plan->node, plan->entry->width, out);
    return out;
}

static size_t half_turns(const cpu_convolution *plan) {
    return (plan->odd > 1 ? CPU_TURNS_ODD : 0) + plan->odd * block_turns(plan->node, plan->entry->width);
}

// ---------------------------------------------------------------- plans

// The least N not below `steps`.
static void choose_size(uint32_t steps, uint32_t width, cpu_convolution *plan) {
    uint32_t best = 0;
    for (uint32_t odd = 1; odd <= CPU_CONVOLUTION_MAX_ODD; odd += 2) {
        uint32_t node = width * width;
        while (2 * odd * node < steps) node *= 2;
        if (best && odd * node >= best) continue;
        best = odd * node;
        plan->odd = odd;
        plan->node = node;
    }
    plan->half = best;
}

hel_status cpu_convolution_create(const hel_device *device, uint32_t steps, hel_convolution **out) {
    const cpu_convolution_entry *entry = cpu_device_of(device)->scalar ? NULL : cpu_convolution_best();
    if (!entry) return hel_fail(HEL_ERROR_UNSUPPORTED, "cpu: convolutions of its own need vector code");
    cpu_convolution *plan = hel_alloc_zero(1, sizeof *plan);
    if (!plan) return hel_fail_memory(sizeof *plan);
    plan->entry = entry;
    choose_size(steps, plan->entry->width, plan);
    plan->base.spectrum_size = 4 * (uint64_t)plan->half * sizeof(float);
    size_t size = 2 * half_turns(plan) * sizeof(float);
    plan->turns = hel_alloc_aligned(size);
    if (!plan->turns) {
        hel_free(plan);
        return hel_fail_memory(size);
    }
    put_half(plan, 0.625, put_half(plan, 0.125, plan->turns));
    *out = &plan->base;
    return HEL_OK;
}

void cpu_convolution_destroy(const hel_device *device, hel_convolution *base) {
    (void)device;
    cpu_convolution *plan = (cpu_convolution *)base;
    hel_free_aligned(plan->turns);
    hel_free(plan);
}

// ---------------------------------------------------------------- rows

typedef struct run_state {
    const cpu_convolution *plan;
    const hel_convolution_call *call;
    float *work; // of each thread
} run_state;

static void *bytes_at(const hel_binding *binding, uint64_t offset) {
    return binding->buffer ? cpu_bytes(binding->buffer) + binding->offset + offset : NULL;
}

static void run_row(void *user, uint64_t item, uint32_t thread) {
    const run_state *state = user;
    const hel_convolution_call *call = state->call;
    uint64_t spectrum = state->plan->base.spectrum_size, at = item * hel_storage_row(call->storage, state->plan->base.steps);
    float *work = state->work + thread * hel_round_up(cpu_convolution_work(state->plan), 16);
    const float *bias = bytes_at(&call->bias, item % call->channels * sizeof *bias);
    cpu_row row = {.steps = state->plan->base.steps,
                   .storage = call->storage,
                   .y_storage = call->y_storage,
                   .u = bytes_at(&call->u, at),
                   .gate_in = bytes_at(&call->gate_in, at),
                   .gate_out = bytes_at(&call->gate_out, at),
                   .bias = bias ? *bias : 0.0f,
                   .reversed = call->reversed,
                   .accumulate = call->accumulate};
    if (call->transform) {
        state->plan->entry->transform(state->plan, &row, work, bytes_at(&call->y, item * spectrum));
        return;
    }
    const float *filter = bytes_at(&call->spectra, item % hel_convolution_filters(call) * spectrum);
    row.y = bytes_at(&call->y, item * hel_storage_row(call->y_storage, state->plan->base.steps));
    state->plan->entry->convolve(state->plan, &row, filter, work);
}

hel_status cpu_convolution_run(const hel_device *data, const hel_convolution *base, const hel_convolution_call *call) {
    cpu_device *device = cpu_device_of(data);
    run_state state = {(const cpu_convolution *)base, call, NULL};
    size_t floats = hel_round_up(cpu_convolution_work(state.plan), 16) * hel_threads_count(device->threads);
    HEL_TRY(cpu_scratch_reserve(device, floats * sizeof(float)));
    state.work = device->scratch;
    hel_threads_run(device->threads, call->rows, run_row, &state);
    return HEL_OK;
}
