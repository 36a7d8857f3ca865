// SPDX-License-Identifier: Apache-2.0
// token_shift, token_mix, gate_add.
#include <math.h>

#include "base/size.h"
#include "functions.h"
#include "harness.h"
#include "kernels.h"

enum { RANGE = 30 };

static double sigmoid(double z) { return 1.0 / (1.0 + exp(-z)); }

// ---------------------------------------------------------------- token_shift

static void shift_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t tokens = check_size(c, 9), cols = check_size(c, 300), before = check_random(c, 5), first = check_random(c, 3);
    uint32_t begin = first * cols, n = begin + tokens * cols;
    check_shape(c, "%u tokens from %u, cols %u, state from %u", tokens, first, cols, before);
    hel_token_shift_params params = {.tokens = tokens, .cols = cols, .first = first, .state_first = before};
    uint32_t kept = before + cols + 3;
    float *x = check_values(c, n, fill, RANGE), *state = check_values(c, kept, fill, RANGE);
    float *y = check_floats(c, n), *after = check_floats(c, kept);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n), *want_state = check_doubles(c, kept),
           *limit_state = check_doubles(c, kept);
    for (uint32_t i = 0; i < n; i++) {
        want[i] = i < begin ? 0.0 : i < begin + cols ? state[before + i - begin] : x[i - cols];
        limit[i] = i < begin ? -1.0 : CHECK_TINY;
    }
    for (uint32_t i = 0; i < kept; i++) {
        bool is_row = i >= before && i < before + cols;
        want_state[i] = is_row ? x[n - cols + i - before] : 0.0;
        limit_state[i] = is_row ? CHECK_TINY : -1.0;
    }
    check_call call = {.kernel = c->kernel,
                       .bindings = {{x, n, NULL}, {state, kept, after}, {NULL, n, y}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(cols, HEL_TOKEN_SHIFT_CHUNK)};
    if (check_run(c, &call)) {
        check_compare(c, "y", y, want, limit, n, NULL);
        check_compare(c, "state", after, want_state, limit_state, kept, state);
    }
    check_end(c);
}

// ---------------------------------------------------------------- token_mix

typedef struct mix_inputs {
    uint32_t form, tokens, cols, rank, slices;
    float *x, *other, *mu, *change, *factor;
    hel_token_mix_params params;
} mix_inputs;

static mix_inputs make_mix(check *c, check_fill fill) {
    mix_inputs in = {.form = check_random(c, 4), .tokens = check_size(c, 9), .cols = check_size(c, 300)};
    bool low_rank = in.form == HEL_MIX_LOW_RANK;
    in.rank = low_rank ? check_size(c, 70) : 0;
    in.slices = low_rank ? 1 + check_random(c, 5) : 0;
    uint32_t n = in.tokens * in.cols, index = low_rank ? check_random(c, in.slices) : 0;
    uint32_t stride = low_rank ? in.slices * in.rank : in.cols;
    in.params = (hel_token_mix_params){.n = n, .cols = in.cols, .rank = in.rank, .first = index, .stride = stride};
    in.x = check_values(c, n, fill, RANGE);
    in.other = check_values(c, n, fill, RANGE);
    in.mu = check_values(c, in.cols, fill, 4);
    if (in.form >= HEL_MIX_LOW_RANK) in.change = check_values(c, (size_t)in.tokens * stride, fill, 4);
    if (low_rank) in.factor = check_values(c, (size_t)in.slices * in.cols * in.rank, fill, 8);
    return in;
}

// The share of an element, and what it may be off by.
static double share_of(const mix_inputs *in, uint32_t t, uint32_t col, double *out_error) {
    double mu = in->mu[col], sum = mu, sizes = fabs(mu);
    *out_error = 0.0;
    if (in->form == HEL_MIX_OF_OTHER) return mu;
    if (in->form == HEL_MIX_OF_X) return *out_error = CHECK_U * fabs(1.0 - mu), 1.0 - mu;
    if (in->form == HEL_MIX_SIGMOID) {
        double z = mu + in->change[(size_t)t * in->cols + col];
        return *out_error = check_near_sigmoid_error(z, CHECK_U * fabs(z) + 2.0 * CHECK_TINY), sigmoid(z);
    }
    for (uint32_t l = 0; l < in->rank; l++) {
        size_t row = (size_t)in->params.first * in->cols + col;
        double term = (double)in->change[(size_t)t * in->params.stride + in->params.first * in->rank + l] * in->factor[row * in->rank + l];
        sum += term;
        sizes += fabs(term);
    }
    *out_error = check_sum_limit(in->rank + 1.0, sizes) + CHECK_TINY * 0x1p9 * (in->rank + 1.0);
    return sum;
}

