// SPDX-License-Identifier: Apache-2.0
// rope, kv_append, attention: what happens to queries, keys and values round the paged cache.
#include <math.h>
#include <stdio.h>

#include "harness.h"
#include "kernels.h"
#include "ops/operators.h"

enum { RANGE = 30 };

// Pages in a random order, more of them than are used.
typedef struct page_pool {
    uint32_t kv_heads, head_dim, page_size, count; // pages in the pool
    uint32_t *table, table_size;
} page_pool;

static page_pool make_pages(check *c, uint32_t positions, uint32_t kv_heads, uint32_t head_dim) {
    static const uint32_t sizes[] = {1, 3, 16, 64};
    page_pool pages = {.kv_heads = kv_heads, .head_dim = head_dim, .page_size = sizes[check_random(c, 4)]};
    pages.table_size = (positions + pages.page_size - 1) / pages.page_size;
    pages.count = pages.table_size + 2;
    uint32_t *order = check_words(c, pages.count);
    for (uint32_t i = 0; i < pages.count; i++) order[i] = i;
    for (uint32_t i = pages.count - 1; i > 0; i--) {
        uint32_t j = check_random(c, i + 1), swap = order[i];
        order[i] = order[j], order[j] = swap;
    }
    pages.table = order;
    return pages;
}

static uint32_t pool_words(const page_pool *pages) {
    return pages->count * pages->kv_heads * pages->page_size * pages->head_dim;
}

static size_t slot_of(const page_pool *pages, uint32_t kv_head, uint32_t position) {
    uint32_t page = pages->table[position / pages->page_size];
    return (((size_t)page * pages->kv_heads + kv_head) * pages->page_size + position % pages->page_size) *
           pages->head_dim;
}

// ---------------------------------------------------------------- rope

static void expect_pair(const float *a, const float *b, const float *turn, double *want_a, double *want_b,
                        double *limit_a, double *limit_b) {
    double x = *a, y = *b, cosine = turn[0], sine = turn[1];
    *want_a = x * cosine - y * sine;
    *want_b = x * sine + y * cosine;
    // Two products and a sum, each rounded once; denormals may be flushed.
    *limit_a = 3.0 * CHECK_U * (fabs(x * cosine) + fabs(y * sine)) + 5.0 * CHECK_TINY;
    *limit_b = 3.0 * CHECK_U * (fabs(x * sine) + fabs(y * cosine)) + 5.0 * CHECK_TINY;
}

static void expect_rope(const hel_rope_params *p, uint32_t layout, uint32_t step, const float *x, const float *table,
                        double *want, double *limit) {
    for (uint32_t t = 0; t < p->tokens; t++)
        for (uint32_t h = 0; h < p->heads; h++)
            for (uint32_t i = 0; i < p->rotary / 2; i++) {
                size_t head = (size_t)t * p->stride + h * p->head_dim;
                size_t a = head + (layout ? 2 * i : i), b = head + (layout ? 2 * i + 1 : i + p->rotary / 2);
                expect_pair(x + a, x + b, table + ((size_t)(step + t) * (p->rotary / 2) + i) * 2, want + a, want + b,
                            limit + a, limit + b);
            }
}

static void rope_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t heads = check_size(c, 9), head_dim = 2 * check_size(c, 64), layout = check_random(c, 2),
             step = check_random(c, 40);
    hel_rope_params p = {.tokens = check_size(c, 12), .heads = heads, .head_dim = head_dim};
    p.rotary = check_random(c, 2) ? head_dim : 2 * (1 + check_random(c, head_dim / 2));
    p.stride = heads * head_dim + 3 * check_random(c, 2);
    uint32_t words = (p.tokens - 1) * p.stride + heads * head_dim, positions = step + p.tokens;
    check_shape(c, "tokens %u, heads %u, head_dim %u, rotary %u, stride %u, step %u, layout %u", p.tokens, heads,
                head_dim, p.rotary, p.stride, step, layout);
    float *x = check_values(c, words, fill, RANGE), *y = check_floats(c, words),
          *table = check_floats(c, positions * p.rotary);
    for (uint32_t i = 0; i < positions * p.rotary; i += 2) {
        double angle = 6.28 * check_uniform(c);
        table[i] = (float)cos(angle), table[i + 1] = (float)sin(angle);
    }
    double *want = check_doubles(c, words), *limit = check_doubles(c, words);
    for (uint32_t i = 0; i < words; i++) limit[i] = -1.0; // what does not rotate stays
    expect_rope(&p, layout, step, x, table, want, limit);
    check_call call = {.kernel = c->kernel,
                       .constants = {layout},
                       .n_constants = 1,
                       .bindings = {{x, words, y}, {&step, 1, NULL}, {table, positions * p.rotary, NULL}},
                       .n_bindings = 3,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = (uint64_t)p.tokens * heads};
    if (check_run(c, &call)) check_compare(c, "x", y, want, limit, words, x);
    check_end(c);
}

