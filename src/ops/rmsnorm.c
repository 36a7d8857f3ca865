// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

hel_tensor hel_rmsnorm(hel_exec *exec, hel_tensor x, hel_binding gain, float epsilon) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_rmsnorm_params params = {.cols = x.cols, .epsilon = epsilon};
    hel_binding bindings[] = {x.where, gain, y.where};
    hel_exec_dispatch(exec, &(hel_call){"rmsnorm", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params, x.rows});
    return y;
}

hel_tensor hel_rmsnorm_gated(hel_exec *exec, hel_tensor x, hel_columns gate, const hel_gated_norm *norm) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    uint32_t behind = norm->before_gate;
    hel_rmsnorm_gated_params params = {.cols = x.cols / norm->groups,
                                       .gains = norm->groups,
                                       .gate_first = gate.first,
                                       .gate_stride = gate.of.cols,
                                       .epsilon = norm->epsilon};
    hel_binding bindings[] = {x.where, norm->gain, gate.of.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"rmsnorm_gated", &behind, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)x.rows * norm->groups});
    return y;
}
