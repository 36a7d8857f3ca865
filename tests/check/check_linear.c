// SPDX-License-Identifier: Apache-2.0
// linear_matvec, linear_matmul, linear_matmul_matrix, linear_slices, embedding: every form of weight, with and without
// sidecar, bias, group scales and accumulation, in whole and in slices.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/cpu/kernels/table.h"
#include "base/size.h"
#include "kernels.h"
#include "weight_oracle.h"

enum { X_RANGE = 30, ALL_FLAGS = 16 };

// How a kernel is called: linear_matvec has its constants beside the form of the weight, the tiled products have the block
// of a work-group, which linear_matmul_matrix takes as constants.
typedef struct product_call {
    uint32_t tokens, rows, lanes, step, splits, replicas, keep_x; // 0 in the tiled products
    uint32_t tile_rows, tile_tokens;
} product_call;

static const product_call matmul_call = {.tile_rows = HEL_LINEAR_MATMUL_TILE_ROWS,
                                         .tile_tokens = HEL_LINEAR_MATMUL_TILE_TOKENS};

static bool on_matrix_units(const check *c) { return !strcmp(c->kernel, "linear_matmul_matrix"); }

static product_call plain_form(uint32_t tokens) {
    return (product_call){.tokens = tokens, .rows = HEL_LINEAR_MATVEC_ROWS, .lanes = HEL_LINEAR_MATVEC_LANES, .step = 1,
                          .splits = 1};
}

// A product y = W x as the kernels take it.
typedef struct linear_product {
    test_weight weight;
    hel_linear_params params;
    float *x, *before, *y;
    uint32_t x_words, y_words;
    double *want, *limit;
    double fixed_error, pair_error; // as in check
} linear_product;

static uint64_t group_count(product_call how, uint32_t rows, uint32_t tokens) {
    if (how.tokens) return hel_ceil_div(rows, how.rows) * how.splits;
    return hel_ceil_div(rows, how.tile_rows) * hel_ceil_div(tokens, how.tile_tokens);
}

// Where denormal inputs and products may be flushed to zero, each term can lose so much.
static double flush_limit(double w, double x) { return CHECK_TINY * (2.0 + fabs(w) + fabs(x)); }

// The greatest |entry| times the greatest |x| of its block, summed over the columns.
static double greatest_products(const linear_product *product, uint32_t t) {
    const test_weight *weight = &product->weight;
    double entry = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < weight->entries; i++) entry = fmax(entry, fabs((double)weight->codebook[i]));
    for (uint32_t first = 0; first < weight->cols; first += CPU_FIXED_BLOCK) {
        uint32_t count = HEL_MIN(CPU_FIXED_BLOCK, weight->cols - first);
        const float *x = product->x + product->params.x_first + (size_t)t * product->params.x_stride + first;
        double most = 0.0;
        for (uint32_t i = 0; i < count; i++) most = fmax(most, fabs((double)x[i]));
        sum += count * most;
    }
    return entry * sum;
}

static void expect_element(const linear_product *product, uint32_t t, uint32_t r) {
    const test_weight *weight = &product->weight;
    const hel_linear_params *p = &product->params;
    double sum = 0.0, magnitude = 0.0, flushed = 0.0;
    for (uint32_t col = 0; col < weight->cols; col++) {
        double x = product->x[p->x_first + t * p->x_stride + col];
        sum += weight->values[(size_t)r * weight->cols + col] * x;
        magnitude += weight->magnitudes[(size_t)r * weight->cols + col] * fabs(x);
        flushed += flush_limit(weight->magnitudes[(size_t)r * weight->cols + col], x);
    }
    uint32_t at = p->y_first + t * p->y_stride + p->first_row + r;
    double bias = weight->bias ? weight->bias[p->first_row + r] : 0.0;
    double old = weight->form.flags & WEIGHT_ACCUMULATE ? product->before[at] : 0.0;
    product->want[at] = sum + bias + old;
    product->limit[at] = check_sum_limit(weight->cols, magnitude + fabs(bias) + fabs(old)) + flushed + 2 * CHECK_TINY +
                         (product->fixed_error ? product->fixed_error * greatest_products(product, t) : 0.0) +
                         1.01 * product->pair_error * magnitude;
}

