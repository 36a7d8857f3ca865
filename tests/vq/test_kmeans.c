// SPDX-License-Identifier: Apache-2.0
// hel_kmeans_fit and hel_kmeans_assign: against plain Lloyd iterations in double, and the same bits for every number of
// threads, every slicing of the points and with and without vectors.
#include "kmeans_points.h"

#include "backends/cpu/kernels/table.h"
#include "base/size.h"
#include "vq/cluster_device.h"

static const hel_device *device;

static const hel_device *open_cpu(uint32_t threads, bool scalar) {
    hel_device_params params = hel_device_params_default();
    params.threads = threads;
    params.scalar = scalar;
    const hel_device *out;
    assert_int_equal(hel_device_open("cpu", &params, &out), HEL_OK);
    return out;
}

static int open_device(void **state) {
    (void)state;
    device = open_cpu(2, false);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    hel_device_destroy(&device);
    return 0;
}

static hel_kmeans_params params_of(uint32_t k, uint32_t iterations, bool exact) {
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = k;
    params.iterations = iterations;
    params.tolerance = 0;
    params.exact = exact;
    params.seed = 5;
    return params;
}

static hel_kmeans_result fit_on(const hel_device *on, const float *points, uint64_t n, uint32_t d,
                                const hel_kmeans_params *params) {
    hel_kmeans_result result;
    if (hel_kmeans_fit(on, points, n, d, params, &result) != HEL_OK) fail_msg("%s", hel_error_message());
    return result;
}

// What must hold for every result: labels are the nearest within rounding, counts and error belong to them.
static void check_result(const hel_kmeans_result *r, const float *points) {
    uint64_t *counts = calloc(r->k, sizeof *counts);
    double error = 0;
    uint32_t empty = 0;
    for (uint64_t i = 0; i < r->n; i++) {
        const float *point = points + i * r->d;
        assert_true(r->labels[i] < r->k);
        counts[r->labels[i]]++;
        double distance = point_distance(point, r->centroids + r->labels[i] * r->d, r->d), size = 0;
        uint32_t nearest = nearest_centroid(point, r->centroids, r->k, r->d);
        for (uint32_t j = 0; j < r->d; j++) size += (double)point[j] * point[j];
        double slack = 1e-6 * distance + 1e-6 * sqrt(size * distance);
        if (distance > point_distance(point, r->centroids + nearest * r->d, r->d) + slack)
            fail_msg("point %llu has label %u, %u is nearer", (unsigned long long)i, r->labels[i], nearest);
        error += distance;
    }
    for (uint32_t c = 0; c < r->k; c++) empty += counts[c] == 0;
    assert_memory_equal(counts, r->counts, r->k * sizeof *counts);
    assert_int_equal(empty, r->empty);
    assert_true(fabs(error - r->squared_error) <= 1e-12 * error);
    free(counts);
}

static void assert_same(const hel_kmeans_result *a, const hel_kmeans_result *b) {
    assert_int_equal(a->k, b->k);
    assert_memory_equal(a->centroids, b->centroids, (size_t)a->k * a->d * sizeof *a->centroids);
    assert_memory_equal(a->labels, b->labels, a->n * sizeof *a->labels);
    assert_memory_equal(a->counts, b->counts, a->k * sizeof *a->counts);
    assert_int_equal(a->iterations, b->iterations);
    assert_true(a->squared_error == b->squared_error);
}

// ---------------------------------------------------------------- what it finds

static void test_against_lloyd(void **state) {
    (void)state;
    static const uint32_t shapes[][3] = {{500, 1, 7}, {900, 2, 30}, {1500, 3, 64}, {2100, 5, 17}, {4000, 8, 40},
                                         {700, 16, 33}, {300, 130, 12}, {40, 600, 20}, {64, 4, 64}, {50, 3, 1}};
    for (size_t s = 0; s < HEL_COUNT(shapes); s++)
        for (uint32_t exact = 0; exact < 2; exact++) {
            uint32_t n = shapes[s][0], d = shapes[s][1], k = shapes[s][2];
            if (d == 1 && exact) continue; // the optimum is another one
            float *points = made_points(n, d, k, s);
            hel_kmeans_params params = params_of(k, 0, exact);
            params.empty = HEL_KMEANS_EMPTY_KEEP;
            params.start = s % 2 ? HEL_KMEANS_START_SAMPLE : HEL_KMEANS_START_PLUSPLUS;
            hel_kmeans_result first = fit_on(device, points, n, d, &params);
            assert_int_equal(first.iterations, 0);
            params.iterations = 4;
            hel_kmeans_result fitted = fit_on(device, points, n, d, &params);
            check_result(&first, points);
            check_result(&fitted, points);
            double expected = plain_lloyd(points, n, d, k, fitted.iterations, first.centroids);
            if (fabs(fitted.squared_error - expected) > 1e-4 * expected + 1e-9)
                fail_msg("n %u d %u k %u: %.9g, should be %.9g", n, d, k, fitted.squared_error, expected);
            assert_true(fitted.squared_error <= first.squared_error * (1 + 1e-6));
            hel_kmeans_result_finish(&first);
            hel_kmeans_result_finish(&fitted);
            free(points);
        }
}

