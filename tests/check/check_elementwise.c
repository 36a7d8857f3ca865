// SPDX-License-Identifier: Apache-2.0
// add, activate, join_columns, divide_columns.
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "functions.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 40 };

// CHUNK is the only constant of those that this serves.
static uint64_t chunks(const check *c, uint32_t n) { return hel_ceil_div(n, hel_kernel_source_find(c->kernel)->defaults[0]); }

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

typedef struct activated {
    hel_activate_params p;
    const float *x, *up;
} activated;

static void expect_activated(const activated *a, double *want, double *limit) {
    for (uint32_t i = 0; i < a->p.n; i++) {
        uint32_t row = i / a->p.cols, col = i % a->p.cols;
        double factor = a->p.gated ? a->up[a->p.up_first + row * a->p.up_stride + col] : 1.0;
        check_value y = check_function(a->p.activation, a->x[a->p.x_first + row * a->p.x_stride + col]);
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

// ---------------------------------------------------------------- join_columns

static void join_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t rows = check_size(c, 12), a_cols = check_size(c, 200), b_cols = check_size(c, 200), cols = a_cols + b_cols;
    check_shape(c, "rows %u, columns %u and %u", rows, a_cols, b_cols);
    hel_join_columns_params params = {.n = rows * cols, .a_cols = a_cols, .b_cols = b_cols};
    float *a = check_values(c, rows * a_cols, fill, RANGE), *b = check_values(c, rows * b_cols, fill, RANGE);
    float *y = check_floats(c, params.n);
    double *want = check_doubles(c, params.n), *limit = check_doubles(c, params.n);
    for (uint32_t i = 0; i < params.n; i++) {
        uint32_t row = i / cols, col = i % cols;
        want[i] = col < a_cols ? a[row * a_cols + col] : b[row * b_cols + col - a_cols];
        limit[i] = fabs(want[i]) < CHECK_TINY ? CHECK_TINY : 0.0;
    }
    check_call call = {.kernel = c->kernel,
                       .bindings = {{a, rows * a_cols, NULL}, {b, rows * b_cols, NULL}, {NULL, params.n, y}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = chunks(c, params.n)};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, params.n, NULL);
    check_end(c);
}

static void add_cases(check *c) { check_each_fill(c, 4, add_case); }
static void activate_cases(check *c) { check_each_fill(c, HEL_ACTIVATIONS, activate_case); }
static void join_cases(check *c) { check_each_fill(c, 4, join_case); }
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
    {"join_columns", join_cases, NULL},
    {"divide_columns", divide_cases, NULL},
    {NULL, NULL, NULL},
};
