// SPDX-License-Identifier: Apache-2.0
// rmsnorm, rmsnorm_gated, layernorm, softmax, argmax.
#include <math.h>
#include <stdio.h>

#include "functions.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 30 };

// ---------------------------------------------------------------- rmsnorm

static void expect_rmsnorm(const float *x, const float *gain, uint32_t cols, double epsilon, double *want,
                           double *limit) {
    double squares = 0.0;
    for (uint32_t i = 0; i < cols; i++) squares += (double)x[i] * x[i];
    double scale = 1.0 / sqrt(squares / cols + epsilon);
    for (uint32_t i = 0; i < cols; i++) {
        want[i] = x[i] * scale * gain[i];
        // Half the relative error of the sum of squares, then division, root and products.
        limit[i] = check_sum_limit(cols, fabs(want[i])) + 12.0 * CHECK_U * fabs(want[i]) +
                   CHECK_TINY * (2.0 + scale * fabs((double)gain[i]) + fabs(x[i] * scale));
    }
}

static void rmsnorm_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 1200), rows = check_size(c, 8);
    check_shape(c, "rows %u, cols %u", rows, cols);
    hel_rmsnorm_params params = {.cols = cols, .epsilon = check_random(c, 2) ? 1e-5f : 1e-6f};
    float *x = check_values(c, (size_t)rows * cols, fill, RANGE), *gain = check_values(c, cols, fill, RANGE);
    float *y = check_floats(c, (size_t)rows * cols);
    double *want = check_doubles(c, (size_t)rows * cols), *limit = check_doubles(c, (size_t)rows * cols);
    for (uint32_t r = 0; r < rows; r++)
        expect_rmsnorm(x + r * cols, gain, cols, params.epsilon, want + r * cols, limit + r * cols);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, rows * cols, NULL}, {gain, cols, NULL}, {NULL, rows * cols, y}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, (size_t)rows * cols, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- rmsnorm_gated

static void expect_rmsnorm_gated(const float *x, const float *gain, const float *gate, uint32_t cols, double epsilon, bool behind,
                                 double *want, double *limit) {
    double squares = 0.0, error = 0.0;
    for (uint32_t i = 0; i < cols; i++) {
        check_value factor = check_function(HEL_ACTIVATION_SILU, gate[i]);
        double value = behind ? x[i] : x[i] * factor.value;
        squares += value * value;
        error += behind ? 0.0 : 2.0 * fabs(value * x[i]) * (factor.error + CHECK_U * fabs(factor.value)) + CHECK_TINY * fabs(value);
    }
    double mean = squares / cols + epsilon, scale = 1.0 / sqrt(mean);
    for (uint32_t i = 0; i < cols; i++) {
        check_value factor = check_function(HEL_ACTIVATION_SILU, gate[i]);
        double normed = x[i] * scale * gain[i];
        want[i] = normed * factor.value;
        limit[i] = check_sum_limit(cols, fabs(want[i])) + 16.0 * CHECK_U * fabs(want[i]) + 0.5 * error / cols / mean * fabs(want[i]) +
                   fabs(normed) * factor.error +
                   CHECK_TINY * (2.0 + (1.0 + fabs(factor.value)) * (2.0 + scale * fabs((double)gain[i]) + fabs(x[i] * scale) + fabs((double)gain[i]) + fabs(normed)));
    }
}

