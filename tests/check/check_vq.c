// SPDX-License-Identifier: Apache-2.0
// kmeans_assign, kmeans_partial, kmeans_update: one round of Lloyd's iterations; histogram, for values on a line. And
// read_words, which only reads.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "kernels.h"

enum { RANGE = 20 };

static uint32_t random_width(check *c) {
    static const uint32_t widths[] = {1, 2, 3, 4, 8, 16, 17, 130};
    return widths[check_random(c, 8)];
}

// The last ones only where lavapipe's count of iterations allows them (docs/kernels.md).
static uint32_t random_clusters(check *c, uint32_t d) {
    static const uint32_t sizes[] = {1, 2, 16, 63, 64, 65, 256, 1500, 3000};
    return sizes[check_random(c, d < 17 ? 9 : d < 130 ? 8 : 7)];
}

// Small whole numbers: distances are exact, and there are ties.
static float *whole_numbers(check *c, uint32_t count) {
    float *values = check_floats(c, count);
    for (uint32_t i = 0; i < count; i++) values[i] = (float)check_random(c, 9) - 4.0f;
    return values;
}

// ---------------------------------------------------------------- assign

static double distance_of(const float *a, const float *b, uint32_t d) {
    double sum = 0.0;
    for (uint32_t j = 0; j < d; j++) sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    return sum;
}

// The label must be as near as the nearest within rounding, and the first of them where arithmetic is exact.
static void check_label(check *c, const float *point, const float *centroids, uint32_t k, uint32_t d, uint32_t i,
                        uint32_t label, bool exact) {
    double least = INFINITY, flushed = d * CHECK_TINY * 2.0;
    uint32_t first = 0;
    for (uint32_t at = 0; at < k; at++) {
        double distance = distance_of(point, centroids + (size_t)at * d, d);
        if (distance < least) least = distance, first = at;
    }
    if (label >= k) {
        check_fail(c, "labels[%u] is %u of %u", i, label, k);
        return;
    }
    double distance = distance_of(point, centroids + (size_t)label * d, d);
    double magnitude = 0.0; // rounding of a difference counts against what it was made of
    for (uint32_t j = 0; j < d; j++)
        magnitude += (fabs((double)point[j]) + fabs((double)centroids[(size_t)label * d + j])) * sqrt(distance) * CHECK_U;
    if (exact ? label != first : distance > least * (1.0 + 8.0 * (d + 2.0) * CHECK_U) + 4.0 * magnitude + flushed)
        check_fail(c, "labels[%u] is %u at %.9g, should be %u at %.9g", i, label, distance, first, least);
}

