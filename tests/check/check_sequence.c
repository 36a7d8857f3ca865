// SPDX-License-Identifier: Apache-2.0
// Kernels that go along sequences: transpose, fftconv_step.
#include <math.h>

#include "base/size.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 30 };

// ---------------------------------------------------------------- transpose

static void transpose_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t sum = check_random(c, 2), rows = check_size(c, 100), cols = check_size(c, 100);
    hel_transpose_params p = {.rows = rows, .cols = cols, .valid = check_random(c, 2) ? rows : check_random(c, rows + 1),
                              .x_first = check_random(c, 5), .x_stride = cols + check_random(c, 4), .y_first = check_random(c, 5),
                              .y_stride = rows + check_random(c, 4)};
    check_shape(c, "rows %u (%u of them given), cols %u, strides %u and %u, sum %u", rows, p.valid, cols, p.x_stride, p.y_stride, sum);
    uint32_t x_count = p.x_first + rows * p.x_stride, y_count = p.y_first + cols * p.y_stride;
    float *x = check_values(c, x_count, fill, RANGE), *before = check_values(c, y_count, fill, RANGE), *y = check_floats(c, y_count);
    double *want = check_doubles(c, y_count), *limit = check_doubles(c, y_count);
    for (uint32_t i = 0; i < y_count; i++) want[i] = before[i], limit[i] = -1.0; // what lies between is left alone
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t col = 0; col < cols; col++) {
            uint32_t to = p.y_first + col * p.y_stride + row;
            want[to] = (row < p.valid ? (double)x[p.x_first + row * p.x_stride + col] : 0.0) + (sum ? (double)before[to] : 0.0);
            limit[to] = sum ? CHECK_U * fabs(want[to]) + 3 * CHECK_TINY : fill == CHECK_DENORMAL ? CHECK_TINY : 0.0;
        }
    uint32_t across = (cols + HEL_TRANSPOSE_TILE - 1) / HEL_TRANSPOSE_TILE;
    check_call call = {.kernel = c->kernel,
                       .constants = {sum},
                       .n_constants = 1,
                       .bindings = {{x, x_count, NULL}, {before, y_count, y}},
                       .n_bindings = 2,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = hel_ceil_div(rows, HEL_TRANSPOSE_TILE) * across};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, y_count, before);
    check_end(c);
}

static void transpose_bench(check *c) {
    enum { ROWS = 4096, COLS = 1024 };
    check_begin(c, CHECK_UNIFORM);
    hel_transpose_params p = {.rows = ROWS, .cols = COLS, .valid = ROWS, .x_stride = COLS, .y_stride = ROWS};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, ROWS * COLS, CHECK_UNIFORM, 0), ROWS * COLS, NULL},
                                    {NULL, ROWS * COLS, check_floats(c, ROWS * COLS)}},
                       .n_bindings = 2,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = ROWS / HEL_TRANSPOSE_TILE * (COLS / HEL_TRANSPOSE_TILE)};
    check_bench(c, &call, "rows 4096 cols 1024", 8.0 * ROWS * COLS);
}

// ---------------------------------------------------------------- fftconv_step

typedef struct step_shape {
    uint32_t rows, channels, block, steps, t, flags;
} step_shape;

typedef struct step_data {
    float *u, *gate_in, *gate_out, *taps, *before, *state, *y;
    double *want_state, *state_limit, *want, *limit;
} step_data;

static void expect_step(const step_shape *s, const step_data *d) {
    for (uint32_t i = 0; i < s->steps * s->rows; i++) d->want_state[i] = d->before[i], d->state_limit[i] = -1.0;
    for (uint32_t row = 0; row < s->rows; row++) {
        uint32_t at = s->t * s->rows + row, near = s->t % s->block;
        double in = s->flags & HEL_FLAG_GATE_IN ? d->gate_in[row] : 1.0, out = s->flags & HEL_FLAG_GATE_OUT ? d->gate_out[row] : 1.0;
        double v = in * d->u[row], sum = d->before[at], magnitude = fabs(sum), scale = 1.0;
        for (uint32_t lag = 0; lag <= near; lag++) {
            double x = lag ? d->before[at - lag * s->rows] : v, tap = d->taps[lag * s->channels + row % s->channels];
            sum += tap * x;
            magnitude += fabs(tap * x);
            scale += fabs(tap) + fabs(x);
        }
        d->want_state[at] = v;
        d->state_limit[at] = CHECK_U * fabs(v) + CHECK_TINY * (1.0 + fabs(in) + fabs((double)d->u[row]));
        d->want[row] = out * sum;
        d->limit[row] = fabs(out) * (check_sum_limit(near + 2, magnitude) + CHECK_TINY * scale) + 2.0 * CHECK_U * fabs(out * sum) +
                        CHECK_TINY * (1.0 + fabs(sum));
    }
}

