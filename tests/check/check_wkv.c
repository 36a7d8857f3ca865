// SPDX-License-Identifier: Apache-2.0
// Attention with a state: wkv4, wkv5, wkv7_keys, wkv7, wkv7_gate. The oracles go through the tokens as the definitions do, in
// double precision, and carry along how far floats may have come away by then.
#include <math.h>

#include "base/size.h"
#include "functions.h"
#include "harness.h"
#include "kernels.h"

// A number and its error.
typedef struct near {
    double value, error;
} near;

static double at_random(check *c, double low, double high) { return low + (high - low) * check_uniform(c); }

static float *make_range(check *c, size_t count, double low, double high) {
    float *values = check_floats(c, count);
    for (size_t i = 0; i < count; i++) values[i] = (float)at_random(c, low, high);
    return values;
}

static near exact(double value) { return (near){value, 0.0}; }
// By a whole unit in the last place, as Vulkan leaves open in which direction.
static near rounded(double value, double error) { return (near){value, error + 2.0 * CHECK_U * fabs(value) + 2.0 * CHECK_TINY}; }
static near plus(near a, near b) { return rounded(a.value + b.value, a.error + b.error); }
static near minus(near a, near b) { return rounded(a.value - b.value, a.error + b.error); }
static near times(near a, near b) {
    return rounded(a.value * b.value, fabs(a.value) * b.error + fabs(b.value) * a.error + a.error * b.error +
                                          CHECK_TINY * (fabs(a.value) + fabs(b.value)));
}
static near larger(near a, near b) {
    near most = a.value >= b.value ? a : b;
    if (fabs(a.value - b.value) <= a.error + b.error) most.error = fmax(a.error, b.error); // either may be the larger
    return most;
}
static near exponential(near z) {
    double value = exp(z.value);
    return (near){value, value * check_near_exp_error(z.value, z.error) + 2.0 * CHECK_TINY};
}
static near sigmoid(near z) { return (near){1.0 / (1.0 + exp(-z.value)), check_near_sigmoid_error(z.value, z.error)}; }
static near over(near a, near b) { // b is not near 0; divisions are right to 2.5 units
    double value = a.value / b.value;
    return (near){value, (a.error + fabs(value) * b.error) / (fabs(b.value) - b.error) + 6.0 * CHECK_U * fabs(value) + 2.0 * CHECK_TINY};
}

static void put(near from, size_t i, double *want, double *limit) {
    want[i] = from.value;
    limit[i] = from.error;
}

// What a kernel with a state of `kept` floats behind `before` others leaves.
typedef struct expected {
    float *y, *state;
    double *want, *limit, *want_state, *limit_state;
    uint32_t n, words, before;
} expected;

static expected make_expected(check *c, uint32_t n, uint32_t before, uint32_t kept) {
    expected out = {.n = n, .words = before + kept + 5, .before = before};
    out.y = check_floats(c, n);
    out.state = check_floats(c, out.words);
    out.want = check_doubles(c, n);
    out.limit = check_doubles(c, n);
    out.want_state = check_doubles(c, out.words);
    out.limit_state = check_doubles(c, out.words);
    for (uint32_t i = 0; i < out.words; i++) out.limit_state[i] = -1.0;
    return out;
}

static void compare(check *c, const check_call *call, const expected *to, const float *before) {
    if (!check_run(c, call)) return;
    check_compare(c, "y", to->y, to->want, to->limit, to->n, NULL);
    check_compare(c, "state", to->state, to->want_state, to->limit_state, to->words, before);
}

// ---------------------------------------------------------------- wkv4

typedef struct wkv4_inputs {
    uint32_t tokens, cols, first, count; // tokens first .. first + count of them
    float *r, *k, *v, *decay, *bonus, *state;
} wkv4_inputs;

