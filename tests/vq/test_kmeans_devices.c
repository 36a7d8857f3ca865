// SPDX-License-Identifier: Apache-2.0
// k-means on the device that is named: with exact sums the CPU's result, to the bit; without them a good one, and the same
// in every run.
#include "support/device_here.h"
#include "kmeans_points.h"

#include "base/half.h"
#include "base/size.h"

static const hel_device *cpu, *device;

static hel_kmeans_result fit_on(const hel_device *on, const float *points, const uint32_t shape[3], bool exact) {
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = shape[2];
    params.iterations = 5;
    params.tolerance = 0;
    params.exact = exact;
    hel_kmeans_result result;
    if (hel_kmeans_fit(on, points, shape[0], shape[1], &params, &result) != HEL_OK) fail_msg("%s", hel_error_message());
    return result;
}

static void assert_same(const hel_kmeans_result *a, const hel_kmeans_result *b) {
    assert_memory_equal(a->centroids, b->centroids, (size_t)a->k * a->d * sizeof *a->centroids);
    assert_memory_equal(a->labels, b->labels, a->n * sizeof *a->labels);
    assert_true(a->squared_error == b->squared_error && a->iterations == b->iterations);
}

static void test_fits(void **state) {
    (void)state;
    static const uint32_t shapes[][3] = {{1100, 1, 9}, {2500, 3, 40}, {1300, 8, 64}, {700, 20, 25}};
    for (size_t s = 0; s < HEL_COUNT(shapes); s++) {
        float *points = made_points(shapes[s][0], shapes[s][1], shapes[s][2] / 2, s);
        hel_kmeans_result here = fit_on(cpu, points, shapes[s], true), there = fit_on(device, points, shapes[s], true);
        assert_same(&here, &there);
        hel_kmeans_result_finish(&there);
        there = fit_on(device, points, shapes[s], false);
        if (s) assert_true(fabs(there.squared_error - here.squared_error) < 1e-3 * here.squared_error);
        hel_kmeans_result again = fit_on(device, points, shapes[s], false);
        assert_same(&there, &again);
        hel_kmeans_result_finish(&again);
        hel_kmeans_result_finish(&there);
        hel_kmeans_result_finish(&here);
        free(points);
    }
}

// The optimum for values on a line: of few digits, which the device counts, to the smallest; and of all digits.
static void test_line(void **state) {
    (void)state;
    enum { N_LINE = 9001 };
    float *points = malloc(N_LINE * sizeof *points);
    for (uint32_t variant = 0; variant < 6; variant++) {
        made_values(points, N_LINE, 70 + variant);
        for (uint32_t i = 0; i < N_LINE; i++) {
            if (variant % 2 == 0) points[i] = hel_bf16_to_float(hel_float_to_bf16(points[i]));
            if (variant == 1) points[i] = hel_f16_to_float(hel_float_to_f16(points[i]));
            if (variant == 2 && i % 3 == 0) points[i] = i % 2 ? -0.0f : 0.0f;
            if (variant == 4) points[i] *= i % 2 ? 0x1p-126f : 0x1p+100f; // too far apart for one scale
            if (variant == 5 && i) points[i] = points[0];
        }
        const uint32_t shape[] = {N_LINE, 1, variant < 3 ? 256 : 300};
        hel_kmeans_result here = fit_on(cpu, points, shape, true), there = fit_on(device, points, shape, true);
        assert_same(&here, &there);
        hel_kmeans_result_finish(&there);
        hel_kmeans_result_finish(&here);
    }
    free(points);
}

int main(int argc, char **argv) {
    int missing = argc == 2 ? device_open_here(argv[1], &device) : 1;
    if (missing) return missing;
    if (hel_device_open("cpu", NULL, &cpu) != HEL_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fits), cmocka_unit_test(test_line)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hel_device_destroy(&device);
    hel_device_destroy(&cpu);
    return failed;
}
