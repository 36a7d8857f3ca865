// SPDX-License-Identifier: Apache-2.0
// What goes along the rows of a sequence and keeps a state: conv1d, ssm_scan, ssd_scan, ssm_carry.
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

// ---------------------------------------------------------------- ssm_scan and ssd_scan

typedef struct ssm {
    hel_ssm_scan_params p;
    uint32_t heads; // 1: of head_dim channels that have an A in common
    uint32_t chunk; // steps whose terms are added one by one: of ssd_scan; 1: h goes from step to step
    const float *x, *raw, *bc, *more, *a, *d, *states, *y;
} ssm;

static check_value time_step(const ssm *s, uint32_t t, uint32_t head) {
    double raw = s->raw[s->p.dt_first + t * s->p.dt_stride + head], bias = s->heads ? s->more[head] : 0.0;
    check_value dt = check_function(HEL_ACTIVATION_SOFTPLUS, raw + bias);
    dt.error += CHECK_U * fabs(raw + bias);
    dt.value = fmax(s->p.low, fmin(s->p.high, dt.value)) + s->p.extra;
    dt.error += CHECK_U * dt.value;
    return dt;
}

// e^(dt a), whose exponent is off by what dt is and by roundings, one for each sum that dt goes into.
static check_value shrinking(check_value dt, double a, uint32_t sums) {
    double value = exp(dt.value * a), exponent = fabs(a) * (dt.error + sums * CHECK_U * dt.value) + CHECK_TINY;
    return (check_value){value, value * (expm1(fmin(exponent, 50.0)) + check_exp_error(dt.value * a)) + CHECK_TINY};
}

// h = shrink h + dt B x: the value, the size of all that was added to it, and the error.
typedef struct state_value {
    double value, size, error;
} state_value;

static void go_on(state_value *h, check_value shrink, check_value dt, double b, double x) {
    double driven = dt.value * x * b, size = shrink.value * h->size + fabs(driven);
    h->error = (shrink.value + shrink.error) * h->error + shrink.error * h->size + 4.0 * CHECK_U * size + dt.error * fabs(x * b) +
               4.0 * CHECK_TINY * (1.0 + fabs(b) + fabs(x) + dt.value + fabs(dt.value * x));
    h->value = shrink.value * h->value + driven;
    h->size = size;
}

// One state of one channel goes through a piece, adding what it gives to sums of y [steps] and their sizes and errors.
static state_value expect_state(const ssm *s, uint32_t piece, uint32_t channel, uint32_t n, state_value *sums) {
    const hel_ssm_scan_params *p = &s->p;
    uint32_t head = channel / p->head_dim, shared = channel / p->group_channels * p->state + n;
    double start = p->alone ? 0.0 : s->states[(piece * p->state + n) * p->channels + channel];
    double a = s->a[s->heads ? head : n * p->channels + channel];
    state_value h = {start, fabs(start), CHECK_TINY};
    double largest = 0.0;
    uint32_t end = HEL_MIN(p->count, (piece + 1) * p->piece);
    for (uint32_t i = piece * p->piece; i < end; i++) {
        uint32_t t = p->reverse ? p->steps - 1 - p->first - i : p->first + i;
        check_value dt = time_step(s, t, head);
        double c = s->bc[p->c_first + t * p->bc_stride + shared];
        double b = s->bc[p->b_first + t * p->bc_stride + shared], x = s->x[p->x_first + t * p->x_stride + channel];
        go_on(&h, shrinking(dt, a, s->chunk), dt, b, x);
        sums[t].value += c * h.value;
        sums[t].size += fabs(c) * h.size;
        sums[t].error += fabs(c) * h.error + CHECK_TINY * (2.0 + fabs(c));
        // Of a chunk, C and B meet first; what they make may be too small for a float where all that it is a factor of is not.
        largest = fmax(largest, dt.value * fabs(x));
        if (s->chunk > 1) sums[t].error += CHECK_TINY * s->chunk * (1.0 + dt.value + largest);
    }
    if (s->chunk > 1) h.error += check_sum_limit(s->chunk, h.size);
    return h;
}