// Once no label changes, each centroid is the mean of its points.
static void test_converges(void **state) {
    (void)state;
    enum { N = 3000, D = 4, K = 12 };
    float *points = made_points(N, D, K, 3);
    for (uint32_t exact = 0; exact < 2; exact++) {
        hel_kmeans_params params = params_of(K, 300, exact);
        hel_kmeans_result r = fit_on(device, points, N, D, &params);
        assert_true(r.converged && r.iterations < 300 && r.empty == 0);
        check_result(&r, points);
        for (uint32_t cell = 0; cell < K * D; cell++) {
            double sum = 0;
            for (uint32_t i = 0; i < N; i++)
                if (r.labels[i] == cell / D) sum += points[i * D + cell % D];
            assert_true(fabs(sum / (double)r.counts[cell / D] - r.centroids[cell]) < (exact ? 2e-7 : 2e-5));
        }
        uint32_t all = r.iterations;
        hel_kmeans_result_finish(&r);
        params.tolerance = 1e-1;
        r = fit_on(device, points, N, D, &params);
        assert_true(r.converged && r.iterations < all);
        hel_kmeans_result_finish(&r);
    }
    free(points);
}

// Values on a line with exact sums: no partition is better, by dynamic programming over all of them.
static void test_line(void **state) {
    (void)state;
    enum { N = 60 };
    float values[N], sorted[N];
    for (uint32_t k = 1; k <= 20; k += 3) {
        double best[N + 1];
        made_values(values, N, k);
        memcpy(sorted, values, sizeof sorted);
        for (uint32_t i = 1; i < N; i++)
            for (uint32_t j = i; j && sorted[j] < sorted[j - 1]; j--) {
                float swap = sorted[j];
                sorted[j] = sorted[j - 1];
                sorted[j - 1] = swap;
            }
        for (uint32_t end = 0; end <= N; end++) best[end] = end ? INFINITY : 0;
        for (uint32_t c = 0; c < k; c++)
            for (uint32_t end = N; end > 0; end--) {
                double sum = 0, squares = 0, least = INFINITY;
                for (uint32_t begin = end; begin-- > 0;) {
                    sum += sorted[begin], squares += (double)sorted[begin] * sorted[begin];
                    least = fmin(least, best[begin] + squares - sum * sum / (end - begin));
                }
                best[end] = least;
                best[0] = INFINITY;
            }
        hel_kmeans_params params = params_of(k, 9, true);
        hel_kmeans_result r = fit_on(device, values, N, 1, &params);
        check_result(&r, values);
        assert_true(r.converged && r.iterations == 0);
        if (fabs(r.squared_error - best[N]) > 1e-5 * best[N] + 1e-6) fail_msg("k %u: %g, optimum %g", k, r.squared_error, best[N]);
        for (uint32_t c = 1; c < k; c++) assert_true(r.centroids[c] > r.centroids[c - 1]);
        hel_kmeans_result_finish(&r);
    }
}

// ---------------------------------------------------------------- the same bits

static void test_deterministic(void **state) {
    (void)state;
    enum { N = 7000, D = 6, K = 90 };
    float *points = made_points(N, D, 50, 8);
    for (uint32_t exact = 0; exact < 2; exact++) {
        hel_kmeans_params params = params_of(K, 6, exact);
        hel_kmeans_result first = fit_on(device, points, N, D, &params);
        for (uint32_t threads = 1; threads <= 5; threads++) {
            const hel_device *other = open_cpu(threads, threads == 4);
            hel_kmeans_result again = fit_on(other, points, N, D, &params);
            assert_same(&first, &again);
            hel_kmeans_result_finish(&again);
            hel_device_destroy(&other);
        }
        params.seed++;
        hel_kmeans_result other = fit_on(device, points, N, D, &params);
        assert_memory_not_equal(first.centroids, other.centroids, K * D * sizeof(float));
        hel_kmeans_result_finish(&other);
        hel_kmeans_result_finish(&first);
    }
    free(points);
}

