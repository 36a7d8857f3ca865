// SPDX-License-Identifier: Apache-2.0
// fftconv_toeplitz and fftconv_toeplitz_taps (shaders/): blocks are vectors, and a band is what WIDTH taps of a filter make.
#include "../cpu.h"
#include "kernels.h"
#include "row.h"

enum { BANDS_AT_ONCE = 4, BLOCKS_AT_ONCE = 8, TAPS_AT_ONCE = 2 };
enum { TOEPLITZ_STEPS = HEL_TOEPLITZ_SPAN * HEL_TOEPLITZ_BLOCKS, TOEPLITZ_REACH = HEL_FFTCONV_TOEPLITZ_MAX_TAPS };

// v from `first` on, `count` steps, with `reach` before them, both multiples of WIDTH; v begins TOEPLITZ_REACH before `first`.
static void load_tile(const cpu_row *row, uint32_t first, uint32_t reach, uint32_t count, float *v) {
    for (uint32_t i = TOEPLITZ_REACH - reach; i < TOEPLITZ_REACH + count; i += WIDTH)
        vec_store(v + i, first + i < TOEPLITZ_REACH ? vec_zero() : row_input(row, first + i - TOEPLITZ_REACH));
}

// Where row `number` begins in a buffer that has `first` elements before its rows.
static const void *toeplitz_at(const void *buffer, hel_storage storage, uint32_t steps, uint32_t first, uint32_t number) {
    size_t unit = storage == HEL_STORAGE_F32 ? sizeof(float) : sizeof(uint16_t);
    return (const unsigned char *)buffer + first * unit + number * hel_storage_row(storage, steps);
}

// ---------------------------------------------------------------- fftconv_toeplitz

// sums[k] += sum over s < count, j < bands of h[WIDTH j + s] v_(k - j)[- s]; `bands` is a constant where it is inlined.
static inline __attribute__((always_inline)) void add_bands(const float *v, const float *h, uint32_t count, const uint32_t bands,
                                                            vec sums[BLOCKS_AT_ONCE]) {
    vec sum[BLOCKS_AT_ONCE];
    for (uint32_t k = 0; k < BLOCKS_AT_ONCE; k++) sum[k] = sums[k];
    for (uint32_t s = 0; s < count; s++) {
        const float *from = v - s - (size_t)(bands - 1) * WIDTH;
        vec taps[BANDS_AT_ONCE];
        for (uint32_t j = 0; j < bands; j++) taps[j] = vec_set(h[j * WIDTH + s]);
#pragma GCC unroll 16
        for (uint32_t m = 0; m < BLOCKS_AT_ONCE + bands - 1; m++) {
            vec x = vec_load(from + m * WIDTH);
#pragma GCC unroll 4
            for (uint32_t j = 0; j < bands; j++)
                if (m + j + 1 >= bands && m + j + 1 < BLOCKS_AT_ONCE + bands)
                    sum[m + j + 1 - bands] = vec_fma(taps[j], x, sum[m + j + 1 - bands]);
        }
    }
    for (uint32_t k = 0; k < BLOCKS_AT_ONCE; k++) sums[k] = sum[k];
}

// Taps and what v has before these steps are there up to a multiple of WIDTH, the taps being zeros.
static void multiply_blocks(const float *v, const float *h, uint32_t taps, vec sums[BLOCKS_AT_ONCE]) {
    for (uint32_t k = 0; k < BLOCKS_AT_ONCE; k++) sums[k] = vec_zero();
    for (uint32_t s = 0; s < taps; s += BANDS_AT_ONCE * WIDTH) {
        switch (HEL_MIN(hel_ceil_div(taps - s, WIDTH), BANDS_AT_ONCE)) {
        case 1: add_bands(v - s, h + s, HEL_MIN(taps - s, WIDTH), 1, sums); break;
        case 2: add_bands(v - s, h + s, WIDTH, 2, sums); break;
        case 3: add_bands(v - s, h + s, WIDTH, 3, sums); break;
        default: add_bands(v - s, h + s, WIDTH, BANDS_AT_ONCE, sums);
        }
    }
}