static void expect_wkv4(const wkv4_inputs *in, uint32_t col, expected *to) {
    const float *kept = in->state + to->before;
    near above = exact(kept[col]), below = exact(kept[col + in->cols]);
    near most = exact(below.value > 0.0 ? kept[col + 2 * in->cols] : -1e30f);
    for (uint32_t t = in->first; t < in->first + in->count; t++) {
        size_t i = (size_t)t * in->cols + col;
        near k = exact(in->k[i]), v = exact(in->v[i]), raised = plus(exact(in->bonus[col]), k), now = larger(most, raised);
        near old = exponential(minus(most, now)), fresh = exponential(minus(raised, now));
        near wkv = over(plus(times(old, above), times(fresh, v)), plus(times(old, below), fresh));
        put(times(wkv, sigmoid(exact(in->r[i]))), i, to->want, to->limit);

        near decayed = plus(most, exact(in->decay[col]));
        most = larger(decayed, k);
        old = exponential(minus(decayed, most));
        fresh = exponential(minus(k, most));
        above = plus(times(old, above), times(fresh, v));
        below = plus(times(old, below), fresh);
    }
    put(above, to->before + col, to->want_state, to->limit_state);
    put(below, to->before + col + in->cols, to->want_state, to->limit_state);
    put(most, to->before + col + 2 * in->cols, to->want_state, to->limit_state);
}

static void wkv4_case(check *c, check_fill fill) {
    check_begin(c, fill);
    wkv4_inputs in = {.tokens = check_size(c, 12), .cols = check_size(c, 300)};
    in.first = check_random(c, in.tokens);
    in.count = 1 + check_random(c, in.tokens - in.first);
    uint32_t n = in.tokens * in.cols, before = check_random(c, 5);
    bool fresh = check_random(c, 2);
    check_shape(c, "tokens %u + %u of %u, cols %u, %s state from %u", in.first, in.count, in.tokens, in.cols, fresh ? "no" : "a", before);
    expected to = make_expected(c, n, before, 3 * in.cols);
    in.r = check_values(c, n, fill, 4);
    in.k = check_values(c, n, fill, 5);
    in.v = check_values(c, n, fill, 8);
    in.decay = make_range(c, in.cols, -8.0, -0.001);
    in.bonus = check_values(c, in.cols, fill, 3);
    in.state = check_floats(c, to.words);
    for (uint32_t i = 0; i < to.words && !fresh; i++) in.state[i] = (float)at_random(c, 0.5, 2.0);
    for (uint32_t i = 0; i < n; i++) to.limit[i] = -1.0;
    for (uint32_t col = 0; col < in.cols; col++) expect_wkv4(&in, col, &to);
    hel_wkv4_params params = {.tokens = in.count, .cols = in.cols, .first = in.first, .state_first = before};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{in.r, n, NULL}, {in.k, n, NULL}, {in.v, n, NULL}, {in.decay, in.cols, NULL},
                                    {in.bonus, in.cols, NULL}, {in.state, to.words, to.state}, {NULL, n, to.y}},
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = hel_ceil_div(in.cols, HEL_WKV4_CHUNK)};
    compare(c, &call, &to, in.state);
    check_end(c);
}

// ---------------------------------------------------------------- matrices of state

typedef struct heads_shape {
    uint32_t tokens, heads, head, first, count, n, before;
} heads_shape;

static heads_shape make_heads(check *c) {
    heads_shape s = {.tokens = check_size(c, 9), .heads = 1 + check_random(c, 3), .before = check_random(c, 5)};
    s.head = check_random(c, 2) ? 64 : check_size(c, 130);
    s.first = check_random(c, s.tokens);
    s.count = 1 + check_random(c, s.tokens - s.first);
    s.n = s.tokens * s.heads * s.head;
    return s;
}

static uint64_t head_groups(const heads_shape *s, uint32_t columns) { return s->heads * hel_ceil_div(s->head, columns); }

// A sum of terms in any order: `sizes` are their magnitudes, `errors` their own errors.
static near sum_of(double value, double sizes, double errors, uint32_t count) {
    return (near){value, errors + check_sum_limit(count, sizes) + CHECK_TINY * count};
}

typedef struct wkv5_inputs {
    heads_shape s;
    uint32_t decay_share, bonus_share;
    float *r, *k, *v, *change, *decay, *bonus, *state;
} wkv5_inputs;

static near wkv5_factor(const wkv5_inputs *in, uint32_t channel, size_t i) {
    near decay = exact(in->decay[channel / in->decay_share]);
    if (!in->change) return decay;
    near raised = exponential(plus(decay, exact(in->change[i])));
    raised.value = -raised.value;
    return exponential(raised);
}

