// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

void hel_kv_append(hel_exec *exec, hel_tensor k, hel_tensor v, const hel_kv_view *cache, hel_binding step) {
    hel_kv_append_params params = {
        .tokens = k.rows, .kv_heads = cache->kv_heads, .head_dim = cache->head_dim, .page_size = cache->page_size};
    hel_binding bindings[] = {k.where, v.where, cache->keys, cache->values, cache->block_table, step};
    hel_exec_dispatch(exec, &(hel_call){"kv_append", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)k.rows * cache->kv_heads});
}

// A position takes a lane at most head_dim / 23 iterations: its share of the scores, of the values and of the folds.
uint32_t hel_attention_positions(const hel_device *device, uint32_t head_dim) {
    uint32_t iterations = device->limits.loop_iterations;
    return iterations ? iterations / head_dim * 23 : UINT32_MAX;
}

hel_tensor hel_attention(hel_exec *exec, hel_tensor q, const hel_kv_view *cache, hel_binding step) {
    hel_tensor y = hel_exec_tensor(exec, q.rows, q.cols);
    uint32_t heads = q.cols / cache->head_dim;
    hel_attention_params params = {.tokens = q.rows,
                                   .heads = heads,
                                   .kv_heads = cache->kv_heads,
                                   .head_dim = cache->head_dim,
                                   .page_size = cache->page_size,
                                   .scale = 1.0f / sqrtf((float)cache->head_dim)};
    hel_binding bindings[] = {q.where, cache->keys, cache->values, cache->block_table, step, y.where};
    hel_exec_dispatch(exec, &(hel_call){"attention", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)q.rows * heads});
    return y;
}
