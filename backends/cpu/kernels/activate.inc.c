// SPDX-License-Identifier: Apache-2.0
// activate (shaders/activate.k), WIDTH columns of a row at once.
#include "../cpu.h"
#include "base/size.h"
#include "functions.h"

// y = f(x) [up] for `count` elements that lie side by side; the function is a constant where it is inlined.
static inline __attribute__((always_inline)) void activate_run(const uint32_t activation, const float *x, const float *up,
                                                               float *y, uint32_t count) {
    uint32_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        vec value = vec_activated(activation, vec_load(x + i));
        vec_store(y + i, up ? vec_mul(value, vec_load(up + i)) : value);
    }
    if (i == count) return;
    vec value = vec_activated(activation, vec_load_part(x + i, count - i));
    vec_store_part(y + i, count - i, up ? vec_mul(value, vec_load_part(up + i, count - i)) : value);
}

#define ACTIVATE_AS(name) \
    case HEL_ACTIVATION_##name: activate_run(HEL_ACTIVATION_##name, x, up, y, count); break

static void activate(uint32_t activation, const float *x, const float *up, float *y, uint32_t count) {
    switch (activation) {
        ACTIVATE_AS(RELU);
        ACTIVATE_AS(RELU_SQUARED);
        ACTIVATE_AS(SIGMOID);
        ACTIVATE_AS(SILU);
        ACTIVATE_AS(TANH);
        ACTIVATE_AS(SOFTPLUS);
        ACTIVATE_AS(GELU);
        ACTIVATE_AS(GELU_TANH);
    default: activate_run(HEL_ACTIVATION_IDENTITY, x, up, y, count);
    }
}

void SIMD(cpu_activate)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_activate_params *p = launch->params;
    const float *x = launch->buffers[0], *up = launch->buffers[1];
    float *y = launch->buffers[2];
    uint32_t i = first * HEL_ACTIVATE_CHUNK, end = HEL_MIN(p->n, (first + count) * HEL_ACTIVATE_CHUNK);
    while (i < end) {
        uint32_t row = i / p->cols, col = i % p->cols, here = HEL_MIN(p->cols - col, end - i);
        const float *up_here = p->gated ? up + p->up_first + (size_t)row * p->up_stride + col : NULL;
        activate(p->activation, x + p->x_first + (size_t)row * p->x_stride + col, up_here, y + i, here);
        i += here;
    }
}
