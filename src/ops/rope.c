// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

void hel_rope_apply(hel_exec *exec, hel_tensor x, const hel_rope *rope, hel_binding step) {
    uint32_t heads = x.cols / rope->head_dim;
    uint32_t constants[] = {rope->layout};
    hel_rope_params params = {
        .tokens = x.rows, .heads = heads, .head_dim = rope->head_dim, .rotary = rope->rotary, .stride = x.cols};
    hel_binding bindings[] = {x.where, step, rope->table};
    hel_exec_dispatch(exec, &(hel_call){"rope", constants, HEL_COUNT(constants), bindings, HEL_COUNT(bindings), &params,
                                        sizeof params, (uint64_t)x.rows * heads});
}