// Adds up the slices of the columns where the first one lies. What the others hold is right if the sums are, but a number
// it must be: NaN is what was there before.
static void add_slices(linear_product *product, uint32_t t, uint32_t r, uint32_t splits) {
    const hel_linear_params *p = &product->params;
    uint32_t first = p->y_first + t * p->y_stride + p->first_row + r;
    for (uint32_t s = 1; s < splits; s++) {
        uint32_t at = first + s * p->tokens * p->y_stride;
        product->y[first] += product->y[at];
        product->limit[at] = INFINITY;
    }
}

static void expect_product(check *c, linear_product *product, uint32_t splits) {
    product->want = check_doubles(c, product->y_words);
    product->limit = check_doubles(c, product->y_words);
    for (uint32_t i = 0; i < product->y_words; i++) product->limit[i] = -1.0; // not written
    for (uint32_t t = 0; t < product->params.tokens; t++)
        for (uint32_t r = 0; r < product->params.rows; r++) {
            expect_element(product, t, r);
            add_slices(product, t, r, splits);
        }
}

// `how` wants vectors of x where its step is not 1.
static void make_product(check *c, weight_form form, product_call how, uint32_t rows, uint32_t cols, uint32_t tokens,
                         linear_product *out) {
    uint32_t unit = how.step > 1 ? 4 : 1;
    uint32_t count = check_random(c, 2) ? rows : 1 + check_random(c, rows), first = check_random(c, rows - count + 1);
    if (c->fill == CHECK_UNIFORM && !check_random(c, 8)) c->fill = CHECK_LEVEL;
    bool negative = c->fill == CHECK_LEVEL && check_random(c, 2);
    weight_make(c, form, rows, cols, first, count, &out->weight);
    hel_linear_params *p = &out->params;
    *p = (hel_linear_params){.rows = count,
                             .cols = cols,
                             .tokens = tokens,
                             .row_words = out->weight.row_words,
                             .group = out->weight.group,
                             .first_row = first};
    p->x_first = check_random(c, 5) * unit, p->x_stride = cols + check_random(c, 4) * unit;
    p->y_first = check_random(c, 5), p->y_stride = rows + check_random(c, 4);
    out->x_words = p->x_first + (tokens - 1) * p->x_stride + cols;
    out->y_words = p->y_first + (HEL_MAX(how.splits, 1) * tokens - 1) * p->y_stride + rows;
    out->x = check_values(c, out->x_words, c->fill, X_RANGE);
    for (uint32_t i = 0; i < out->x_words && negative; i++) out->x[i] = -out->x[i];
    if (form.flags & WEIGHT_ACCUMULATE) out->before = check_values(c, out->y_words, c->fill, X_RANGE);
    out->y = check_floats(c, out->y_words);
}

static void bind_product(linear_product *product, check_call *call) {
    weight_bind(&product->weight, call->bindings);
    if (product->weight.bias) call->bindings[5] = (check_binding){product->weight.bias, product->weight.rows, NULL};
    call->bindings[6] = (check_binding){product->x, product->x_words, NULL};
    call->bindings[7] = (check_binding){product->before, product->y_words, product->y};
    call->n_bindings = 8;
    call->params = &product->params;
    call->params_size = sizeof product->params;
}

static void set_constants(const check *c, weight_form form, product_call how, check_call *call) {
    const uint32_t vectors[] = {form.format, form.bits, form.d, form.flags, how.tokens, how.rows,
                                how.lanes,   how.step,  how.splits, how.replicas, how.keep_x};
    const uint32_t tiles[] = {form.format, form.bits, form.d, form.flags, how.tile_rows, how.tile_tokens};
    call->n_constants = how.tokens ? HEL_COUNT(vectors) : on_matrix_units(c) ? HEL_COUNT(tiles) : 4;
    memcpy(call->constants, how.tokens ? vectors : tiles, call->n_constants * sizeof *vectors);
}