// Column `col` of head h.
static void expect_wkv5(check *c, const wkv5_inputs *in, uint32_t h, uint32_t col, expected *to) {
    const heads_shape *s = &in->s;
    size_t kept = (size_t)s->before + (size_t)h * s->head * s->head + col;
    near *column = check_memory(c, s->head, sizeof *column);
    for (uint32_t j = 0; j < s->head; j++) column[j] = exact(in->state[kept + (size_t)j * s->head]);
    for (uint32_t t = s->first; t < s->first + s->count; t++) {
        size_t token = ((size_t)t * s->heads + h) * s->head;
        double value = 0.0, sizes = 0.0, errors = 0.0;
        for (uint32_t j = 0; j < s->head; j++) {
            uint32_t channel = h * s->head + j;
            near pair = times(exact(in->k[token + j]), exact(in->v[token + col]));
            near term = times(exact(in->r[token + j]), plus(times(exact(in->bonus[channel / in->bonus_share]), pair), column[j]));
            value += term.value;
            sizes += fabs(term.value);
            errors += term.error;
            column[j] = plus(times(wkv5_factor(in, channel, token + j), column[j]), pair);
        }
        put(sum_of(value, sizes, errors, s->head), token + col, to->want, to->limit);
    }
    for (uint32_t j = 0; j < s->head; j++) put(column[j], kept + (size_t)j * s->head, to->want_state, to->limit_state);
}