// ---------------------------------------------------------------- kv_append

static void expect_append(check *c, const hel_kv_append_params *p, uint32_t step, const page_pool *pages,
                          const float *from, const float *before, const float *got, const char *what) {
    uint32_t words = pool_words(pages);
    double *want = check_doubles(c, words), *limit = check_doubles(c, words);
    for (uint32_t i = 0; i < words; i++) limit[i] = -1.0;
    for (uint32_t t = 0; t < p->tokens; t++)
        for (uint32_t h = 0; h < p->kv_heads; h++)
            for (uint32_t d = 0; d < p->head_dim; d++) {
                size_t at = slot_of(pages, h, step + t) + d;
                want[at] = from[((size_t)t * p->kv_heads + h) * p->head_dim + d];
                limit[at] = c->fill == CHECK_DENORMAL ? CHECK_TINY : 0.0; // a copy, but for flushed denormals
            }
    check_compare(c, what, got, want, limit, words, before);
}

static void append_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t step = check_random(c, 70), tokens = check_size(c, 40);
    hel_kv_append_params p = {.tokens = tokens, .kv_heads = check_size(c, 5), .head_dim = check_size(c, 130)};
    page_pool pages = make_pages(c, step + tokens, p.kv_heads, p.head_dim);
    p.page_size = pages.page_size;
    check_shape(c, "tokens %u, kv_heads %u, head_dim %u, page_size %u, step %u", tokens, p.kv_heads, p.head_dim,
                p.page_size, step);
    uint32_t words = tokens * p.kv_heads * p.head_dim, pool = pool_words(&pages);
    float *k = check_values(c, words, fill, RANGE), *v = check_values(c, words, fill, RANGE);
    float *keys = check_values(c, pool, CHECK_UNIFORM, 0), *values = check_values(c, pool, CHECK_UNIFORM, 0);
    float *keys_after = check_floats(c, pool), *values_after = check_floats(c, pool);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{k, words, NULL},
                                    {v, words, NULL},
                                    {keys, pool, keys_after},
                                    {values, pool, values_after},
                                    {pages.table, pages.table_size, NULL},
                                    {&step, 1, NULL}},
                       .n_bindings = 6,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = (uint64_t)tokens * p.kv_heads};
    if (check_run(c, &call)) {
        expect_append(c, &p, step, &pages, k, keys, keys_after, "k_pages");
        expect_append(c, &p, step, &pages, v, values, values_after, "v_pages");
    }
    check_end(c);
}

// ---------------------------------------------------------------- attention

typedef struct attended {
    hel_attention_params p;
    page_pool pages;
    uint32_t step;
    float *q, *keys, *values;
    double *score, *error; // of the positions in sight
} attended;

// Scores and how far off they may be.
static void score_positions(const attended *a, uint32_t t, uint32_t head, uint32_t count) {
    const hel_attention_params *p = &a->p;
    const float *q = a->q + ((size_t)t * p->heads + head) * p->head_dim;
    for (uint32_t s = 0; s < count; s++) {
        const float *k = a->keys + slot_of(&a->pages, head / (p->heads / p->kv_heads), s);
        double dot = 0.0, magnitude = 0.0, flushed = 0.0;
        for (uint32_t d = 0; d < p->head_dim; d++) {
            dot += (double)q[d] * k[d];
            magnitude += fabs((double)q[d] * k[d]);
            flushed += CHECK_TINY * (2.0 + fabs((double)q[d]) + fabs((double)k[d]));
        }
        a->score[s] = dot * p->scale;
        a->error[s] = check_sum_limit(p->head_dim, magnitude * p->scale) + flushed;
    }
}

