// SPDX-License-Identifier: Apache-2.0
// attention (shaders/attention.k) with vectors along a head for the products, along positions for the softmax: the same
// chunks and online softmax, scores by fused additions folded by a fixed tree. A token's bits depend neither on the batch
// nor on the threads.
#include <float.h>
#include <math.h>
#include <string.h>

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

// Queries of one head of keys go through these chunk by chunk together, so that a chunk is read once from afar. What one
// query computes does not depend on the others.
enum { QUERIES_TOGETHER = 8 };

typedef struct attention_query {
    float q[MAX_HEAD_DIM], mixed[MAX_HEAD_DIM], largest, total;
    uint32_t group, end; // behind the last position it sees
} attention_query;

static void begin_query(const hel_attention_params *p, void *const *buffers, uint32_t group, attention_query *out) {
    const float *q = (const float *)buffers[0] + (size_t)group * p->head_dim;
    const uint32_t *step = buffers[4];
    for (uint32_t i = 0; i < p->head_dim; i++) out->q[i] = q[i] * p->scale;
    memset(out->mixed, 0, p->head_dim * sizeof *out->mixed);
    out->largest = -FLT_MAX;
    out->total = 0.0f;
    out->group = group;
    out->end = step[0] + group / p->heads + 1;
}

// `here` positions at the places of a chunk.
static void attend_chunk(const hel_attention_params *p, void *const *buffers, const uint32_t places[CHUNK], uint32_t here,
                         attention_query *query) {
    float score[CHUNK], now = query->largest;
    for (uint32_t i = 0; i < CHUNK; i += WIDTH) {
        if (i < here) vec_store(score + i, dots(query->q, buffers[1], places + i, p->head_dim));
        for (uint32_t k = HEL_MAX(i, here); k < i + WIDTH; k++) score[k] = -INFINITY;
    }
    for (uint32_t i = 0; i < here; i++) now = score[i] > now ? score[i] : now;
    float shrink = expf(query->largest - now), sum = exponentials(score, now);
    query->total = query->total * shrink + sum;
    query->largest = now;
    mix(query->mixed, shrink, buffers[2], places, score, here, p->head_dim);
}

static void attend(const hel_attention_params *p, void *const *buffers, uint32_t kv_head, attention_query *queries,
                   uint32_t count) {
    const uint32_t *table = buffers[3];
    uint32_t end = 0, places[CHUNK];
    for (uint32_t q = 0; q < count; q++) end = HEL_MAX(end, queries[q].end);
    for (uint32_t base = 0; base < end; base += CHUNK) {
        for (uint32_t i = 0; i < CHUNK; i++) {
            uint32_t position = HEL_MIN(base + i, end - 1), page = table[position / p->page_size];
            places[i] = ((page * p->kv_heads + kv_head) * p->page_size + position % p->page_size) * p->head_dim;
        }
        for (uint32_t q = 0; q < count; q++)
            if (base < queries[q].end) attend_chunk(p, buffers, places, HEL_MIN(CHUNK, queries[q].end - base), &queries[q]);
    }
    for (uint32_t q = 0; q < count; q++) {
        float *y = (float *)buffers[5] + (size_t)queries[q].group * p->head_dim;
        for (uint32_t i = 0; i < p->head_dim; i++) y[i] = queries[q].mixed[i] / queries[q].total;
    }
}

// The first group from `group` on whose head has these keys.
static uint32_t next_group(const hel_attention_params *p, uint32_t kv_head, uint32_t group) {
    uint32_t first = (uint32_t)hel_ceil_div((uint64_t)kv_head * p->heads, p->kv_heads), head = group % p->heads;
    uint32_t end = (uint32_t)hel_ceil_div((uint64_t)(kv_head + 1) * p->heads, p->kv_heads);
    if (head < first) return group + first - head;
    return head < end ? group : group + p->heads - head + first;
}

void SIMD(cpu_attention)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_attention_params *p = launch->params;
    attention_query queries[QUERIES_TOGETHER];
    for (uint32_t kv_head = 0; kv_head < p->kv_heads; kv_head++) {
        uint32_t together = 0;
        for (uint32_t group = next_group(p, kv_head, first); group < first + count; group = next_group(p, kv_head, group + 1)) {
            begin_query(p, launch->buffers, group, &queries[together++]);
            if (together < QUERIES_TOGETHER) continue;
            attend(p, launch->buffers, kv_head, queries, together);
            together = 0;
        }
        if (together) attend(p, launch->buffers, kv_head, queries, together);
    }
}
