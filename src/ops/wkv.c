// SPDX-License-Identifier: Apache-2.0
// Attention whose memory is a state. A lane goes through the tokens one by one; where a driver ends long loops, a pass of
// many tokens is several dispatches, each going on from the state that the last one left.
#include "base/size.h"
#include "kernels.h"
#include "ops/rwkv.h"

// Iterations of a lane that are for no token, at most.
enum { FIXED_ITERATIONS = 32 };

// Staging a head's vectors, then `passes` over its rows for each column.
static uint32_t head_iterations(uint32_t head, uint32_t columns, uint32_t lanes, uint32_t passes) {
    return (uint32_t)(hel_ceil_div(head, lanes) + hel_ceil_div(columns, lanes) * (passes * (head + 1) + 1) + 4);
}

static uint64_t head_blocks(uint32_t heads, uint32_t head, uint32_t columns) { return heads * hel_ceil_div(head, columns); }

hel_tensor hel_wkv4(hel_exec *exec, hel_tensor r, hel_tensor k, hel_tensor v, hel_binding decay, hel_binding bonus, hel_kept kept) {
    hel_tensor y = hel_exec_tensor(exec, r.rows, r.cols);
    hel_wkv4_params params = {.cols = r.cols, .state_first = kept.first};
    hel_binding bindings[] = {r.where, k.where, v.where, decay, bonus, kept.state, y.where};
    uint32_t most = hel_exec_steps_at_once(exec, r.rows, FIXED_ITERATIONS, 1);
    for (; params.first < r.rows; params.first += params.tokens) {
        params.tokens = HEL_MIN(most, r.rows - params.first);
        hel_exec_dispatch(exec, &(hel_call){"wkv4", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                            hel_ceil_div(r.cols, HEL_WKV4_CHUNK)});
    }
    return y;
}

hel_tensor hel_wkv5_apply(hel_exec *exec, hel_tensor r, hel_tensor k, hel_tensor v, const hel_wkv5 *terms, hel_kept kept) {
    hel_tensor y = hel_exec_tensor(exec, r.rows, r.cols);
    hel_wkv5_params params = {.heads = terms->heads,
                              .head = r.cols / terms->heads,
                              .state_first = kept.first,
                              .decay_share = terms->decay_share,
                              .bonus_share = terms->bonus_share};
    uint32_t dynamic = terms->change.rows > 0;
    hel_binding bindings[] = {r.where, k.where, v.where, hel_exec_optional(exec, terms->change.where),
                              terms->decay, terms->bonus, kept.state, y.where};
    uint32_t iterations = head_iterations(params.head, HEL_WKV5_COLUMNS, HEL_WKV5_WORKGROUP, 1);
    uint32_t most = hel_exec_steps_at_once(exec, r.rows, FIXED_ITERATIONS, iterations);
    for (; params.first < r.rows; params.first += params.tokens) {
        params.tokens = HEL_MIN(most, r.rows - params.first);
        hel_exec_dispatch(exec, &(hel_call){"wkv5", &dynamic, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                            head_blocks(params.heads, params.head, HEL_WKV5_COLUMNS)});
    }
    return y;
}

hel_tensor hel_wkv7_keys(hel_exec *exec, hel_tensor w, hel_tensor k, hel_tensor a, uint32_t heads,
                         const hel_wkv7_vectors *vectors) {
    hel_tensor kappa = hel_exec_tensor(exec, k.rows, k.cols);
    hel_wkv7_keys_params params = {.heads = heads, .head = k.cols / heads};
    hel_binding bindings[] = {w.where, k.where, a.where, kappa.where, vectors->decay, vectors->rate_bias, vectors->removal,
                              vectors->replacement};
    hel_exec_dispatch(exec, &(hel_call){"wkv7_keys", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)k.rows * heads});
    return kappa;
}

hel_tensor hel_wkv7_apply(hel_exec *exec, const hel_wkv7 *in, hel_kept kept) {
    hel_tensor y = hel_exec_tensor(exec, in->r.rows, in->r.cols);
    hel_wkv7_params params = {.heads = in->heads, .head = in->r.cols / in->heads, .state_first = kept.first};
    hel_binding bindings[] = {in->r.where,     in->w.where, in->k.where, in->v.where,
                              in->kappa.where, in->a.where, kept.state,  y.where};
    uint32_t iterations = head_iterations(params.head, HEL_WKV7_COLUMNS, HEL_WKV7_WORKGROUP, 2);
    uint32_t most = hel_exec_steps_at_once(exec, y.rows, FIXED_ITERATIONS, iterations);
    for (; params.first < y.rows; params.first += params.tokens) {
        params.tokens = HEL_MIN(most, y.rows - params.first);
        hel_exec_dispatch(exec, &(hel_call){"wkv7", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                            head_blocks(params.heads, params.head, HEL_WKV7_COLUMNS)});
    }
    return y;
}

void hel_wkv7_gate(hel_exec *exec, const hel_wkv7 *in, hel_tensor gate, hel_binding bonus, hel_tensor y) {
    hel_wkv7_gate_params params = {.heads = in->heads, .head = y.cols / in->heads};
    hel_binding bindings[] = {in->r.where, in->k.where, in->v.where, gate.where, bonus, y.where};
    hel_exec_dispatch(exec, &(hel_call){"wkv7_gate", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)y.rows * in->heads});
}