// Points that do not fit one binding.
static void test_slices(void **state) {
    (void)state;
    enum { N = 9000, D = 3, K = 20 };
    float *points = made_points(N, D, K, 4);
    const hel_device *small = open_cpu(2, false);
    hel_device_limits *limits = &((hel_device *)(uintptr_t)small)->limits;
    for (uint32_t exact = 0; exact < 2; exact++) {
        hel_kmeans_params params = params_of(K, 5, exact);
        limits->max_binding = (uint64_t)1 << 30;
        hel_kmeans_result whole = fit_on(small, points, N, D, &params);
        for (uint64_t binding = 13000; binding < 60000; binding += 12000) {
            limits->max_binding = binding;
            hel_kmeans_result sliced = fit_on(small, points, N, D, &params);
            assert_same(&whole, &sliced);
            hel_kmeans_result_finish(&sliced);
        }
        limits->max_binding = 1024 * D * sizeof(float) - 4;
        hel_kmeans_result none;
        assert_int_equal(hel_kmeans_fit(small, points, N, D, &params, &none), HEL_ERROR_UNSUPPORTED);
        assert_null(none.centroids);
        hel_kmeans_result_finish(&whole);
    }
    limits->max_binding = (uint64_t)1 << 30;
    limits->loop_iterations = 1000;
    hel_kmeans_params params = params_of(K, 5, false);
    hel_kmeans_result none;
    assert_int_equal(hel_kmeans_fit(small, points, N, D, &params, &none), HEL_ERROR_UNSUPPORTED);
    limits->loop_iterations = 30;
    params.exact = true;
    assert_int_equal(hel_kmeans_fit(small, points, N, D, &params, &none), HEL_ERROR_UNSUPPORTED);
    hel_device_destroy(&small);
    free(points);
}

static bool note_piece(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage, (void)total;
    uint64_t *notes = user; // how many pieces, and where the first and the last end
    notes[notes[0] ? 2 : 1] = done;
    notes[0]++;
    return true;
}

// However many dispatches there are, and more points go into one where they take no time.
static void test_dispatches(void **state) {
    (void)state;
    enum { N = 9000, D = 3, K = 20, PIECE = 1024 };
    float *values = made_points(N, D, K, 5);
    static uint32_t whole[N], parts[N];
    hel_cluster_points points;
    hel_cluster_device on;
    uint64_t notes[3] = {0};
    hel_cluster_progress silent = {.total = N}, progress = {.report = note_piece, .user = notes, .total = N};
    assert_int_equal(hel_cluster_points_init(values, N, D, &points), HEL_OK);
    assert_int_equal(hel_cluster_device_create(device, &points, K, false, &on), HEL_OK);
    assert_true(on.piece >= N);
    assert_int_equal(hel_cluster_label(&on, values, &silent, whole), HEL_OK);
    on.piece = PIECE;
    assert_int_equal(hel_cluster_label(&on, values, &progress, parts), HEL_OK);
    assert_memory_equal(whole, parts, sizeof whole);
    assert_int_equal(notes[1], PIECE);
    assert_int_equal(notes[2], N);
    assert_true(notes[0] >= 4 && notes[0] < N / PIECE + 1); // 1, 2, 4 pieces and what is left, if all are quick
    hel_cluster_device_finish(&on);
    free(values);
}

// ---------------------------------------------------------------- labels

typedef enum value_kind { PLAIN, WHOLE, STRAYS, FAR_AWAY, CLOSE, OUTLIERS, HUGE_VALUES, TINY, KINDS } value_kind;

static void fill(float *values, uint64_t count, value_kind kind, uint64_t seed) {
    made_values(values, count, seed);
    for (uint64_t i = 0; i < count; i++) switch (kind) {
        case WHOLE: values[i] = rintf(values[i] * 2); break;
        case STRAYS: values[i] *= i > count / 3 && i < count / 3 + 130 ? 1e6f : 1; break; // next to each other
        case FAR_AWAY: values[i] += 1000; break;
        case CLOSE: values[i] = 1 + values[i] * 1e-5f; break;
        case OUTLIERS: values[i] *= i % 97 ? 1 : 3000; break;
        case HUGE_VALUES: values[i] *= 1e38f / 8; break;
        case TINY: values[i] *= 1e-40f; break;
        default: break;
        }
}