static void rmsnorm_gated_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 600), gains = 1 + check_random(c, 3), tokens = check_size(c, 5), rows = tokens * gains;
    uint32_t behind = c->number % 2, skip = check_random(c, 2) * 3, stride = gains * cols + 2 * skip;
    check_shape(c, "tokens %u, groups %u, cols %u, behind %u, columns apart %u", tokens, gains, cols, behind, stride);
    hel_rmsnorm_gated_params params = {.cols = cols, .gains = gains, .gate_first = skip, .gate_stride = stride, .epsilon = 1e-5f};
    float *x = check_values(c, (size_t)rows * cols, fill, 12), *gain = check_values(c, gains * cols, fill, 12);
    float *gate = check_values(c, (size_t)tokens * stride, fill, 6), *y = check_floats(c, (size_t)rows * cols);
    double *want = check_doubles(c, (size_t)rows * cols), *limit = check_doubles(c, (size_t)rows * cols);
    for (uint32_t r = 0; r < rows; r++)
        expect_rmsnorm_gated(x + r * cols, gain + r % gains * cols, gate + skip + r / gains * stride + r % gains * cols, cols,
                             params.epsilon, behind, want + r * cols, limit + r * cols);
    check_call call = {.kernel = c->kernel,
                       .constants = {behind},
                       .n_constants = 1,
                       .bindings = {{x, rows * cols, NULL}, {gain, gains * cols, NULL}, {gate, tokens * stride, NULL},
                                    {NULL, rows * cols, y}},
                       .n_bindings = 4,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, (size_t)rows * cols, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- layernorm

// x is off by the mean's error, the variance by what that does to the squares; then as for rmsnorm.
static void expect_layernorm(const float *x, const float *gain, const float *bias, uint32_t cols, double epsilon, double *want,
                             double *limit) {
    double sum = 0.0, sizes = 0.0, squares = 0.0, square_errors = 0.0;
    for (uint32_t i = 0; i < cols; i++) sum += x[i], sizes += fabs(x[i]);
    double mean = sum / cols, mean_error = check_sum_limit(cols, sizes) / cols + 6.0 * CHECK_U * fabs(mean) + 2.0 * CHECK_TINY;
    for (uint32_t i = 0; i < cols; i++) {
        double apart = x[i] - mean, error = mean_error + CHECK_U * fabs(apart);
        squares += apart * apart;
        square_errors += 2.0 * fabs(apart) * error + error * error;
    }
    double variance = squares / cols + epsilon, scale = 1.0 / sqrt(variance);
    double off = fmin((square_errors + check_sum_limit(cols, squares)) / cols / variance, 0.9);
    for (uint32_t i = 0; i < cols; i++) {
        double apart = x[i] - mean, factor = scale * fabs((double)gain[i]);
        want[i] = apart * scale * gain[i] + bias[i];
        limit[i] = factor * (mean_error + fabs(apart) * (off / pow(1.0 - off, 1.5) + 12.0 * CHECK_U)) +
                   CHECK_U * (fabs(want[i]) + fabs((double)bias[i])) + CHECK_TINY * (4.0 + factor + fabs(apart * scale));
    }
}

static void layernorm_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 1200), gains = 1 + check_random(c, 4), rows = gains * check_size(c, 4);
    check_shape(c, "rows %u, cols %u, gains %u", rows, cols, gains);
    hel_layernorm_params params = {.cols = cols, .gains = gains, .epsilon = check_random(c, 2) ? 1e-5f : 64e-5f};
    float *x = check_values(c, (size_t)rows * cols, fill, 6), *y = check_floats(c, (size_t)rows * cols);
    float *gain = check_values(c, (size_t)gains * cols, fill, RANGE), *bias = check_values(c, (size_t)gains * cols, fill, RANGE);
    double *want = check_doubles(c, (size_t)rows * cols), *limit = check_doubles(c, (size_t)rows * cols);
    for (uint32_t r = 0; r < rows; r++) {
        size_t at = (size_t)r * cols, parameters = (size_t)(r % gains) * cols;
        expect_layernorm(x + at, gain + parameters, bias + parameters, cols, params.epsilon, want + at, limit + at);
    }
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, rows * cols, NULL}, {gain, gains * cols, NULL}, {bias, gains * cols, NULL}, {NULL, rows * cols, y}},
                       .n_bindings = 4,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, (size_t)rows * cols, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- softmax

// exp of a difference z_i - z_max that is off by delta is off by a factor of exp(delta); Vulkan's exp adds
// 3 + 2 |z| units in the last place. The denominator averages the errors of its terms.
static double exponent_error(double z, double largest) {
    double delta = CHECK_U * (3.0 * fabs(z) + 3.0 * fabs(largest) + fabs(z - largest));
    return expm1(fmin(delta, 50.0)) + (6.0 + 4.0 * fmin(fabs(z - largest), 200.0)) * CHECK_U;
}

static void expect_softmax(const float *x, uint32_t cols, double scale, double *want, double *limit) {
    double largest = -INFINITY, total = 0.0, error = 0.0;
    for (uint32_t i = 0; i < cols; i++) largest = fmax(largest, scale * x[i]);
    for (uint32_t i = 0; i < cols; i++) total += want[i] = exp(scale * x[i] - largest);
    for (uint32_t i = 0; i < cols; i++) {
        want[i] /= total;
        error += want[i] * exponent_error(scale * x[i], largest);
    }
    for (uint32_t i = 0; i < cols; i++)
        limit[i] = want[i] * (exponent_error(scale * x[i], largest) + error + 8.0 * CHECK_U) +
                   check_sum_limit(cols, want[i]) + 2.0 * CHECK_TINY;
}

static void softmax_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 2000), rows = check_size(c, 6);
    hel_softmax_params params = {.cols = cols, .scale = (float)(0.05 + 4.0 * check_uniform(c))};
    check_shape(c, "rows %u, cols %u, scale %.9g", rows, cols, params.scale);
    float *x = check_values(c, (size_t)rows * cols, fill, 8), *y = check_floats(c, (size_t)rows * cols);
    double *want = check_doubles(c, (size_t)rows * cols), *limit = check_doubles(c, (size_t)rows * cols);
    for (uint32_t r = 0; r < rows; r++)
        expect_softmax(x + r * cols, cols, params.scale, want + r * cols, limit + r * cols);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, rows * cols, NULL}, {NULL, rows * cols, y}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, (size_t)rows * cols, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- argmax

