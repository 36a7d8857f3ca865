// SPDX-License-Identifier: Apache-2.0
// y = W (x / channel_scales) + bias, for every form of weight: up to eight tokens go through the matrix-vector kernel,
// more through a tiled product; a weight in several slices is as many dispatches.
#include <string.h>

#include "base/size.h"
#include "kernels.h"
#include "ops/linear_plan.h"
#include "ops/matrix_units.h"
#include "ops/operators.h"
#include "ops/tuned.h"

typedef struct rows_of {
    hel_tensor x;
    uint32_t first, count; // rows of x that take part
} rows_of;

static bool is_matvec(uint32_t tokens) { return tokens <= HEL_LINEAR_MATVEC_MAX_TOKENS; }

const char *hel_linear_kernel(bool matrix, uint32_t tokens) {
    return is_matvec(tokens) ? "linear_matvec" : matrix ? "linear_matmul_matrix" : "linear_matmul";
}

// What a lane of the tiled product goes through, the tests that end its loops included: for each tile what it stages and
// the columns, then the outliers of 4 x 4 outputs; less than 100 for what is passed once.
static uint64_t matmul_iterations(const hel_weight *weight) {
    uint32_t staged = HEL_LINEAR_MATMUL_TILE_COLS * (HEL_LINEAR_MATMUL_TILE_ROWS + HEL_LINEAR_MATMUL_TILE_TOKENS) /
                      HEL_LINEAR_MATMUL_WORKGROUP;
    uint64_t tiles = hel_ceil_div(weight->cols, HEL_LINEAR_MATMUL_TILE_COLS);
    return tiles * (staged + HEL_LINEAR_MATMUL_TILE_COLS + 4) + 16 * (uint64_t)weight->block_outliers + 100;
}

// A product as one of the kernels makes it.
typedef struct linear_call {
    rows_of x;
    const hel_weight *weight;
    const char *kernel;
    uint32_t constants[HEL_MAX_CONSTANTS], n_constants;
    hel_linear_plan plan; // of the matrix-vector kernel
} linear_call;

// All of the kernel's constants, with the TUNE values that were chosen for the device.
static linear_call choose_vectors(const hel_exec *exec, rows_of x, const hel_weight *weight, uint32_t flags) {
    linear_call call = {.x = x, .weight = weight, .kernel = hel_linear_kernel(exec->matrix, x.count)};
    const hel_kernel_source *source = hel_kernel_source_find(call.kernel);
    call.n_constants = source->n_constants;
    call.plan = hel_linear_plan_of(exec->device, weight, x.count);
    hel_linear_plan_constants(&call.plan, weight, flags, x.count, call.constants);
    hel_tuned_apply(exec, source, weight, x.count, call.constants);
    call.plan.rows = call.constants[HEL_LINEAR_MATVEC_AT_ROWS];
    return call;
}

static linear_call choose_tiles(const hel_exec *exec, rows_of x, const hel_weight *weight, uint32_t flags) {
    linear_call call = {.x = x, .weight = weight, .kernel = hel_linear_kernel(exec->matrix, x.count)};
    const hel_kernel_source *source = hel_kernel_source_find(call.kernel);
    const uint32_t modes[] = {weight->format, weight->bits, weight->d, flags};
    hel_tiling tiling = hel_tiling_of(exec->device, exec->matrix, weight->rows, x.count);
    call.n_constants = source->n_constants;
    memcpy(call.constants, source->defaults, sizeof source->defaults);
    memcpy(call.constants, modes, sizeof modes);
    call.constants[HEL_LINEAR_MATMUL_AT_TILE_ROWS] = tiling.rows;
    call.constants[HEL_LINEAR_MATMUL_AT_TILE_TOKENS] = tiling.tokens;
    hel_tuned_apply(exec, source, weight, x.count, call.constants);
    return call;
}

// Both tiled products have the same constants for their blocks.
static uint64_t group_count(const linear_call *call, uint32_t rows) {
    if (is_matvec(call->x.count)) return hel_linear_plan_groups(&call->plan, rows);
    return hel_ceil_div(rows, call->constants[HEL_LINEAR_MATMUL_AT_TILE_ROWS]) *
           hel_ceil_div(call->x.count, call->constants[HEL_LINEAR_MATMUL_AT_TILE_TOKENS]);
}

static void dispatch(hel_exec *exec, const linear_call *call, hel_tensor y) {
    const hel_weight *weight = call->weight;
    rows_of x = call->x;
    for (uint32_t i = 0; i < weight->n_slices; i++) {
        const hel_weight_slice *slice = &weight->slices[i];
        hel_linear_params params = {.rows = slice->rows,
                                    .cols = weight->cols,
                                    .tokens = x.count,
                                    .row_words = weight->row_words,
                                    .group = weight->group,
                                    .first_row = slice->first,
                                    .x_first = x.first * weight->cols,
                                    .x_stride = weight->cols,
                                    .y_stride = weight->rows};
        hel_binding bindings[] = {{.buffer = slice->words},
                                  hel_exec_optional(exec, weight->codebook),
                                  hel_exec_optional(exec, weight->sidecar_blocks),
                                  hel_exec_optional(exec, weight->sidecar_entries),
                                  hel_exec_optional(exec, weight->group_scales),
                                  hel_exec_optional(exec, weight->bias),
                                  x.x.where,
                                  y.where};
        hel_exec_dispatch(exec, &(hel_call){.kernel = call->kernel,
                                            .constants = call->constants,
                                            .n_constants = call->n_constants,
                                            .bindings = bindings,
                                            .n_bindings = HEL_COUNT(bindings),
                                            .params = &params,
                                            .params_size = sizeof params,
                                            .groups = group_count(call, slice->rows)});
    }
}