static void mix_case(check *c, check_fill fill) {
    check_begin(c, fill);
    mix_inputs in = make_mix(c, fill);
    uint32_t n = in.params.n;
    check_shape(c, "form %u, tokens %u, cols %u, rank %u, slice %u of %u", in.form, in.tokens, in.cols, in.rank, in.params.first,
                in.slices);
    float *y = check_floats(c, n);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < n; i++) {
        double off, share = share_of(&in, i / in.cols, i % in.cols, &off), apart = (double)in.other[i] - in.x[i];
        want[i] = in.x[i] + apart * share;
        limit[i] = fabs(apart) * off + CHECK_U * (3.0 * fabs(apart * share) + fabs(want[i])) +
                   CHECK_TINY * (4.0 + 2.0 * fabs(share) + fabs(apart));
    }
    check_call call = {.kernel = c->kernel,
                       .constants = {in.form, hel_kernel_source_find(c->kernel)->defaults[1]},
                       .n_constants = 2,
                       .bindings = {{in.x, n, NULL},
                                    {in.other, n, NULL},
                                    {in.mu, in.cols, NULL},
                                    {in.change, in.change ? in.tokens * in.params.stride : 0, NULL},
                                    {in.factor, in.slices * in.cols * in.rank, NULL},
                                    {NULL, n, y}},
                       .n_bindings = 6,
                       .params = &in.params,
                       .params_size = sizeof in.params,
                       .groups = hel_ceil_div(n, HEL_TOKEN_MIX_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, n, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- gate_add

static void gate_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = check_size(c, 3000);
    check_shape(c, "n %u", n);
    hel_gate_add_params params = {.n = n};
    float *gate = check_values(c, n, fill, 6), *x = check_values(c, n, fill, RANGE), *before = check_values(c, n, fill, RANGE);
    float *y = check_floats(c, n);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < n; i++) {
        if (fill == CHECK_UNIFORM) gate[i] *= 20.0f;
        double added = sigmoid(gate[i]) * x[i];
        want[i] = before[i] + added;
        limit[i] = fabs((double)x[i]) * check_near_sigmoid_error(gate[i], 0.0) + CHECK_U * (6.0 * fabs(added) + fabs(want[i])) + 4.0 * CHECK_TINY;
    }
    check_call call = {.kernel = c->kernel,
                       .bindings = {{gate, n, NULL}, {x, n, NULL}, {before, n, y}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(n, HEL_GATE_ADD_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, n, NULL);
    check_end(c);
}

static void shift_cases(check *c) { check_each_fill(c, 2, shift_case); }
static void mix_cases(check *c) { check_each_fill(c, 6, mix_case); }
static void gate_cases(check *c) { check_each_fill(c, 3, gate_case); }

static void mix_bench(check *c) {
    enum { TOKENS = 32, COLS = 2048, N = TOKENS * COLS, RANK = 32 };
    static const char *const shapes[] = {"32x2048, of other", "32x2048, of x", "32x2048, rank 32", "32x2048, sigmoid"};
    check_begin(c, CHECK_UNIFORM);
    float *x = check_values(c, N, CHECK_UNIFORM, 0), *y = check_floats(c, N);
    hel_token_mix_params params = {.n = N, .cols = COLS, .rank = RANK, .stride = COLS};
    check_call call = {.kernel = c->kernel,
                       .constants = {0, HEL_TOKEN_MIX_CHUNK},
                       .n_constants = 2,
                       .bindings = {{x, N, NULL}, {x, N, NULL}, {x, COLS, NULL}, {x, N, NULL}, {x, RANK * COLS, NULL}, {NULL, N, y}},
                       .n_bindings = 6,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = N / HEL_TOKEN_MIX_CHUNK};
    for (; call.constants[0] < 4; call.constants[0]++) check_bench(c, &call, shapes[call.constants[0]], 12.0 * N);
}

const check_kernel check_mix_kernels[] = {
    {"token_shift", shift_cases, NULL},
    {"token_mix", mix_cases, mix_bench},
    {"gate_add", gate_cases, NULL},
    {NULL, NULL, NULL},
};