// Steps `first` and on of a row, as many as a work-group has.
static void convolve_tile(const cpu_row *row, const float *filter, uint32_t n_taps, uint32_t first) {
    uint32_t steps = HEL_MIN(row->steps - first, TOEPLITZ_STEPS), taps = HEL_MIN(n_taps, first + steps);
    uint32_t reach = (uint32_t)hel_round_up(taps, WIDTH);
    float v[TOEPLITZ_REACH + TOEPLITZ_STEPS], h[TOEPLITZ_REACH];
    memcpy(h, filter, taps * sizeof *h);
    memset(h + taps, 0, (reach - taps) * sizeof *h);
    load_tile(row, first, reach, (uint32_t)hel_round_up(steps, BLOCKS_AT_ONCE * WIDTH), v);
    for (uint32_t at = 0; at < steps; at += BLOCKS_AT_ONCE * WIDTH) {
        vec sums[BLOCKS_AT_ONCE];
        multiply_blocks(v + TOEPLITZ_REACH + at, h, HEL_MIN(taps, first + at + BLOCKS_AT_ONCE * WIDTH), sums);
        for (uint32_t k = 0; k < BLOCKS_AT_ONCE; k++) row_output(row, first + at + k * WIDTH, sums[k]);
    }
}

void SIMD(cpu_fftconv_toeplitz)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_fftconv_toeplitz_params *p = launch->params;
    uint32_t tiles = (uint32_t)hel_ceil_div(p->steps, TOEPLITZ_STEPS), flags = p->flags, steps = p->steps;
    const float *bias = launch->buffers[3], *taps = launch->buffers[4];
    cpu_row row = {.steps = steps,
                   .storage = flags & HEL_FLAG_HALF_IN ? HEL_STORAGE_BF16 : HEL_STORAGE_F32,
                   .y_storage = flags & HEL_FLAG_HALF_OUT ? HEL_STORAGE_BF16 : HEL_STORAGE_F32,
                   .reversed = flags & HEL_FLAG_REVERSED,
                   .accumulate = flags & HEL_FLAG_SUM};
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t number = group / tiles, channel = (p->first_row + number) % p->channels;
        uint32_t filter = (p->first_row + number) % p->filters * p->taps - p->taps_first;
        row.u = toeplitz_at(launch->buffers[0], row.storage, steps, p->u_first, number);
        if (flags & HEL_FLAG_GATE_IN) row.gate_in = toeplitz_at(launch->buffers[1], row.storage, steps, p->u_first, number);
        if (flags & HEL_FLAG_GATE_OUT) row.gate_out = toeplitz_at(launch->buffers[2], row.storage, steps, p->u_first, number);
        row.y = (void *)(uintptr_t)toeplitz_at(launch->buffers[5], row.y_storage, steps, p->y_first, number);
        row.bias = flags & HEL_FLAG_DIRECT ? bias[channel] : 0.0f;
        convolve_tile(&row, taps + filter, p->taps, group % tiles * TOEPLITZ_STEPS);
    }
}

// ---------------------------------------------------------------- fftconv_toeplitz_taps

// Steps that are read at a time, with nothing round them for bands to fall on.
enum { PIECE_STEPS = 1024, PIECE_EDGE = (BANDS_AT_ONCE - 1) * WIDTH };

// sums[WIDTH j + s] += sum over k of z_(k + j) v_k[- s], for two s and `bands` j, a constant where it is inlined; k goes from
// begin / WIDTH - bands + 1 on.
static inline __attribute__((always_inline)) void correlate(const float *v, const float *z, uint32_t begin, uint32_t steps,
                                                            const uint32_t bands, vec *sums) {
    vec sum[TAPS_AT_ONCE][BANDS_AT_ONCE];
    for (uint32_t s = 0; s < TAPS_AT_ONCE; s++)
        for (uint32_t j = 0; j < bands; j++) sum[s][j] = sums[j * WIDTH + s];
    v -= (size_t)(bands - 1) * WIDTH, z -= (size_t)(bands - 1) * WIDTH;
    for (uint32_t at = begin; at < steps + (bands - 1) * WIDTH; at += WIDTH) {
        vec x[TAPS_AT_ONCE];
        for (uint32_t s = 0; s < TAPS_AT_ONCE; s++) x[s] = vec_load(v + at - s);
        for (uint32_t j = 0; j < bands; j++) {
            vec factor = vec_load(z + at + j * WIDTH);
            for (uint32_t s = 0; s < TAPS_AT_ONCE; s++) sum[s][j] = vec_fma(factor, x[s], sum[s][j]);
        }
    }
    for (uint32_t s = 0; s < TAPS_AT_ONCE; s++)
        for (uint32_t j = 0; j < bands; j++) sums[j * WIDTH + s] = sum[s][j];
}

