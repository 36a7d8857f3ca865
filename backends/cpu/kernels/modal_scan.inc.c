// SPDX-License-Identifier: Apache-2.0
// modal_scan (shaders/modal_scan.k), WIDTH channels at once whose columns stand together.

enum { MODAL_STEPS = 64, MODES_AT_ONCE = 2 };

typedef struct modal_block {
    const hel_modal_scan_params *p;
    const float *z, *poles, *residues, *direct;
    float *state, *y;
    uint32_t channel, step, steps;
    vec driven[MODAL_STEPS]; // x1 v
    vec sums[MODAL_STEPS];   // of y
} modal_block;

// Row `i` of the block: x2 of its channels, x1 and v behind.
static inline const float *modal_row(const modal_block *b, uint32_t i) {
    uint32_t split = b->p->split, column = b->channel / split * 3 * split + b->channel % split;
    return b->z + (size_t)(b->step + i) * 3 * b->p->channels + column;
}

// Real or imaginary parts of mode n.
static inline vec modal_parts(const modal_block *b, const float *numbers, uint32_t n, uint32_t part, uint32_t count) {
    float lanes[WIDTH] = {0};
    for (uint32_t i = 0; i < count; i++) lanes[i] = numbers[2 * ((size_t)(b->channel + i) * b->p->modes + n) + part];
    return vec_load(lanes);
}

// Modes n .. n + modes go through the steps; `modes` is a constant where it is inlined.
static inline __attribute__((always_inline)) void modal_modes(modal_block *b, uint32_t n, const uint32_t modes, uint32_t count) {
    vec re[MODES_AT_ONCE], im[MODES_AT_ONCE], pole_re[MODES_AT_ONCE], pole_im[MODES_AT_ONCE], residue_re[MODES_AT_ONCE],
        residue_im[MODES_AT_ONCE];
    float *kept = b->state + 2 * (size_t)n * b->p->channels + b->channel;
    for (uint32_t j = 0; j < modes; j++) {
        re[j] = load_some(kept + 2 * (size_t)j * b->p->channels, count);
        im[j] = load_some(kept + (2 * (size_t)j + 1) * b->p->channels, count);
        pole_re[j] = modal_parts(b, b->poles, n + j, 0, count);
        pole_im[j] = modal_parts(b, b->poles, n + j, 1, count);
        residue_re[j] = modal_parts(b, b->residues, n + j, 0, count);
        residue_im[j] = modal_parts(b, b->residues, n + j, 1, count);
    }
    for (uint32_t i = 0; i < b->steps; i++) {
        vec sum = b->sums[i];
        for (uint32_t j = 0; j < modes; j++) {
            vec turned = vec_fnma(pole_im[j], im[j], vec_fma(pole_re[j], re[j], b->driven[i]));
            im[j] = vec_fma(pole_re[j], im[j], vec_mul(pole_im[j], re[j]));
            re[j] = turned;
            sum = vec_fnma(residue_im[j], im[j], vec_fma(residue_re[j], re[j], sum));
        }
        b->sums[i] = sum;
    }
    for (uint32_t j = 0; j < modes; j++) {
        store_some(kept + 2 * (size_t)j * b->p->channels, count, re[j]);
        store_some(kept + (2 * (size_t)j + 1) * b->p->channels, count, im[j]);
    }
}

static inline __attribute__((always_inline)) void modal_channels(modal_block *b, uint32_t count) {
    const hel_modal_scan_params *p = b->p;
    vec direct = load_some(b->direct + b->channel, count);
    uint32_t end = p->first + p->tokens;
    for (b->step = p->first; b->step < end; b->step += b->steps) {
        uint32_t n = 0;
        b->steps = HEL_MIN(MODAL_STEPS, end - b->step);
        for (uint32_t i = 0; i < b->steps; i++) {
            const float *row = modal_row(b, i);
            b->driven[i] = vec_mul(load_some(row + p->split, count), load_some(row + 2 * (size_t)p->split, count));
            b->sums[i] = vec_mul(direct, b->driven[i]);
        }
        for (; n + MODES_AT_ONCE <= p->modes; n += MODES_AT_ONCE) modal_modes(b, n, MODES_AT_ONCE, count);
        for (; n < p->modes; n++) modal_modes(b, n, 1, count);
        for (uint32_t i = 0; i < b->steps; i++)
            store_some(b->y + (size_t)(b->step + i) * p->channels + b->channel, count,
                       vec_mul(load_some(modal_row(b, i), count), b->sums[i]));
    }
}

void SIMD(cpu_modal_scan)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_modal_scan_params *p = launch->params;
    modal_block b = {.p = p, .z = launch->buffers[0], .poles = launch->buffers[1], .residues = launch->buffers[2],
                     .direct = launch->buffers[3], .state = launch->buffers[4], .y = launch->buffers[5]};
    uint32_t end = HEL_MIN(p->channels, (first + count) * HEL_MODAL_SCAN_CHUNK), together;
    for (b.channel = first * HEL_MODAL_SCAN_CHUNK; b.channel < end; b.channel += together) {
        together = HEL_MIN(HEL_MIN(WIDTH, end - b.channel), p->split - b.channel % p->split);
        if (together == WIDTH) modal_channels(&b, WIDTH);
        else modal_channels(&b, together);
    }
}
