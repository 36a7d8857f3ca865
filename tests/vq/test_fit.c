// SPDX-License-Identifier: Apache-2.0
// Patterns of names, sidecar selection, assignment and the whole fit of a tensor.
#include "support/support.h"

#include "base/memory.h"
#include "base/size.h"
#include "made_values.h"
#include "vq/fit.h"
#include "vq/sort.h"

static void test_globs(void **state) {
    (void)state;
    static const struct { const char *pattern, *name; bool match;
    } cases[] = {
        {"*", "", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*.weight", "x.weight", true},
        {"*.weight", "x.weights", false},
        {"*embed*", "model.embed_tokens.weight", true},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"", "a", false},
        {"**a", "ba", true},
    };
    for (size_t i = 0; i < HEL_COUNT(cases); i++)
        assert_int_equal(hel_glob_match(cases[i].pattern, cases[i].name), cases[i].match);
}

// By comparing with every code; exactly, by the middle of two codes, as doubles cannot hold all distances.
static uint32_t nearest(const float *codebook, uint32_t k, float value, bool rounded) {
    uint32_t best = 0;
    for (uint32_t c = 1; c < k; c++) {
        bool nearer = rounded ? fabsf(value - codebook[c]) < fabsf(value - codebook[best])
                              : codebook[c] > codebook[best] && value > ((double)codebook[c] + codebook[best]) / 2;
        if (nearer) best = c;
    }
    return best;
}

static void test_assign(void **state) {
    (void)state;
    hel_assigner *assigner = malloc(sizeof *assigner);
    for (uint64_t seed = 0; seed < 60; seed++) {
        float codebook[256];
        uint32_t k = 1 + (uint32_t)(made_mix(seed) % 256);
        made_values(codebook, k, seed);
        for (uint32_t c = 0; c < k; c++) {
            if (seed % 5 == 1) codebook[c] = rintf(codebook[c] * 8) / 8; // equal codes
            if (seed % 5 == 2) codebook[c] *= 1e-42f;
            if (seed % 5 == 3) codebook[c] = 1 + codebook[c] * 1e-6f; // nearly equal
            if (seed % 5 == 4) codebook[c] *= 8e37f;
        }
        assert_int_equal(hel_sort_floats(codebook, k), HEL_OK);
        for (int rounded = 0; rounded < 2; rounded++) {
            hel_assigner_init(assigner, codebook, k, rounded);
            for (uint32_t i = 0; i < 3000; i++) {
                float value = codebook[made_mix(i) % k];
                if (i % 4 == 1) value = (value + codebook[made_mix(i + 9) % k]) / 2; // ties
                if (i % 4 == 2) value = nextafterf(value, i % 8 < 4 ? -INFINITY : INFINITY);
                if (i % 4 == 3) value = made_value(i, 3) * (i % 16 < 8 ? 1.0f : 1e-40f);
                if (!isfinite(value)) continue;
                uint32_t code = hel_assign(assigner, value), expected = nearest(codebook, k, value, rounded);
                if (code != expected)
                    fail_msg("seed %d, %.9g: code %u (%.9g), nearest %u (%.9g)", (int)seed, value, code, codebook[code],
                             expected, codebook[expected]);
            }
        }
    }
    free(assigner);
}

// Counts and positions recorded from the reference's find_outliers_percentile.
static void test_sidecar(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    float *values = malloc(COUNT * sizeof *values);
    made_values(values, COUNT, 9);
    static const struct { double percentile; uint32_t count, begin[3]; uint64_t sum; } cases[] = {
        {99.9, 200, {146, 299, 768}, 10178222}, {99.95, 100, {768, 840, 2348}, 5277991}};
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        hel_fit_options options = {.k = 16, .sidecar = true, .percentile = cases[i].percentile, .cap = 512};
        hel_values source = {.count = COUNT, .data = values};
        hel_fitted fitted;
        assert_int_equal(hel_fit_values(&source, &options, &fitted), HEL_OK);
        assert_int_equal(fitted.sidecar.count, cases[i].count);
        uint64_t sum = 0;
        for (uint32_t s = 0; s < fitted.sidecar.count; s++) {
            sum += fitted.sidecar.kept[s].position;
            assert_true(fitted.sidecar.kept[s].value == values[fitted.sidecar.kept[s].position]);
            if (s < 3) assert_int_equal(fitted.sidecar.kept[s].position, cases[i].begin[s]);
        }
        assert_true(sum == cases[i].sum);
        hel_fitted_finish(&fitted);

        options.cap = 20; // the greatest magnitudes of the same
        assert_int_equal(hel_fit_values(&source, &options, &fitted), HEL_OK);
        assert_int_equal(fitted.sidecar.count, 20);
        float least = INFINITY;
        uint32_t above = 0;
        for (uint32_t s = 0; s < 20; s++) least = fminf(least, fabsf(fitted.sidecar.kept[s].value));
        for (uint32_t v = 0; v < COUNT; v++) above += fabsf(values[v]) >= least;
        assert_int_equal(above, 20);
        hel_fitted_finish(&fitted);
    }
    free(values);
}