// Ends the case.
static void run_product(check *c, weight_form form, product_call how, uint32_t rows, uint32_t cols, uint32_t tokens) {
    linear_product product = {0};
    make_product(c, form, how, rows, cols, tokens, &product);
    const hel_linear_params *p = &product.params;
    check_shape(c,
                "format %u bits %u d %u flags %u, rows %u of %u from %u, cols %u, tokens %u of %u, group %u, block %u x %u, "
                "step %u, splits %u, replicas %u, keep %u, tile %u x %u",
                form.format, form.bits, form.d, form.flags, p->rows, rows, p->first_row, cols, tokens, how.tokens, p->group,
                how.rows, how.lanes, how.step, how.splits, how.replicas, how.keep_x, how.tile_rows, how.tile_tokens);
    check_call call = {.kernel = c->kernel};
    set_constants(c, form, how, &call);
    call.groups = group_count(how, p->rows, tokens);
    if (how.step > 1) call.groups = 1 + check_random(c, (uint32_t)call.groups); // any number will do
    bind_product(&product, &call);
    if (how.tokens && cpu_is_fixed(call.constants)) product.fixed_error = c->fixed_error;
    if (!how.tokens) product.pair_error = on_matrix_units(c) ? CHECK_PAIR_ERROR : c->pair_error;
    if (check_run(c, &call)) {
        expect_product(c, &product, how.splits);
        check_compare(c, "y", product.y, product.want, product.limit, product.y_words, product.before);
    }
    check_end(c);
}

// The kernel's own way, with up to `most` tokens, or with a block of each size in turn that the device has room for.
static product_call choose_call(const check *c, weight_form form, uint32_t most, uint32_t number) {
    if (most) return plain_form(most);
    if (!on_matrix_units(c)) return matmul_call;
    product_call how = {.tile_rows = 32u << number % 3, .tile_tokens = 32u << number / 3 % 3};
    check_call call;
    set_constants(c, form, how, &call);
    double shared = hel_kernel_source_find(c->kernel)->shared(call.constants, c->workgroup);
    bool fits = !c->runner->device || shared <= c->runner->device->limits.shared_memory;
    return fits ? how : (product_call){.tile_rows = 32, .tile_tokens = 32};
}

static void check_product(check *c, weight_form form, check_fill fill, uint32_t most, uint32_t number) {
    check_begin(c, fill);
    product_call how = choose_call(c, form, most, number);
    uint32_t rows = check_size(c, most ? 70 : 150), cols = weight_cols(form, check_size(c, most ? 700 : 300));
    run_product(c, form, how, rows, cols, most ? 1 + check_random(c, most) : check_size(c, how.tile_tokens + 58));
}

// Kernels may cut long rows; these lie around 2048 or 4096, and around 12288 where the device goes through loops to their end.
static void check_long_rows(check *c, uint32_t most) {
    const bool ends_loops = c->runner->device && c->runner->device->limits.loop_iterations;
    for (uint32_t i = 0; i < (ends_loops ? 1 : 2) * WEIGHT_FORMS; i++) {
        weight_form form = weight_form_at(i % WEIGHT_FORMS, i % ALL_FLAGS);
        check_begin(c, CHECK_UNIFORM);
        uint32_t around = i < WEIGHT_FORMS ? 2048 * (1 + check_random(c, 2)) : 12288;
        uint32_t cols = weight_cols(form, around - 70 + check_random(c, 140));
        run_product(c, form, most ? plain_form(most) : matmul_call, 1 + check_random(c, 18), cols,
                    most ? 1 + check_random(c, most) : check_size(c, 40));
    }
}

// Each form of weight with all 16 sets of flags, or with a random one, or with that and its complement: then each flag
// still meets each form on and off.
static void for_all_forms(check *c, void (*one)(check *c, weight_form form, uint32_t number)) {
    uint32_t number = 0, random = (uint32_t)c->seed * 5u;
    for (uint32_t i = 0; i < WEIGHT_FORMS; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t chosen = random >> 28, complement = c->flags_per_form == 2 ? ALL_FLAGS - 1 - chosen : chosen;
        for (uint32_t flags = 0; flags < ALL_FLAGS; flags++)
            if (c->flags_per_form == ALL_FLAGS || flags == chosen || flags == complement)
                one(c, weight_form_at(i, flags), number++);
    }
}

// Two thirds uniform, the rest all other fills in turn.
static check_fill fill_of(uint32_t number) { return number % 3 ? CHECK_UNIFORM : (check_fill)(1 + number / 3 % 3); }

static void matvec_form(check *c, weight_form form, uint32_t number) {
    check_product(c, form, fill_of(number), 1u << number % 4, 0);
}

static void matmul_form(check *c, weight_form form, uint32_t number) {
    check_product(c, form, fill_of(number), 0, number);
}