static void assign_case(check *c, check_fill fill, bool exact) {
    check_begin(c, fill);
    uint32_t n = check_size(c, 900), d = random_width(c), k = random_clusters(c, d),
             specialised = check_random(c, 2) && d <= 4 ? d : 0;
    check_shape(c, "n %u, k %u, d %u (%u), %s", n, k, d, specialised, exact ? "whole numbers" : "any values");
    float *points = exact ? whole_numbers(c, n * d) : check_values(c, n * d, fill, RANGE);
    float *centroids = exact ? whole_numbers(c, k * d) : check_values(c, k * d, fill, RANGE);
    uint32_t *labels = check_words(c, n);
    hel_kmeans_assign_params params = {.n = n, .k = k, .d = d};
    check_call call = {.kernel = c->kernel,
                       .constants = {specialised},
                       .n_constants = 1,
                       .bindings = {{points, n * d, NULL}, {centroids, k * d, NULL}, {NULL, n, labels}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (n + HEL_KMEANS_ASSIGN_CHUNK - 1) / HEL_KMEANS_ASSIGN_CHUNK};
    if (check_run(c, &call))
        for (uint32_t i = 0; i < n; i++)
            check_label(c, points + (size_t)i * d, centroids, k, d, i, labels[i], exact || fill == CHECK_ZERO);
    check_end(c);
}

static void assign_cases(check *c) {
    for (uint32_t fill = 0; fill < CHECK_FILLS; fill++)
        for (uint32_t round = 0; round < 3 * c->rounds; round++) assign_case(c, (check_fill)fill, round % 3 == 0);
}

// ---------------------------------------------------------------- partial

static void expect_partial(const float *points, const uint32_t *labels, const hel_kmeans_partial_params *p,
                           uint32_t block, double *want, double *magnitude, uint32_t *counts) {
    for (uint32_t i = block * p->block; i < p->n && i < (block + 1) * p->block; i++) {
        counts[labels[i]]++;
        for (uint32_t j = 0; j < p->d; j++) {
            want[labels[i] * p->d + j] += points[(size_t)i * p->d + j];
            magnitude[labels[i] * p->d + j] += fabs((double)points[(size_t)i * p->d + j]);
        }
    }
}

static void partial_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = check_random(c, 2) ? check_size(c, 700) : 1000 + check_random(c, 2500), d = random_width(c),
             k = random_clusters(c, d);
    hel_kmeans_partial_params p = {.n = n, .k = k, .d = d, .block = check_random(c, 2) ? 1024 : 300 + check_random(c, 900),
                                   .first_block = check_random(c, 3)};
    check_shape(c, "n %u, k %u, d %u, block %u from %u", n, k, d, p.block, p.first_block);
    uint32_t groups = (n + p.block - 1) / p.block, blocks = p.first_block + groups, cells = blocks * k * d;
    uint32_t *labels = check_words(c, n);
    for (uint32_t i = 0; i < n; i++) labels[i] = check_random(c, k);
    float *points = check_values(c, n * d, fill, RANGE), *before = check_values(c, cells, CHECK_UNIFORM, 0);
    float *partials = check_floats(c, cells);
    uint32_t *counts = check_words(c, blocks * k), *want_counts = check_words(c, blocks * k);
    double *want = check_doubles(c, cells), *limit = check_doubles(c, cells);
    for (uint32_t g = 0; g < groups; g++) {
        uint32_t b = p.first_block + g;
        expect_partial(points, labels, &p, g, want + b * k * d, limit + b * k * d, want_counts + b * k);
    }
    for (uint32_t i = 0; i < cells; i++)
        limit[i] = i < p.first_block * k * d ? -1.0
                                             : check_sum_limit(want_counts[i / d], limit[i]) + CHECK_TINY * want_counts[i / d];
    check_call call = {.kernel = c->kernel,
                       .bindings = {{points, n * d, NULL},
                                    {labels, n, NULL},
                                    {before, cells, partials},
                                    {check_words(c, blocks * k), blocks * k, counts}},
                       .n_bindings = 4,
                       .params = &p,
                       .params_size = sizeof p,
                       .groups = groups};
    if (check_run(c, &call)) {
        check_compare(c, "partials", partials, want, limit, cells, before);
        check_compare_words(c, "counts", counts, want_counts, blocks * k);
    }
    check_end(c);
}

static void partial_cases(check *c) { check_each_fill(c, 2, partial_case); }

// ---------------------------------------------------------------- update

