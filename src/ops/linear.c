// SPDX-License-Identifier: Apache-2.0
// y = W (x / channel_scales) + bias, for every form of weight: up to eight tokens go through the matrix-vector kernel,
// more through a tiled product; a weight in several slices is as many dispatches.
#include <string.h>

#include "base/size.h"
#include "kernels.h"
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

// Both tiled products have the same constants for their blocks.
static uint64_t group_count(const uint32_t *constants, uint32_t rows, uint32_t tokens) {
    if (is_matvec(tokens)) return hel_ceil_div(rows, constants[HEL_LINEAR_MATVEC_AT_ROWS]);
    return hel_ceil_div(rows, constants[HEL_LINEAR_MATMUL_AT_TILE_ROWS]) *
           hel_ceil_div(tokens, constants[HEL_LINEAR_MATMUL_AT_TILE_TOKENS]);
}

// The matrix-vector kernel is specialised for powers of two.
static uint32_t token_lanes(uint32_t tokens) {
    uint32_t lanes = 1;
    while (lanes < tokens) lanes *= 2;
    return lanes;
}

// What a lane of the tiled product goes through, the tests that end its loops included: for each tile what it stages and
// the columns, then the outliers of 4 x 4 outputs; less than 100 for what is passed once.
static uint64_t matmul_iterations(const hel_weight *weight) {
    uint32_t staged = HEL_LINEAR_MATMUL_TILE_COLS * (HEL_LINEAR_MATMUL_TILE_ROWS + HEL_LINEAR_MATMUL_TILE_TOKENS) /
                      HEL_LINEAR_MATMUL_WORKGROUP;
    uint64_t tiles = hel_ceil_div(weight->cols, HEL_LINEAR_MATMUL_TILE_COLS);
    return tiles * (staged + HEL_LINEAR_MATMUL_TILE_COLS + 4) + 16 * (uint64_t)weight->block_outliers + 100;
}

// All of the kernel's constants, with the TUNE values that were chosen for the device; gives how many.
static uint32_t choose_constants(const hel_exec *exec, const hel_weight *weight, uint32_t tokens, uint32_t flags,
                                 uint32_t constants[HEL_MAX_CONSTANTS]) {
    const hel_kernel_source *source = hel_kernel_source_find(hel_linear_kernel(exec->matrix, tokens));
    const uint32_t modes[] = {weight->format, weight->bits, weight->d, flags};
    memcpy(constants, source->defaults, sizeof source->defaults);
    memcpy(constants, modes, sizeof modes);
    if (is_matvec(tokens)) {
        constants[HEL_LINEAR_MATVEC_AT_TOKENS] = token_lanes(tokens);
    } else {
        hel_tiling tiling = hel_tiling_of(exec->device, exec->matrix, weight->rows, tokens);
        constants[HEL_LINEAR_MATMUL_AT_TILE_ROWS] = tiling.rows;
        constants[HEL_LINEAR_MATMUL_AT_TILE_TOKENS] = tiling.tokens;
    }
    hel_tuned_apply(exec, source, weight, tokens, constants);
    return source->n_constants;
}

static void multiply(hel_exec *exec, rows_of x, const hel_weight *weight, bool accumulate, hel_tensor y) {
    uint32_t flags = hel_weight_flags(weight) | (accumulate ? HEL_FLAG_ACCUMULATE : 0);
    bool matvec = is_matvec(x.count);
    const char *kernel = hel_linear_kernel(exec->matrix, x.count);
    uint32_t constants[HEL_MAX_CONSTANTS], n_constants = choose_constants(exec, weight, x.count, flags, constants);
    if (!matvec && !exec->matrix) hel_exec_expect_loops(exec, kernel, matmul_iterations(weight));
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
        hel_exec_dispatch(exec, &(hel_call){.kernel = kernel,
                                            .constants = constants,
                                            .n_constants = n_constants,
                                            .bindings = bindings,
                                            .n_bindings = HEL_COUNT(bindings),
                                            .params = &params,
                                            .params_size = sizeof params,
                                            .groups = group_count(constants, slice->rows, x.count)});
    }
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
