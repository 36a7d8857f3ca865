// SPDX-License-Identifier: Apache-2.0
#include "ops/fftconv_internal.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "base/size.h"
#include "kernels.h"
#include "ops/fftconv_toeplitz.h"

// Bytes of split rows at a time: on large devices they stay in the second-level cache.
enum { SCRATCH_BYTES = 32 << 20 };
enum { LEVELS = 32 }; // of a block in its twiddles, as fftconv_block.k has it
// Two passes of eight points. Smaller ones would take as long, and each size is compiled.
enum { SMALLEST_BLOCK = 64, MOST_LANES = 256 };

// ---------------------------------------------------------------- sizes

// The largest block that a work-group's memory holds. Where that is a processor's cache, less: points that are powers of two apart
// push each other out.
static uint32_t largest_block(const hel_device *device) {
    uint32_t size = SMALLEST_BLOCK, most = device->type == HEL_DEVICE_TYPE_SOFTWARE ? 1u << 12 : 1u << 14;
    while (2 * size <= most && 2 * size * 2 * sizeof(float) <= device->limits.shared_memory) size *= 2;
    return size;
}

uint32_t hel_fftconv_choose_odd(uint32_t parts, uint32_t *out_bits) {
    uint32_t best = 0, best_odd = 1;
    for (uint32_t odd = 1; odd <= 7; odd += 2) {
        uint32_t bits = 0;
        while (odd << bits < parts) bits++;
        if (best && odd << bits >= best) continue;
        best = odd << bits;
        best_odd = odd;
        *out_bits = bits;
    }
    return best_odd;
}

// The odd one first, then powers of two, as even as they can be.
static bool choose_radices(uint32_t parts, hel_fftconv_plan *plan) {
    uint32_t bits = 0, most = 0, odd = hel_fftconv_choose_odd(parts, &bits);
    while (2u << most <= HEL_FFTCONV_SPLIT_MAX_RADIX) most++;
    uint32_t powers = (uint32_t)hel_ceil_div(bits, most);
    plan->n_splits = 0;
    if (powers + (odd > 1) > HEL_FFTCONV_MAX_SPLITS) return false;
    if (odd > 1) plan->radices[plan->n_splits++] = odd;
    for (; powers; powers--) {
        uint32_t share = (uint32_t)hel_ceil_div(bits, powers);
        plan->radices[plan->n_splits++] = 1u << share;
        bits -= share;
    }
    return true;
}

static hel_status choose_sizes(uint32_t steps, hel_fftconv_plan *plan) {
    uint32_t largest = largest_block(plan->device);
    plan->size = SMALLEST_BLOCK;
    while (plan->size < HEL_MIN(steps, largest)) plan->size *= 2;
    if (!choose_radices((uint32_t)hel_ceil_div(steps, plan->size), plan))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "a convolution of %u steps needs more than %u splits on %s:%u", steps,
                        HEL_FFTCONV_MAX_SPLITS, plan->device->backend, plan->device->index);
    plan->points = plan->size;
    for (uint32_t i = 0; i < plan->n_splits; i++) plan->points *= plan->radices[i];
    return HEL_OK;
}

// ---------------------------------------------------------------- twiddles

void hel_fftconv_put_turn(double angle, float out[2]) {
    const double two_pi = 6.283185307179586476925;
    out[0] = (float)cos(two_pi * angle);
    out[1] = (float)sin(two_pi * angle);
}

// The angle, in turns, of a part of a block: the one of that number of an odd radix; of a power of two they are in the order that
// splits in two leave them in.
static double part_angle(double angle, uint32_t radix, uint32_t number) {
    if (radix % 2) return (angle + number) / radix;
    for (uint32_t bit = radix / 2; bit; bit /= 2) angle = (angle + (number & bit ? 1 : 0)) / 2;
    return angle;
}

// The angle of block b after the first `splits`; the row is x^N - e^(2 pi i / 4).
static double block_angle(const hel_fftconv_plan *plan, uint32_t splits, uint32_t b) {
    uint32_t numbers[HEL_FFTCONV_MAX_SPLITS];
    for (uint32_t i = splits; i-- > 0; b /= plan->radices[i]) numbers[i] = b % plan->radices[i];
    double angle = 0.25;
    for (uint32_t i = 0; i < splits; i++) angle = part_angle(angle, plan->radices[i], numbers[i]);
    return angle;
}

