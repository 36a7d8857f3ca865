// SPDX-License-Identifier: Apache-2.0
// The sampler against its definitions: which tokens may come, how often each of them comes, and what is refused.
#include "support/support.h"

#include <float.h>

#include <helicoid/helicoid.h>

enum { MOST = 16, DRAWS = 200000 };

static hel_sampler *create(const hel_sampling *sampling, uint32_t vocabulary) {
    hel_sampler *sampler = NULL;
    if (hel_sampler_create(sampling, vocabulary, &sampler)) fail_msg("%s", hel_error_message());
    return sampler;
}

static uint32_t pick(hel_sampler *sampler, const float *logits, const uint32_t *history, uint32_t count) {
    uint32_t token = UINT32_MAX;
    if (hel_sampler_pick(sampler, logits, history, count, &token)) fail_msg("%s", hel_error_message());
    return token;
}

static uint32_t pick_once(const hel_sampling *sampling, const float *logits, uint32_t vocabulary, const uint32_t *history,
                          uint32_t count) {
    hel_sampler *sampler = create(sampling, vocabulary);
    uint32_t token = pick(sampler, logits, history, count);
    hel_sampler_destroy(&sampler);
    assert_null(sampler);
    return token;
}

static hel_sampling warm(float temperature) {
    hel_sampling sampling = hel_sampling_default();
    sampling.temperature = temperature;
    sampling.seed = 1;
    return sampling;
}

// ---------------------------------------------------------------- greedy

static void test_greedy(void **state) {
    (void)state;
    static const struct { float logits[5]; uint32_t expected; } cases[] = {
        {{0, 1, 5, 2, -3}, 2},        {{9, 1, 5, 2, -3}, 0},         {{0, 1, 5, 2, 7}, 4},          {{1, 4, 4, 0, 4}, 1},
        {{3, 3, 3, 3, 3}, 0},         {{-5, -4, -9, -4, -6}, 1},     {{-1, -0.0f, 0.0f, -1, -1}, 1}, {{0, FLT_MIN, 0, 0, 0}, 1},
        {{-FLT_MAX, -INFINITY, -INFINITY, -INFINITY, -INFINITY}, 0}, {{1, 2, 3, FLT_MAX, 3}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(pick_once(NULL, cases[i].logits, 5, NULL, 0), cases[i].expected);
}

// ---------------------------------------------------------------- distributions

// Softmax of logits / temperature, in long double, of the tokens that `kept` names bit by bit.
static void softmax(const float *logits, uint32_t vocabulary, uint32_t kept, double temperature, double *out) {
    long double sum = 0;
    for (uint32_t i = 0; i < vocabulary; i++) sum += kept >> i & 1 ? expl(logits[i] / (long double)temperature) : 0;
    for (uint32_t i = 0; i < vocabulary; i++)
        out[i] = kept >> i & 1 ? (double)(expl(logits[i] / (long double)temperature) / sum) : 0;
}

// Pearson's statistic has mean f and variance 2 f at f degrees of freedom; six deviations are never an accident.
static void check_counts(const char *what, const uint64_t *counts, const double *expected, uint32_t vocabulary, uint64_t draws) {
    double statistic = 0, freedom = -1;
    for (uint32_t i = 0; i < vocabulary; i++) {
        if (expected[i] == 0) {
            if (counts[i]) fail_msg("%s: token %u came and may not", what, i);
            continue;
        }
        double mean = expected[i] * (double)draws;
        assert_true(mean >= 5); // below, the statistic is of no use
        statistic += ((double)counts[i] - mean) * ((double)counts[i] - mean) / mean;
        freedom += 1;
    }
    double bound = freedom + 6 * sqrt(2 * freedom);
    if (!(statistic <= bound)) fail_msg("%s: chi-square %g, at most %g", what, statistic, bound);
}

static void check_distribution(const char *what, const hel_sampling *sampling, const float *logits, uint32_t vocabulary,
                               const uint32_t *history, uint32_t length, const double *expected) {
    uint64_t counts[MOST] = {0};
    hel_sampler *sampler = create(sampling, vocabulary);
    for (uint32_t i = 0; i < DRAWS; i++) counts[pick(sampler, logits, history, length)]++;
    check_counts(what, counts, expected, vocabulary, DRAWS);
    hel_sampler_destroy(&sampler);
}

static void test_temperature(void **state) {
    (void)state;
    static const float logits[12] = {0.5f, -1, 2, 2, 0, -0.25f, 1.5f, -2, 0.75f, 1, -0.5f, 2.25f};
    static const float temperatures[] = {0.5f, 0.7f, 1, 1.5f, 4};
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        double expected[12];
        char what[32];
        hel_sampling sampling = warm(temperatures[i]);
        softmax(logits, 12, 0xfff, (double)temperatures[i], expected);
        snprintf(what, sizeof what, "temperature %g", (double)temperatures[i]);
        check_distribution(what, &sampling, logits, 12, NULL, 0, expected);
    }
}

// Neighbouring seeds are as good as random ones: the first draws of many follow the distribution too.
static void test_first_draws(void **state) {
    (void)state;
    enum { SEEDS = 20000 };
    static const float logits[4] = {0, 1, -1, 0.5f};
    double expected[4];
    uint64_t counts[4] = {0};
    softmax(logits, 4, 0xf, 1, expected);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        hel_sampling sampling = warm(1);
        sampling.seed = seed;
        counts[pick_once(&sampling, logits, 4, NULL, 0)]++;
    }
    check_counts("first draws", counts, expected, 4, SEEDS);
}