// Weights become relative errors: of exp, of the running rescaling, of the denominator.
static double weigh_positions(const attended *a, uint32_t count) {
    double largest = -INFINITY, largest_error = 0.0, total = 0.0, mean_error = 0.0;
    for (uint32_t s = 0; s < count; s++) {
        largest = fmax(largest, a->score[s]);
        largest_error = fmax(largest_error, a->error[s]);
    }
    for (uint32_t s = 0; s < count; s++) total += exp(a->score[s] - largest);
    for (uint32_t s = 0; s < count; s++) {
        double below = a->score[s] - largest;
        a->error[s] = expm1(fmin(a->error[s] + largest_error + 2.0 * CHECK_U * fabs(largest), 50.0)) +
                      (12.0 + 6.0 * fmin(fabs(below), 200.0)) * CHECK_U;
        a->score[s] = exp(below) / total;
        mean_error += a->score[s] * a->error[s];
    }
    return mean_error;
}

static void expect_attention(const attended *a, uint32_t t, uint32_t head, double *want, double *limit) {
    const hel_attention_params *p = &a->p;
    uint32_t count = a->step + t + 1;
    score_positions(a, t, head, count);
    double mean_error = weigh_positions(a, count);
    for (uint32_t d = 0; d < p->head_dim; d++) {
        double sum = 0.0, magnitude = 0.0, error = 0.0, flushed = 4.0 * CHECK_TINY;
        for (uint32_t s = 0; s < count; s++) {
            double v = a->values[slot_of(&a->pages, head / (p->heads / p->kv_heads), s) + d];
            sum += a->score[s] * v;
            magnitude += a->score[s] * fabs(v);
            error += a->score[s] * fabs(v) * (a->error[s] + mean_error);
            flushed += CHECK_TINY * (1.0 + fabs(v)); // a weight below 2^-126 may vanish, whatever it multiplies
        }
        size_t at = ((size_t)t * p->heads + head) * p->head_dim + d;
        want[at] = sum;
        limit[at] = error + check_sum_limit(count, magnitude) + 8.0 * CHECK_U * magnitude + flushed;
    }
}

static void make_attended(check *c, uint32_t most_tokens, uint32_t most_before, attended *a) {
    static const uint32_t dims[] = {1, 8, 31, 64, 65, 128, 256};
    uint32_t kv_heads = 1 + check_random(c, 3), tokens = 1 + check_random(c, most_tokens),
             step = check_random(c, most_before);
    a->p = (hel_attention_params){.tokens = tokens,
                                  .kv_heads = kv_heads,
                                  .heads = kv_heads * (1 + check_random(c, 3)),
                                  .head_dim = dims[check_random(c, 7)]};
    a->p.scale = 1.0f / sqrtf((float)a->p.head_dim);
    a->step = step;
    a->pages = make_pages(c, step + tokens, kv_heads, a->p.head_dim);
    a->p.page_size = a->pages.page_size;
    a->q = check_values(c, (size_t)tokens * a->p.heads * a->p.head_dim, c->fill, 3);
    a->keys = check_values(c, pool_words(&a->pages), c->fill, 3);
    a->values = check_values(c, pool_words(&a->pages), c->fill, RANGE);
    a->score = check_doubles(c, step + tokens);
    a->error = check_doubles(c, step + tokens);
}

static check_call attention_call(const check *c, attended *a, float *y) {
    uint32_t words = a->p.tokens * a->p.heads * a->p.head_dim, pool = pool_words(&a->pages);
    return (check_call){.kernel = c->kernel,
                        .bindings = {{a->q, words, NULL},
                                     {a->keys, pool, NULL},
                                     {a->values, pool, NULL},
                                     {a->pages.table, a->pages.table_size, NULL},
                                     {&a->step, 1, NULL},
                                     {NULL, words, y}},
                        .n_bindings = 6,
                        .params = &a->p,
                        .params_size = sizeof a->p,
                        .groups = (uint64_t)a->p.tokens * a->p.heads};
}

