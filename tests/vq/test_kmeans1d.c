// SPDX-License-Identifier: Apache-2.0
// Optimality of the one-dimensional solver against plain dynamic programmes.
#include "support/support.h"

#include "base/memory.h"
#include "base/size.h"
#include "made_values.h"
#include "vq/fit.h"
#include "vq/fit_bound.h"
#include "vq/kmeans1d.h"
#include "vq/sort.h"

// Squared distance to the mean of sorted[from .. to - 1], in two passes.
static double segment(const float *sorted, uint32_t from, uint32_t to) {
    double sum = 0, cost = 0;
    for (uint32_t i = from; i < to; i++) sum += sorted[i];
    double mean = sum / (to - from);
    for (uint32_t i = from; i < to; i++) cost += (sorted[i] - mean) * (sorted[i] - mean);
    return cost;
}

// O(k n^2) over a table of all segments.
static double brute_force(const float *sorted, uint32_t n, uint32_t k) {
    double *cost = calloc((n + 1) * (n + 1), sizeof *cost), *best = malloc((n + 1) * sizeof *best),
           *next = malloc((n + 1) * sizeof *next);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = i + 1; j <= n; j++) cost[i * (n + 1) + j] = segment(sorted, i, j);
    for (uint32_t j = 0; j <= n; j++) best[j] = j ? INFINITY : 0;
    for (uint32_t c = 0; c < k; c++) {
        for (uint32_t j = 0; j <= n; j++) {
            next[j] = j ? INFINITY : 0;
            for (uint32_t i = 0; i < j; i++) next[j] = fmin(next[j], best[i] + cost[i * (n + 1) + j]);
            next[j] = fmin(next[j], best[j]);
        }
        memcpy(best, next, (n + 1) * sizeof *best);
    }
    double result = best[n];
    free(cost);
    free(best);
    free(next);
    return result;
}

// Rows of the same programme by divide and conquer (the best predecessor grows with the node): O(k n log n).
typedef struct rows {
    const double *count, *sum;
    const double *best;
    double *next;
} rows;

static double segment_sums(const rows *r, uint32_t from, uint32_t to) {
    double count = r->count[to] - r->count[from], sum = r->sum[to] - r->sum[from];
    return -sum * sum / count;
}

static void conquer(const rows *r, uint32_t low, uint32_t high, uint32_t first, uint32_t last) {
    if (low > high) return;
    uint32_t middle = low + (high - low) / 2, chosen = first;
    double least = INFINITY;
    for (uint32_t i = first; i <= last && i < middle; i++) {
        double cost = r->best[i] + segment_sums(r, i, middle);
        if (cost < least) least = cost, chosen = i;
    }
    r->next[middle] = least;
    if (middle > low) conquer(r, low, middle - 1, first, chosen);
    conquer(r, middle + 1, high, chosen, last);
}

// Of exact bins. Sums are of differences from the mean, so that values far from zero keep their digits.
static double divide_and_conquer(const hel_bins *bins, uint32_t k) {
    uint32_t n = bins->n;
    double *count = calloc(n + 1, sizeof *count), *sum = calloc(n + 1, sizeof *sum),
           *best = calloc(n + 1, sizeof *best), *next = calloc(n + 1, sizeof *next), total = 0, mean = 0, all = 0;
    for (uint32_t i = 0; i < n; i++) mean += bins->bins[i].sum, all += bins->bins[i].count;
    mean /= all;
    for (uint32_t i = 0; i < n; i++) {
        double about = bins->bins[i].low - mean;
        count[i + 1] = count[i] + bins->bins[i].count;
        sum[i + 1] = sum[i] + bins->bins[i].count * about;
        total += bins->bins[i].count * about * about;
    }
    for (uint32_t j = 1; j <= n; j++) best[j] = INFINITY;
    for (uint32_t c = 0; c < k; c++) {
        next[0] = INFINITY;
        conquer(&(rows){count, sum, best, next}, 1, n, 0, n - 1);
        double *swap = best;
        best = next;
        next = swap;
    }
    double result = best[n] + total;
    free(count);
    free(sum);
    free(best);
    free(next);
    return result;
}

