// SPDX-License-Identifier: Apache-2.0
// fftconv_step (shaders/fftconv_step.k): rows of a batch item, whose taps lie side by side, WIDTH at once. A row's bits do not
// depend on its neighbours.
#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "simd.h"

enum { STEP_VECTORS = 4 };

typedef struct step_rows {
    const cpu_launch *launch;
    uint32_t row, channel; // the first
} step_rows;

// `vectors` times WIDTH rows, of which `count` are there.
static inline __attribute__((always_inline)) void step_rows_run(step_rows r, uint32_t vectors, uint32_t count) {
    const hel_fftconv_step_params *p = r.launch->params;
    const float *u = r.launch->buffers[0], *gate_in = r.launch->buffers[1], *gate_out = r.launch->buffers[2];
    const float *taps = (const float *)r.launch->buffers[3] + r.channel;
    uint32_t flags = r.launch->constants[0], t = *(const uint32_t *)r.launch->buffers[4];
    float *state = (float *)r.launch->buffers[5] + (size_t)t * p->rows + r.row, *y = r.launch->buffers[6];
    vec sums[STEP_VECTORS];
    bool whole = count == vectors * WIDTH;
#define LOAD(from, i) (whole ? vec_load((from) + (i) * WIDTH) : vec_load_part(from, count))
    for (uint32_t i = 0; i < vectors; i++) sums[i] = LOAD(state, i);
    for (uint32_t lag = t % p->block; lag > 0; lag--) {
        const float *before = state - (size_t)lag * p->rows, *tap = taps + (size_t)lag * p->channels;
        for (uint32_t i = 0; i < vectors; i++) sums[i] = vec_fma(LOAD(tap, i), LOAD(before, i), sums[i]);
    }
    for (uint32_t i = 0; i < vectors; i++) {
        vec v = LOAD(u + r.row, i);
        if (flags & HEL_FLAG_GATE_IN) v = vec_mul(v, LOAD(gate_in + r.row, i));
        vec sum = vec_fma(LOAD(taps, i), v, sums[i]);
        if (flags & HEL_FLAG_GATE_OUT) sum = vec_mul(sum, LOAD(gate_out + r.row, i));
        float lanes[2 * WIDTH];
        uint32_t n = HEL_MIN(count - i * WIDTH, WIDTH);
        vec_store(lanes, v), vec_store(lanes + WIDTH, sum);
        memcpy(state + i * WIDTH, lanes, n * sizeof *lanes);
        memcpy(y + r.row + i * WIDTH, lanes + WIDTH, n * sizeof *lanes);
    }
#undef LOAD
}

void SIMD(cpu_fftconv_step)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_fftconv_step_params *p = launch->params;
    uint32_t end = HEL_MIN(p->rows, (first + count) * HEL_FFTCONV_STEP_CHUNK);
    for (uint32_t row = first * HEL_FFTCONV_STEP_CHUNK, n; row < end; row += n) {
        step_rows rows = {launch, row, row % p->channels};
        n = HEL_MIN(end - row, p->channels - rows.channel);
        if (n >= STEP_VECTORS * WIDTH) step_rows_run(rows, STEP_VECTORS, n = STEP_VECTORS * WIDTH);
        else step_rows_run(rows, 1, n = HEL_MIN(n, WIDTH));
    }
}
