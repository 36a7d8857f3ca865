// SPDX-License-Identifier: Apache-2.0
// swiglu (shaders/swiglu.k), WIDTH elements at once.
#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "simd.h"

static vec gated(vec gate, vec up) {
    vec one = vec_set(1.0f);
    return vec_mul(vec_div(gate, vec_add(one, vec_exp(vec_mul(gate, vec_set(-1.0f))))), up);
}

void SIMD(cpu_swiglu)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_swiglu_params *p = launch->params;
    const float *gate = launch->buffers[0], *up = launch->buffers[1];
    float *y = launch->buffers[2];
    uint32_t i = first * HEL_SWIGLU_CHUNK, end = HEL_MIN(p->n, (first + count) * HEL_SWIGLU_CHUNK);
    for (; i + WIDTH <= end; i += WIDTH) vec_store(y + i, gated(vec_load(gate + i), vec_load(up + i)));
    if (i == end) return;
    float last[WIDTH];
    vec_store(last, gated(vec_load_part(gate + i, end - i), vec_load_part(up + i, end - i)));
    memcpy(y + i, last, (end - i) * sizeof *y);
}
