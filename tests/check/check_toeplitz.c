// SPDX-License-Identifier: Apache-2.0
// fftconv_toeplitz and fftconv_toeplitz_taps against the sums that they are.
#include <math.h>

#include "base/size.h"
#include "kernels.h"
#include "rows.h"

enum { RANGE = 30, MOST_STEPS = 700, TILE = HEL_TOEPLITZ_SPAN * HEL_TOEPLITZ_BLOCKS };

// Values of a row where a step of it is; `in` gates u.
typedef struct gated {
    float *u, *in;
} gated;

static double gated_at(const gated *g, size_t at) { return g->u[at] * (g->in ? (double)g->in[at] : 1.0); }

// What flushing denormals may change of a product with a gated value.
static double scale_of(double factor, double value) { return 1.0 + 2.0 * fabs(factor) + fabs(value); }

// ---------------------------------------------------------------- fftconv_toeplitz

typedef struct shape {
    uint32_t steps, taps, channels, filters, rows, first_row, flags;
} shape;

typedef struct data {
    gated v;
    float *gate_out, *bias, *taps, *before;
} data;

static shape random_shape(check *c) {
    static const uint32_t flags[] = {0, HEL_FLAG_GATE_IN | HEL_FLAG_GATE_OUT | HEL_FLAG_DIRECT, HEL_FLAG_REVERSED | HEL_FLAG_SUM,
                                     HEL_FLAG_GATE_IN | HEL_FLAG_REVERSED, HEL_FLAG_DIRECT | HEL_FLAG_SUM};
    shape s = {.steps = check_size(c, MOST_STEPS), .channels = check_size(c, 4)};
    s.taps = check_size(c, HEL_MIN(s.steps, HEL_FFTCONV_TOEPLITZ_MAX_TAPS));
    s.filters = check_random(c, 2) ? s.channels : 1;
    s.rows = s.channels * (1 + check_random(c, 2));
    s.first_row = check_random(c, s.channels);
    s.flags = flags[check_random(c, 5)] | check_random(c, 4) * HEL_FLAG_HALF_IN;
    check_shape(c, "steps %u, taps %u, rows %u, channels %u, filters %u, first row %u, flags %u", s.steps, s.taps, s.rows,
                s.channels, s.filters, s.first_row, s.flags);
    return s;
}

static uint32_t place(const shape *s, uint32_t row, uint32_t step) {
    return row * s->steps + (s->flags & HEL_FLAG_REVERSED ? s->steps - 1 - step : step);
}

static void expect_step(const shape *s, const data *d, uint32_t row, uint32_t t, double *want, double *limit) {
    uint32_t at = place(s, row, t), number = s->first_row + row;
    const float *taps = d->taps + number % s->filters * s->taps;
    double direct = s->flags & HEL_FLAG_DIRECT ? d->bias[number % s->channels] * gated_at(&d->v, at) : 0.0;
    double gate = s->flags & HEL_FLAG_GATE_OUT ? d->gate_out[at] : 1.0, before = s->flags & HEL_FLAG_SUM ? d->before[at] : 0.0;
    double sum = direct, magnitude = fabs(direct), scale = scale_of(d->bias[number % s->channels], gated_at(&d->v, at));
    for (uint32_t lag = 0; lag < HEL_MIN(s->taps, t + 1); lag++) {
        double v = gated_at(&d->v, place(s, row, t - lag));
        sum += taps[lag] * v;
        magnitude += fabs(taps[lag] * v);
        scale += scale_of(taps[lag], v);
    }
    want[at] = gate * sum + before;
    limit[at] = fabs(gate) * (check_sum_limit(s->taps + 2, magnitude) + CHECK_TINY * scale) + CHECK_TINY * (2.0 + fabs(sum)) +
                4.0 * CHECK_U * (fabs(want[at]) + fabs(before));
    if (s->flags & HEL_FLAG_HALF_OUT) limit[at] += 0x1p-8 * (fabs(want[at]) + limit[at]);
}