// ---------------------------------------------------------------- filters

// Probabilities by token; the best is not the first.
static const float uneven[5] = {0.10f, 0.40f, 0.05f, 0.30f, 0.15f}, even[4] = {0.25f, 0.25f, 0.25f, 0.25f},
                   tied[6] = {0.10f, 0.20f, 0.25f, 0.10f, 0.25f, 0.10f};

static const struct filter {
    const char *name;
    const float *probabilities;
    uint32_t vocabulary, top_k;
    float top_p, min_p, temperature;
    uint32_t kept; // bit i: token i
} filters[] = {
    {"nothing", uneven, 5, 0, 1, 0, 1, 0x1f},
    {"k = 1", uneven, 5, 1, 1, 0, 1, 0x02},
    {"k = 2", uneven, 5, 2, 1, 0, 1, 0x0a},
    {"k = 4", uneven, 5, 4, 1, 0, 1, 0x1b},
    {"k = vocabulary", uneven, 5, 5, 1, 0, 1, 0x1f},
    {"k > vocabulary", uneven, 5, UINT32_MAX, 1, 0, 1, 0x1f},
    {"k = 1, all equal", even, 4, 1, 1, 0, 1, 0x01},
    {"k = 1, two best", tied, 6, 1, 1, 0, 1, 0x04},
    {"k = 3, tie outside", tied, 6, 3, 1, 0, 1, 0x16},
    {"k = 5, tie across", tied, 6, 5, 1, 0, 1, 0x1f},
    {"p tiny", uneven, 5, 0, FLT_MIN, 0, 1, 0x02},
    {"p below the best", uneven, 5, 0, 0.39f, 0, 1, 0x02},
    {"p above the best", uneven, 5, 0, 0.41f, 0, 1, 0x0a},
    {"p below two", uneven, 5, 0, 0.69f, 0, 1, 0x0a},
    {"p above two", uneven, 5, 0, 0.71f, 0, 1, 0x1a},
    {"p below all", uneven, 5, 0, 0.96f, 0, 1, 0x1f},
    {"p reached exactly", even, 4, 0, 0.5f, 0, 1, 0x03},
    {"p past half", even, 4, 0, 0.51f, 0, 1, 0x07},
    {"min-p tiny", uneven, 5, 0, 1, FLT_MIN, 1, 0x1f},
    {"min-p 0.2", uneven, 5, 0, 1, 0.2f, 1, 0x1b},
    {"min-p 0.5", uneven, 5, 0, 1, 0.5f, 1, 0x0a},
    {"min-p 0.76", uneven, 5, 0, 1, 0.76f, 1, 0x02},
    {"min-p 1", uneven, 5, 0, 1, 1, 1, 0x02},
    {"min-p 1, two best", tied, 6, 0, 1, 1, 1, 0x14},
    {"min-p 1, all equal", even, 4, 0, 1, 1, 1, 0x0f},
    {"k, then p of what is left", uneven, 5, 2, 0.56f, 0, 1, 0x02},
    {"p, then min-p", uneven, 5, 0, 0.71f, 0.5f, 1, 0x0a},
    {"all three", uneven, 5, 4, 0.8f, 0.3f, 1, 0x1a},
    {"temperature before p", uneven, 5, 0, 0.39f, 0, 2, 0x0a},
    {"temperature before min-p", uneven, 5, 0, 1, 0.45f, 2, 0x1b},
};