// More shapes of the forms that models are made of.
static void common_forms(check *c, uint32_t most) {
    static const weight_form forms[] = {{WEIGHT_CODEBOOK, 8, 1, WEIGHT_SIDECAR | WEIGHT_BIAS}, {WEIGHT_BF16, 8, 1, 0}};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t fill = 0; fill < CHECK_FILLS; fill++)
            for (uint32_t round = 0; round < 2 * c->rounds; round++) check_product(c, forms[i], (check_fill)fill, most, 1);
}

// ---------------------------------------------------------------- the variants of linear_matvec

// The words of a row that are whole fields and, but for indices across words, a vector.
static uint32_t step_of(weight_form form) {
    uint32_t bits = form.format == WEIGHT_CODEBOOK ? form.bits : form.format == WEIGHT_F32 ? 32 : 16;
    return bits == 5 ? 5 : 32 % bits ? 3 : 4;
}

static uint32_t step_columns(weight_form form, uint32_t step) {
    if (form.format != WEIGHT_CODEBOOK) return step * (form.format == WEIGHT_F32 ? 1 : 2);
    return step * 32 / form.bits * form.d;
}

// As many copies of the codebook as the device has room for.
static void fit_replicas(const check *c, weight_form form, product_call *how) {
    const hel_kernel_source *source = hel_kernel_source_find(c->kernel);
    double room = c->runner->device ? c->runner->device->limits.shared_memory : 65536;
    for (check_call call; how->replicas; how->replicas /= 2) {
        set_constants(c, form, *how, &call);
        if (source->shared(call.constants, how->lanes) <= room) return;
    }
}

// Products that a lane's step may be unrolled to; drivers take long for more.
enum { MOST_UNROLLED = 128 };

// Every lane count, number of slices, of copies and of rows meets steps of a word and of vectors.
static void check_variant(check *c, uint32_t number) {
    static const uint32_t copies[] = {0, 32, 1, 16}, slices[] = {1, 2, 8, 1, 4, 3, 5}, rows[] = {8, 4, 1, 8, 16};
    const uint32_t end = WEIGHT_BIAS | WEIGHT_ACCUMULATE; // what is left to linear_slices
    uint32_t splits = slices[number % HEL_COUNT(slices)];
    weight_form form = weight_form_at(number * 8 % WEIGHT_FORMS, number * 7 % ALL_FLAGS & (splits > 1 ? ~end : ~0u));
    product_call how = {.tokens = 1u << number * 3 % 4,
                       .rows = rows[number % HEL_COUNT(rows)],
                       .lanes = 32u << number / 2 % 4,
                       .step = number % 4 ? step_of(form) : 1,
                       .splits = splits,
                       .replicas = copies[number / 2 % HEL_COUNT(copies)],
                       .keep_x = number / 3 % 2};
    uint32_t unit = how.step > 1 ? step_columns(form, how.step) : form.d;
    while (how.tokens > 1 && how.step > 1 && unit * how.tokens > MOST_UNROLLED) how.tokens /= 2;
    while (how.rows > 1 && how.step > 1 && unit * how.tokens * how.rows > MOST_UNROLLED) how.rows /= 2;
    fit_replicas(c, form, &how);
    check_begin(c, fill_of(number));
    uint32_t cols = unit * (1 + check_random(c, HEL_MAX(6000 / unit, 1)));
    run_product(c, form, how, check_size(c, 40), cols, 1 + check_random(c, how.tokens));
}

static void variant_cases(check *c) {
    enum { VARIANTS = 28 };
    if (c->vectors) return; // the CPU's vector kernels take whole rows, eight at a time
    for (uint32_t i = 0; i < VARIANTS; i++) check_variant(c, i);
}

static void matvec_cases(check *c) {
    for_all_forms(c, matvec_form);
    common_forms(c, 1);
    common_forms(c, 8);
    check_long_rows(c, 8);
    variant_cases(c);
}

static void matmul_cases(check *c) {
    for_all_forms(c, matmul_form);
    common_forms(c, 0);
    if (!on_matrix_units(c)) check_long_rows(c, 0); // where a step is 32 columns all rows are long
}

// ---------------------------------------------------------------- the sum of slices