typedef struct label_case {
    uint32_t n, d, k;
    value_kind kind;
    float *points, *book;
    uint32_t *expected;
} label_case;

static label_case make_case(const uint32_t shape[3], value_kind kind, uint64_t seed) {
    uint32_t n = shape[0], d = shape[1], k = shape[2];
    label_case c = {n, d, k, kind, malloc(n * d * sizeof(float)), malloc(k * d * sizeof(float)), malloc(n * sizeof(uint32_t))};
    fill(c.points, n * d, kind, seed);
    fill(c.book, k * d, kind, seed + 50);
    memcpy(c.book + k / 2 * d, c.book, d * sizeof *c.book); // two that are one
    const hel_device *scalar = open_cpu(2, true);
    assert_int_equal(hel_kmeans_assign(scalar, c.points, n, d, c.book, k, c.expected, NULL), HEL_OK);
    hel_device_destroy(&scalar);
    for (uint32_t i = 0; kind == WHOLE && i < n; i++) // whose distances are exact
        assert_int_equal(c.expected[i], nearest_centroid(c.points + i * d, c.book, k, d));
    return c;
}

static void expect_labels(const label_case *c, const hel_device *on) {
    uint32_t *labels = malloc(c->n * sizeof *labels);
    float *far = malloc(c->n * sizeof *far);
    assert_int_equal(hel_kmeans_assign(on, c->points, c->n, c->d, c->book, c->k, labels, far), HEL_OK);
    for (uint32_t i = 0; i < c->n; i++) {
        const float *point = c->points + i * c->d;
        if (labels[i] != c->expected[i])
            fail_msg("d %u k %u kind %d point %u: %u, without vectors %u", c->d, c->k, (int)c->kind, i, labels[i], c->expected[i]);
        assert_true(far[i] == (float)point_distance(point, c->book + labels[i] * c->d, c->d));
    }
    assert_int_equal(hel_kmeans_assign(on, c->points, c->n, c->d, c->book, c->k, NULL, far), HEL_OK);
    free(labels), free(far);
}

// Vectors of every width here find what the C forms find, to the label, however close the centroids are.
static void compare_labels(const uint32_t shape[3], value_kind kind, uint64_t seed) {
    static const cpu_isa sets[] = {CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_AMX};
    label_case c = make_case(shape, kind, seed);
    expect_labels(&c, device);
    for (size_t set = 0; set < HEL_COUNT(sets); set++) {
        cpu_isa before = cpu_isa_best();
        cpu_isa_limit(sets[set]); // the best of those that the processor has
        if (set && cpu_isa_best() == before) continue;
        const hel_device *one = open_cpu(1, false);
        expect_labels(&c, one);
        hel_device_destroy(&one);
    }
    free(c.points), free(c.book), free(c.expected);
}

static void test_labels(void **state) {
    (void)state;
    static const uint32_t shapes[][3] = {
        {700, 1, 300},    {700, 2, 300},   {1100, 3, 2100}, {2100, 4, 1500}, {1500, 8, 700},  {300, 16, 1100},
        {200, 100, 300},  {60, 512, 70},   {20, 513, 40},   {20000, 4, 600}, {500, 4, 63},    {500, 4, 64},
        {300, 128, 2},    {300, 129, 2},   {400, 5, 52},    {300, 128, 40},  {2047, 4, 2545}, {2048, 4, 2544},
        {2048, 4, 2545},
    };
    for (size_t s = 0; s < HEL_COUNT(shapes); s++)
        for (value_kind kind = 0; kind < KINDS; kind++) compare_labels(shapes[s], kind, s);
}

// Large enough to be sorted, and for boxes to pay where there are ties too. Only processors with products of pairs sort.
static void test_large_books(void **state) {
    (void)state;
    static const uint32_t shapes[][3] = {{2048, 4, 12000}, {2500, 5, 4099}, {2060, 6, 14000},
                                         {2048, 7, 6000},  {2048, 8, 9001}, {2049, 4, 40000}};
    size_t count = cpu_isa_best() >= CPU_ISA_AVX2 ? HEL_COUNT(shapes) : 1;
    for (size_t s = 0; s < count; s++)
        for (value_kind kind = 0; kind <= STRAYS; kind++) compare_labels(shapes[s], kind, s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_lloyd), cmocka_unit_test(test_converges), cmocka_unit_test(test_line),
        cmocka_unit_test(test_deterministic), cmocka_unit_test(test_slices),    cmocka_unit_test(test_dispatches),
        cmocka_unit_test(test_labels),        cmocka_unit_test(test_large_books),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