static void check_against_brute_force(float *values, uint32_t n, uint32_t k) {
    assert_int_equal(hel_sort_floats(values, n), HEL_OK);
    hel_bins bins;
    hel_partition partition;
    assert_int_equal(hel_bins_from_sorted(values, n, &bins), HEL_OK);
    assert_int_equal(hel_kmeans1d_solve(&bins, k, 0, &partition), HEL_OK);
    assert_int_equal(partition.clusters, HEL_MIN(k, bins.n));
    assert_int_equal(partition.bounds[0], 0);
    assert_int_equal(partition.bounds[partition.clusters], bins.n);
    for (uint32_t c = 0; c < partition.clusters; c++) assert_true(partition.bounds[c] < partition.bounds[c + 1]);
    double expected = brute_force(values, n, k), scale = segment(values, 0, n);
    if (!(fabs(partition.cost - expected) <= 1e-12 * scale))
        fail_msg("n %u k %u: %.17g, optimum %.17g", n, k, partition.cost, expected);
    assert_true(partition.lower_bound <= expected + 1e-12 * scale);
    assert_true(partition.lower_bound >= expected - 1e-8 * scale);
    hel_partition_finish(&partition);
    hel_bins_finish(&bins);
}

static void test_small(void **state) {
    (void)state;
    float values[60];
    for (uint64_t seed = 0; seed < 400; seed++) {
        uint32_t n = 1 + (uint32_t)(made_mix(seed) % 60), k = 1 + (uint32_t)(made_mix(seed + 1000) % 20);
        made_values(values, n, seed);
        if (seed % 4 == 1) for (uint32_t i = 0; i < n; i++) values[i] = roundf(values[i] * 4); // duplicates and ties
        if (seed % 4 == 2) for (uint32_t i = 0; i < n; i++) values[i] = (float)(i * i % 17);
        if (seed % 4 == 3) for (uint32_t i = 0; i < n; i++) values[i] = (float)i; // every price is a tie
        check_against_brute_force(values, n, k);
    }
}

static void test_extremes(void **state) {
    (void)state;
    float values[40];
    for (uint32_t k = 1; k <= 12; k++) {
        for (uint32_t i = 0; i < 40; i++) values[i] = made_value(i, 77) * 1e38f / 4;
        check_against_brute_force(values, 40, k);
        for (uint32_t i = 0; i < 40; i++) values[i] = made_value(i, 78) * 1e-42f;
        check_against_brute_force(values, 40, k);
        for (uint32_t i = 0; i < 40; i++) values[i] = 1000 + made_value(i, 79) * 1e-3f;
        check_against_brute_force(values, 40, k);
        for (uint32_t i = 0; i < 40; i++) values[i] = i % 2 ? -0.0f : 0.0f;
        check_against_brute_force(values, 40, k);
        for (uint32_t i = 0; i < 40; i++) values[i] = ldexpf(i % 2 ? -1 : 1, (int)(3 * i) - 60);
        check_against_brute_force(values, 40, k);
    }
}

static void test_divide_and_conquer(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    float *values = malloc(COUNT * sizeof *values);
    static const uint32_t sizes[] = {16, 32, 64, 256};
    for (uint64_t variant = 0; variant < 3; variant++) {
        made_values(values, COUNT, 5 + variant);
        if (variant == 1)
            for (uint32_t i = 0; i < COUNT; i++) values[i] = hel_bf16_to_float(hel_float_to_bf16(values[i]));
        if (variant == 2)
            for (uint32_t i = 0; i < COUNT; i++) values[i] = values[i] * values[i] * values[i]; // long tails
        assert_int_equal(hel_sort_floats(values, COUNT), HEL_OK);
        hel_bins bins;
        assert_int_equal(hel_bins_from_sorted(values, COUNT, &bins), HEL_OK);
        double price = 1e-3; // poor advice, then that of another k
        for (size_t i = 0; i < HEL_COUNT(sizes); i++) {
            hel_partition partition;
            assert_int_equal(hel_kmeans1d_solve(&bins, sizes[i], i % 2 ? price : 0, &partition), HEL_OK);
            double expected = divide_and_conquer(&bins, sizes[i]);
            if (fabs(partition.cost - expected) > 1e-8 * expected)
                fail_msg("%.17g, optimum %.17g", partition.cost, expected);
            assert_true(partition.lower_bound <= expected * (1 + 1e-8));
            assert_true(partition.lower_bound > expected * (1 - 1e-6));
            price = partition.price;
            hel_partition_finish(&partition);
        }
        hel_bins_finish(&bins);
    }
    free(values);
}

