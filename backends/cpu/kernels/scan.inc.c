// SPDX-License-Identifier: Apache-2.0
// What goes along the rows of a sequence, WIDTH channels at once: conv1d (shaders/conv1d.k) and ssm_scan.
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

// ---------------------------------------------------------------- ssm_scan (shaders/ssm_scan.k), WIDTH channels at once

enum { SCAN_STEPS = 64, STATES_AT_ONCE = 4 };

// Some steps of channels that have a head, and B and C, in common.
typedef struct scan_block {
    const hel_ssm_scan_params *p;
    const float *x, *raw, *bc, *more, *a, *d;
    float *states, *y;
    bool heads;
    uint32_t channel, step, steps;
    vec driven[SCAN_STEPS]; // dt x
    vec rate[SCAN_STEPS];   // dt, or the factor of h that the states have in common
    vec sums[SCAN_STEPS];   // of y
    vec total;              // of dt
} scan_block;

static inline vec scan_time_step(const hel_ssm_scan_params *p, vec raw) {
    return vec_add(vec_max(vec_set(p->low), vec_min(vec_set(p->high), vec_softplus(raw))), vec_set(p->extra));
}

static inline uint32_t scan_row(const scan_block *b, uint32_t i) {
    return b->p->reverse ? b->p->steps - 1 - b->step - i : b->step + i;
}

static inline __attribute__((always_inline)) void scan_begin(scan_block *b, uint32_t count) {
    const hel_ssm_scan_params *p = b->p;
    uint32_t head = b->channel / p->head_dim;
    vec skip = b->heads ? vec_set(b->d[head]) : load_some(b->d + b->channel, count);
    for (uint32_t i = 0; i < b->steps; i++) {
        size_t row = scan_row(b, i);
        const float *raw = b->raw + p->dt_first + row * p->dt_stride;
        vec dt = scan_time_step(p, b->heads ? vec_set(raw[head] + b->more[head]) : load_some(raw + b->channel, count));
        vec x = load_some(b->x + p->x_first + row * p->x_stride + b->channel, count);
        b->total = vec_add(b->total, dt);
        b->driven[i] = vec_mul(dt, x);
        b->rate[i] = b->heads ? vec_exp(vec_mul(dt, vec_set(b->a[head]))) : dt;
        vec before = p->add && !p->alone ? load_some(b->y + row * p->channels + b->channel, count) : vec_zero();
        b->sums[i] = vec_fma(skip, x, before);
    }
}

// States n .. n + states of the piece go through the steps; `states` and `heads` are constants where it is inlined.
static inline __attribute__((always_inline)) void scan_states(scan_block *b, float *h_of, uint32_t n, const uint32_t states,
                                                              const bool heads, uint32_t count) {
    const hel_ssm_scan_params *p = b->p;
    vec h[STATES_AT_ONCE], a[STATES_AT_ONCE];
    const float *shared = b->bc + (b->channel / p->group_channels) * (size_t)p->state + n;
    for (uint32_t j = 0; j < states; j++) {
        h[j] = load_some(h_of + (size_t)(n + j) * p->channels, count);
        a[j] = heads ? vec_zero() : load_some(b->a + (size_t)(n + j) * p->channels + b->channel, count);
    }
    for (uint32_t i = 0; i < b->steps; i++) {
        const float *row = shared + (size_t)scan_row(b, i) * p->bc_stride;
        vec rate = b->rate[i], driven = b->driven[i], sum = b->sums[i];
        for (uint32_t j = 0; j < states; j++) {
            vec shrink = heads ? rate : vec_exp(vec_mul(rate, a[j]));
            h[j] = vec_fma(shrink, h[j], vec_mul(driven, vec_set(row[p->b_first + j])));
            sum = vec_fma(h[j], vec_set(row[p->c_first + j]), sum);
        }
        b->sums[i] = sum;
    }
    for (uint32_t j = 0; j < states; j++) store_some(h_of + (size_t)(n + j) * p->channels, count, h[j]);
}

static inline __attribute__((always_inline)) void scan_all_states(scan_block *b, float *h_of, const bool heads, uint32_t count) {
    uint32_t n = 0;
    for (; n + STATES_AT_ONCE <= b->p->state; n += STATES_AT_ONCE) scan_states(b, h_of, n, STATES_AT_ONCE, heads, count);
    for (; n < b->p->state; n++) scan_states(b, h_of, n, 1, heads, count);
}

static inline __attribute__((always_inline)) void scan_end(const scan_block *b, uint32_t count) {
    const hel_ssm_scan_params *p = b->p;
    for (uint32_t i = 0; i < b->steps; i++) {
        size_t row = scan_row(b, i);
        vec sum = b->sums[i];
        if (p->gated) sum = vec_mul(sum, vec_silu(load_some(b->more + p->z_first + row * p->z_stride + b->channel, count)));
        store_some(b->y + row * p->channels + b->channel, count, sum);
    }
}

// A piece's steps for `count` channels; h lies in the piece's states.
static inline __attribute__((always_inline)) void scan_piece(scan_block *b, uint32_t piece, uint32_t count) {
    const hel_ssm_scan_params *p = b->p;
    uint32_t first = p->first + piece * p->piece, end = HEL_MIN(p->first + p->count, first + p->piece);
    uint32_t pieces = (uint32_t)hel_ceil_div(p->count, p->piece);
    float *h_of = b->states + (size_t)piece * p->state * p->channels + b->channel;
    for (uint32_t n = 0; n < p->state && p->alone; n++) store_some(h_of + (size_t)n * p->channels, count, vec_zero());
    b->total = vec_zero();
    for (b->step = first; b->step < end; b->step += b->steps) {
        b->steps = HEL_MIN(SCAN_STEPS, end - b->step);
        scan_begin(b, count);
        if (b->heads) scan_all_states(b, h_of, true, count);
        else scan_all_states(b, h_of, false, count);
        if (!p->alone) scan_end(b, count);
    }
    if (p->alone) store_some(b->states + ((size_t)pieces * p->state + piece) * p->channels + b->channel, count, b->total);
}

void SIMD(cpu_ssm_scan)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_ssm_scan_params *p = launch->params;
    scan_block b = {.p = p, .x = launch->buffers[0], .raw = launch->buffers[1], .bc = launch->buffers[2],
                    .more = launch->buffers[3], .a = launch->buffers[4], .d = launch->buffers[5],
                    .states = launch->buffers[6], .y = launch->buffers[7], .heads = launch->constants[HEL_SSM_SCAN_AT_HEADS]};
    uint32_t blocks = (uint32_t)hel_ceil_div(p->channels, HEL_SSM_SCAN_CHUNK);
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t end = HEL_MIN(p->channels, (group % blocks + 1) * HEL_SSM_SCAN_CHUNK), alike;
        for (b.channel = group % blocks * HEL_SSM_SCAN_CHUNK; b.channel < end; b.channel += alike) {
            uint32_t unit = b.heads ? p->head_dim : p->group_channels; // a head lies within a group
            alike = HEL_MIN(HEL_MIN(WIDTH, end - b.channel), unit - b.channel % unit);
            if (alike == WIDTH) scan_piece(&b, group / blocks, WIDTH);
            else scan_piece(&b, group / blocks, alike);
        }
    }
}
