// SPDX-License-Identifier: Apache-2.0
// Long convolution by the device's own transform, whose order nobody needs to know: rows are weighted, transformed, multiplied by
// their filters' transforms, transformed back and weighted again (shaders/fftconv_weigh.k).
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "kernels.h"
#include "ops/fftconv_internal.h"

// ---------------------------------------------------------------- plans

// Two levels of turns, of which each place takes a product: all N of them would be as much to read as the row.
static hel_status make_turns(hel_fftconv_plan *plan) {
    size_t coarse = hel_ceil_div(plan->points, HEL_FINE_TURNS), size = (HEL_FINE_TURNS + coarse) * 2 * sizeof(float);
    float *turns = hel_alloc(size);
    if (!turns) return hel_fail_memory(size);
    double angle = 0.25 / plan->points;
    for (uint32_t t = 0; t < HEL_FINE_TURNS; t++) hel_fftconv_put_turn(angle * t, turns + 2 * t);
    for (size_t t = 0; t < coarse; t++)
        hel_fftconv_put_turn(angle * HEL_FINE_TURNS * (double)t, turns + 2 * (HEL_FINE_TURNS + t));
    hel_status status = hel_buffer_create_from(plan->device, turns, size, &plan->turns[0]);
    hel_free(turns);
    return status;
}

// Places are gone through in pairs, so the number of points is even.
static uint32_t points_of(uint32_t steps) {
    uint32_t bits = 0, odd = hel_fftconv_choose_odd((uint32_t)hel_ceil_div(steps, 2), &bits);
    return 2 * odd << bits;
}

hel_status hel_fftconv_transform_prepare(hel_fftconv_plan *plan) {
    hel_transform *transform;
    HEL_TRY(hel_transform_get(plan->device, points_of(plan->steps), &transform));
    plan->transform = transform;
    plan->points = transform->points;
    plan->spectrum_size = 2 * (uint64_t)plan->points * sizeof(float);
    return make_turns(plan);
}

// ---------------------------------------------------------------- rows

static void run_points(const hel_fftconv_rows *rows, const char *kernel, uint32_t chunks, const hel_binding *bindings,
                       uint32_t n_bindings) {
    const hel_fftconv_plan *plan = rows->plan;
    hel_fftconv_point_params params = {.steps = plan->steps, .channels = rows->call->channels, .first_row = rows->first,
                                       .u_first = rows->u_first, .y_first = rows->y_first,
                                       .flags = hel_fftconv_flags(rows->call), .points = plan->points,
                                       .filters = hel_convolution_filters(rows->call), .spectra_first = rows->spectra_first,
                                       .scale = rows->call->transform ? 1.0f / (float)plan->points : 1.0f};
    hel_exec_dispatch(rows->exec, &(hel_call){.kernel = kernel,
                                              .bindings = bindings,
                                              .n_bindings = n_bindings,
                                              .params = &params,
                                              .params_size = sizeof params,
                                              .groups = (uint64_t)rows->count * chunks});
}

static uint32_t chunks_of(uint32_t places, uint32_t chunk) { return (uint32_t)hel_ceil_div(places, chunk); }

static void weigh(const hel_fftconv_rows *rows) {
    hel_binding bindings[] = {rows->u, rows->gate_in, {.buffer = rows->plan->turns[0]}, rows->work.where};
    run_points(rows, "fftconv_weigh", chunks_of(rows->plan->points, HEL_FFTCONV_WEIGH_CHUNK), bindings, HEL_COUNT(bindings));
    hel_exec_transform(rows->exec, rows->plan->transform, rows->work, false);
}

static void multiply(const hel_fftconv_rows *rows) {
    hel_binding bindings[] = {rows->spectra, rows->work.where};
    run_points(rows, "fftconv_multiply", chunks_of(rows->plan->points, HEL_FFTCONV_MULTIPLY_CHUNK), bindings, HEL_COUNT(bindings));
}

static void unweigh(const hel_fftconv_rows *rows) {
    hel_exec_transform(rows->exec, rows->plan->transform, rows->work, true);
    hel_binding bindings[] = {rows->u, rows->gate_in, rows->gate_out, rows->bias, {.buffer = rows->plan->turns[0]},
                              rows->work.where, rows->y};
    run_points(rows, "fftconv_unweigh", chunks_of(rows->plan->steps, HEL_FFTCONV_UNWEIGH_CHUNK), bindings, HEL_COUNT(bindings));
}

void hel_fftconv_transform_rows(const hel_fftconv_rows *rows) {
    weigh(rows);
    if (rows->call->transform) {
        hel_binding y = rows->call->y;
        y.offset += rows->first * rows->plan->spectrum_size;
        hel_exec_copy(rows->exec, y, rows->work.where);
        return;
    }
    multiply(rows);
    unweigh(rows);
}