static hel_status ignore_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    (void)user, (void)first, (void)codes, (void)count;
    return HEL_OK;
}

// Tensors too large to sort: the fit over gathered bins, polished, lies within its own certificate of the optimum.
static void test_gap(void **state) {
    (void)state;
    enum { COUNT = 120000 };
    float *values = malloc(COUNT * sizeof *values), *sorted = malloc(COUNT * sizeof *values);
    for (uint64_t variant = 0; variant < 3; variant++) {
        made_values(values, COUNT, 40 + variant);
        if (variant == 1) for (uint32_t i = 0; i < COUNT; i++) values[i] = values[i] * values[i] * values[i];
        if (variant == 2)
            for (uint32_t i = 0; i < COUNT; i++) values[i] = hel_bf16_to_float(hel_float_to_bf16(values[i]));
        hel_values source = {.count = COUNT, .data = values};
        hel_fit_options options = {.k = 256, .percentile = 99.9};
        hel_fitted fitted;
        hel_fit_error error;
        assert_int_equal(hel_fit_values(&source, &options, &fitted), HEL_OK);
        assert_int_equal(hel_fit_encode(&source, &fitted, ignore_codes, NULL, &error), HEL_OK);
        memcpy(sorted, values, COUNT * sizeof *values);
        assert_int_equal(hel_sort_floats(sorted, COUNT), HEL_OK);
        hel_bins bins;
        assert_int_equal(hel_bins_from_sorted(sorted, COUNT, &bins), HEL_OK);
        double optimum = divide_and_conquer(&bins, 256);
        print_message("error / optimum - 1 = %.3g, certified %.3g\n", error.squared / optimum - 1,
                      error.squared / fitted.lower_bound - 1);
        assert_true(error.squared >= optimum * (1 - 1e-9));
        assert_true(fitted.lower_bound <= optimum * (1 + 1e-9));
        assert_true(error.squared <= optimum * (variant == 2 ? 1 + 1e-6 : 1.0005));
        assert_true(fitted.lower_bound >= optimum * (variant == 2 ? 1 - 1e-6 : 0.9995));
        hel_bins_finish(&bins);
        hel_fitted_finish(&fitted);
    }
    free(values);
    free(sorted);
}

// Half the values around one place, all in one cell of the histogram, half on both sides: the optimum over values cuts the
// bin that holds most, and the optimum over bins is far from it.
static void test_cut_bin(void **state) {
    (void)state;
    enum { COUNT = 60000 };
    float *values = malloc(COUNT * sizeof *values), centre = 1.0001220703125f;
    for (uint32_t i = 0; i < COUNT; i++) {
        float side = i % 2 ? 1.0f : -1.0f;
        values[i] = centre + side * (i % 3 == 0 ? 0.0005f : i % 3 == 1 ? 0.0005f : 0.0001f);
    }
    hel_values source = {.count = COUNT, .data = values};
    hel_fitted fitted;
    assert_int_equal(hel_fit_values(&source, &(hel_fit_options){.k = 2, .percentile = 100}, &fitted), HEL_OK);
    double best = INFINITY;
    for (uint32_t step = 0; step < 1000; step++) {
        double away = step * 1e-6, squared = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            double left = values[i] - (centre - away), right = values[i] - (centre + away);
            squared += fmin(left * left, right * right);
        }
        best = fmin(best, squared);
    }
    if (!(fitted.lower_bound <= best * (1 + 1e-9))) fail_msg("%.9g is no bound: there is %.9g", fitted.lower_bound, best);
    hel_fitted_finish(&fitted);
    free(values);
}

// ---------------------------------------------------------------- certificates

enum { SHAPES = 8 };

// Smooth, flat, long-tailed, clustered, of every magnitude, tied, far from zero, at the ends of the histogram's cells.
static void make_shape(uint32_t shape, uint64_t seed, float *values, uint32_t n) {
    made_values(values, n, seed);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t mixed = made_mix(seed * n + i);
        double v = values[i];
        if (shape == 1) v = (double)(mixed >> 40) * 0x1p-24;
        if (shape == 2) v = v * v * v * v * v;
        if (shape == 3) v = (double)(mixed % 5) + v * 1e-3;
        if (shape == 4) v = ldexp(v, (int)(mixed % 120) - 60);
        if (shape == 5) v = rint(v * 3);
        if (shape == 6) v = 1000 + v * 1e-2;
        if (shape == 7) v = hel_key_float((hel_float_key((float)v) & ~2047u) | (mixed & 1 ? 2047 : 0));
        values[i] = (float)v;
    }
}