static void test_filters(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        const struct filter *filter = &filters[i];
        float logits[MOST];
        double expected[MOST];
        hel_sampling sampling = warm(filter->temperature);
        sampling.top_k = filter->top_k, sampling.top_p = filter->top_p, sampling.min_p = filter->min_p;
        for (uint32_t t = 0; t < filter->vocabulary; t++) logits[t] = logf(filter->probabilities[t]);
        softmax(logits, filter->vocabulary, filter->kept, (double)filter->temperature, expected);
        check_distribution(filter->name, &sampling, logits, filter->vocabulary, NULL, 0, expected);
    }
}

// ---------------------------------------------------------------- repetition

static const struct repetition {
    const char *name;
    float penalty;
    uint32_t window, length, history[6], penalised;
} repetitions[] = {
    {"off", 1, 64, 3, {0, 1, 2}, 0x00},
    {"positive", 2, 64, 1, {1}, 0x02},
    {"negative", 2, 64, 1, {3}, 0x08},
    {"zero stays", 2, 64, 1, {2}, 0x04},
    {"both signs", 1.3f, 64, 2, {4, 0}, 0x11},
    {"once, however often", 2, 64, 6, {1, 1, 3, 1, 3, 1}, 0x0a},
    {"below one", 0.5f, 64, 2, {1, 3}, 0x0a},
    {"all", 1.5f, 64, 5, {4, 3, 2, 1, 0}, 0x1f},
    {"newest two", 2, 2, 4, {0, 1, 3, 4}, 0x18},
    {"no window", 2, 0, 4, {0, 1, 3, 4}, 0x00},
    {"window longer than the text", 2, UINT32_MAX, 2, {0, 1}, 0x03},
    {"ids beyond the vocabulary", 2, 64, 4, {5, 1, UINT32_MAX, 1000}, 0x02},
};

// As transformers' RepetitionPenaltyLogitsProcessor: positive logits divided, negative ones multiplied, each id once.
static void test_repetition(void **state) {
    (void)state;
    static const float logits[5] = {1, 2, 0, -1, -0.5f};
    for (size_t i = 0; i < sizeof repetitions / sizeof *repetitions; i++) {
        const struct repetition *r = &repetitions[i];
        float changed[5];
        double expected[5];
        for (int t = 0; t < 5; t++)
            changed[t] = !(r->penalised >> t & 1) ? logits[t] : logits[t] < 0 ? logits[t] * r->penalty : logits[t] / r->penalty;
        hel_sampling sampling = warm(1);
        sampling.repetition_penalty = r->penalty, sampling.repetition_window = r->window;
        softmax(changed, 5, 0x1f, 1, expected);
        check_distribution(r->name, &sampling, logits, 5, r->history, r->length, expected);
    }
}

static void test_repetition_greedy(void **state) {
    (void)state;
    static const float positive[3] = {3, 2, 1}, negative[3] = {-1, -1.5f, -3};
    static const uint32_t first = 0, both[2] = {0, 1};
    hel_sampling sampling = hel_sampling_default();
    sampling.repetition_penalty = 2;
    assert_int_equal(pick_once(&sampling, positive, 3, NULL, 0), 0);
    assert_int_equal(pick_once(&sampling, positive, 3, &first, 1), 1); // 1.5 2 1
    assert_int_equal(pick_once(&sampling, positive, 3, both, 2), 0);   // 1.5 1 1
    assert_int_equal(pick_once(&sampling, negative, 3, &first, 1), 1); // -2 -1.5 -3
    assert_int_equal(pick_once(&sampling, negative, 3, both, 2), 0);   // -2 -3 -3
}

// ---------------------------------------------------------------- seeds

static void draw_ids(uint64_t seed, uint32_t ids[64]) {
    static const float logits[8] = {0, 0.5f, 1, 0, -1, 0.25f, 0, 1};
    hel_sampling sampling = warm(1);
    sampling.seed = seed;
    hel_sampler *sampler = create(&sampling, 8);
    for (int i = 0; i < 64; i++) ids[i] = pick(sampler, logits, NULL, 0);
    hel_sampler_destroy(&sampler);
}