static void update_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t blocks = check_size(c, 20), d = random_width(c), k = random_clusters(c, d), cells = k * d;
    check_shape(c, "blocks %u, k %u, d %u", blocks, k, d);
    float *partials = check_values(c, blocks * cells, fill, RANGE), *before = check_values(c, cells, CHECK_UNIFORM, 0);
    float *centroids = check_floats(c, cells);
    uint32_t *counts = check_words(c, blocks * k);
    double *want = check_doubles(c, cells), *limit = check_doubles(c, cells);
    for (uint32_t at = 0; at < k; at++) {
        bool empty = !check_random(c, 3);
        for (uint32_t b = 0; b < blocks && !empty; b++) counts[b * k + at] = check_random(c, 30);
    }
    for (uint32_t cell = 0; cell < cells; cell++) {
        double sum = 0.0, magnitude = 0.0, count = 0.0;
        for (uint32_t b = 0; b < blocks; b++) {
            sum += partials[b * cells + cell];
            magnitude += fabs((double)partials[b * cells + cell]);
            count += counts[b * k + cell / d];
        }
        want[cell] = sum / count;
        limit[cell] = count > 0.0
                          ? (check_sum_limit(blocks, magnitude) + 6.0 * CHECK_U * fabs(sum)) / count + blocks * CHECK_TINY
                          : -1.0;
    }
    hel_kmeans_update_params p = {.blocks = blocks, .k = k, .d = d};
    check_call call = {
        .kernel = c->kernel,
        .bindings = {{partials, blocks * cells, NULL}, {counts, blocks * k, NULL}, {before, cells, centroids}},
        .n_bindings = 3,
        .params = &p,
        .params_size = sizeof p,
        .groups = (cells + HEL_KMEANS_UPDATE_CHUNK - 1) / HEL_KMEANS_UPDATE_CHUNK};
    if (check_run(c, &call)) check_compare(c, "centroids", centroids, want, limit, cells, before);
    check_end(c);
}

static void update_cases(check *c) { check_each_fill(c, 3, update_case); }

static void assign_bench_of(check *c, uint32_t n, uint32_t k, uint32_t d) {
    check_begin(c, CHECK_UNIFORM);
    float *points = check_values(c, (size_t)n * d, CHECK_UNIFORM, 0), *centroids = check_values(c, k * d, CHECK_UNIFORM, 0);
    char shape[64];
    snprintf(shape, sizeof shape, "n %u k %u d %u", n, k, d);
    hel_kmeans_assign_params params = {.n = n, .k = k, .d = d};
    check_call call = {.kernel = c->kernel,
                       .constants = {d <= 16 ? d : 0},
                       .n_constants = 1,
                       .bindings = {{points, n * d, NULL}, {centroids, k * d, NULL}, {NULL, n, check_words(c, n)}},
                       .n_bindings = 3,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (n + HEL_KMEANS_ASSIGN_CHUNK - 1) / HEL_KMEANS_ASSIGN_CHUNK};
    check_bench(c, &call, shape, 4.0 * n * (d + 1.0));
}

static void assign_bench(check *c) {
    static const uint32_t shapes[][2] = {{256, 1}, {256, 2}, {256, 4}, {1024, 4}, {4096, 4}, {256, 8}, {1024, 8}, {4096, 8},
                                         {256, 16}, {1024, 16}, {4096, 16}, {1024, 128}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        assign_bench_of(c, shapes[i][1] > 16 ? 1 << 14 : 1 << 18, shapes[i][0], shapes[i][1]);
}

static void partial_bench(check *c) {
    enum { N = 1 << 18, K = 256, D = 8 };
    check_begin(c, CHECK_UNIFORM);
    hel_kmeans_partial_params params = {.n = N, .k = K, .d = D, .block = 1024};
    uint32_t blocks = N / params.block, *labels = check_words(c, N);
    for (uint32_t i = 0; i < N; i++) labels[i] = check_random(c, K);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, N * D, CHECK_UNIFORM, 0), N * D, NULL},
                                    {labels, N, NULL},
                                    {NULL, blocks * K * D, check_floats(c, blocks * K * D)},
                                    {NULL, blocks * K, check_words(c, blocks * K)}},
                       .n_bindings = 4,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = blocks};
    check_bench(c, &call, "n 262144 k 256 d 8", 4.0 * N * (D + 1.0));
}

// ---------------------------------------------------------------- histogram

