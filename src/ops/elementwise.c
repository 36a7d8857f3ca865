// SPDX-License-Identifier: Apache-2.0
// Operators of one element at a time.
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

static uint64_t chunks(hel_tensor x, uint32_t chunk) { return hel_ceil_div((uint64_t)x.rows * x.cols, chunk); }

// Whole tensors are one row, so that no device looks for its end.
static bool is_whole(hel_columns x) { return x.count == x.of.cols; }

static void activate(hel_exec *exec, hel_activation function, hel_columns x, const hel_columns *up, hel_tensor y) {
    hel_activate_params params = {.activation = function, .gated = up != NULL, .n = y.rows * y.cols, .cols = x.count,
                                  .x_first = x.first, .x_stride = x.of.cols};
    hel_binding of_up = {.buffer = exec->nothing};
    if (up) {
        of_up = up->of.where;
        params.up_first = up->first;
        params.up_stride = up->of.cols;
    }
    if (is_whole(x) && (!up || is_whole(*up))) params.cols = params.n;
    hel_binding bindings[] = {x.of.where, of_up, y.where};
    hel_exec_dispatch(exec, &(hel_call){.kernel = "activate",
                                        .bindings = bindings,
                                        .n_bindings = HEL_COUNT(bindings),
                                        .params = &params,
                                        .params_size = sizeof params,
                                        .groups = chunks(y, HEL_ACTIVATE_CHUNK)});
}

hel_tensor hel_activate(hel_exec *exec, hel_activation function, hel_columns x) {
    hel_tensor y = hel_exec_tensor(exec, x.of.rows, x.count);
    activate(exec, function, x, NULL, y);
    return y;
}

hel_tensor hel_activate_gated(hel_exec *exec, hel_activation function, hel_columns gate, hel_columns up) {
    hel_tensor y = hel_exec_tensor(exec, gate.of.rows, gate.count);
    activate(exec, function, gate, &up, y);
    return y;
}

void hel_copy(hel_exec *exec, hel_tensor from, hel_tensor to) { activate(exec, HEL_IDENTITY, hel_columns_all(from), NULL, to); }

hel_tensor hel_join_columns(hel_exec *exec, hel_tensor a, hel_tensor b) {
    hel_tensor y = hel_exec_tensor(exec, a.rows, a.cols + b.cols);
    hel_join_columns_params params = {.n = y.rows * y.cols, .a_cols = a.cols, .b_cols = b.cols};
    hel_binding bindings[] = {a.where, b.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"join_columns", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        chunks(y, HEL_JOIN_COLUMNS_CHUNK)});
    return y;
}

hel_tensor hel_divide_columns(hel_exec *exec, hel_tensor x, hel_binding scales) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_divide_columns_params params = {.n = x.rows * x.cols, .cols = x.cols};
    hel_binding bindings[] = {x.where, scales, y.where};
    hel_exec_dispatch(exec, &(hel_call){"divide_columns", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        chunks(y, HEL_DIVIDE_COLUMNS_CHUNK)});
    return y;
}
