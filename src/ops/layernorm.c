// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

hel_tensor hel_groupnorm(hel_exec *exec, hel_tensor x, uint32_t groups, hel_binding gain, hel_binding bias, float epsilon) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_layernorm_params params = {.cols = x.cols / groups, .gains = groups, .epsilon = epsilon};
    hel_binding bindings[] = {x.where, gain, bias, y.where};
    hel_exec_dispatch(exec, &(hel_call){"layernorm", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)x.rows * groups});
    return y;
}

hel_tensor hel_layernorm(hel_exec *exec, hel_tensor x, hel_binding gain, hel_binding bias, float epsilon) {
    return hel_groupnorm(exec, x, 1, gain, bias, epsilon);
}