typedef struct streamed { const float *data; uint64_t reads; } streamed;

static hel_status read_values(void *user, uint64_t first, uint64_t count, float *out) {
    streamed *s = user;
    memcpy(out, s->data + first, count * sizeof *out);
    s->reads++;
    return HEL_OK;
}

typedef struct decoded { const hel_fitted *fitted; uint8_t *codes; } decoded;

static hel_status keep_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    memcpy(((decoded *)user)->codes + first, codes, count);
    return HEL_OK;
}

// Streamed or in memory: the same codebook and codes; and the error is what decoding shows.
static void test_streaming(void **state) {
    (void)state;
    static const uint64_t counts[] = {1, 2, 1000, 32768, 32769, 100003};
    for (size_t i = 0; i < HEL_COUNT(counts); i++) {
        for (int reference = 0; reference < 2; reference++) {
            uint64_t count = counts[i];
            float *values = malloc(count * sizeof *values), piece[777];
            made_values(values, count, 30 + i);
            streamed stream = {values, 0};
            hel_values memory = {.count = count, .data = values};
            hel_values pieces = {
                .count = count, .read = read_values, .user = &stream, .piece = piece, .piece_count = 777};
            hel_fit_options options = {.k = 64, .reference = reference, .sidecar = true, .percentile = 99.9, .cap = 50};
            hel_fitted one, two;
            hel_fit_error error, again;
            uint8_t *codes = malloc(count), *other = malloc(count);
            assert_int_equal(hel_fit_values(&memory, &options, &one), HEL_OK);
            assert_int_equal(hel_fit_values(&pieces, &options, &two), HEL_OK);
            assert_memory_equal(one.codebook, two.codebook, sizeof one.codebook);
            assert_int_equal(one.sidecar.count, two.sidecar.count);
            assert_int_equal(hel_fit_encode(&memory, &one, keep_codes, &(decoded){&one, codes}, &error), HEL_OK);
            assert_int_equal(hel_fit_encode(&pieces, &two, keep_codes, &(decoded){&two, other}, &again), HEL_OK);
            assert_memory_equal(codes, other, count);
            double squared = 0;
            for (uint64_t v = 0, s = 0; v < count; v++) {
                if (s < one.sidecar.count && one.sidecar.kept[s].position == v) {
                    s++;
                    continue;
                }
                squared += ((double)values[v] - one.codebook[codes[v]]) * ((double)values[v] - one.codebook[codes[v]]);
            }
            assert_true(fabs(squared - error.squared) <= 1e-9 * squared);
            assert_true(one.lower_bound <= error.squared * (1 + 1e-9));
            assert_true(hel_fit_cosine(&error) > 0.99);
            hel_fitted_finish(&one);
            hel_fitted_finish(&two);
            free(codes);
            free(other);
            free(values);
        }
    }
}

// The reference fits outliers too and stops early: never better after the same sidecar.
static void test_beats_reference(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        uint64_t count = 500 + made_mix(seed) % 60000;
        float *values = malloc(count * sizeof *values);
        uint8_t *codes = malloc(count);
        made_values(values, count, 60 + seed);
        for (uint64_t i = 0; i < count && seed % 3; i++)
            values[i] = seed % 3 == 1 ? values[i] * values[i] * values[i] : hel_bf16_to_float(hel_float_to_bf16(values[i]));
        hel_values source = {.count = count, .data = values};
        double squared[2];
        for (int reference = 0; reference < 2; reference++) {
            hel_fit_options options = {.k = seed % 2 ? 256 : 16, .reference = reference, .sidecar = true, .percentile = 99.9, .cap = 256};
            hel_fitted fitted;
            hel_fit_error error;
            assert_int_equal(hel_fit_values(&source, &options, &fitted), HEL_OK);
            assert_int_equal(hel_fit_encode(&source, &fitted, keep_codes, &(decoded){&fitted, codes}, &error), HEL_OK);
            squared[reference] = error.squared;
            hel_fitted_finish(&fitted);
        }
        if (!(squared[0] <= squared[1])) fail_msg("seed %d: %.9g, the reference has %.9g", (int)seed, squared[0], squared[1]);
        free(values);
        free(codes);
    }
}

