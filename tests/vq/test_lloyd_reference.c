// SPDX-License-Identifier: Apache-2.0
// The reference's codebooks, bit for bit, against those that helix-substrate 0.3.3 made under numpy 2.4 from the same
// values (tests/data/vq/lloyd_reference.f32: the codebooks one after the other).
#include "support/support.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "made_values.h"
#include "vq/lloyd_reference.h"
#include "vq/numpy_random.h"

static void test_numpy_choice(void **state) {
    (void)state;
    static const uint32_t all[] = {8, 1, 5, 0, 7, 2, 9, 4, 3, 6},
                          begin[] = {4242, 60608, 392832, 41643, 464234, 122681, 10258, 199077};
    uint32_t small[10], *large = malloc(500000 * sizeof *large);
    assert_int_equal(hel_numpy_choice(42, 10, 10, small), HEL_OK);
    assert_memory_equal(small, all, sizeof all);
    assert_int_equal(hel_numpy_choice(42, 600000, 500000, large), HEL_OK);
    assert_memory_equal(large, begin, sizeof begin);
    uint64_t sum = 0, weighted = 0;
    for (uint64_t i = 0; i < 500000; i++) {
        sum += large[i];
        weighted += large[i] * i % 1000003;
    }
    assert_true(sum == 150013912851u && weighted == 249837893119u);
    free(large);
}

static void test_codebooks(void **state) {
    (void)state;
    static const struct { uint32_t count, k, seed, steps;
    } cases[] = {
        {3000, 256, 1, 0}, {3000, 16, 2, 0}, {40000, 256, 3, 0}, {600000, 256, 4, 0},
        {5000, 256, 5, 8}, {100, 256, 6, 0}, {5000, 64, 7, 64},
    };
    char path[TESTS_PATH], *bytes;
    size_t size, at = 0;
    support_data(path, "vq/lloyd_reference.f32");
    assert_int_equal(hel_file_read_all(path, 1 << 20, &bytes, &size), HEL_OK);
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        float *values = malloc(cases[i].count * sizeof *values), codebook[256];
        made_values(values, cases[i].count, cases[i].seed);
        for (uint32_t v = 0; cases[i].steps && v < cases[i].count; v++)
            values[v] = rintf(values[v] * (float)cases[i].steps) / (float)cases[i].steps;
        hel_values source = {.count = cases[i].count, .data = values};
        uint32_t k = 0;
        assert_int_equal(hel_lloyd_reference_sampled(&source, cases[i].k, codebook, &k), HEL_OK);
        assert_true(at + k * sizeof *codebook <= size);
        for (uint32_t c = 0; c < k; c++) {
            float expected;
            memcpy(&expected, bytes + at + c * sizeof expected, sizeof expected);
            if (codebook[c] != expected)
                fail_msg("case %zu code %u: %.9g, the reference has %.9g", i, c, codebook[c], expected);
        }
        at += k * sizeof *codebook;
        free(values);
    }
    assert_int_equal(at, size);
    hel_free(bytes);
}

// Two clusters by hand: the rule of 0.2.0 runs until nothing moves, that of 0.3.3 stops at a thousandth of the range.
static void test_stop_rules(void **state) {
    (void)state;
    static const float values[] = {0, 1, 2, 3, 100, 101, 102, 1000};
    float range[2], close[2];
    uint32_t k;
    assert_int_equal(hel_lloyd_reference(values, 8, 2, HEL_REFERENCE_RANGE, range, &k), HEL_OK);
    assert_int_equal(hel_lloyd_reference(values, 8, 2, HEL_REFERENCE_ALLCLOSE, close, &k), HEL_OK);
    assert_int_equal(k, 2);
    assert_true(close[0] == 309.0f / 7 && close[1] == 1000);
    assert_true(range[0] == close[0] && range[1] == close[1]);
    static const float drift[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0.4f, 1000};
    assert_int_equal(hel_lloyd_reference(drift, 11, 2, HEL_REFERENCE_RANGE, range, &k), HEL_OK);
    assert_int_equal(hel_lloyd_reference(drift, 11, 2, HEL_REFERENCE_ALLCLOSE, close, &k), HEL_OK);
    assert_true(range[0] == 0);          // a move of 0.04 is below 1
    assert_true(close[0] == 0.4f / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_choice),
        cmocka_unit_test(test_codebooks),
        cmocka_unit_test(test_stop_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
