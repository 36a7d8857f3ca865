// SPDX-License-Identifier: Apache-2.0
// What goes along the rows of a sequence and keeps a state: conv1d.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "functions.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 8 };

// ---------------------------------------------------------------- conv1d

typedef struct conv1d {
    hel_conv1d_params p;
    const float *x, *taps, *bias, *state;
} conv1d;

// Row of state and x together; 0 outside.
static double conv1d_input(const conv1d *a, uint32_t row, uint32_t channel) {
    uint32_t kept = a->p.width - 1;
    if (row < kept) return a->p.keeps ? a->state[row * a->p.channels + channel] : 0.0;
    return row - kept < a->p.tokens ? a->x[a->p.x_first + (row - kept) * a->p.x_stride + channel] : 0.0;
}

static void expect_conv1d(const conv1d *a, double *want, double *limit) {
    for (uint32_t i = 0; i < a->p.tokens * a->p.channels; i++) {
        uint32_t t = i / a->p.channels, channel = i % a->p.channels;
        double sum = a->p.biased ? a->bias[channel] : 0.0, size = fabs(sum);
        for (uint32_t j = 0; j < a->p.width; j++) {
            double term = a->taps[channel * a->p.width + j] * conv1d_input(a, t + a->p.ahead + j, channel);
            sum += term;
            size += fabs(term);
        }
        // No function but the square is steeper than 1.2.
        double error = check_sum_limit(a->p.width + 1, size) + CHECK_TINY * (a->p.width + 1);
        double slope = a->p.activation == HEL_ACTIVATION_RELU_SQUARED ? 2.0 * fabs(sum) + error : 1.2;
        check_value y = check_function(a->p.activation, sum);
        want[i] = y.value;
        limit[i] = y.error + slope * error;
    }
}

static void conv1d_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t channels = check_size(c, 200), tokens = check_size(c, 80), width = 1 + check_random(c, HEL_CONV1D_MAX_WIDTH);
    uint32_t skip = check_random(c, 2) * 5, keeps = check_random(c, 2), kept = (width - 1) * channels;
    conv1d a = {.p = {.tokens = tokens, .channels = channels, .width = width, .ahead = keeps ? 0 : check_random(c, width),
                      .biased = check_random(c, 2), .keeps = keeps, .activation = c->number % HEL_ACTIVATIONS, .x_first = skip,
                      .x_stride = channels + 2 * skip}};
    check_shape(c, "tokens %u, channels %u, width %u, ahead %u, state %u, bias %u, columns apart %u, function %u", tokens, channels,
                width, a.p.ahead, keeps, a.p.biased, a.p.x_stride, a.p.activation);
    uint32_t words = tokens * a.p.x_stride, bound = keeps ? kept : 0;
    a.x = check_values(c, words, fill, RANGE);
    a.taps = check_values(c, (size_t)channels * width, fill, RANGE);
    a.bias = check_values(c, channels, fill, RANGE);
    a.state = check_values(c, kept + 1, fill, RANGE);
    float *y = check_floats(c, (size_t)tokens * channels), *state = check_floats(c, kept + 1);
    double *want = check_doubles(c, (size_t)tokens * channels), *limit = check_doubles(c, (size_t)tokens * channels);
    double *left = check_doubles(c, kept + 1), *exact = check_doubles(c, kept + 1);
    expect_conv1d(&a, want, limit);
    for (uint32_t i = 0; i < bound; i++) left[i] = conv1d_input(&a, tokens + i / channels, i % channels);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{a.x, words, NULL}, {a.taps, channels * width, NULL}, {a.bias, a.p.biased ? channels : 0, NULL},
                                    {a.state, bound, bound ? state : NULL}, {NULL, tokens * channels, y}},
                       .n_bindings = 5,
                       .params = &a.p,
                       .params_size = sizeof a.p,
                       .groups = hel_ceil_div(channels, HEL_CONV1D_CHUNK) * hel_ceil_div(tokens, HEL_CONV1D_TOKENS)};
    if (check_run(c, &call)) {
        check_compare(c, "y", y, want, limit, (size_t)tokens * channels, NULL);
        check_compare(c, "state", state, left, exact, bound, NULL);
    }
    check_end(c);
}

static void conv1d_cases(check *c) { check_each_fill(c, 2 * HEL_ACTIVATIONS, conv1d_case); }

static void conv1d_bench(check *c) {
    enum { TOKENS = 512, CHANNELS = 2048, N = TOKENS * CHANNELS, WIDTH = 4 };
    check_begin(c, CHECK_UNIFORM);
    float *x = check_values(c, N, CHECK_UNIFORM, 0), *y = check_floats(c, N), *state = check_floats(c, 3 * CHANNELS);
    hel_conv1d_params params = {.tokens = TOKENS, .channels = CHANNELS, .width = WIDTH, .biased = 1, .keeps = 1,
                                .activation = HEL_ACTIVATION_SILU, .x_stride = CHANNELS};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, N, NULL}, {x, WIDTH * CHANNELS, NULL}, {x, CHANNELS, NULL}, {x, 3 * CHANNELS, state}, {NULL, N, y}},
                       .n_bindings = 5,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(CHANNELS, HEL_CONV1D_CHUNK) * hel_ceil_div(TOKENS, HEL_CONV1D_TOKENS)};
    check_bench(c, &call, "512x2048 width 4", 8.0 * N);
}

const check_kernel check_scan_kernels[] = {
    {"conv1d", conv1d_cases, conv1d_bench},
    {NULL, NULL, NULL},
};