static void check_slices(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t flags = check_random(c, 2) * WEIGHT_BIAS + check_random(c, 2) * WEIGHT_ACCUMULATE;
    uint32_t rows = check_size(c, 300), tokens = 1 + check_random(c, 8), slices = 1 + check_random(c, 8), n = rows * tokens;
    check_shape(c, "rows %u, tokens %u, slices %u, flags %u", rows, tokens, slices, flags);
    float *sums = check_values(c, (size_t)slices * n, fill, X_RANGE), *bias = check_values(c, rows, fill, X_RANGE);
    float *before = check_values(c, n, fill, X_RANGE), *y = check_floats(c, n);
    hel_linear_slices_params params = {.rows = rows, .n = n, .slices = slices};
    check_call call = {.kernel = c->kernel, .constants = {flags}, .n_constants = 1, .n_bindings = 3, .params = &params,
                       .params_size = sizeof params, .groups = hel_ceil_div(n, HEL_LINEAR_SLICES_CHUNK)};
    call.bindings[0] = (check_binding){sums, slices * n, NULL};
    if (flags & WEIGHT_BIAS) call.bindings[1] = (check_binding){bias, rows, NULL};
    call.bindings[2] = (check_binding){flags & WEIGHT_ACCUMULATE ? before : NULL, n, y};
    if (check_run(c, &call)) {
        double *want = check_doubles(c, n), *limit = check_doubles(c, n);
        for (uint32_t i = 0; i < n; i++) {
            double terms[10], magnitude = 0.0;
            for (uint32_t s = 0; s < slices; s++) terms[s] = sums[(size_t)s * n + i];
            terms[8] = flags & WEIGHT_BIAS ? bias[i % rows] : 0.0;
            terms[9] = flags & WEIGHT_ACCUMULATE ? before[i] : 0.0;
            for (uint32_t s = 0; s < 10; s++)
                if (s < slices || s >= 8) want[i] += terms[s], magnitude += fabs(terms[s]);
            limit[i] = check_sum_limit(10, magnitude) + 10 * CHECK_TINY;
        }
        check_compare(c, "y", y, want, limit, n, NULL);
    }
    check_end(c);
}

static void slices_cases(check *c) { check_each_fill(c, 3, check_slices); }

// ---------------------------------------------------------------- embedding

typedef struct table_lookup {
    test_weight weight;
    uint32_t count;
    uint32_t *tokens;
    float *before, *y;
    double *want, *limit;
} table_lookup;

static void expect_lookup(check *c, table_lookup *lookup) {
    const test_weight *weight = &lookup->weight;
    size_t size = (size_t)lookup->count * weight->cols;
    bool exact = !(weight->form.flags & (WEIGHT_SIDECAR | WEIGHT_GROUPS)); // a copy, but for flushed denormals
    lookup->want = check_doubles(c, size);
    lookup->limit = check_doubles(c, size);
    for (size_t i = 0; i < size; i++) {
        uint32_t row = lookup->tokens[i / weight->cols] - weight->first;
        lookup->limit[i] = -1.0;
        if (row >= weight->count) continue; // another slice's
        size_t at = (size_t)row * weight->cols + i % weight->cols;
        lookup->want[i] = weight->values[at];
        lookup->limit[i] = (exact ? 0.0 : 3.0 * CHECK_U * weight->magnitudes[at]) +
                           (c->fill == CHECK_DENORMAL || !exact ? 3.0 * CHECK_TINY : 0.0);
    }
}

