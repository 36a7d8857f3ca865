// SPDX-License-Identifier: Apache-2.0
// Operators of one element at a time.
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

static uint64_t chunks(hel_tensor x, uint32_t chunk) { return hel_ceil_div((uint64_t)x.rows * x.cols, chunk); }

hel_tensor hel_swiglu(hel_exec *exec, hel_tensor gate, hel_tensor up) {
    hel_tensor y = hel_exec_tensor(exec, gate.rows, gate.cols);
    hel_swiglu_params params = {.n = gate.rows * gate.cols};
    hel_binding bindings[] = {gate.where, up.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"swiglu", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        chunks(y, HEL_SWIGLU_CHUNK)});
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