static uint32_t first_of_largest(const float *x, uint32_t cols) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < cols; i++)
        if (!isnan(x[i]) && (isnan(x[best]) || x[i] > x[best])) best = i;
    return isnan(x[best]) ? 0 : best;
}

// Ties, infinities and NaN are the point.
static void spoil(check *c, float *x, uint32_t cols) {
    static const float odd[] = {NAN, -INFINITY, INFINITY, 3.0f, 3.0f};
    uint32_t kind = check_random(c, 5);
    for (uint32_t i = 0; i < cols; i++) {
        if (kind == 0) x[i] = (float)check_random(c, 4);
        if (kind == 1 && !check_random(c, 3)) x[i] = odd[check_random(c, 5)];
        if (kind == 2) x[i] = check_random(c, 3) ? NAN : -INFINITY;
        if (kind == 3) x[i] = NAN;
    }
}

static void argmax_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 2000), rows = check_size(c, 12);
    check_shape(c, "rows %u, cols %u", rows, cols);
    // Denormals may be flushed, and then they are ties: nothing is promised of their order.
    float *x = check_values(c, (size_t)rows * cols, fill == CHECK_DENORMAL ? CHECK_UNIFORM : fill, RANGE);
    uint32_t *index = check_words(c, rows), *want = check_words(c, rows);
    for (uint32_t r = 0; r < rows; r++) {
        spoil(c, x + r * cols, cols);
        want[r] = first_of_largest(x + r * cols, cols);
    }
    hel_argmax_params params = {.cols = cols};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, rows * cols, NULL}, {NULL, rows, index}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare_words(c, "index", index, want, rows);
    check_end(c);
}

static void rmsnorm_cases(check *c) { check_each_fill(c, 4, rmsnorm_case); }
static void rmsnorm_gated_cases(check *c) { check_each_fill(c, 4, rmsnorm_gated_case); }
static void layernorm_cases(check *c) { check_each_fill(c, 4, layernorm_case); }
static void softmax_cases(check *c) { check_each_fill(c, 4, softmax_case); }
static void argmax_cases(check *c) { check_each_fill(c, 4, argmax_case); }

enum { ROWS = 512, COLS = 4096, N = ROWS * COLS };

// `inputs` ends with 0: words of what is bound behind x.
static void bench_rows(check *c, const void *params, uint32_t params_size, const uint32_t *inputs, bool index) {
    check_begin(c, CHECK_UNIFORM);
    float *x = check_values(c, N, CHECK_UNIFORM, 0), *y = check_floats(c, N);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, N, NULL}},
                       .n_bindings = 1,
                       .params = params,
                       .params_size = params_size,
                       .groups = ROWS};
    for (; *inputs; inputs++) call.bindings[call.n_bindings++] = (check_binding){x, *inputs, NULL};
    call.bindings[call.n_bindings++] = (check_binding){NULL, index ? ROWS : N, y};
    check_bench(c, &call, "512x4096", index ? 4.0 * N : 8.0 * N);
}

static void rmsnorm_bench(check *c) {
    hel_rmsnorm_params params = {.cols = COLS, .epsilon = 1e-5f};
    bench_rows(c, &params, sizeof params, (const uint32_t[]){COLS, 0}, false);
}
static void rmsnorm_gated_bench(check *c) {
    hel_rmsnorm_gated_params params = {.cols = COLS, .gains = 1, .gate_stride = COLS, .epsilon = 1e-5f};
    bench_rows(c, &params, sizeof params, (const uint32_t[]){COLS, N, 0}, false);
}
static void layernorm_bench(check *c) {
    hel_layernorm_params params = {.cols = COLS, .gains = 1, .epsilon = 1e-5f};
    bench_rows(c, &params, sizeof params, (const uint32_t[]){COLS, COLS, 0}, false);
}
static void softmax_bench(check *c) {
    bench_rows(c, &(hel_softmax_params){.cols = COLS, .scale = 1.0f}, sizeof(hel_softmax_params), (const uint32_t[]){0}, false);
}
static void argmax_bench(check *c) {
    bench_rows(c, &(hel_argmax_params){.cols = COLS}, sizeof(hel_argmax_params), (const uint32_t[]){0}, true);
}

const check_kernel check_rowwise_kernels[] = {
    {"rmsnorm", rmsnorm_cases, rmsnorm_bench},
    {"rmsnorm_gated", rmsnorm_gated_cases, rmsnorm_gated_bench},
    {"layernorm", layernorm_cases, layernorm_bench},
    {"softmax", softmax_cases, softmax_bench},
    {"argmax", argmax_cases, argmax_bench},
    {NULL, NULL, NULL},
};