static void wkv5_case(check *c, check_fill fill) {
    check_begin(c, fill);
    wkv5_inputs in = {.s = make_heads(c)};
    const heads_shape *s = &in.s;
    uint32_t dynamic = check_random(c, 2), channels = s->heads * s->head, n = s->n;
    in.decay_share = check_random(c, 2) ? s->head : 1;
    in.bonus_share = check_random(c, 2) ? s->head : 1;
    check_shape(c, "tokens %u + %u of %u, heads %u of %u, state from %u, shares %u and %u%s", s->first, s->count, s->tokens, s->heads,
                s->head, s->before, in.decay_share, in.bonus_share, dynamic ? ", dynamic" : "");
    expected to = make_expected(c, n, s->before, channels * s->head);
    in.r = check_values(c, n, fill, 6);
    in.k = check_values(c, n, fill, 6);
    in.v = check_values(c, n, fill, 6);
    in.change = dynamic ? check_values(c, n, fill, 2) : NULL;
    in.decay = dynamic ? make_range(c, channels / in.decay_share, -6.0, 1.0) : make_range(c, channels / in.decay_share, 0.0, 1.0);
    in.bonus = check_values(c, channels / in.bonus_share, fill, 4);
    in.state = check_values(c, to.words, fill, 6);
    for (uint32_t i = 0; i < n; i++) to.limit[i] = -1.0;
    for (uint32_t i = 0; i < channels; i++) expect_wkv5(c, &in, i / s->head, i % s->head, &to);
    hel_wkv5_params params = {.tokens = s->count, .heads = s->heads, .head = s->head, .first = s->first, .state_first = s->before,
                              .decay_share = in.decay_share, .bonus_share = in.bonus_share};
    check_call call = {.kernel = c->kernel,
                       .constants = {dynamic, HEL_WKV5_COLUMNS},
                       .n_constants = 2,
                       .bindings = {{in.r, n, NULL}, {in.k, n, NULL}, {in.v, n, NULL}, {in.change, in.change ? n : 0, NULL},
                                    {in.decay, channels / in.decay_share, NULL}, {in.bonus, channels / in.bonus_share, NULL},
                                    {in.state, to.words, to.state}, {NULL, n, to.y}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = head_groups(s, HEL_WKV5_COLUMNS)};
    compare(c, &call, &to, in.state);
    check_end(c);
}

// ---------------------------------------------------------------- wkv7

typedef struct wkv7_inputs {
    heads_shape s;
    float *r, *w, *k, *v, *kappa, *a, *state;
} wkv7_inputs;

static near known_of(const wkv7_inputs *in, const near *column, size_t token) {
    double value = 0.0, sizes = 0.0, errors = 0.0;
    for (uint32_t j = 0; j < in->s.head; j++) {
        near term = times(exact(in->kappa[token + j]), column[j]);
        value += term.value;
        sizes += fabs(term.value);
        errors += term.error;
    }
    return sum_of(value, sizes, errors, in->s.head);
}

static void expect_wkv7(check *c, const wkv7_inputs *in, uint32_t h, uint32_t col, expected *to) {
    const heads_shape *s = &in->s;
    size_t kept = (size_t)s->before + (size_t)h * s->head * s->head + col;
    near *column = check_memory(c, s->head, sizeof *column);
    for (uint32_t j = 0; j < s->head; j++) column[j] = exact(in->state[kept + (size_t)j * s->head]);
    for (uint32_t t = s->first; t < s->first + s->count; t++) {
        size_t token = ((size_t)t * s->heads + h) * s->head;
        near known = known_of(in, column, token);
        double value = 0.0, sizes = 0.0, errors = 0.0;
        for (uint32_t j = 0; j < s->head; j++) {
            near pair = times(exact(in->k[token + j]), exact(in->v[token + col]));
            near left = minus(times(exact(in->w[token + j]), column[j]), times(exact(in->a[token + j]), known));
            column[j] = plus(left, pair);
            near term = times(exact(in->r[token + j]), column[j]);
            value += term.value;
            sizes += fabs(term.value);
            errors += term.error;
        }
        put(sum_of(value, sizes, errors, s->head), token + col, to->want, to->limit);
    }
    for (uint32_t j = 0; j < s->head; j++) put(column[j], kept + (size_t)j * s->head, to->want_state, to->limit_state);
}

// Directions whose components sum to 1 at most, so that nothing grows from token to token.
static float *make_directions(check *c, const heads_shape *s, check_fill fill) {
    float *values = check_values(c, s->n, fill, 6);
    for (uint32_t i = 0; i < s->n; i += s->head) {
        double sum = 0.0;
        for (uint32_t j = 0; j < s->head; j++) sum += fabs(values[i + j]);
        for (uint32_t j = 0; j < s->head && sum > 1.0; j++) values[i + j] = (float)(values[i + j] / sum);
    }
    return values;
}

static void wkv7_case(check *c, check_fill fill) {
    check_begin(c, fill);
    wkv7_inputs in = {.s = make_heads(c)};
    const heads_shape *s = &in.s;
    uint32_t channels = s->heads * s->head, n = s->n;
    check_shape(c, "tokens %u + %u of %u, heads %u of %u, state from %u", s->first, s->count, s->tokens, s->heads, s->head, s->before);
    expected to = make_expected(c, n, s->before, channels * s->head);
    in.r = check_values(c, n, fill, 6);
    in.w = make_range(c, n, 0.5, 1.0);
    in.k = check_values(c, n, fill, 6);
    in.v = check_values(c, n, fill, 6);
    in.kappa = make_directions(c, s, fill);
    in.a = make_directions(c, s, fill);
    in.state = check_values(c, to.words, fill, 6);
    for (uint32_t i = 0; i < n; i++) to.limit[i] = -1.0;
    for (uint32_t i = 0; i < channels; i++) expect_wkv7(c, &in, i / s->head, i % s->head, &to);
    hel_wkv7_params params = {.tokens = s->count, .heads = s->heads, .head = s->head, .first = s->first, .state_first = s->before};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{in.r, n, NULL}, {in.w, n, NULL}, {in.k, n, NULL}, {in.v, n, NULL}, {in.kappa, n, NULL},
                                    {in.a, n, NULL}, {in.state, to.words, to.state}, {NULL, n, to.y}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = head_groups(s, HEL_WKV7_COLUMNS)};
    compare(c, &call, &to, in.state);
    check_end(c);
}

// ---------------------------------------------------------------- wkv7_keys

typedef struct keys_inputs {
    heads_shape s;
    float *w, *k, *a, *decay, *rate_bias, *removal, *replacement;
} keys_inputs;

typedef struct keys_outputs {
    double *want[4], *limit[4]; // w, k, a, kappa
} keys_outputs;

static void expect_keys(const keys_inputs *in, uint32_t row, keys_outputs *to) {
    uint32_t head = in->s.head, channel = row % in->s.heads * head;
    size_t first = (size_t)row * head;
    double squares = 0.0;
    for (uint32_t j = 0; j < head; j++) squares += pow((double)in->k[first + j] * in->removal[channel + j], 2.0);
    near scale = {1.0 / fmax(sqrt(squares), 1e-12), 0.0};
    scale.error = scale.value * (0.5 * (4.0 + 4.0 * sqrt(head)) + 12.0) * CHECK_U;
    if (squares < 1e-20) scale.error = scale.value * 0x1p-3; // what was below the normal floats is missing from the sum
    for (uint32_t j = 0; j < head; j++) {
        size_t i = first + j;
        uint32_t col = channel + j;
        near k = exact(in->k[i]), rate = sigmoid(plus(exact(in->rate_bias[col]), exact(in->a[i])));
        near unit = times(times(k, exact(in->removal[col])), scale);
        near steep = times(exact(-0.60653065971263342), sigmoid(plus(exact(in->decay[col]), exact(in->w[i]))));
        put(exponential(steep), i, to->want[0], to->limit[0]);
        put(times(k, plus(exact(1.0), times(minus(rate, exact(1.0)), exact(in->replacement[col])))), i, to->want[1], to->limit[1]);
        put(times(unit, rate), i, to->want[2], to->limit[2]);
        put(unit, i, to->want[3], to->limit[3]);
    }
}