static void toeplitz_case(check *c, check_fill fill) {
    check_begin(c, fill);
    shape s = random_shape(c);
    uint32_t words = s.rows * s.steps, packs = s.rows * ((s.steps + 1) / 2);
    bool half_in = s.flags & HEL_FLAG_HALF_IN, half_out = s.flags & HEL_FLAG_HALF_OUT, gate = s.flags & HEL_FLAG_GATE_IN;
    data d = {{check_values(c, words, fill, RANGE), check_values(c, words, fill, 0)}, check_values(c, words, fill, RANGE),
              check_values(c, s.channels, fill, RANGE), check_values(c, s.filters * s.taps, fill, RANGE),
              check_values(c, words, fill, RANGE)};
    if (half_in) {
        check_round_to_halves(d.v.u, words);
        check_round_to_halves(d.v.in, words);
        check_round_to_halves(d.gate_out, words);
    }
    if (half_out) check_round_to_halves(d.before, words);
    const float *u = half_in ? check_packed(c, d.v.u, s.rows, s.steps) : d.v.u;
    const float *gate_in = half_in ? check_packed(c, d.v.in, s.rows, s.steps) : d.v.in;
    const float *gate_out = half_in ? check_packed(c, d.gate_out, s.rows, s.steps) : d.gate_out;
    const float *before = half_out ? check_packed(c, d.before, s.rows, s.steps) : d.before;
    uint32_t in = half_in ? packs : words, out = half_out ? packs : words;
    if (!gate) d.v.in = NULL;
    double *want = check_doubles(c, words), *limit = check_doubles(c, words);
    for (uint32_t i = 0; i < words; i++) expect_step(&s, &d, i / s.steps, i % s.steps, want, limit);
    float *result = check_floats(c, words);
    hel_fftconv_toeplitz_params params = {.steps = s.steps, .channels = s.channels, .first_row = s.first_row, .flags = s.flags,
                                          .taps = s.taps, .filters = s.filters};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{u, in, NULL},
                                    check_given(gate, gate_in, in),
                                    check_given(s.flags & HEL_FLAG_GATE_OUT, gate_out, in),
                                    check_given(s.flags & HEL_FLAG_DIRECT, d.bias, s.channels),
                                    {d.taps, s.filters * s.taps, NULL},
                                    {s.flags & HEL_FLAG_SUM ? before : NULL, out, result}},
                       .n_bindings = 6,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = s.rows * hel_ceil_div(s.steps, TILE)};
    if (check_run(c, &call)) {
        if (half_out) result = check_unpacked(c, result, s.rows, s.steps);
        check_compare(c, "y", result, want, limit, words, NULL);
    }
    check_end(c);
}

static void toeplitz_bench(check *c) {
    enum { ROWS = 64, STEPS = 8192, TAPS = 128 };
    check_begin(c, CHECK_UNIFORM);
    hel_fftconv_toeplitz_params params = {.steps = STEPS, .channels = ROWS, .taps = TAPS, .filters = ROWS};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, ROWS * STEPS, CHECK_UNIFORM, 0), ROWS * STEPS, NULL}, {NULL, 0, NULL},
                                    {NULL, 0, NULL}, {NULL, 0, NULL},
                                    {check_values(c, ROWS * TAPS, CHECK_UNIFORM, 0), ROWS * TAPS, NULL},
                                    {NULL, ROWS * STEPS, check_floats(c, ROWS * STEPS)}},
                       .n_bindings = 6,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = ROWS * STEPS / TILE};
    check_bench(c, &call, "rows 64 steps 8192 taps 128", 8.0 * ROWS * STEPS);
}

// ---------------------------------------------------------------- fftconv_toeplitz_taps

typedef struct slices {
    uint32_t steps, taps, rows, flags, slice, count;
} slices;

static slices random_slices(check *c) {
    static const uint32_t flags[] = {0, HEL_FLAG_GATE_IN | HEL_FLAG_GATE_OUT, HEL_FLAG_GATE_OUT};
    slices s = {.steps = check_size(c, 2 * MOST_STEPS), .rows = check_size(c, 4), .slice = TILE * (1 + check_random(c, 3))};
    s.taps = check_size(c, HEL_MIN(s.steps, HEL_FFTCONV_TOEPLITZ_TAPS_MAX_TAPS));
    s.count = (uint32_t)hel_ceil_div(s.steps, s.slice);
    s.flags = flags[check_random(c, 3)] | check_random(c, 2) * HEL_FLAG_HALF_IN;
    check_shape(c, "steps %u, taps %u, rows %u, slices of %u, flags %u", s.steps, s.taps, s.rows, s.slice, s.flags);
    return s;
}