static uint32_t blocks_after(const hel_fftconv_plan *plan, uint32_t splits) {
    uint32_t blocks = 1;
    for (uint32_t i = 0; i < splits; i++) blocks *= plan->radices[i];
    return blocks;
}

// The roots of the nodes of a block that is split in two again and again.
static void fill_nodes(double angle, uint32_t radix, float *out) {
    hel_fftconv_put_turn(0.0, out);
    for (uint32_t nodes = 1; nodes < radix; nodes *= 2)
        for (uint32_t node = 0; node < nodes; node++)
            hel_fftconv_put_turn(part_angle(angle, nodes, node) / 2, out + 2 * (size_t)(nodes + node));
}

static void fill_split(const hel_fftconv_plan *plan, uint32_t split, float *out) {
    uint32_t blocks = blocks_after(plan, split), radix = plan->radices[split];
    for (uint32_t b = 0; b < blocks; b++) {
        double angle = block_angle(plan, split, b);
        if (radix % 2 == 0) fill_nodes(angle, radix, out);
        for (uint32_t t = 0; radix % 2 && t < radix; t++) hel_fftconv_put_turn(angle * t / radix, out + 2 * (size_t)t);
        out += 2 * (size_t)radix;
    }
    for (uint32_t t = 0; t < radix; t++, out += 2) hel_fftconv_put_turn((double)t / radix, out);
}

static double mirrored(uint32_t j) {
    double value = 0.0;
    for (double weight = 0.5; j; j >>= 1, weight /= 2) value += j & 1 ? weight : 0.0;
    return value;
}

static void fill_blocks(const hel_fftconv_plan *plan, float *out) {
    uint32_t blocks = blocks_after(plan, plan->n_splits);
    for (uint32_t b = 0; b < blocks; b++) {
        double angle = block_angle(plan, plan->n_splits, b) / 2;
        for (uint32_t l = 0; l < LEVELS; l++, out += 2, angle /= 2) hel_fftconv_put_turn(angle, out);
    }
    for (uint32_t j = 0; j < plan->size / 2; j++, out += 2) hel_fftconv_put_turn(mirrored(j) / 2, out);
}

static hel_status make_turns(hel_fftconv_plan *plan, uint32_t i) {
    bool split = i < plan->n_splits;
    size_t blocks = blocks_after(plan, i);
    size_t pairs = split ? (blocks + 1) * plan->radices[i] : blocks * LEVELS + plan->size / 2;
    size_t size = pairs * 2 * sizeof(float);
    float *turns = hel_alloc(size);
    if (!turns) return hel_fail_memory(size);
    if (split) fill_split(plan, i, turns);
    else fill_blocks(plan, turns);
    hel_status status = hel_buffer_create_from(plan->device, turns, size, &plan->turns[i]);
    hel_free(turns);
    return status;
}

// ---------------------------------------------------------------- plans

static hel_status prepare_kernels(hel_fftconv_plan *plan) {
    HEL_TRY(choose_sizes(plan->steps, plan));
    plan->spectrum_size = 2 * (uint64_t)plan->points * sizeof(float);
    for (uint32_t i = 0; i <= plan->n_splits; i++) HEL_TRY(make_turns(plan, i));
    return HEL_OK;
}

// What the device has of its own, for all of a convolution or for its transforms. Rows that fit a work-group are not transformed:
// then they would leave it several times.
static hel_status prepare_own(hel_fftconv_plan *plan) {
    const hel_device *device = plan->device;
    hel_status status = hel_convolution_create(device, plan->steps, &plan->own);
    if (status == HEL_OK) plan->spectrum_size = plan->own->spectrum_size;
    if (status != HEL_ERROR_UNSUPPORTED) return status;
    if (plan->steps <= largest_block(device) || plan->steps < hel_transform_least(device)) return HEL_ERROR_UNSUPPORTED;
    status = hel_fftconv_transform_prepare(plan);
    if (status == HEL_ERROR_UNSUPPORTED)
        hel_log(HEL_LOG_WARNING, "%s:%u: convolutions of %u steps are left to the kernels: %s", device->backend, device->index,
                plan->steps, hel_error_message());
    return status;
}

static void prepare_toeplitz(hel_fftconv_plan *plan) {
    plan->toeplitz = true;
    plan->filter_steps = plan->taps;
    plan->spectrum_size = plan->taps * sizeof(float);
}