static void step_case(check *c, check_fill fill) {
    check_begin(c, fill);
    static const uint32_t flags[] = {0, HEL_FLAG_GATE_IN | HEL_FLAG_GATE_OUT, HEL_FLAG_GATE_OUT}; // each is compiled
    step_shape s = {.channels = check_size(c, 150), .block = check_size(c, 40), .flags = flags[check_random(c, 3)]};
    s.rows = s.channels * (1 + check_random(c, 2));
    s.steps = 1 + check_random(c, 3 * s.block);
    s.t = check_random(c, s.steps);
    check_shape(c, "rows %u, channels %u, block %u, step %u of %u, flags %u", s.rows, s.channels, s.block, s.t, s.steps, s.flags);
    uint32_t n = s.steps * s.rows, taps = s.block * s.channels;
    step_data d = {check_values(c, s.rows, fill, RANGE), check_values(c, s.rows, fill, 0), check_values(c, s.rows, fill, RANGE),
                   check_values(c, taps, fill, RANGE), check_values(c, n, fill, RANGE), check_floats(c, n), check_floats(c, s.rows),
                   check_doubles(c, n), check_doubles(c, n), check_doubles(c, s.rows), check_doubles(c, s.rows)};
    expect_step(&s, &d);
    hel_fftconv_step_params params = {.rows = s.rows, .channels = s.channels, .block = s.block};
    bool in = s.flags & HEL_FLAG_GATE_IN, out = s.flags & HEL_FLAG_GATE_OUT;
    check_call call = {.kernel = c->kernel,
                       .constants = {s.flags},
                       .n_constants = 1,
                       .bindings = {{d.u, s.rows, NULL}, {in ? d.gate_in : NULL, in ? s.rows : 0, NULL},
                                    {out ? d.gate_out : NULL, out ? s.rows : 0, NULL}, {d.taps, taps, NULL}, {&s.t, 1, NULL},
                                    {d.before, n, d.state}, {NULL, s.rows, d.y}},
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(s.rows, HEL_FFTCONV_STEP_CHUNK)};
    if (check_run(c, &call)) {
        check_compare(c, "y", d.y, d.want, d.limit, s.rows, NULL);
        check_compare(c, "state", d.state, d.want_state, d.state_limit, n, d.before);
    }
    check_end(c);
}

static void step_bench(check *c) {
    enum { ROWS = 1024, BLOCK = 128, STEPS = 2 * BLOCK };
    check_begin(c, CHECK_UNIFORM);
    uint32_t t = STEPS - 1;
    hel_fftconv_step_params params = {.rows = ROWS, .channels = ROWS, .block = BLOCK};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, ROWS, CHECK_UNIFORM, 0), ROWS, NULL}, {NULL, 0, NULL}, {NULL, 0, NULL},
                                    {check_values(c, BLOCK * ROWS, CHECK_UNIFORM, 0), BLOCK * ROWS, NULL}, {&t, 1, NULL},
                                    {check_values(c, STEPS * ROWS, CHECK_UNIFORM, 0), STEPS * ROWS, check_floats(c, STEPS * ROWS)},
                                    {NULL, ROWS, check_floats(c, ROWS)}},
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = ROWS / HEL_FFTCONV_STEP_CHUNK};
    check_bench(c, &call, "rows 1024, last of a block of 128", 8.0 * ROWS * BLOCK);
}

static void transpose_cases(check *c) { check_each_fill(c, 4, transpose_case); }
static void step_cases(check *c) { check_each_fill(c, 4, step_case); }

const check_kernel check_sequence_kernels[] = {
    {"transpose", transpose_cases, transpose_bench},
    {"fftconv_step", step_cases, step_bench},
    {NULL, NULL, NULL},
};