static double variance(const float *sorted, uint32_t n) { return segment(sorted, 0, n); }

// Bins as coarse as may be, of runs of sorted values: the bound holds for every k and is the optimum where bins are fine.
static void test_bound(void **state) {
    (void)state;
    float values[60];
    for (uint64_t seed = 0; seed < 3000; seed++) {
        uint32_t n = 2 + (uint32_t)(made_mix(seed) % 58), k = 1 + (uint32_t)(made_mix(seed + 5000) % 9);
        uint32_t run = 1 + (uint32_t)(made_mix(seed + 9000) % 12), used = 0;
        make_shape(seed % SHAPES, 100 + seed, values, n);
        assert_int_equal(hel_sort_floats(values, n), HEL_OK);
        hel_tally tallies[60] = {0};
        for (uint32_t i = 0; i < n; i++) { // equal values share a bin
            bool same = i && values[i] == values[i - 1];
            if (i && !same && made_mix(seed * 64 + i) % run == 0) used++;
            hel_tally_add(&tallies[used], values[i]);
        }
        hel_bins bins;
        double bound, optimum = brute_force(values, n, k), scale = variance(values, n);
        assert_int_equal(hel_bins_from_tallies(tallies, used + 1, &bins), HEL_OK);
        assert_int_equal(hel_fit_bound(&bins, k, 0, &bound), HEL_OK);
        if (!(bound <= optimum + 1e-12 * scale)) fail_msg("seed %d: %.17g is no bound, optimum %.17g", (int)seed, bound, optimum);
        if (run == 1) assert_true(bound >= optimum - 1e-8 * scale);
        hel_bins_finish(&bins);
    }
}

static void check_certificate(const float *values, uint32_t n, uint32_t k, uint32_t shape) {
    float *sorted = malloc(n * sizeof *sorted);
    memcpy(sorted, values, n * sizeof *sorted);
    assert_int_equal(hel_sort_floats(sorted, n), HEL_OK);
    hel_values source = {.count = n, .data = values};
    hel_fitted fitted;
    hel_fit_error error;
    hel_bins bins;
    assert_int_equal(hel_fit_values(&source, &(hel_fit_options){.k = k, .percentile = 100}, &fitted), HEL_OK);
    assert_int_equal(hel_fit_encode(&source, &fitted, ignore_codes, NULL, &error), HEL_OK);
    assert_int_equal(hel_bins_from_sorted(sorted, n, &bins), HEL_OK);
    double optimum = divide_and_conquer(&bins, HEL_MIN(k, bins.n)), slack = 1e-11 * variance(sorted, n);
    if (!(fitted.lower_bound <= optimum + slack && optimum <= error.squared + slack))
        fail_msg("shape %u, %u values, k %u: bound %.12g, optimum %.12g, error %.12g", shape, n, k, fitted.lower_bound, optimum,
                 error.squared);
    double rounding = fmax(fabsf(sorted[0]), fabsf(sorted[n - 1])) * 0x1p-24; // of the codes, which are floats
    if (!(error.squared - fitted.lower_bound <= 1e-3 * optimum + slack + n * rounding * rounding))
        fail_msg("shape %u, %u values, k %u: a gap of %.3g", shape, n, k, error.squared / fitted.lower_bound - 1);
    hel_bins_finish(&bins);
    hel_fitted_finish(&fitted);
    free(sorted);
}

// Too many values to be sorted: bound <= optimum <= error, and the first and the last are close.
static void test_certificates(void **state) {
    (void)state;
    enum { MOST = 60000 };
    static const uint32_t sizes[] = {1, 2, 3, 13, 40};
    float *values = malloc(MOST * sizeof *values);
    for (uint32_t shape = 0; shape < SHAPES; shape++)
        for (uint32_t i = 0; i < HEL_COUNT(sizes); i++) {
            uint32_t n = (1 << 15) + 1 + (uint32_t)(made_mix(shape * 10 + i) % (MOST - (1 << 15)));
            make_shape(shape, 300 + shape * 10 + i, values, n);
            check_certificate(values, n, sizes[i], shape);
        }
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_divide_and_conquer),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_cut_bin),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
