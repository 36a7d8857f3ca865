// SPDX-License-Identifier: Apache-2.0
// What a token takes of the one before it.
#include "base/size.h"
#include "kernels.h"
#include "ops/rwkv.h"

hel_tensor hel_token_shift(hel_exec *exec, hel_tensor x, hel_kept last) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_token_shift_params params = {.cols = x.cols, .state_first = last.first};
    hel_binding bindings[] = {x.where, last.state, y.where};
    uint32_t most = hel_exec_steps_at_once(exec, x.rows, 8, 1);
    for (; params.first < x.rows; params.first += params.tokens) {
        params.tokens = HEL_MIN(most, x.rows - params.first);
        hel_exec_dispatch(exec, &(hel_call){"token_shift", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                            hel_ceil_div(x.cols, HEL_TOKEN_SHIFT_CHUNK)});
    }
    return y;
}

hel_tensor hel_token_mix(hel_exec *exec, hel_tensor x, hel_tensor other, const hel_share *share) {
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    uint32_t form = share->form;
    hel_token_mix_params params = {.n = x.rows * x.cols,
                             .cols = x.cols,
                             .rank = share->rank,
                             .first = share->index,
                             .stride = share->change.cols};
    hel_binding factor = share->factor.buffer ? share->factor : hel_bind(exec->nothing);
    hel_binding bindings[] = {x.where, other.where, share->mu, hel_exec_optional(exec, share->change.where), factor, y.where};
    hel_exec_dispatch(exec, &(hel_call){"token_mix", &form, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        hel_ceil_div(params.n, HEL_TOKEN_MIX_CHUNK)});
    return y;
}

void hel_gate_add(hel_exec *exec, hel_tensor gate, hel_tensor x, hel_tensor y) {
    hel_gate_add_params params = {.n = y.rows * y.cols};
    hel_binding bindings[] = {gate.where, x.where, y.where};
    hel_exec_dispatch(exec, &(hel_call){"gate_add", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        hel_ceil_div(params.n, HEL_GATE_ADD_CHUNK)});
}