// Where the row begins with the piece, bands have nothing before their own first step.
static void correlate_piece(const float *v, const float *z, bool first, uint32_t steps, uint32_t taps, vec *sums) {
    for (uint32_t c = 0; c < taps; c += BANDS_AT_ONCE * WIDTH) {
        uint32_t bands = (uint32_t)HEL_MIN(hel_ceil_div(taps - c, WIDTH), BANDS_AT_ONCE);
        uint32_t begin = first ? c + (bands - 1) * WIDTH : 0;
        for (uint32_t s = 0; s < HEL_MIN(taps - c, WIDTH); s += TAPS_AT_ONCE) {
            const float *from = v - c - s;
            switch (bands) {
            case 1: correlate(from, z, begin, steps, 1, sums + c + s); break;
            case 2: correlate(from, z, begin, steps, 2, sums + c + s); break;
            case 3: correlate(from, z, begin, steps, 3, sums + c + s); break;
            default: correlate(from, z, begin, steps, BANDS_AT_ONCE, sums + c + s);
            }
        }
    }
}

static void correlate_slice(const cpu_row *input, const cpu_row *given, uint32_t begin, uint32_t end, uint32_t taps, float *out) {
    vec sums[TOEPLITZ_REACH];
    float v[TOEPLITZ_REACH + PIECE_STEPS], z[PIECE_EDGE + PIECE_STEPS + PIECE_EDGE] = {0};
    uint32_t whole = (uint32_t)hel_round_up(taps, WIDTH);
    for (uint32_t i = 0; i < whole; i++) sums[i] = vec_zero();
    for (uint32_t first = begin; first < end; first += PIECE_STEPS) {
        uint32_t steps = (uint32_t)hel_round_up(HEL_MIN(end - first, PIECE_STEPS), WIDTH);
        load_tile(input, first, whole, steps, v);
        for (uint32_t i = 0; i < PIECE_STEPS + PIECE_EDGE; i += WIDTH)
            vec_store(z + PIECE_EDGE + i, i < steps ? row_input(given, first + i) : vec_zero());
        correlate_piece(v + TOEPLITZ_REACH, z + PIECE_EDGE, first == 0, steps, taps, sums);
    }
    for (uint32_t i = 0; i < taps; i += WIDTH) store_some(out + i, HEL_MIN(taps - i, WIDTH), vec_sums(sums + i));
}

void SIMD(cpu_fftconv_toeplitz_taps)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_fftconv_toeplitz_taps_params *p = launch->params;
    uint32_t flags = p->flags, steps = p->steps;
    cpu_row input = {.steps = steps, .storage = flags & HEL_FLAG_HALF_IN ? HEL_STORAGE_BF16 : HEL_STORAGE_F32}, given = input;
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t number = group / p->slices, slice = group % p->slices, begin = slice * p->slice;
        input.u = toeplitz_at(launch->buffers[0], input.storage, steps, p->u_first, number);
        given.u = toeplitz_at(launch->buffers[2], input.storage, steps, p->y_first, number);
        if (flags & HEL_FLAG_GATE_IN) input.gate_in = toeplitz_at(launch->buffers[1], input.storage, steps, p->u_first, number);
        if (flags & HEL_FLAG_GATE_OUT) given.gate_in = toeplitz_at(launch->buffers[3], input.storage, steps, p->u_first, number);
        float *sums = (float *)launch->buffers[4] + ((size_t)slice * p->rows + number) * p->taps;
        correlate_slice(&input, &given, begin, HEL_MIN(steps, begin + p->slice), p->taps, sums);
    }
}
