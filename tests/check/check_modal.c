// SPDX-License-Identifier: Apache-2.0
// modal_scan.
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 4 };

typedef struct modal {
    hel_modal_scan_params p;
    float *z, *poles, *residues, *direct, *state;
} modal;

// A number and what bounds its size and its error.
typedef struct mode_value {
    double re, im, size, error;
} mode_value;

static double input(const modal *m, uint32_t t, uint32_t channel, uint32_t part) {
    const hel_modal_scan_params *p = &m->p;
    return m->z[t * 3 * p->channels + channel / p->split * 3 * p->split + part * p->split + channel % p->split];
}

static void turn(mode_value *s, const float pole[2], double w) {
    double radius = hypot(pole[0], pole[1]), re = pole[0] * s->re - pole[1] * s->im + w;
    s->im = pole[0] * s->im + pole[1] * s->re;
    s->re = re;
    s->size = radius * s->size + fabs(w);
    s->error = radius * s->error + 6.0 * CHECK_U * s->size + 8.0 * CHECK_TINY * (1.0 + s->size);
}

// One mode of one channel through all tokens; adds to the sums of y [tokens].
static mode_value expect_mode(const modal *m, uint32_t channel, uint32_t n, mode_value *sums) {
    const float *pole = m->poles + 2 * (channel * m->p.modes + n), *residue = m->residues + 2 * (channel * m->p.modes + n);
    const float *start = m->state + 2 * n * m->p.channels + channel;
    mode_value s = {start[0], start[m->p.channels], hypot(start[0], start[m->p.channels]), 0.0};
    double weight = hypot(residue[0], residue[1]);
    for (uint32_t t = m->p.first; t < m->p.first + m->p.tokens; t++) {
        turn(&s, pole, input(m, t, channel, 1) * input(m, t, channel, 2));
        sums[t].re += residue[0] * s.re - residue[1] * s.im;
        sums[t].size += weight * s.size;
        sums[t].error += weight * s.error + 4.0 * CHECK_TINY * (1.0 + weight);
    }
    return s;
}

typedef struct modal_results {
    double *y, *y_limit, *state, *state_limit;
} modal_results;

static void expect_channel(check *c, const modal *m, uint32_t channel, const modal_results *out) {
    const hel_modal_scan_params *p = &m->p;
    mode_value *sums = check_memory(c, p->first + p->tokens, sizeof *sums);
    for (uint32_t n = 0; n < p->modes; n++) {
        mode_value s = expect_mode(m, channel, n, sums);
        size_t at = 2 * n * p->channels + channel;
        out->state[at] = s.re;
        out->state[at + p->channels] = s.im;
        out->state_limit[at] = out->state_limit[at + p->channels] = s.error;
    }
    for (uint32_t t = p->first; t < p->first + p->tokens; t++) {
        double direct = m->direct[channel] * input(m, t, channel, 1) * input(m, t, channel, 2), gate = input(m, t, channel, 0);
        double size = sums[t].size + fabs(direct), error = sums[t].error + check_sum_limit(2 * p->modes + 2, size);
        out->y[t * p->channels + channel] = gate * (sums[t].re + direct);
        out->y_limit[t * p->channels + channel] = fabs(gate) * (error + CHECK_U * size + 8.0 * CHECK_TINY) + 4.0 * CHECK_TINY;
    }
}

// Poles within the unit circle.
static float *make_poles(check *c, uint32_t count) {
    float *poles = check_floats(c, 2 * (size_t)count);
    for (uint32_t i = 0; i < count; i++) {
        double radius = check_uniform(c), angle = 6.28 * check_uniform(c);
        poles[2 * i] = (float)(radius * cos(angle));
        poles[2 * i + 1] = (float)(radius * sin(angle));
    }
    return poles;
}

static void modal_scan_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t split = check_size(c, 40), channels = split * (1 + check_random(c, 4));
    uint32_t modes = check_size(c, 12), rows = check_size(c, 60), tokens = check_random(c, 2) ? rows : 1 + check_random(c, rows);
    modal m = {.p = {.tokens = tokens, .channels = channels, .modes = modes, .split = split, .first = check_random(c, rows - tokens + 1)}};
    check_shape(c, "tokens %u of %u from %u, channels %u of %u, modes %u", tokens, rows, m.p.first, channels, split, modes);
    uint32_t n_z = 3 * rows * channels, n_y = rows * channels, n = 2 * modes * channels;
    m.z = check_values(c, n_z, fill, RANGE);
    m.poles = make_poles(c, modes * channels);
    m.residues = check_values(c, n, fill, RANGE);
    m.direct = check_values(c, channels, fill, RANGE);
    m.state = check_values(c, n, fill, RANGE);
    float *before = check_values(c, n_y, fill, RANGE), *y = check_floats(c, n_y), *state = check_floats(c, n);
    modal_results want = {check_doubles(c, n_y), check_doubles(c, n_y), check_doubles(c, n), check_doubles(c, n)};
    for (uint32_t i = 0; i < n_y; i++) want.y_limit[i] = -1.0; // rows of other calls stay
    for (uint32_t i = 0; i < channels; i++) expect_channel(c, &m, i, &want);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{m.z, n_z, NULL}, {m.poles, n, NULL}, {m.residues, n, NULL}, {m.direct, channels, NULL},
                                    {m.state, n, state}, {before, n_y, y}},
                       .n_bindings = 6,
                       .params = &m.p,
                       .params_size = sizeof m.p,
                       .groups = hel_ceil_div(channels, HEL_MODAL_SCAN_CHUNK)};
    if (check_run(c, &call)) {
        check_compare(c, "y", y, want.y, want.y_limit, n_y, before);
        check_compare(c, "state", state, want.state, want.state_limit, n, NULL);
    }
    check_end(c);
}

static void modal_scan_cases(check *c) { check_each_fill(c, 6, modal_scan_case); }

static void modal_scan_bench(check *c) {
    enum { TOKENS = 512, CHANNELS = 2048, MODES = 8, N = TOKENS * CHANNELS };
    check_begin(c, CHECK_UNIFORM);
    float *z = check_values(c, 3 * N, CHECK_UNIFORM, 0), *y = check_floats(c, N), *state = check_floats(c, 2 * MODES * CHANNELS);
    hel_modal_scan_params params = {.tokens = TOKENS, .channels = CHANNELS, .modes = MODES, .split = 128};
    float *poles = make_poles(c, MODES * CHANNELS);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{z, 3 * N, NULL}, {poles, 2 * MODES * CHANNELS, NULL}, {z, 2 * MODES * CHANNELS, NULL},
                                    {z, CHANNELS, NULL}, {state, 2 * MODES * CHANNELS, state}, {y, N, y}},
                       .n_bindings = 6,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(CHANNELS, HEL_MODAL_SCAN_CHUNK)};
    check_bench(c, &call, "512x2048 modes 8", 16.0 * N);
}

const check_kernel check_modal_kernels[] = {
    {"modal_scan", modal_scan_cases, modal_scan_bench},
    {NULL, NULL, NULL},
};