static void attention_case(check *c, check_fill fill) {
    check_begin(c, fill);
    attended a;
    make_attended(c, 12, check_random(c, 2) ? 20 : 200, &a);
    check_shape(c, "tokens %u, heads %u, kv_heads %u, head_dim %u, page_size %u, step %u", a.p.tokens, a.p.heads,
                a.p.kv_heads, a.p.head_dim, a.p.page_size, a.step);
    uint32_t words = a.p.tokens * a.p.heads * a.p.head_dim;
    float *y = check_floats(c, words);
    check_call call = attention_call(c, &a, y);
    if (check_run(c, &call)) {
        double *want = check_doubles(c, words), *limit = check_doubles(c, words);
        for (uint32_t t = 0; t < a.p.tokens; t++)
            for (uint32_t h = 0; h < a.p.heads; h++) expect_attention(&a, t, h, want, limit);
        check_compare(c, "y", y, want, limit, words, NULL);
    }
    check_end(c);
}

// As many positions as the driver's loops allow, where they are limited: one token after all the others.
static void longest_case(check *c, uint32_t head_dim) {
    check_begin(c, CHECK_UNIFORM);
    uint32_t positions = hel_attention_positions(c->runner->device, head_dim);
    check_shape(c, "positions %u, head_dim %u", positions, head_dim);
    attended a = {.p = {.tokens = 1, .heads = 1, .kv_heads = 1, .head_dim = head_dim, .scale = 1.0f / sqrtf((float)head_dim)},
                  .step = positions - 1};
    a.pages = make_pages(c, positions, 1, head_dim);
    a.p.page_size = a.pages.page_size;
    a.q = check_values(c, head_dim, CHECK_UNIFORM, 0);
    a.keys = check_values(c, pool_words(&a.pages), CHECK_UNIFORM, 0);
    a.values = check_values(c, pool_words(&a.pages), CHECK_UNIFORM, 0);
    a.score = check_doubles(c, positions);
    a.error = check_doubles(c, positions);
    float *y = check_floats(c, head_dim);
    check_call call = attention_call(c, &a, y);
    if (check_run(c, &call)) {
        double *want = check_doubles(c, head_dim), *limit = check_doubles(c, head_dim);
        expect_attention(&a, 0, 0, want, limit);
        check_compare(c, "y", y, want, limit, head_dim, NULL);
    }
    check_end(c);
}

static void rope_cases(check *c) { check_each_fill(c, 4, rope_case); }
static void append_cases(check *c) { check_each_fill(c, 4, append_case); }
static void attention_cases(check *c) {
    static const uint32_t dims[] = {1, 8, 64, 65, 128, 256};
    check_each_fill(c, 4, attention_case);
    if (!c->runner->device || !c->runner->device->limits.loop_iterations) return;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) longest_case(c, dims[i]);
}

static void attention_bench(check *c) {
    check_begin(c, CHECK_UNIFORM);
    attended a = {.p = {.tokens = 1, .heads = 32, .kv_heads = 8, .head_dim = 128, .page_size = 64, .scale = 0.088f},
                  .step = 4095};
    a.pages = (page_pool){.kv_heads = 8, .head_dim = 128, .page_size = 64, .count = 64, .table_size = 64};
    a.pages.table = check_words(c, 64);
    for (uint32_t i = 0; i < 64; i++) a.pages.table[i] = i;
    a.q = check_values(c, 32 * 128, CHECK_UNIFORM, 0);
    a.keys = check_values(c, pool_words(&a.pages), CHECK_UNIFORM, 0);
    a.values = check_values(c, pool_words(&a.pages), CHECK_UNIFORM, 0);
    check_call call = attention_call(c, &a, check_floats(c, 32 * 128));
    check_bench(c, &call, "tokens 1 heads 32/8 head_dim 128 positions 4096", 8.0 * pool_words(&a.pages));
}

const check_kernel check_attention_kernels[] = {
    {"rope", rope_cases, NULL},
    {"kv_append", append_cases, NULL},
    {"attention", attention_cases, attention_bench},
    {NULL, NULL, NULL},
};