static void test_seeds(void **state) {
    (void)state;
    static const uint64_t seeds[] = {0, 1, 2, 12345, (uint64_t)1 << 32, UINT64_MAX};
    enum { SEEDS = sizeof seeds / sizeof *seeds };
    uint32_t ids[SEEDS][64], again[64];
    for (int i = 0; i < SEEDS; i++) {
        draw_ids(seeds[i], ids[i]);
        draw_ids(seeds[i], again);
        assert_memory_equal(ids[i], again, sizeof again);
        for (int j = 0; j < i; j++) assert_memory_not_equal(ids[i], ids[j], sizeof again);
    }
}

// ---------------------------------------------------------------- what is no number

static void test_non_finite(void **state) {
    (void)state;
    static const float some[6] = {NAN, INFINITY, 1, -INFINITY, 0, -NAN}, none[3] = {NAN, INFINITY, -INFINITY};
    static const uint32_t history[3] = {0, 1, 3};
    double expected[6];
    softmax(some, 6, 0x14, 1, expected);
    hel_sampling greedy = hel_sampling_default(), drawn = warm(1);
    greedy.repetition_penalty = drawn.repetition_penalty = 1.5f;
    assert_int_equal(pick_once(&greedy, some, 6, history, 3), 2);
    check_distribution("non-finite", &drawn, some, 6, history, 3, expected);
    const hel_sampling *both[2] = {&greedy, &drawn};
    for (int i = 0; i < 2; i++) {
        uint32_t token = 77;
        hel_sampler *sampler = create(both[i], 3);
        assert_int_equal(hel_sampler_pick(sampler, none, NULL, 0, &token), HEL_ERROR_UNSUPPORTED);
        assert_int_equal(token, 77);
        assert_int_equal(pick(sampler, (float[]){-INFINITY, 5, NAN}, NULL, 0), 1); // it goes on after the refusal
        hel_sampler_destroy(&sampler);
    }
}

// The largest and smallest numbers that there are: temperatures that underflow, penalties that overflow.
static void test_extremes(void **state) {
    (void)state;
    static const float wide[4] = {-FLT_MAX, 0, FLT_MAX, -FLT_MAX};
    static const float temperatures[] = {0x1p-149f, FLT_MIN, 1e-6f, 1, 100};
    static const uint32_t history[2] = {0, 3};
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        hel_sampling sampling = warm(temperatures[i]);
        assert_int_equal(pick_once(&sampling, wide, 4, NULL, 0), 2);
        sampling.repetition_penalty = 3;
        assert_int_equal(pick_once(&sampling, wide, 4, history, 2), 2);
    }
    hel_sampling hottest = warm(INFINITY);
    static const double quarter[4] = {0.25, 0.25, 0.25, 0.25};
    check_distribution("infinite temperature", &hottest, wide, 4, NULL, 0, quarter);
}

static void test_refusals(void **state) {
    (void)state;
    hel_sampling bad[12];
    for (int i = 0; i < 12; i++) bad[i] = hel_sampling_default();
    bad[0].temperature = -0.1f, bad[1].temperature = NAN, bad[2].temperature = -INFINITY;
    bad[3].top_p = 0, bad[4].top_p = 1.01f, bad[5].top_p = NAN;
    bad[6].min_p = -0.1f, bad[7].min_p = 1.01f, bad[8].min_p = NAN;
    bad[9].repetition_penalty = 0, bad[10].repetition_penalty = -1, bad[11].repetition_penalty = NAN;
    hel_sampler *sampler = NULL;
    for (int i = 0; i < 12; i++) assert_int_equal(hel_sampler_create(&bad[i], 4, &sampler), HEL_ERROR_ARGUMENT);
    assert_null(sampler);
    hel_sampler_destroy(&sampler);
    hel_sampler_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),     cmocka_unit_test(test_temperature),       cmocka_unit_test(test_first_draws),
        cmocka_unit_test(test_filters),    cmocka_unit_test(test_repetition),        cmocka_unit_test(test_repetition_greedy),
        cmocka_unit_test(test_seeds),      cmocka_unit_test(test_non_finite),        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