static void keys_case(check *c, check_fill fill) {
    check_begin(c, fill);
    keys_inputs in = {.s = make_heads(c)};
    uint32_t n = in.s.n, rows = in.s.tokens * in.s.heads, channels = in.s.heads * in.s.head;
    check_shape(c, "tokens %u, heads %u of %u", in.s.tokens, in.s.heads, in.s.head);
    in.w = check_values(c, n, fill, 4);
    in.k = check_values(c, n, fill, 8);
    in.a = check_values(c, n, fill, 4);
    in.decay = make_range(c, channels, -8.0, 4.0);
    in.rate_bias = check_values(c, channels, fill, 3);
    in.removal = make_range(c, channels, 0.25, 2.0);
    in.replacement = check_values(c, channels, fill, 3);
    keys_outputs to;
    float *got[4];
    for (int i = 0; i < 4; i++) {
        to.want[i] = check_doubles(c, n);
        to.limit[i] = check_doubles(c, n);
        got[i] = check_floats(c, n);
    }
    for (uint32_t row = 0; row < rows; row++) expect_keys(&in, row, &to);
    hel_wkv7_keys_params params = {.heads = in.s.heads, .head = in.s.head};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{in.w, n, got[0]}, {in.k, n, got[1]}, {in.a, n, got[2]}, {NULL, n, got[3]}, {in.decay, channels, NULL},
                                    {in.rate_bias, channels, NULL}, {in.removal, channels, NULL}, {in.replacement, channels, NULL}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    static const char *const names[] = {"w", "k", "a", "kappa"};
    if (check_run(c, &call))
        for (int i = 0; i < 4; i++) check_compare(c, names[i], got[i], to.want[i], to.limit[i], n, NULL);
    check_end(c);
}

// ---------------------------------------------------------------- wkv7_gate

static void wkv7_gate_case(check *c, check_fill fill) {
    check_begin(c, fill);
    heads_shape s = make_heads(c);
    uint32_t n = s.n, rows = s.tokens * s.heads, channels = s.heads * s.head;
    check_shape(c, "tokens %u, heads %u of %u", s.tokens, s.heads, s.head);
    float *r = check_values(c, n, fill, 8), *k = check_values(c, n, fill, 8), *v = check_values(c, n, fill, 8),
          *gate = check_values(c, n, fill, 8), *bonus = check_values(c, channels, fill, 8), *before = check_values(c, n, fill, 8),
          *y = check_floats(c, n);
    double *want = check_doubles(c, n), *limit = check_doubles(c, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = i / s.head, channel = row % s.heads * s.head;
        double sum = 0.0, sizes = 0.0, errors = 0.0;
        for (uint32_t j = 0; j < s.head; j++) {
            near term = times(times(exact(r[row * s.head + j]), exact(k[row * s.head + j])), exact(bonus[channel + j]));
            sum += term.value;
            sizes += fabs(term.value);
            errors += term.error;
        }
        near weighted = times(sum_of(sum, sizes, errors, s.head), exact(v[i]));
        put(times(plus(exact(before[i]), weighted), exact(gate[i])), i, want, limit);
    }
    hel_wkv7_gate_params params = {.heads = s.heads, .head = s.head};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{r, n, NULL}, {k, n, NULL}, {v, n, NULL}, {gate, n, NULL}, {bonus, channels, NULL}, {before, n, y}},
                       .n_bindings = 6,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = rows};
    if (check_run(c, &call)) check_compare(c, "y", y, want, limit, n, NULL);
    check_end(c);
}

