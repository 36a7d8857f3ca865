// SPDX-License-Identifier: Apache-2.0
// token_mix (shaders/token_mix.k), WIDTH channels of a token at once.
#include "../cpu.h"
#include "base/size.h"
#include "functions.h"

// Products of `rank` changes with the factors of `count` channels, whose rows lie behind each other.
static inline vec mix_low_rank(const float *change, const float *factor, uint32_t rank, uint32_t count) {
    vec sums[WIDTH];
    for (uint32_t lane = 0; lane < WIDTH; lane++) sums[lane] = vec_zero();
    for (uint32_t l = 0, part; l < rank; l += part) {
        part = HEL_MIN(WIDTH, rank - l);
        vec x = load_some(change + l, part);
        for (uint32_t lane = 0; lane < count; lane++)
            sums[lane] = vec_fma(load_some(factor + (size_t)lane * rank + l, part), x, sums[lane]);
    }
    return vec_sums(sums);
}

// `count` channels from `c` on of token t; the form is a constant where it is inlined.
static inline __attribute__((always_inline)) void mix_channels(const cpu_launch *launch, const uint32_t form, uint32_t t,
                                                               uint32_t c, uint32_t count) {
    const hel_token_mix_params *p = launch->params;
    const float *change = launch->buffers[3], *factor = launch->buffers[4];
    size_t i = (size_t)t * p->cols + c;
    vec x = load_some((const float *)launch->buffers[0] + i, count);
    vec other = load_some((const float *)launch->buffers[1] + i, count);
    vec share = load_some((const float *)launch->buffers[2] + c, count);
    if (form == HEL_MIX_OF_X) share = vec_sub(vec_set(1.0f), share);
    if (form == HEL_MIX_SIGMOID) share = vec_sigmoid(vec_add(share, load_some(change + i, count)));
    if (form == HEL_MIX_LOW_RANK)
        share = vec_add(share, mix_low_rank(change + (size_t)t * p->stride + p->first * p->rank,
                                            factor + ((size_t)p->first * p->cols + c) * p->rank, p->rank, count));
    store_some((float *)launch->buffers[5] + i, count, vec_fma(vec_sub(other, x), share, x));
}

static inline __attribute__((always_inline)) void mix_elements(const cpu_launch *launch, const uint32_t form, uint32_t i,
                                                               uint32_t end) {
    uint32_t cols = ((const hel_token_mix_params *)launch->params)->cols;
    for (uint32_t c = i % cols, count; i < end; i += count, c = (c + count) % cols) {
        count = HEL_MIN(HEL_MIN(WIDTH, cols - c), end - i);
        if (count == WIDTH) mix_channels(launch, form, i / cols, c, WIDTH);
        else mix_channels(launch, form, i / cols, c, count);
    }
}

void SIMD(cpu_token_mix)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_token_mix_params *p = launch->params;
    uint32_t begin = first * HEL_TOKEN_MIX_CHUNK, end = HEL_MIN(p->n, (first + count) * HEL_TOKEN_MIX_CHUNK);
    switch (launch->constants[HEL_TOKEN_MIX_AT_SHARE]) {
    case HEL_MIX_OF_X: mix_elements(launch, HEL_MIX_OF_X, begin, end); break;
    case HEL_MIX_LOW_RANK: mix_elements(launch, HEL_MIX_LOW_RANK, begin, end); break;
    case HEL_MIX_SIGMOID: mix_elements(launch, HEL_MIX_SIGMOID, begin, end); break;
    default: mix_elements(launch, HEL_MIX_OF_OTHER, begin, end);
    }
}
