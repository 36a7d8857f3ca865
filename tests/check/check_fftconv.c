// SPDX-License-Identifier: Apache-2.0
// fftconv against the sum that it abbreviates.
#include <math.h>
#include <stdio.h>

#include "harness.h"
#include "kernels.h"

enum { RANGE = 30 };

static float *make_turns(check *c, uint32_t size) {
    const double turn = 8.0 * atan(1.0);
    float *turns = check_floats(c, size);
    for (uint32_t i = 0; i < size / 2; i++) {
        turns[2 * i] = (float)cos(turn * i / size);
        turns[2 * i + 1] = (float)sin(turn * i / size);
    }
    return turns;
}

static double largest_of(const float *x, uint32_t n) {
    double largest = 0.0;
    for (uint32_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)x[i]));
    return largest;
}

static double squares_of(const float *x, uint32_t n) {
    double sum = 0.0, largest = largest_of(x, n);
    for (uint32_t i = 0; i < n && largest > 0.0; i++) sum += (x[i] / largest) * (x[i] / largest);
    return sum;
}

// The error of an FFT is normwise (Higham 2002, theorem 24.2): a few roundings a pass of the norm of what goes in,
// here both signals scaled to 1 and packed as one.
static void expect_row(const float *u, const float *h, double bias, uint32_t n, uint32_t size, double *want,
                       double *limit) {
    double error =
        4.0 * log2(size) * CHECK_U * largest_of(u, n) * largest_of(h, n) * (squares_of(u, n) + squares_of(h, n));
    for (uint32_t t = 0; t < n; t++) {
        for (uint32_t s = 0; s <= t; s++) want[t] += (double)h[s] * u[t - s];
        want[t] += bias * u[t];
        limit[t] = error + 4.0 * CHECK_U * (fabs(want[t]) + fabs(bias * u[t])) + 8.0 * CHECK_TINY;
    }
}

static void fftconv_case(check *c, check_fill fill) {
    static const uint32_t sizes[] = {128, 512, 1024};
    check_begin(c, fill);
    uint32_t size = sizes[check_random(c, 3)], n = check_random(c, 4) ? check_size(c, size / 2) : size / 2;
    uint32_t channels = check_size(c, 6), rows = channels * (1 + check_random(c, 2)), words = rows * n;
    check_shape(c, "rows %u, channels %u, steps %u, size %u", rows, channels, n, size);
    float *u = check_values(c, words, fill, RANGE), *h = check_values(c, channels * n, fill, RANGE);
    float *bias = check_values(c, channels, fill, RANGE), *y = check_floats(c, words);
    double *want = check_doubles(c, words), *limit = check_doubles(c, words);
    for (uint32_t r = 0; r < rows; r++)
        expect_row(u + r * n, h + r % channels * n, bias[r % channels], n, size, want + r * n, limit + r * n);
    hel_fftconv_params params = {.steps = n, .channels = channels};
    check_call call = {.kernel = c->kernel,
                       .constants = {size},
                       .n_constants = 1,
                       .bindings = {{u, words, NULL},
                                    {h, channels * n, NULL},
                                    {bias, channels, NULL},
                                    {make_turns(c, size), size, NULL},
                                    {NULL, words, y}},
                       .n_bindings = 5,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, words, NULL);
    check_end(c);
}

static void fftconv_cases(check *c) { check_each_fill(c, 3, fftconv_case); }

static void fftconv_bench(check *c) {
    enum { ROWS = 768, STEPS = 512, SIZE = 1024 };
    check_begin(c, CHECK_UNIFORM);
    float *u = check_values(c, ROWS * STEPS, CHECK_UNIFORM, 0), *bias = check_values(c, ROWS, CHECK_UNIFORM, 0);
    hel_fftconv_params params = {.steps = STEPS, .channels = ROWS};
    check_call call = {.kernel = c->kernel,
                       .constants = {SIZE},
                       .n_constants = 1,
                       .bindings = {{u, ROWS * STEPS, NULL},
                                    {u, ROWS * STEPS, NULL},
                                    {bias, ROWS, NULL},
                                    {make_turns(c, SIZE), SIZE, NULL},
                                    {NULL, ROWS * STEPS, check_floats(c, ROWS * STEPS)}},
                       .n_bindings = 5,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = ROWS};
    check_bench(c, &call, "rows 768 steps 512", 12.0 * ROWS * STEPS);
}

const check_kernel check_fftconv_kernels[] = {
    {"fftconv", fftconv_cases, fftconv_bench},
    {NULL, NULL, NULL},
};