static hel_status prepare(hel_fftconv_plan *plan, hel_fftconv_way way) {
    bool few = way == HEL_FFTCONV_FASTEST && hel_fftconv_toeplitz_is_sooner(plan->device, plan->steps, plan->taps);
    if (few || way == HEL_FFTCONV_TOEPLITZ) {
        prepare_toeplitz(plan);
        return HEL_OK;
    }
    if (way == HEL_FFTCONV_TRANSFORM) return hel_fftconv_transform_prepare(plan);
    hel_status status = way == HEL_FFTCONV_KERNELS ? HEL_ERROR_UNSUPPORTED : prepare_own(plan);
    return status == HEL_ERROR_UNSUPPORTED ? prepare_kernels(plan) : status;
}

hel_status hel_fftconv_plan_init_as(const hel_device *device, uint32_t steps, uint32_t taps, hel_fftconv_way way,
                                    hel_fftconv_plan *out) {
    HEL_REQUIRE(device && out && steps > 0 && steps <= HEL_CONVOLUTION_MAX_STEPS && taps > 0 && taps <= steps);
    HEL_REQUIRE(way != HEL_FFTCONV_TOEPLITZ || taps <= HEL_FFTCONV_TOEPLITZ_MAX_TAPS);
    *out = (hel_fftconv_plan){.device = device, .steps = steps, .taps = taps, .filter_steps = steps};
    hel_status status = prepare(out, way);
    if (status != HEL_OK) hel_fftconv_plan_finish(out);
    return status;
}

hel_status hel_fftconv_plan_init(const hel_device *device, uint32_t steps, uint32_t taps, hel_fftconv_plan *out) {
    return hel_fftconv_plan_init_as(device, steps, taps, HEL_FFTCONV_FASTEST, out);
}

void hel_fftconv_plan_finish(hel_fftconv_plan *plan) {
    if (!plan->device) return;
    hel_convolution_destroy(plan->device, &plan->own);
    for (uint32_t i = 0; i <= HEL_FFTCONV_MAX_SPLITS; i++) hel_buffer_destroy(plan->device, &plan->turns[i]);
    *plan = (hel_fftconv_plan){0};
}

// ---------------------------------------------------------------- kernels

static void run_blocks(const hel_fftconv_rows *rows) {
    const hel_fftconv_plan *plan = rows->plan;
    uint32_t blocks = blocks_after(plan, plan->n_splits);
    uint32_t constants[] = {plan->size, rows->call->transform, !plan->n_splits, HEL_MIN(plan->size / 8, MOST_LANES)};
    hel_fftconv_block_params params = {.steps = plan->steps, .channels = rows->call->channels, .first_row = rows->first,
                                 .u_first = rows->u_first, .y_first = rows->y_first, .flags = hel_fftconv_flags(rows->call),
                                 .blocks = blocks,
                                 .filters = hel_convolution_filters(rows->call),
                                 .spectra_first = rows->spectra_first, .scale = 1.0f / (float)plan->points};
    hel_binding bindings[] = {rows->u, rows->gate_in, rows->gate_out, rows->bias, rows->spectra,
                              {.buffer = plan->turns[plan->n_splits]}, rows->work.where, rows->y};
    hel_exec_dispatch(rows->exec, &(hel_call){.kernel = "fftconv_block",
                                              .constants = constants,
                                              .n_constants = HEL_COUNT(constants),
                                              .bindings = bindings,
                                              .n_bindings = HEL_COUNT(bindings),
                                              .params = &params,
                                              .params_size = sizeof params,
                                              .groups = (uint64_t)rows->count * blocks});
}

_Static_assert(HEL_FFTCONV_SPLIT_CHUNK == HEL_FFTCONV_JOIN_CHUNK, "both passes have the same work-groups");

// A split or, with the same twiddles and work-groups, its way back.
static void run_pass(const hel_fftconv_rows *rows, const char *kernel, uint32_t split, const hel_binding *bindings,
                     uint32_t n_bindings) {
    const hel_fftconv_plan *plan = rows->plan;
    uint32_t blocks = blocks_after(plan, split), part = plan->points / blocks_after(plan, split + 1);
    uint32_t constants[] = {plan->radices[split], !split};
    uint64_t groups = (uint64_t)rows->count * blocks * hel_ceil_div(part, HEL_FFTCONV_SPLIT_CHUNK);
    hel_fftconv_pass_params params = {.steps = plan->steps, .channels = rows->call->channels, .first_row = rows->first,
                                      .u_first = rows->u_first, .y_first = rows->y_first, .flags = hel_fftconv_flags(rows->call),
                                      .blocks = blocks, .part = part};
    hel_exec_dispatch(rows->exec, &(hel_call){.kernel = kernel,
                                              .constants = constants,
                                              .n_constants = HEL_COUNT(constants),
                                              .bindings = bindings,
                                              .n_bindings = n_bindings,
                                              .params = &params,
                                              .params_size = sizeof params,
                                              .groups = groups});
}