// Cells ascend: the cell of a value is the number of cells whose least value is not above it, by comparing floats.
static uint32_t cell_of(float value, uint32_t shift) {
    uint32_t low = 0, high = (UINT32_C(1) << (32 - shift)) - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2, key = middle << shift;
        uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
        float edge;
        memcpy(&edge, &bits, sizeof edge);
        bool above = isnan(edge) ? key > 0x80000000u : edge > value; // NaN has the outermost cells
        if (above) high = middle - 1;
        else low = middle;
    }
    return low;
}

static void histogram_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = check_random(c, 3) ? check_size(c, 900) : 4000 + check_random(c, 6000), shift = 16 + check_random(c, 13);
    uint32_t cells = UINT32_C(1) << (32 - shift);
    check_shape(c, "n %u, shift %u", n, shift);
    float *values = check_values(c, n, fill, RANGE);
    for (uint32_t i = 0; i < n; i += 7) values[i] = i % 2 ? -0.0f : 0.0f;
    uint32_t *before = check_words(c, cells), *counts = check_words(c, cells), *want = check_words(c, cells);
    for (uint32_t cell = 0; cell < cells; cell++) want[cell] = before[cell] = check_random(c, 5);
    for (uint32_t i = 0; i < n; i++) want[cell_of(values[i], shift)]++;
    hel_histogram_params params = {.n = n, .shift = shift};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{values, n, NULL}, {before, cells, counts}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (n + HEL_HISTOGRAM_CHUNK - 1) / HEL_HISTOGRAM_CHUNK};
    if (check_run(c, &call)) check_compare_words(c, "counts", counts, want, cells);
    check_end(c);
}

static void histogram_cases(check *c) { check_each_fill(c, 3, histogram_case); }

static void histogram_bench(check *c) {
    enum { N = 1 << 22, SHIFT = 11, CELLS = 1 << (32 - SHIFT) };
    check_begin(c, CHECK_UNIFORM);
    hel_histogram_params params = {.n = N, .shift = SHIFT};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_values(c, N, CHECK_UNIFORM, 0), N, NULL},
                                    {check_words(c, CELLS), CELLS, check_words(c, CELLS)}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = N / HEL_HISTOGRAM_CHUNK};
    check_bench(c, &call, "n 4194304 shift 11", 4.0 * N);
}

// ---------------------------------------------------------------- reading

static void read_case(check *c, check_fill fill) {
    check_begin(c, fill);
    uint32_t n = 4 * check_size(c, check_random(c, 3) ? 300 : 5000), groups = check_size(c, 9), want = 0, total = 0;
    check_shape(c, "n %u, groups %u", n, groups);
    uint32_t *words = check_words(c, n), *sums = check_words(c, groups);
    for (uint32_t i = 0; i < n; i++) want += words[i] = check_random(c, 1u << 31) * 2 + check_random(c, 2);
    hel_read_words_params params = {.n = n};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{words, n, NULL}, {NULL, groups, sums}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = groups};
    if (check_run(c, &call)) {
        for (uint32_t g = 0; g < groups; g++) total += sums[g];
        check_compare_words(c, "the sum", &total, &want, 1);
    }
    check_end(c);
}

static void read_cases(check *c) { check_each_fill(c, 3, read_case); }

static void read_bench(check *c) {
    enum { N = 1 << 24, GROUPS = 1024 };
    check_begin(c, CHECK_UNIFORM);
    hel_read_words_params params = {.n = N};
    check_call call = {.kernel = c->kernel,
                       .bindings = {{check_words(c, N), N, NULL}, {NULL, GROUPS, check_words(c, GROUPS)}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = GROUPS};
    check_bench(c, &call, "n 16777216", 4.0 * N);
}

const check_kernel check_vq_kernels[] = {
    {"histogram", histogram_cases, histogram_bench},
    {"kmeans_assign", assign_cases, assign_bench},
    {"kmeans_partial", partial_cases, partial_bench},
    {"kmeans_update", update_cases, NULL},
    {"read_words", read_cases, read_bench},
    {NULL, NULL, NULL},
};