static void test_special_tensors(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    float *values = malloc(COUNT * sizeof *values);
    uint8_t *codes = malloc(COUNT);
    hel_fit_options options = {.k = 256, .sidecar = true, .percentile = 99.9, .cap = 512};
    for (uint32_t variant = 0; variant < 6; variant++) {
        for (uint32_t count = 100; count <= COUNT; count *= 500) {
            for (uint32_t i = 0; i < count; i++) {
                float v = made_value(i, 50);
                values[i] = variant == 0   ? 0.25f                        // constant
                            : variant == 1 ? (i % 2 ? -0.0f : 0.0f)
                            : variant == 2 ? rintf(v * 30)                // no more distinct values than codes
                            : variant == 3 ? (i == 7 ? 1e38f : v * 1e-40f)
                            : variant == 4 ? (i % 500 ? 0 : v)
                                           : hel_f16_to_float(hel_float_to_f16(v * 1e-6f)); // halves below normal range
            }
            hel_values source = {.count = count, .data = values};
            hel_fitted fitted;
            hel_fit_error error;
            assert_int_equal(hel_fit_values(&source, &options, &fitted), HEL_OK);
            assert_int_equal(hel_fit_encode(&source, &fitted, keep_codes, &(decoded){&fitted, codes}, &error), HEL_OK);
            for (uint32_t c = 1; c < 256; c++) assert_true(fitted.codebook[c - 1] <= fitted.codebook[c]);
            if (variant < 3 || variant == 5) assert_true(error.squared == 0); // lossless
            if (variant == 1) assert_true(hel_fit_cosine(&error) == 1);
            hel_fitted_finish(&fitted);
        }
    }
    for (uint32_t count = 100; count <= COUNT; count *= 500) {
        static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
        for (size_t b = 0; b < HEL_COUNT(bad); b++) {
            made_values(values, count, 1);
            values[count / 2] = bad[b];
            hel_fitted fitted;
            assert_int_equal(hel_fit_values(&(hel_values){.count = count, .data = values}, &options, &fitted),
                             HEL_ERROR_UNSUPPORTED);
        }
    }
    free(values);
    free(codes);
}

static hel_status read_halves(void *user, uint64_t first, uint64_t count, uint16_t *out) {
    memcpy(out, (const uint16_t *)user + first, count * sizeof *out);
    return HEL_OK;
}

static void make_halves(uint32_t variant, uint64_t count, float *values, uint16_t *halves) {
    made_values(values, count, 70 + variant);
    for (uint64_t i = 0; i < count; i++) {
        if (variant == 1) values[i] = i % 3 ? -0.0f : values[i];
        if (variant == 2) values[i] = fabsf(values[i]) * 1e-38f; // denormal ones among them
        if (variant == 3) values[i] = rintf(values[i] * 40);     // fewer distinct values than codes
        halves[i] = hel_float_to_bf16(values[i]);
        values[i] = hel_bf16_to_float(halves[i]);
    }
}

// bfloat16 as it is, whole or streamed, gives what the same floats give.
static void test_halves(void **state) {
    (void)state;
    enum { COUNT = 100003 };
    float *values = malloc(COUNT * sizeof *values);
    uint16_t *halves = malloc(COUNT * sizeof *halves), piece[1001];
    uint8_t *codes = malloc(COUNT), *other = malloc(COUNT);
    for (uint32_t variant = 0; variant < 4; variant++) {
        make_halves(variant, COUNT, values, halves);
        for (uint32_t count = 1000; count <= COUNT; count += COUNT - 1000) {
            hel_values floats = {.count = count, .data = values};
            hel_values forms[] = {{.count = count, .halves = halves},
                                  {.count = count, .read_halves = read_halves, .user = halves, .piece = piece, .piece_count = 1001}};
            for (uint32_t form = 0; form < 4; form++) { // each with both fits
                hel_fit_options options = {.k = 64, .reference = form / 2, .sidecar = true, .percentile = 99.9, .cap = 50};
                hel_fitted one, two;
                hel_fit_error error, again;
                assert_int_equal(hel_fit_values(&floats, &options, &one), HEL_OK);
                assert_int_equal(hel_fit_values(&forms[form % 2], &options, &two), HEL_OK);
                assert_memory_equal(one.codebook, two.codebook, sizeof one.codebook);
                assert_int_equal(one.sidecar.count, two.sidecar.count);
                for (uint32_t s = 0; s < one.sidecar.count; s++)
                    assert_int_equal(one.sidecar.kept[s].position, two.sidecar.kept[s].position);
                assert_int_equal(hel_fit_encode(&floats, &one, keep_codes, &(decoded){&one, codes}, &error), HEL_OK);
                assert_int_equal(hel_fit_encode(&forms[form % 2], &two, keep_codes, &(decoded){&two, other}, &again), HEL_OK);
                assert_memory_equal(codes, other, count);
                assert_true(fabs(error.squared - again.squared) <= 1e-9 * error.squared);
                assert_true(fabs(hel_fit_cosine(&error) - hel_fit_cosine(&again)) < 1e-9);
                hel_fitted_finish(&one);
                hel_fitted_finish(&two);
            }
        }
    }
    static const uint16_t bad[] = {0x7f80, 0xff80, 0x7fc0, 0xffff};
    for (size_t b = 0; b < HEL_COUNT(bad); b++) {
        halves[COUNT / 2] = bad[b];
        hel_fitted fitted;
        assert_int_equal(hel_fit_values(&(hel_values){.count = COUNT, .halves = halves}, &(hel_fit_options){.k = 64}, &fitted),
                         HEL_ERROR_UNSUPPORTED);
    }
    free(values);
    free(halves);
    free(codes);
    free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globs),     cmocka_unit_test(test_assign),
        cmocka_unit_test(test_sidecar),   cmocka_unit_test(test_streaming), cmocka_unit_test(test_special_tensors),
        cmocka_unit_test(test_beats_reference), cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
