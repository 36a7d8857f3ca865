// SPDX-License-Identifier: Apache-2.0
#include "ops/fftconv_toeplitz.h"

#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

enum { TILE = HEL_TOEPLITZ_SPAN * HEL_TOEPLITZ_BLOCKS };
_Static_assert(HEL_FFTCONV_TOEPLITZ_MAX_TAPS == HEL_FFTCONV_TOEPLITZ_TAPS_MAX_TAPS, "both directions go for the same filters");

// ---------------------------------------------------------------- the choice

// Rows of least .. most steps are sooner with up to so many taps.
typedef struct sooner {
    uint32_t taps, least, most;
} sooner;

// At least 15 % sooner where it was measured (docs/fftconv.md); lists end with a zero.
static const sooner vectors[] = {{64, 1, UINT32_MAX}, {192, 1, 256}, {128, 8192, UINT32_MAX}, {0, 0, 0}};
static const sooner scalar[] = {{32, 1024, UINT32_MAX}, {0, 0, 0}};
static const sooner software[] = {{32, 256, UINT32_MAX}, {0, 0, 0}};
static const sooner gpus[] = {{128, 256, UINT32_MAX}, {0, 0, 0}}; // never timed: the paper's filters

static const sooner *rules_of(const hel_device *device) {
    if (device->type == HEL_DEVICE_TYPE_INTEGRATED || device->type == HEL_DEVICE_TYPE_DISCRETE) return gpus;
    if (device->type != HEL_DEVICE_TYPE_CPU) return software;
    return device->features.scalar ? scalar : vectors;
}

bool hel_fftconv_toeplitz_is_sooner(const hel_device *device, uint32_t steps, uint32_t taps) {
    for (const sooner *rule = rules_of(device); rule->taps; rule++)
        if (taps <= rule->taps && steps >= rule->least && steps <= rule->most) return true;
    return false;
}

// ---------------------------------------------------------------- forward

void hel_fftconv_toeplitz_run(const hel_fftconv_rows *rows) {
    const hel_fftconv_plan *plan = rows->plan;
    const hel_convolution_call *call = rows->call;
    hel_fftconv_toeplitz_params params = {.steps = plan->steps, .channels = call->channels, .first_row = rows->first,
                                          .u_first = rows->u_first, .y_first = rows->y_first, .flags = hel_fftconv_flags(call),
                                          .taps = plan->taps, .filters = hel_convolution_filters(call),
                                          .taps_first = rows->spectra_first};
    hel_binding bindings[] = {rows->u, rows->gate_in, rows->gate_out, rows->bias, rows->spectra, rows->y};
    hel_exec_dispatch(rows->exec, &(hel_call){.kernel = "fftconv_toeplitz",
                                              .bindings = bindings,
                                              .n_bindings = HEL_COUNT(bindings),
                                              .params = &params,
                                              .params_size = sizeof params,
                                              .groups = rows->count * hel_ceil_div(plan->steps, TILE)});
}

// ---------------------------------------------------------------- the filters' gradients

// Rows are cut into slices of at least SLICE_STEPS, and at most MOST_SLICES of them, whose sums are added in order; those of as
// many channels at a time as take SUMS_BYTES.
enum { SLICE_STEPS = 4096, MOST_SLICES = 256, SUMS_BYTES = 1 << 20 };
// Of so many channels at a time, filters of any number of taps begin where a binding may.
enum { CHANNELS_STEP = 64 };

static uint32_t slice_steps(const hel_fftconv_plan *plan) {
    return (uint32_t)HEL_MAX(hel_round_up(hel_ceil_div(plan->steps, MOST_SLICES), TILE), SLICE_STEPS);
}

static uint32_t slices_of(const hel_fftconv_plan *plan) { return (uint32_t)hel_ceil_div(plan->steps, slice_steps(plan)); }

uint32_t hel_fftconv_toeplitz_channels(const hel_fftconv_plan *plan) {
    uint64_t channels = SUMS_BYTES / (slices_of(plan) * plan->spectrum_size);
    return (uint32_t)HEL_MAX(channels - channels % CHANNELS_STEP, CHANNELS_STEP);
}

static void sum_slices(const hel_fftconv_rows *rows, hel_tensor sums) {
    const hel_fftconv_plan *plan = rows->plan;
    hel_fftconv_toeplitz_taps_params params = {.steps = plan->steps, .rows = rows->count, .u_first = rows->u_first,
                                               .y_first = rows->y_first, .flags = hel_fftconv_flags(rows->call), .taps = plan->taps,
                                               .slice = slice_steps(plan), .slices = slices_of(plan)};
    hel_binding bindings[] = {rows->u, rows->gate_in, rows->y, rows->gate_out, sums.where};
    hel_exec_dispatch(rows->exec, &(hel_call){.kernel = "fftconv_toeplitz_taps",
                                              .bindings = bindings,
                                              .n_bindings = HEL_COUNT(bindings),
                                              .params = &params,
                                              .params_size = sizeof params,
                                              .groups = (uint64_t)rows->count * params.slices});
}

void hel_fftconv_toeplitz_gradient(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call,
                                   hel_binding filters) {
    uint64_t mark = hel_exec_mark(exec);
    uint32_t slices = slices_of(plan);
    hel_tensor sums = hel_exec_tensor(exec, slices * call->rows, plan->taps);
    hel_fftconv_rows rows = hel_fftconv_rows_bind(exec, plan, call, 0, call->rows);
    sum_slices(&rows, sums);
    hel_add_slices(exec, sums, slices, call->accumulate ? HEL_FLAG_ACCUMULATE : 0, (hel_binding){0}, filters);
    hel_exec_release(exec, mark);
}
