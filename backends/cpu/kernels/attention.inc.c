// SPDX-License-Identifier: Apache-2.0
// attention (shaders/attention.k) with vectors along a head for the products, along positions for the softmax: the same
// chunks and online softmax, scores by fused additions folded by a fixed tree. A token's bits depend neither on the batch
// nor on the threads.
#include <float.h>
#include <math.h>

#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "simd.h"

enum { CHUNK = HEL_ATTENTION_CHUNK, MAX_HEAD_DIM = HEL_ATTENTION_MAX_HEAD_DIM, COLUMNS_AT_ONCE = 4 };
_Static_assert(HEL_ATTENTION_CHUNK % WIDTH == 0, "scores are whole vectors");

// Lane i: query . keys[places[i]].
static vec dots(const float *query, const float *keys, const uint32_t places[WIDTH], uint32_t count) {
    vec sums[WIDTH];
    for (int k = 0; k < WIDTH; k++) sums[k] = vec_zero();
    uint32_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        vec of_query = vec_load(query + i);
        for (int k = 0; k < WIDTH; k++) sums[k] = vec_fma(of_query, vec_load(keys + places[k] + i), sums[k]);
    }
    if (i < count) {
        vec of_query = vec_load_part(query + i, count - i);
        for (int k = 0; k < WIDTH; k++) sums[k] = vec_fma(of_query, vec_load_part(keys + places[k] + i, count - i), sums[k]);
    }
    return vec_sums(sums);
}

// sum = sum * shrink + factors applied to rows of values, `vectors` of columns, a constant where it is inlined.
static inline __attribute__((always_inline)) void mix_columns(float *sum, float shrink, const float *values,
                                                              const uint32_t *places, const float *factors, uint32_t rows,
                                                              const int vectors) {
    vec mixed[COLUMNS_AT_ONCE];
    for (int v = 0; v < vectors; v++) mixed[v] = vec_mul(vec_load(sum + v * WIDTH), vec_set(shrink));
    for (uint32_t r = 0; r < rows; r++) {
        vec factor = vec_set(factors[r]);
        for (int v = 0; v < vectors; v++) mixed[v] = vec_fma(factor, vec_load(values + places[r] + v * WIDTH), mixed[v]);
    }
    for (int v = 0; v < vectors; v++) vec_store(sum + v * WIDTH, mixed[v]);
}

static void mix(float *sum, float shrink, const float *values, const uint32_t *places, const float *factors, uint32_t rows,
                uint32_t count) {
    uint32_t i = 0;
    for (; i + COLUMNS_AT_ONCE * WIDTH <= count; i += COLUMNS_AT_ONCE * WIDTH)
        mix_columns(sum + i, shrink, values + i, places, factors, rows, COLUMNS_AT_ONCE);
    for (; i + WIDTH <= count; i += WIDTH) mix_columns(sum + i, shrink, values + i, places, factors, rows, 1);
    for (; i < count; i++) {
        sum[i] *= shrink;
        for (uint32_t r = 0; r < rows; r++) sum[i] = fmaf(factors[r], values[places[r] + i], sum[i]);
    }
}

// score[i] = e^(score[i] - largest); their sum.
static float exponentials(float score[CHUNK], float largest) {
    vec sum = vec_zero();
    for (uint32_t i = 0; i < CHUNK; i += WIDTH) {
        vec now = vec_exp(vec_add(vec_load(score + i), vec_set(-largest)));
        vec_store(score + i, now);
        sum = vec_add(sum, now);
    }
    return vec_sum(sum);
}

static void attend(const hel_attention_params *p, void *const *buffers, uint32_t group) {
    const float *q = (const float *)buffers[0] + (size_t)group * p->head_dim, *keys = buffers[1], *values = buffers[2];
    const uint32_t *table = buffers[3], *step = buffers[4];
    float *y = (float *)buffers[5] + (size_t)group * p->head_dim;
    uint32_t kv_head = group % p->heads * p->kv_heads / p->heads, end = step[0] + group / p->heads + 1, places[CHUNK];
    float query[MAX_HEAD_DIM], mixed[MAX_HEAD_DIM] = {0}, score[CHUNK], largest = -FLT_MAX, total = 0.0f;
    for (uint32_t i = 0; i < p->head_dim; i++) query[i] = q[i] * p->scale;
    for (uint32_t base = 0; base < end; base += CHUNK) {
        uint32_t here = HEL_MIN(CHUNK, end - base);
        for (uint32_t i = 0; i < CHUNK; i++) {
            uint32_t position = base + HEL_MIN(i, here - 1), page = table[position / p->page_size];
            places[i] = ((page * p->kv_heads + kv_head) * p->page_size + position % p->page_size) * p->head_dim;
        }
        for (uint32_t i = 0; i < CHUNK; i += WIDTH) {
            if (i < here) vec_store(score + i, dots(query, keys, places + i, p->head_dim));
            for (uint32_t k = HEL_MAX(i, here); k < i + WIDTH; k++) score[k] = -INFINITY;
        }
        float now = largest;
        for (uint32_t i = 0; i < here; i++) now = score[i] > now ? score[i] : now;
        float shrink = expf(largest - now), sum = exponentials(score, now);
        total = total * shrink + sum;
        largest = now;
        mix(mixed, shrink, values, places, score, here, p->head_dim);
    }
    for (uint32_t i = 0; i < p->head_dim; i++) y[i] = mixed[i] / total;
}

void SIMD(cpu_attention)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) attend(launch->params, launch->buffers, first + i);
}
