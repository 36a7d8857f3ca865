// SPDX-License-Identifier: Apache-2.0
// Operators that reduce along a row.
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

hel_tensor hel_softmax(hel_exec *exec, hel_tensor x, float scale) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_softmax_params params = {.cols = x.cols, .scale = scale};
    hel_binding bindings[] = {x.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"softmax", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params, x.rows});
    return y;
}

hel_tensor hel_argmax(hel_exec *exec, hel_tensor x) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, 1);
    hel_argmax_params params = {.cols = x.cols};
    hel_binding bindings[] = {x.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"argmax", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params, x.rows});
    return y;
}