void hel_add_slices(hel_exec *exec, hel_tensor sums, uint32_t slices, uint32_t flags, hel_binding bias, hel_binding y) {
    hel_linear_slices_params params = {.rows = sums.cols, .n = sums.rows / slices * sums.cols, .slices = slices};
    hel_binding bindings[] = {sums.where, hel_exec_optional(exec, bias), y};
    hel_exec_dispatch(exec, &(hel_call){.kernel = "linear_slices",
                                        .constants = &flags,
                                        .n_constants = 1,
                                        .bindings = bindings,
                                        .n_bindings = HEL_COUNT(bindings),
                                        .params = &params,
                                        .params_size = sizeof params,
                                        .groups = hel_ceil_div(params.n, HEL_LINEAR_SLICES_CHUNK)});
}

static void multiply_vectors(hel_exec *exec, rows_of x, const hel_weight *weight, uint32_t flags, hel_tensor y) {
    const uint32_t at_the_end = HEL_FLAG_BIAS | HEL_FLAG_ACCUMULATE;
    linear_call call = choose_vectors(exec, x, weight, flags);
    if (call.plan.splits == 1) {
        dispatch(exec, &call, y);
        return;
    }
    uint64_t mark = hel_exec_mark(exec);
    hel_tensor sums = hel_exec_tensor(exec, call.plan.splits * x.count, weight->rows);
    call.constants[HEL_LINEAR_MATVEC_AT_FLAGS] = flags & ~at_the_end;
    dispatch(exec, &call, sums);
    hel_add_slices(exec, sums, call.plan.splits, flags & at_the_end, weight->bias, y.where);
    hel_exec_release(exec, mark);
}

// The arena that a large batch plans has room for the slices of a small one.
static void reserve_slices(hel_exec *exec, const hel_weight *weight) {
    uint64_t mark = hel_exec_mark(exec);
    hel_linear_plan plan = hel_linear_plan_of(exec->device, weight, HEL_LINEAR_MATVEC_MAX_TOKENS);
    if (plan.splits > 1) hel_exec_tensor(exec, plan.splits * HEL_LINEAR_MATVEC_MAX_TOKENS, weight->rows);
    hel_exec_release(exec, mark);
}

static void multiply_tiles(hel_exec *exec, rows_of x, const hel_weight *weight, uint32_t flags, hel_tensor y) {
    linear_call call = choose_tiles(exec, x, weight, flags);
    if (!exec->matrix) hel_exec_expect_loops(exec, call.kernel, matmul_iterations(weight));
    if (exec->planning) reserve_slices(exec, weight);
    dispatch(exec, &call, y);
}

static void multiply(hel_exec *exec, rows_of x, const hel_weight *weight, bool accumulate, hel_tensor y) {
    uint32_t flags = hel_weight_flags(weight) | (accumulate ? HEL_FLAG_ACCUMULATE : 0);
    if (is_matvec(x.count)) multiply_vectors(exec, x, weight, flags, y);
    else multiply_tiles(exec, x, weight, flags, y);
}

// W x, then (U s) (Vt x) on top of it where the weight has factors.
static void linear_into(hel_exec *exec, rows_of x, const hel_weight *weight, bool accumulate, hel_tensor y) {
    uint64_t mark = hel_exec_mark(exec);
    if (weight->channel_scales.size) {
        x.x = hel_divide_columns(exec, x.x, weight->channel_scales);
    }
    multiply(exec, x, weight, accumulate, y);
    if (weight->svd_us) {
        hel_tensor inner = hel_exec_tensor(exec, x.count, weight->svd_vt->rows);
        multiply(exec, x, weight->svd_vt, false, inner);
        multiply(exec, (rows_of){inner, 0, x.count}, weight->svd_us, true, y);
    }
    hel_exec_release(exec, mark);
}

hel_tensor hel_linear_rows(hel_exec *exec, hel_tensor x, uint32_t first, uint32_t count, const hel_weight *weight) {
    hel_tensor y = hel_exec_tensor(exec, count, weight->rows);
    linear_into(exec, (rows_of){x, first, count}, weight, false, y);
    return y;
}

hel_tensor hel_linear(hel_exec *exec, hel_tensor x, const hel_weight *weight) {
    return hel_linear_rows(exec, x, 0, x.rows, weight);
}

void hel_linear_add(hel_exec *exec, hel_tensor x, const hel_weight *weight, hel_tensor sum) {
    linear_into(exec, (rows_of){x, 0, x.rows}, weight, true, sum);
}