static void wkv4_cases(check *c) { check_each_fill(c, 3, wkv4_case); }
static void wkv5_cases(check *c) { check_each_fill(c, 3, wkv5_case); }
static void wkv7_cases(check *c) { check_each_fill(c, 3, wkv7_case); }
static void keys_cases(check *c) { check_each_fill(c, 3, keys_case); }
static void wkv7_gate_cases(check *c) { check_each_fill(c, 2, wkv7_gate_case); }

// ---------------------------------------------------------------- times

enum { BENCH_TOKENS = 32, BENCH_COLS = 2048, BENCH_N = BENCH_TOKENS * BENCH_COLS, BENCH_HEAD = 64 };

// All inputs of a token are the same; the state goes from call to call.
static check_call bench_call(check *c, uint32_t inputs, uint32_t kept) {
    check_begin(c, CHECK_UNIFORM);
    check_call call = {.kernel = c->kernel, .n_bindings = inputs + 2};
    float *x = make_range(c, BENCH_N, 0.001, 0.01), *state = check_floats(c, kept), *y = check_floats(c, BENCH_N);
    for (uint32_t i = 0; i < inputs; i++) call.bindings[i] = (check_binding){x, BENCH_N, NULL};
    call.bindings[inputs] = (check_binding){state, kept, state};
    call.bindings[inputs + 1] = (check_binding){NULL, BENCH_N, y};
    return call;
}

static void wkv4_bench(check *c) {
    check_call call = bench_call(c, 5, 3 * BENCH_COLS);
    hel_wkv4_params params = {.tokens = BENCH_TOKENS, .cols = BENCH_COLS};
    call.params = &params;
    call.params_size = sizeof params;
    call.groups = BENCH_COLS / HEL_WKV4_CHUNK;
    check_bench(c, &call, "32x2048", 16.0 * BENCH_N);
}

static void wkv5_bench(check *c) {
    check_call call = bench_call(c, 6, BENCH_COLS * BENCH_HEAD);
    hel_wkv5_params params = {.tokens = BENCH_TOKENS, .heads = BENCH_COLS / BENCH_HEAD, .head = BENCH_HEAD, .decay_share = 1, .bonus_share = 1};
    call.constants[1] = HEL_WKV5_COLUMNS;
    call.n_constants = 2;
    call.params = &params;
    call.params_size = sizeof params;
    call.groups = (uint64_t)params.heads * BENCH_HEAD / HEL_WKV5_COLUMNS;
    check_bench(c, &call, "32x2048, heads of 64", 16.0 * BENCH_N);
    call.constants[0] = 1;
    check_bench(c, &call, "32x2048, heads of 64, dynamic", 20.0 * BENCH_N);
}

static void wkv7_bench(check *c) {
    check_call call = bench_call(c, 6, BENCH_COLS * BENCH_HEAD);
    hel_wkv7_params params = {.tokens = BENCH_TOKENS, .heads = BENCH_COLS / BENCH_HEAD, .head = BENCH_HEAD};
    call.params = &params;
    call.params_size = sizeof params;
    call.groups = (uint64_t)params.heads * BENCH_HEAD / HEL_WKV7_COLUMNS;
    check_bench(c, &call, "32x2048, heads of 64", 28.0 * BENCH_N);
}

static void keys_bench(check *c) {
    check_begin(c, CHECK_UNIFORM);
    hel_wkv7_keys_params params = {.heads = BENCH_COLS / BENCH_HEAD, .head = BENCH_HEAD};
    float *x = make_range(c, BENCH_N, 0.001, 0.01);
    check_call call = {.kernel = c->kernel, .n_bindings = 8, .params = &params, .params_size = sizeof params};
    for (uint32_t i = 0; i < 8; i++) {
        call.bindings[i] = (check_binding){x, i < 4 ? BENCH_N : BENCH_COLS, NULL};
        if (i < 4) call.bindings[i].result = check_floats(c, BENCH_N);
    }
    call.groups = BENCH_TOKENS * (uint64_t)params.heads;
    check_bench(c, &call, "32x2048, heads of 64", 28.0 * BENCH_N);
}

const check_kernel check_wkv_kernels[] = {
    {"wkv4", wkv4_cases, wkv4_bench},     {"wkv5", wkv5_cases, wkv5_bench}, {"wkv7", wkv7_cases, wkv7_bench}, {"wkv7_keys", keys_cases, keys_bench},
    {"wkv7_gate", wkv7_gate_cases, NULL}, {NULL, NULL, NULL},
};
