// SPDX-License-Identifier: Apache-2.0
// add, activate, divide_columns.
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 40 };

// CHUNK is the only constant of those that this serves.
static uint64_t chunks(const check *c, uint32_t n) { return hel_ceil_div(n, check_source_of(c->kernel)->defaults[0]); }

// Runs y = f(a, b) on n elements and compares.
static void run_two(check *c, const float *a, const float *b, uint32_t b_count, uint32_t n, const void *params,
                    uint32_t params_size, const double *want, const double *limit) {
    float *y = check_floats(c, n);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{a, n, NULL}, {b, b_count, NULL}, {NULL, n, y}},
                       .n_bindings = 3,
                       .params = params,
                       .params_size = params_size,
                       .groups = chunks(c, n)};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, n, NULL);
}

static void add_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = check_size(c, 3000);
    check_shape(c, "n %u", n);
    float *a = check_values(c, n, fill, RANGE), *b = check_values(c, n, fill, RANGE);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < n; i++) {
        want[i] = (double)a[i] + (double)b[i];
        limit[i] = CHECK_U * fabs(want[i]) + (fill == CHECK_DENORMAL ? 3 * CHECK_TINY : 0.0); // correctly rounded
    }
    run_two(c, a, b, n, n, &(hel_add_params){.n = n}, sizeof(hel_add_params), want, limit);
    check_end(c);
}

// ---------------------------------------------------------------- activate

// What a function should be, and by how much of it a device may be off: Vulkan allows exp an error of 3 + 2 |x| units in the
// last place, a division 2.5; below 2^-126 a factor may vanish altogether.
typedef struct function_value {
    double value, error;
} function_value;

static double exp_error(double x) { return (8.0 + 4.0 * fmin(fabs(x), 200.0)) * CHECK_U; }

static function_value sigmoid_value(double x) {
    double value = x < 0.0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x));
    return (function_value){value, value * (exp_error(x) + 8.0 * CHECK_U) + CHECK_TINY};
}

static function_value times(double x, function_value of) {
    return (function_value){x * of.value, fabs(x) * (of.error + 2.0 * CHECK_U * of.value) + CHECK_TINY * (1.0 + of.value)};
}

// The part of the normal distribution beyond |x| carries the error of e^(-x^2 / 2), whose exponent is rounded twice.
static function_value gelu_value(double x) {
    double beyond = 0.5 * erfc(fabs(x) * sqrt(0.5)), value = x < 0.0 ? x * beyond : x - x * beyond;
    double error = fabs(x) * beyond * (exp_error(x * x) + 32.0 * CHECK_U) + 2.0 * CHECK_U * fabs(value);
    return (function_value){value, error + CHECK_TINY * (2.0 + fabs(x))};
}

static function_value gelu_tanh_value(double x) {
    double bent = 2.0 * sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x);
    function_value part = sigmoid_value(bent);
    part.error += part.value * 8.0 * CHECK_U * fmin(fabs(bent), 200.0);
    return times(x, part);
}

static function_value function_of(uint32_t activation, double x) {
    double positive = fmax(x, 0.0), softplus = positive + log1p(exp(-fabs(x)));
    switch (activation) {
    case HEL_ACTIVATION_RELU: return (function_value){positive, CHECK_TINY};
    case HEL_ACTIVATION_RELU_SQUARED: return times(positive, (function_value){positive, CHECK_TINY});
    case HEL_ACTIVATION_SIGMOID: return sigmoid_value(x);
    case HEL_ACTIVATION_SILU: return times(x, sigmoid_value(x));
    case HEL_ACTIVATION_TANH: return (function_value){tanh(x), 32.0 * CHECK_U * fabs(tanh(x)) + CHECK_TINY};
    case HEL_ACTIVATION_SOFTPLUS: return (function_value){softplus, softplus * (exp_error(x) + 16.0 * CHECK_U) + CHECK_TINY};
    case HEL_ACTIVATION_GELU: return gelu_value(x);
    case HEL_ACTIVATION_GELU_TANH: return gelu_tanh_value(x);
    default: return (function_value){x, CHECK_TINY};
    }
}

typedef struct activated {
    hel_activate_params p;
    const float *x, *up;
} activated;

