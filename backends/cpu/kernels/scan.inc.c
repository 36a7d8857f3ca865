// SPDX-License-Identifier: Apache-2.0
// conv1d (shaders/conv1d.k), WIDTH channels at once.
#include "../cpu.h"
#include "base/size.h"
#include "functions.h"

// Row of state and x together at a channel; NULL where it is 0.
static inline const float *conv1d_row(const hel_conv1d_params *p, const float *x, const float *state, uint32_t row,
                                      uint32_t channel) {
    uint32_t kept = p->width - 1;
    if (row < kept) return p->keeps ? state + (size_t)row * p->channels + channel : NULL;
    return row - kept < p->tokens ? x + p->x_first + (size_t)(row - kept) * p->x_stride + channel : NULL;
}

// The first `count` of WIDTH lanes; without a detour where that is a constant WIDTH.
static inline __attribute__((always_inline)) vec load_some(const float *p, uint32_t count) {
    return count == WIDTH ? vec_load(p) : vec_load_part(p, count);
}
static inline __attribute__((always_inline)) void store_some(float *p, uint32_t count, vec a) {
    if (count == WIDTH) vec_store(p, a);
    else vec_store_part(p, count, a);
}

// Channels first .. first + count of rows begin .. end, and of the state where those rows are the first.
static inline __attribute__((always_inline)) void conv1d_block(const cpu_launch *launch, uint32_t first, uint32_t count,
                                                               uint32_t begin, uint32_t end) {
    const hel_conv1d_params *p = launch->params;
    const float *x = launch->buffers[0], *weights = launch->buffers[1], *bias = launch->buffers[2];
    float *state = launch->buffers[3], *y = launch->buffers[4], lanes[WIDTH] = {0};
    uint32_t width = p->width, ahead = p->ahead, activation = p->activation;
    vec taps[HEL_CONV1D_MAX_WIDTH], start = p->biased ? load_some(bias + first, count) : vec_zero();
    for (uint32_t j = 0; j < width; j++) {
        for (uint32_t i = 0; i < count; i++) lanes[i] = weights[(size_t)(first + i) * width + j];
        taps[j] = vec_load(lanes);
    }
    for (uint32_t t = begin; t < end; t++) {
        vec sum = start;
        for (uint32_t j = 0; j < width; j++) {
            const float *row = conv1d_row(p, x, state, t + ahead + j, first);
            if (row) sum = vec_fma(taps[j], load_some(row, count), sum);
        }
        store_some(y + (size_t)t * p->channels + first, count, vec_activated(activation, sum));
    }
    for (uint32_t j = 0; p->keeps && begin == 0 && j + 1 < width; j++)
        memmove(state + (size_t)j * p->channels + first, conv1d_row(p, x, state, p->tokens + j, first), count * sizeof *state);
}

void SIMD(cpu_conv1d)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_conv1d_params *p = launch->params;
    uint32_t blocks = (uint32_t)hel_ceil_div(p->channels, HEL_CONV1D_CHUNK);
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t begin = group / blocks * HEL_CONV1D_TOKENS, end = HEL_MIN(p->tokens, begin + HEL_CONV1D_TOKENS);
        uint32_t channel = group % blocks * HEL_CONV1D_CHUNK, last = HEL_MIN(p->channels, channel + HEL_CONV1D_CHUNK);
        for (; channel + WIDTH <= last; channel += WIDTH) conv1d_block(launch, channel, WIDTH, begin, end);
        if (channel < last) conv1d_block(launch, channel, last - channel, begin, end);
    }
}
