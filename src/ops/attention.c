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

// What a lane goes through for a chunk of positions, the tests that end its loops included: the columns of its scores, the
// positions for each column it owns, and less than 32 for the folds and what is passed once (Mesa 22.3 counts 23).
uint32_t hel_attention_positions(const hel_device *device, uint32_t head_dim) {
    uint32_t columns = (uint32_t)hel_ceil_div(head_dim, HEL_ATTENTION_WORKGROUP);
    uint32_t for_chunk = head_dim + columns * (HEL_ATTENTION_CHUNK + 2) + 32, most = device->limits.loop_iterations;
    return most ? most / for_chunk * HEL_ATTENTION_CHUNK : UINT32_MAX;
}

hel_tensor hel_attention(hel_exec *exec, hel_tensor q, const hel_kv_view *cache, hel_binding step) {
    hel_tensor y = hel_exec_tensor(exec, q.rows, q.cols);
    uint32_t heads = q.cols / cache->head_dim;
    hel_attention_params params = {.tokens = q.rows,
                                   .heads = heads,
                                   .kv_heads = cache->kv_heads,
                                   .head_dim = cache->head_dim,
                                   .page_size = cache->page_size,
                                   .scale = cache->scale > 0.0f ? cache->scale : 1.0f / sqrtf((float)cache->head_dim)};
    hel_binding bindings[] = {q.where, cache->keys, cache->values, cache->block_table, step, y.where};
    hel_exec_dispatch(exec, &(hel_call){"attention", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        (uint64_t)q.rows * heads});
    return y;
}