static void expect_activated(const activated *a, double *want, double *limit) {
    for (uint32_t i = 0; i < a->p.n; i++) {
        uint32_t row = i / a->p.cols, col = i % a->p.cols;
        double factor = a->p.gated ? a->up[a->p.up_first + row * a->p.up_stride + col] : 1.0;
        function_value y = function_of(a->p.activation, a->x[a->p.x_first + row * a->p.x_stride + col]);
        want[i] = y.value * factor;
        limit[i] = fabs(factor) * (y.error + CHECK_U * fabs(y.value)) + CHECK_TINY * (2.0 + fabs(y.value));
    }
}

static void activate_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 300), rows = check_size(c, 12), skip = check_random(c, 2) * 3;
    activated a = {.p = {.activation = c->number % HEL_ACTIVATIONS, .gated = check_random(c, 2), .n = rows * cols, .cols = cols, .x_first = skip, .x_stride = cols + 2 * skip,
                                .up_first = 2 * skip, .up_stride = cols + 2 * skip}};
    check_shape(c, "rows %u, cols %u, columns apart %u, function %u, gated %u", rows, cols, a.p.x_stride, a.p.activation, a.p.gated);
    uint32_t words = rows * a.p.x_stride;
    float *x = check_values(c, words, fill, 8), *y = check_floats(c, a.p.n);
    for (uint32_t i = 0; i < words && fill == CHECK_UNIFORM; i++) x[i] *= 20.0f;
    a.x = x;
    a.up = check_values(c, words, fill, RANGE);
    double *want = check_doubles(c, a.p.n), *limit = check_doubles(c, a.p.n);
    expect_activated(&a, want, limit);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{a.x, words, NULL}, {a.up, a.p.gated ? words : 0, NULL}, {NULL, a.p.n, y}},
                       .n_bindings = 3,
                       .params = &a.p,
                       .params_size = sizeof a.p,
                       .groups = hel_ceil_div(a.p.n, HEL_ACTIVATE_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, a.p.n, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- divide_columns

static void divide_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t cols = check_size(c, 300), rows = check_size(c, 12), n = rows * cols;
    check_shape(c, "rows %u, cols %u", rows, cols);
    float *x = check_values(c, n, fill, RANGE), *scales = check_values(c, cols, CHECK_UNIFORM, 0);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < cols; i++)
        if (fabsf(scales[i]) < 0x1p-10f) scales[i] = 0.5f; // a scale is not 0
    for (uint32_t i = 0; i < n; i++) {
        want[i] = (double)x[i] / (double)scales[i % cols];
        limit[i] = 6.0 * CHECK_U * fabs(want[i]) + CHECK_TINY * 0x1p10; // 2.5 units in the last place, flushed inputs
    }
    run_two(c, x, scales, cols, n, &(hel_divide_columns_params){.n = n, .cols = cols}, sizeof(hel_divide_columns_params),
            want, limit);
    check_end(c);
}

static void add_cases(check *c) { check_each_fill(c, 4, add_case); }
static void activate_cases(check *c) { check_each_fill(c, HEL_ACTIVATIONS, activate_case); }
static void divide_cases(check *c) { check_each_fill(c, 4, divide_case); }

static void bench_two(check *c, const void *params, uint32_t params_size) {
    enum { N = 1 << 22 };
    check_begin(c, CHECK_UNIFORM);
    float *a = check_values(c, N, CHECK_UNIFORM, 0), *y = check_floats(c, N);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{a, N, NULL}, {a, N, NULL}, {NULL, N, y}},
                       .n_bindings = 3,
                       .params = params,
                       .params_size = params_size,
                       .groups = chunks(c, N)};
    check_bench(c, &call, "n 4194304", 12.0 * N);
}

static void add_bench(check *c) { bench_two(c, &(hel_add_params){.n = 1 << 22}, sizeof(hel_add_params)); }
static void activate_bench(check *c) {
    hel_activate_params params = {.activation = HEL_ACTIVATION_SILU, .gated = 1, .n = 1 << 22, .cols = 1 << 22};
    bench_two(c, &params, sizeof params);
}

const check_kernel check_elementwise_kernels[] = {
    {"add", add_cases, add_bench},
    {"activate", activate_cases, activate_bench},
    {"divide_columns", divide_cases, NULL},
    {NULL, NULL, NULL},
};