// Of y[t] at a channel, from the sum over its states.
static check_value expect_output(const ssm *s, uint32_t t, uint32_t channel, state_value sum) {
    const hel_ssm_scan_params *p = &s->p;
    double skip = (double)s->d[channel / p->head_dim] * s->x[p->x_first + t * p->x_stride + channel];
    double before = p->add ? s->y[t * p->channels + channel] : 0.0;
    double size = sum.size + fabs(skip) + fabs(before);
    check_value y = {sum.value + skip + before, sum.error + check_sum_limit(p->state + 1 + s->chunk, size) + 4.0 * CHECK_TINY};
    if (!p->gated) return y;
    check_value gate = check_function(HEL_ACTIVATION_SILU, s->more[p->z_first + t * p->z_stride + channel]);
    double error = fabs(gate.value) * y.error + (fabs(y.value) + y.error) * (gate.error + 2.0 * CHECK_U * fabs(gate.value));
    return (check_value){y.value * gate.value, error + CHECK_TINY * (2.0 + fabs(gate.value) + size)};
}

typedef struct ssm_results {
    double *y, *y_limit, *states, *states_limit;
} ssm_results;

static void expect_channel(check *c, const ssm *s, uint32_t pieces, uint32_t channel, const ssm_results *out) {
    const hel_ssm_scan_params *p = &s->p;
    state_value *sums = check_memory(c, p->steps, sizeof *sums);
    for (uint32_t piece = 0; piece < pieces; piece++) {
        for (uint32_t n = 0; n < p->state; n++) {
            size_t at = (piece * p->state + n) * p->channels + channel;
            state_value h = expect_state(s, piece, channel, n, sums);
            out->states[at] = h.value;
            out->states_limit[at] = h.error;
        }
        size_t at = (pieces * p->state + piece) * p->channels + channel;
        for (uint32_t i = piece * p->piece; i < HEL_MIN(p->count, (piece + 1) * p->piece) && p->alone; i++) {
            uint32_t t = p->reverse ? p->steps - 1 - p->first - i : p->first + i;
            check_value dt = time_step(s, t, channel / p->head_dim);
            out->states[at] += dt.value;
            out->states_limit[at] += dt.error + 8.0 * CHECK_U * sqrt(p->piece) * dt.value;
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t t = p->reverse ? p->steps - 1 - p->first - i : p->first + i;
        check_value y = expect_output(s, t, channel, sums[t]);
        out->y[t * p->channels + channel] = y.value;
        out->y_limit[t * p->channels + channel] = y.error;
    }
}

static hel_ssm_scan_params ssm_shape(check *c, bool heads, uint32_t most_states) {
    uint32_t head_dim = heads ? check_size(c, 70) : 1, group = head_dim * (1 + check_random(c, heads ? 3 : 40));
    uint32_t channels = group * (1 + check_random(c, 2)), skip = check_random(c, 2) * 3, steps = check_size(c, 70);
    uint32_t count = check_random(c, 2) ? steps : 1 + check_random(c, steps);
    hel_ssm_scan_params p = {.steps = steps, .first = check_random(c, steps - count + 1), .count = count, .piece = count,
                             .reverse = check_random(c, 2), .channels = channels, .head_dim = head_dim, .group_channels = group,
                             .state = check_size(c, most_states), .x_first = skip, .x_stride = channels + 2 * skip, .dt_first = 2 * skip,
                             .dt_stride = channels / head_dim + 2 * skip, .gated = !heads && check_random(c, 2), .z_first = skip,
                             .z_stride = channels + skip, .add = check_random(c, 2), .low = 0.0f, .high = 3e38f};
    if (check_random(c, 2)) p.low = 0.25f, p.high = 2.0f, p.extra = 1e-4f;
    if (check_random(c, 2)) {
        p.alone = p.add = 0;
        p.piece = 1 + check_random(c, count);
        if (check_random(c, 2)) p.alone = 1, p.gated = 0;
    }
    p.b_first = skip;
    p.c_first = skip + channels / group * p.state;
    p.bc_stride = 2 * p.c_first;
    return p;
}

static void ssm_fill(check *c, ssm *s, uint32_t pieces, check_fill fill) {
    const hel_ssm_scan_params *p = &s->p;
    uint32_t of_a = s->heads ? p->channels / p->head_dim : p->state * p->channels;
    float *a = check_values(c, of_a, fill, RANGE);
    for (uint32_t i = 0; i < of_a; i++) a[i] = -fabsf(a[i]);
    s->a = a;
    s->x = check_values(c, p->steps * p->x_stride, fill, RANGE);
    s->raw = check_values(c, p->steps * p->dt_stride, fill, RANGE);
    s->bc = check_values(c, p->steps * p->bc_stride, fill, RANGE);
    s->more = check_values(c, p->steps * p->z_stride, fill, RANGE);
    s->d = check_values(c, p->channels / p->head_dim, fill, RANGE);
    s->states = check_values(c, (pieces * p->state + pieces) * p->channels, fill, RANGE);
    s->y = check_values(c, p->steps * p->channels, fill, RANGE);
}

static void scan_case(check *c, ssm *s, check_fill fill) {
    const hel_ssm_scan_params *p = &s->p;
    check_shape(c, "heads %u, steps %u: %u from %u in pieces of %u, alone %u, reverse %u, channels %u, head_dim %u, group %u, state %u, "
                "gated %u, add %u, columns apart %u", s->heads, p->steps, p->count, p->first, p->piece, p->alone, p->reverse,
                p->channels, p->head_dim, p->group_channels, p->state, p->gated, p->add, p->x_stride);
    uint32_t pieces = (uint32_t)hel_ceil_div(p->count, p->piece), kept = (pieces * p->state + p->alone * pieces) * p->channels;
    uint32_t n_y = p->steps * p->channels, heads = p->channels / p->head_dim;
    ssm_fill(c, s, pieces, fill);
    float *y = check_floats(c, n_y), *states = check_floats(c, kept);
    ssm_results want = {check_doubles(c, n_y), check_doubles(c, n_y), check_doubles(c, kept), check_doubles(c, kept)};
    for (uint32_t i = 0; i < n_y; i++) want.y_limit[i] = -1.0; // rows of other calls stay
    for (uint32_t i = 0; i < p->channels; i++) expect_channel(c, s, pieces, i, &want);
    uint32_t n_more = s->heads ? heads : p->gated ? p->steps * p->z_stride : 0;
    bool by_products = s->chunk > 1;
    uint64_t blocks = by_products ? heads * hel_ceil_div(p->head_dim, HEL_SSD_SCAN_CHANNELS) : hel_ceil_div(p->channels, HEL_SSM_SCAN_CHUNK);
    check_call call = {.kernel = c->kernel,
                       .constants = {by_products ? p->alone : s->heads},
                       .n_constants = 1,
                       .bindings = {{s->x, p->steps * p->x_stride, NULL}, {s->raw, p->steps * p->dt_stride, NULL},
                                    {s->bc, p->steps * p->bc_stride, NULL}, {s->more, n_more, NULL},
                                    {s->a, s->heads ? heads : p->state * p->channels, NULL}, {s->d, heads, NULL}, {s->states, kept, states},
                                    {s->y, p->alone ? 0 : n_y, p->alone ? NULL : y}},
                       .n_bindings = 8,
                       .params = p,
                       .params_size = sizeof *p,
                       .groups = blocks * pieces};
    if (check_run(c, &call)) {
        if (!p->alone) check_compare(c, "y", y, want.y, want.y_limit, n_y, s->y);
        check_compare(c, "states", states, want.states, want.states_limit, kept, NULL);
    }
    check_end(c);
}

static void ssm_scan_case(check *c, check_fill fill) {
    check_begin(c, fill);
    ssm s = {.heads = c->number % 2, .chunk = 1};
    s.p = ssm_shape(c, s.heads, 40);
    scan_case(c, &s, fill);
}

static void ssd_scan_case(check *c, check_fill fill) {
    check_begin(c, fill);
    ssm s = {.heads = 1, .chunk = HEL_SSD_SCAN_STEPS};
    hel_ssm_scan_params *p = &s.p;
    *p = ssm_shape(c, true, check_random(c, 4) ? 40 : HEL_SSD_SCAN_MAX_STATE);
    p->reverse = p->add = 0;
    p->alone = c->number % 2;
    if (p->alone) p->piece = 1 + check_random(c, p->count);
    scan_case(c, &s, fill);
}

// ---------------------------------------------------------------- ssm_carry

static void ssm_carry_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t heads = c->number % 2, head_dim = heads ? check_size(c, 20) : 1, channels = head_dim * (1 + check_random(c, 20));
    uint32_t state = check_size(c, 20), n = state * channels, pieces = 1 + check_random(c, 12);
    hel_ssm_carry_params p = {.pieces = pieces, .channels = channels, .head_dim = head_dim, .n = n};
    check_shape(c, "heads %u, pieces %u, channels %u, head_dim %u, state %u", heads, pieces, channels, head_dim, state);
    uint32_t n_a = heads ? channels / head_dim : n, n_states = pieces * (n + channels);
    float *a = check_values(c, n_a, fill, 4), *before = check_values(c, n, fill, RANGE), *made = check_values(c, n_states, fill, RANGE);
    float *after = check_floats(c, n), *states = check_floats(c, n_states);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n), *in = check_doubles(c, n_states), *in_limit = check_doubles(c, n_states);
    for (uint32_t i = 0; i < n_a; i++) a[i] = -fabsf(a[i]);
    for (uint32_t i = pieces * n; i < n_states; i++) in[i] = made[i] = fabsf(made[i]);
    for (uint32_t i = 0; i < n; i++) {
        state_value h = {before[i], fabs(before[i]), CHECK_TINY};
        for (uint32_t piece = 0; piece < pieces; piece++) {
            in[piece * n + i] = h.value;
            in_limit[piece * n + i] = h.error;
            check_value total = {made[pieces * n + piece * channels + i % channels], 0.0};
            go_on(&h, shrinking(total, a[heads ? i % channels / head_dim : i], 1), (check_value){1.0, 0.0}, 1.0, made[piece * n + i]);
        }
        want[i] = h.value;
        limit[i] = h.error;
    }
    check_call call = {.kernel = c->kernel,
                       .constants = {heads},
                       .n_constants = 1,
                       .bindings = {{a, n_a, NULL}, {before, n, after}, {made, n_states, states}},
                       .n_bindings = 3,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = hel_ceil_div(n, HEL_SSM_CARRY_CHUNK)};
    if (check_run(c, &call)) {
        check_compare(c, "state", after, want, limit, n, NULL);
        check_compare(c, "states", states, in, in_limit, n_states, NULL);
    }
    check_end(c);
}

