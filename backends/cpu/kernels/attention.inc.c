// SPDX-License-Identifier: Apache-2.0
// attention (shaders/attention.k) with vectors along a head: the same chunks and online softmax, scores by fused
// additions folded by a fixed tree. A token's bits depend neither on the batch nor on the threads.
#include <math.h>

#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "simd.h"

enum { CHUNK = HEL_ATTENTION_CHUNK, MAX_HEAD_DIM = HEL_ATTENTION_MAX_HEAD_DIM };

static float dot(const float *a, const float *b, uint32_t count) {
    vec sum = vec_zero();
    uint32_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) sum = vec_fma(vec_load(a + i), vec_load(b + i), sum);
    if (i < count) sum = vec_fma(vec_load_part(a + i, count - i), vec_load_part(b + i, count - i), sum);
    return vec_sum(sum);
}

// sum = sum * shrink + factors applied to rows of values.
static void mix(float *sum, float shrink, const float *values, const uint32_t *places, const float *factors,
                uint32_t rows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) sum[i] *= shrink;
    for (uint32_t r = 0; r < rows; r++) {
        const float *value = values + places[r];
        vec factor = vec_set(factors[r]);
        uint32_t i = 0;
        for (; i + WIDTH <= count; i += WIDTH) vec_store(sum + i, vec_fma(factor, vec_load(value + i), vec_load(sum + i)));
        for (; i < count; i++) sum[i] = fmaf(factors[r], value[i], sum[i]);
    }
}

static void attend(const hel_attention_params *p, void *const *buffers, uint32_t group) {
    const float *q = (const float *)buffers[0] + (size_t)group * p->head_dim, *keys = buffers[1], *values = buffers[2];
    const uint32_t *table = buffers[3], *step = buffers[4];
    float *y = (float *)buffers[5] + (size_t)group * p->head_dim;
    uint32_t kv_head = group % p->heads * p->kv_heads / p->heads, end = step[0] + group / p->heads + 1, places[CHUNK];
    float query[MAX_HEAD_DIM], mixed[MAX_HEAD_DIM] = {0}, score[CHUNK], largest = -INFINITY, total = 0.0f;
    for (uint32_t i = 0; i < p->head_dim; i++) query[i] = q[i] * p->scale;
    for (uint32_t base = 0; base < end; base += CHUNK) {
        uint32_t here = HEL_MIN(CHUNK, end - base);
        float now = largest;
        for (uint32_t i = 0; i < here; i++) {
            uint32_t position = base + i, page = table[position / p->page_size];
            places[i] = ((page * p->kv_heads + kv_head) * p->page_size + position % p->page_size) * p->head_dim;
            score[i] = dot(query, keys + places[i], p->head_dim);
            now = fmaxf(now, score[i]);
        }
        float shrink = expf(largest - now), sum = 0.0f;
        for (uint32_t i = 0; i < here; i++) sum += score[i] = expf(score[i] - now);
        total = total * shrink + sum;
        largest = now;
        mix(mixed, shrink, values, places, score, here, p->head_dim);
    }
    for (uint32_t i = 0; i < p->head_dim; i++) y[i] = mixed[i] / total;
}

void SIMD(cpu_attention)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) attend(launch->params, launch->buffers, first + i);
}