static void expect_slice(const slices *s, const gated *v, const gated *z, uint32_t slice, uint32_t row, uint32_t tap, double *want,
                         double *limit) {
    uint32_t at = (slice * s->rows + row) * s->taps + tap, begin = slice * s->slice, end = HEL_MIN(s->steps, begin + s->slice);
    double magnitude = 0.0, scale = 1.0;
    for (uint32_t t = HEL_MAX(begin, tap); t < end; t++) {
        double given = gated_at(z, row * s->steps + t), value = gated_at(v, row * s->steps + t - tap);
        want[at] += given * value;
        magnitude += fabs(given * value);
        scale += scale_of(given, value) + fabs(value);
    }
    limit[at] = check_sum_limit(s->slice + 2, magnitude) + CHECK_TINY * scale;
}

static void taps_case(check *c, check_fill fill) {
    check_begin(c, fill);
    slices s = random_slices(c);
    uint32_t words = s.rows * s.steps, sums = s.count * s.rows * s.taps;
    float *arrays[4]; // u, gate_in, dy, gate_out
    const float *bound[4];
    bool half = s.flags & HEL_FLAG_HALF_IN, in = s.flags & HEL_FLAG_GATE_IN, out = s.flags & HEL_FLAG_GATE_OUT;
    for (int i = 0; i < 4; i++) {
        arrays[i] = check_values(c, words, fill, i % 2 ? 0 : RANGE);
        if (half) check_round_to_halves(arrays[i], words);
        bound[i] = half ? check_packed(c, arrays[i], s.rows, s.steps) : arrays[i];
    }
    gated v = {arrays[0], in ? arrays[1] : NULL}, z = {arrays[2], out ? arrays[3] : NULL};
    double *want = check_doubles(c, sums), *limit = check_doubles(c, sums);
    for (uint32_t i = 0; i < sums; i++)
        expect_slice(&s, &v, &z, i / s.taps / s.rows, i / s.taps % s.rows, i % s.taps, want, limit);
    float *result = check_floats(c, sums);
    uint32_t size = half ? s.rows * ((s.steps + 1) / 2) : words;
    hel_fftconv_toeplitz_taps_params params = {.steps = s.steps, .rows = s.rows, .flags = s.flags, .taps = s.taps, .slice = s.slice,
                                               .slices = s.count};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{bound[0], size, NULL}, check_given(in, bound[1], size), {bound[2], size, NULL},
                                    check_given(out, bound[3], size), {NULL, sums, result}},
                       .n_bindings = 5,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (uint64_t)s.rows * s.count};
    if (check_run(c, &call)) check_compare(c, "sums", result, want, limit, sums, NULL);
    check_end(c);
}

static void taps_bench(check *c) {
    enum { ROWS = 64, STEPS = 8192, TAPS = 128, SLICE = 4096 };
    check_begin(c, CHECK_UNIFORM);
    uint32_t sums = STEPS / SLICE * ROWS * TAPS;
    hel_fftconv_toeplitz_taps_params params = {.steps = STEPS, .rows = ROWS, .taps = TAPS, .slice = SLICE, .slices = STEPS / SLICE};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, ROWS * STEPS, CHECK_UNIFORM, 0), ROWS * STEPS, NULL}, {NULL, 0, NULL},
                                    {check_values(c, ROWS * STEPS, CHECK_UNIFORM, 0), ROWS * STEPS, NULL}, {NULL, 0, NULL},
                                    {NULL, sums, check_floats(c, sums)}},
                       .n_bindings = 5,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = ROWS * STEPS / SLICE};
    check_bench(c, &call, "rows 64 steps 8192 taps 128", 8.0 * ROWS * STEPS);
}

static void toeplitz_cases(check *c) { check_each_fill(c, 4, toeplitz_case); }
static void taps_cases(check *c) { check_each_fill(c, 4, taps_case); }

const check_kernel check_toeplitz_kernels[] = {
    {"fftconv_toeplitz", toeplitz_cases, toeplitz_bench},
    {"fftconv_toeplitz_taps", taps_cases, taps_bench},
    {NULL, NULL, NULL},
};