static void ssm_scan_cases(check *c) { check_each_fill(c, 16, ssm_scan_case); }
static void ssd_scan_cases(check *c) { check_each_fill(c, 12, ssd_scan_case); }
static void ssm_carry_cases(check *c) { check_each_fill(c, 4, ssm_carry_case); }

enum { BENCH_STEPS = 512, BENCH_CHANNELS = 2048, BENCH_VALUES = BENCH_STEPS * BENCH_CHANNELS };

// Heads of `head_dim` channels, or none where it is 1; the kernel's groups own `channels` of one, or of all.
static void scan_bench(check *c, uint32_t head_dim, uint32_t state, uint32_t form, uint32_t channels, const char *shape) {
    check_begin(c, CHECK_UNIFORM);
    uint32_t heads = BENCH_CHANNELS / head_dim, kept = state * BENCH_CHANNELS, n_a = head_dim > 1 ? heads : kept;
    float *x = check_values(c, BENCH_VALUES, CHECK_UNIFORM, 0), *y = check_floats(c, BENCH_VALUES), *states = check_floats(c, kept);
    hel_ssm_scan_params params = {.steps = BENCH_STEPS, .count = BENCH_STEPS, .piece = BENCH_STEPS, .channels = BENCH_CHANNELS,
                                  .head_dim = head_dim, .group_channels = BENCH_CHANNELS, .state = state, .x_stride = BENCH_CHANNELS,
                                  .dt_stride = heads, .c_first = state, .bc_stride = 2 * state, .high = 3e38f};
    for (uint32_t i = 0; i < BENCH_CHANNELS; i++) x[i] = -fabsf(x[i]); // A
    check_call call = {.kernel = c->kernel,
                       .constants = {form},
                       .n_constants = 1,
                       .bindings = {{x, BENCH_VALUES, NULL}, {x, heads * BENCH_STEPS, NULL}, {x, 2 * state * BENCH_STEPS, NULL},
                                    {x, head_dim > 1 ? heads : 0, NULL}, {x, n_a, NULL}, {x, heads, NULL},
                                    {states, kept, states}, {x, BENCH_VALUES, y}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = BENCH_CHANNELS / channels};
    check_bench(c, &call, shape, 4.0 * (2 * BENCH_VALUES + heads * BENCH_STEPS));
}

static void ssm_scan_bench(check *c) {
    scan_bench(c, 1, 16, 0, HEL_SSM_SCAN_CHUNK, "512x2048 state 16");
    scan_bench(c, 64, 128, 1, HEL_SSM_SCAN_CHUNK, "512x2048 heads of 64, state 128");
}

static void ssd_scan_bench(check *c) { scan_bench(c, 64, 128, 0, HEL_SSD_SCAN_CHANNELS, "512x2048 heads of 64, state 128"); }

const check_kernel check_scan_kernels[] = {
    {"conv1d", conv1d_cases, conv1d_bench},
    {"ssm_scan", ssm_scan_cases, ssm_scan_bench},
    {"ssd_scan", ssd_scan_cases, ssd_scan_bench},
    {"ssm_carry", ssm_carry_cases, NULL},
    {NULL, NULL, NULL},
};