static void run_split(const hel_fftconv_rows *rows, uint32_t split) {
    hel_binding bindings[] = {rows->u, rows->gate_in, {.buffer = rows->plan->turns[split]}, rows->work.where};
    run_pass(rows, "fftconv_split", split, bindings, HEL_COUNT(bindings));
}

static void run_join(const hel_fftconv_rows *rows, uint32_t split) {
    hel_binding bindings[] = {rows->u, rows->gate_in, rows->gate_out, rows->bias, {.buffer = rows->plan->turns[split]},
                              rows->work.where, rows->y};
    run_pass(rows, "fftconv_join", split, bindings, HEL_COUNT(bindings));
}

static void run_kernels(const hel_fftconv_rows *rows) {
    uint32_t splits = rows->plan->n_splits;
    for (uint32_t i = 0; i < splits; i++) run_split(rows, i);
    run_blocks(rows);
    for (uint32_t i = rows->call->transform ? 0 : splits; i-- > 0;) run_join(rows, i);
}

// Whether rows are in global memory between kernels.
static bool uses_work(const hel_fftconv_plan *plan) { return plan->transform || plan->n_splits; }

static void run_rows(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call, uint32_t first,
                     uint32_t count) {
    hel_fftconv_rows rows = hel_fftconv_rows_bind(exec, plan, call, first, count);
    if (plan->toeplitz) {
        hel_fftconv_toeplitz_run(&rows);
        return;
    }
    uint64_t mark = hel_exec_mark(exec);
    // What a kernel may write is bound by itself, even where it is not used.
    rows.work = uses_work(plan) ? hel_exec_tensor(exec, count, 2 * plan->points) : hel_exec_tensor(exec, 1, 1);
    if (plan->transform) hel_fftconv_transform_rows(&rows);
    else run_kernels(&rows);
    hel_exec_release(exec, mark);
}

// How many rows scratch and bindings hold, and kernels count the words of.
static uint32_t most_rows(const hel_fftconv_plan *plan) {
    uint64_t row = HEL_MAX(plan->spectrum_size, plan->steps * sizeof(float)) + plan->device->limits.offset_alignment;
    uint64_t most = HEL_MIN(plan->device->limits.max_binding, UINT32_MAX) / row;
    if (uses_work(plan)) most = HEL_MIN(most, SCRATCH_BYTES / plan->spectrum_size);
    return (uint32_t)HEL_MIN(HEL_MAX(most, 1), plan->transform ? HEL_TRANSFORM_MAX_ROWS : UINT32_MAX);
}

// How many rows from `first` on are under way at once: a few whole rounds of filters, or some of one round.
static uint32_t rows_at_once(const hel_fftconv_plan *plan, const hel_convolution_call *call, uint32_t first) {
    uint32_t most = most_rows(plan), filters = hel_convolution_filters(call), left = call->rows - first;
    if (most >= filters && first % filters == 0) return HEL_MIN(most / filters * filters, left);
    return HEL_MIN(HEL_MIN(most, filters - first % filters), left);
}

// Filters take the place of spectra as they are.
static void keep_filters(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call) {
    if (hel_exec_idle(exec)) return;
    hel_exec_fail(exec, hel_buffer_copy(exec->device, HEL_QUEUE_COMPUTE, call->y.buffer, call->y.offset, call->u.buffer,
                                        call->u.offset, call->rows * plan->spectrum_size));
}

static void run_all(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call) {
    for (uint32_t first = 0, count; first < call->rows && exec->status == HEL_OK; first += count) {
        count = rows_at_once(plan, call, first);
        run_rows(exec, plan, call, first, count);
    }
}

void hel_fftconv_run(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call) {
    if (call->transform && call->reversed) hel_exec_fail(exec, hel_fail(HEL_ERROR_ARGUMENT, "a spectrum of rows turned round"));
    else if (call->transform && plan->toeplitz) keep_filters(exec, plan, call);
    else if (!plan->own) run_all(exec, plan, call);
    else if (!hel_exec_idle(exec)) hel_exec_fail(exec, hel_convolution_run(plan->device, plan->own, call));
}
