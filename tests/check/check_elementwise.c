// SPDX-License-Identifier: Apache-2.0
// add, swiglu, divide_columns.
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 40 };

// CHUNK is the only constant of each.
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

// 1 / (1 + exp(-g)): Vulkan allows exp an error of 3 + 2 |g| units in the last place, a division 2.5; below 2^-126 the
// factor may vanish altogether.
static double swiglu_limit(double gate, double up, double want) {
    return fabs(want) * (16.0 + 4.0 * fmin(fabs(gate), 100.0)) * CHECK_U +
           CHECK_TINY * (fabs(gate * up) + fabs(gate) + fabs(up) + 2.0);
}

static void swiglu_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = check_size(c, 3000);
    check_shape(c, "n %u", n);
    float *gate = check_values(c, n, fill, 8), *up = check_values(c, n, fill, RANGE);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < n; i++) {
        if (fill == CHECK_UNIFORM) gate[i] *= 20.0f;
        double g = gate[i], u = up[i];
        want[i] = g < -700.0 ? 0.0 : g / (1.0 + exp(-g)) * u;
        limit[i] = swiglu_limit(g, u, want[i]);
    }
    run_two(c, gate, up, n, n, &(hel_swiglu_params){.n = n}, sizeof(hel_swiglu_params), want, limit);
    check_end(c);
}

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
static void swiglu_cases(check *c) { check_each_fill(c, 4, swiglu_case); }
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
static void swiglu_bench(check *c) { bench_two(c, &(hel_swiglu_params){.n = 1 << 22}, sizeof(hel_swiglu_params)); }

const check_kernel check_elementwise_kernels[] = {
    {"add", add_cases, add_bench},
    {"swiglu", swiglu_cases, swiglu_bench},
    {"divide_columns", divide_cases, NULL},
    {NULL, NULL, NULL},
};