static void embedding_form(check *c, weight_form form, uint32_t number) {
    if (c->flags_per_form == 2 && number % 2) return; // the complement adds nothing here
    form.flags &= WEIGHT_SIDECAR | WEIGHT_GROUPS; // it knows no others
    check_begin(c, fill_of(number));
    uint32_t rows = check_size(c, 80), cols = weight_cols(form, check_size(c, 300));
    uint32_t count = check_random(c, 2) ? rows : 1 + check_random(c, rows), first = check_random(c, rows - count + 1);
    table_lookup lookup = {.count = check_size(c, 20)};
    weight_make(c, form, rows, cols, first, count, &lookup.weight);
    check_shape(c, "format %u bits %u d %u flags %u, rows %u of %u from %u, cols %u, tokens %u, group %u", form.format,
                form.bits, form.d, form.flags, count, rows, first, cols, lookup.count, lookup.weight.group);
    lookup.tokens = check_words(c, lookup.count);
    for (uint32_t t = 0; t < lookup.count; t++) lookup.tokens[t] = check_random(c, rows);
    lookup.before = check_values(c, (size_t)lookup.count * cols, CHECK_UNIFORM, 0);
    lookup.y = check_floats(c, (size_t)lookup.count * cols);
    hel_embedding_params params = {.rows = count,
                                   .cols = cols,
                                   .tokens = lookup.count,
                                   .row_words = lookup.weight.row_words,
                                   .group = lookup.weight.group,
                                   .first_row = first};
    check_call call = {.kernel = c->kernel,
                       .constants = {form.format, form.bits, form.d, form.flags},
                       .n_constants = 4,
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = lookup.count};
    weight_bind(&lookup.weight, call.bindings);
    call.bindings[5] = (check_binding){lookup.tokens, lookup.count, NULL};
    call.bindings[6] = (check_binding){lookup.before, lookup.count * cols, lookup.y};
    if (check_run(c, &call)) {
        expect_lookup(c, &lookup);
        check_compare(c, "y", lookup.y, lookup.want, lookup.limit, (size_t)lookup.count * cols, lookup.before);
    }
    check_end(c);
}

static void embedding_cases(check *c) { for_all_forms(c, embedding_form); }

// ---------------------------------------------------------------- timing

static void bench_product(check *c, weight_form form, product_call how, uint32_t tokens) {
    enum { ROWS = 4096, COLS = 4096 };
    char shape[128];
    snprintf(shape, sizeof shape, "%ux%u tokens %u format %u bits %u d %u block %u x %u step %u replicas %u", ROWS, COLS,
             tokens, form.format, form.bits, form.d, how.rows, how.lanes, how.step, how.replicas);
    check_begin(c, CHECK_UNIFORM);
    linear_product product = {.x_words = tokens * COLS, .y_words = tokens * ROWS};
    weight_make(c, form, ROWS, COLS, 0, ROWS, &product.weight);
    product.x = check_values(c, product.x_words, CHECK_UNIFORM, 0);
    product.y = check_floats(c, product.y_words);
    product.params = (hel_linear_params){.rows = ROWS,
                                         .cols = COLS,
                                         .tokens = tokens,
                                         .row_words = product.weight.row_words,
                                         .x_stride = COLS,
                                         .y_stride = ROWS};
    check_call call = {.kernel = c->kernel};
    set_constants(c, form, how, &call);
    call.groups = group_count(how, ROWS, tokens);
    bind_product(&product, &call);
    check_bench(c, &call, shape, 4.0 * ((double)ROWS * product.weight.row_words + product.x_words + product.y_words));
}

// The plain form of each weight, then the variants of the most common one.
static void matvec_bench(check *c) {
    weight_form bytes = weight_form_at(12, 0);
    for (uint32_t i = 0; i < WEIGHT_FORMS; i++) bench_product(c, weight_form_at(i, 0), plain_form(1), 1);
    bench_product(c, bytes, plain_form(8), 8);
    for (uint32_t i = 0; !c->vectors && i < 16; i++) {
        product_call how = {.tokens = 1, .rows = 8, .lanes = i & 1 ? 256 : 64, .step = i & 2 ? 4 : 1, .splits = 1};
        how.replicas = i >> 2 == 3 ? 32 : i >> 2 == 2 ? 16 : i >> 2;
        fit_replicas(c, bytes, &how);
        bench_product(c, bytes, how, 1);
    }
}

// Without matrix units the arithmetic of their fragments is no measure of anything.
static void matmul_bench(check *c) {
    product_call how = on_matrix_units(c) ? (product_call){.tile_rows = 128, .tile_tokens = 128} : matmul_call;
    if (on_matrix_units(c) && !(c->runner->device && c->runner->device->features.matrix_bf16)) return;
    for (uint32_t i = 0; i < WEIGHT_FORMS; i += 3) bench_product(c, weight_form_at(i, 0), how, 128);
}

const check_kernel check_linear_kernels[] = {
    {"linear_matvec", matvec_cases, matvec_bench},
    {"linear_matmul", matmul_cases, matmul_bench},
    {"linear_matmul_matrix", matmul_cases, matmul_bench},
    {"linear_slices", slices_cases, NULL},
    {"embedding", embedding_cases, NULL},
    {NULL, NULL, NULL},
};
