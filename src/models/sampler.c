// SPDX-License-Identifier: Apache-2.0
// Picks the next token. Candidates are sorted by logit, ties by id, so that a seed gives one text.
#include <helicoid/generate.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"

typedef struct candidate {
    float logit;
    uint32_t token;
    double probability;
} candidate;

struct hel_sampler {
    hel_sampling sampling;
    uint32_t vocabulary;
    uint64_t state[2];
    float *logits;         // after the repetition penalty
    candidate *candidates; // best first
};

static const hel_sampling defaults = {.struct_size = sizeof(hel_sampling), .top_p = 1.0f, .repetition_penalty = 1.0f,
                                      .repetition_window = 64};

void hel_sampling_init(hel_sampling *sampling, size_t struct_size) { HEL_PARAMS_WRITE(sampling, struct_size, &defaults); }

// ---------------------------------------------------------------- random numbers: xoroshiro128+ seeded by splitmix64

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static double uniform(uint64_t state[2]) {
    uint64_t a = state[0], b = state[1], sum = a + b;
    b ^= a;
    state[0] = rotate(a, 24) ^ b ^ b << 16;
    state[1] = rotate(b, 37);
    return (double)(sum >> 11) * 0x1p-53;
}

// ---------------------------------------------------------------- lifetime

static hel_status check(const hel_sampling *sampling) {
    for (size_t i = 0; i < HEL_COUNT(sampling->reserved); i++)
        if (sampling->reserved[i]) return hel_fail(HEL_ERROR_ARGUMENT, "sampling: reserved must be 0");
    if (sampling->temperature >= 0 && sampling->top_p > 0 && sampling->top_p <= 1 && sampling->min_p >= 0 &&
        sampling->min_p <= 1 && sampling->repetition_penalty > 0)
        return HEL_OK;
    return hel_fail(HEL_ERROR_ARGUMENT, "sampling: temperature >= 0, 0 < top_p <= 1, 0 <= min_p <= 1 and penalty > 0 are wanted");
}

hel_status hel_sampler_create(const hel_sampling *sampling, uint32_t vocabulary, hel_sampler **out) {
    HEL_REQUIRE(vocabulary && out);
    *out = NULL;
    hel_sampling values = defaults;
    HEL_TRY(HEL_PARAMS_READ(sampling, &values, "hel_sampling"));
    HEL_TRY(check(&values));
    hel_sampler *sampler = hel_alloc_zero(1, sizeof *sampler);
    if (!sampler) return hel_fail_memory(sizeof *sampler);
    sampler->sampling = values;
    sampler->vocabulary = vocabulary;
    uint64_t seed = values.seed;
    sampler->state[0] = splitmix(&seed);
    sampler->state[1] = splitmix(&seed);
    sampler->logits = hel_alloc_array(vocabulary, sizeof *sampler->logits);
    sampler->candidates = hel_alloc_array(vocabulary, sizeof *sampler->candidates);
    if (!sampler->logits || !sampler->candidates) {
        hel_sampler_destroy(&sampler);
        return hel_fail_memory(vocabulary * sizeof(candidate));
    }
    *out = sampler;
    return HEL_OK;
}

void hel_sampler_destroy(hel_sampler **handle) {
    if (!handle || !*handle) return;
    hel_free((*handle)->logits);
    hel_free((*handle)->candidates);
    hel_free(*handle);
    *handle = NULL;
}

// ---------------------------------------------------------------- picking

static void penalise(hel_sampler *sampler, const uint32_t *history, uint32_t count) {
    float penalty = sampler->sampling.repetition_penalty;
    uint32_t window = HEL_MIN(sampler->sampling.repetition_window, count);
    if (penalty == 1.0f) return;
    const uint32_t *recent = history + count - window;
    for (uint32_t i = 0; i < window; i++) {
        if (recent[i] >= sampler->vocabulary) continue;
        bool again = false;
        for (uint32_t j = 0; j < i && !again; j++) again = recent[j] == recent[i];
        float *logit = &sampler->logits[recent[i]];
        if (!again) *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
    }
}

static uint32_t greedy(const hel_sampler *sampler) {
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < sampler->vocabulary; i++)
        if (isfinite(sampler->logits[i]) && (best == UINT32_MAX || sampler->logits[i] > sampler->logits[best])) best = i;
    return best;
}

static int by_logit(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->token < b->token ? -1 : 1;
}

// Softmax at the temperature over the sorted candidates.
static void weigh(candidate *candidates, uint32_t count, float temperature) {
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        candidates[i].probability = exp(((double)candidates[i].logit - candidates[0].logit) / temperature);
        sum += candidates[i].probability;
    }
    for (uint32_t i = 0; i < count; i++) candidates[i].probability /= sum;
}

static uint32_t keep_nucleus(const candidate *candidates, uint32_t count, float top_p) {
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        if ((sum += candidates[i].probability) >= top_p) return i + 1;
    return count;
}

static uint32_t keep_likely(const candidate *candidates, uint32_t count, float min_p) {
    double least = min_p * candidates[0].probability;
    uint32_t kept = 1;
    while (kept < count && candidates[kept].probability >= least) kept++;
    return kept;
}

static uint32_t draw(hel_sampler *sampler, uint32_t count) {
    const hel_sampling *sampling = &sampler->sampling;
    candidate *candidates = sampler->candidates;
    qsort(candidates, count, sizeof *candidates, by_logit);
    if (sampling->top_k) count = HEL_MIN(count, sampling->top_k);
    weigh(candidates, count, sampling->temperature);
    if (sampling->top_p < 1.0f) count = keep_nucleus(candidates, count, sampling->top_p);
    if (sampling->min_p > 0.0f) count = keep_likely(candidates, count, sampling->min_p);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += candidates[i].probability;
    double point = uniform(sampler->state) * sum;
    uint32_t chosen = 0;
    while (chosen + 1 < count && (point -= candidates[chosen].probability) >= 0) chosen++;
    return candidates[chosen].token;
}

hel_status hel_sampler_pick(hel_sampler *sampler, const float *logits, const uint32_t *history, uint32_t count,
                            uint32_t *out_token) {
    HEL_REQUIRE(sampler && logits && (history || !count) && out_token);
    memcpy(sampler->logits, logits, sampler->vocabulary * sizeof *logits);
    penalise(sampler, history, count);
    uint32_t best = greedy(sampler), finite = 0;
    if (best == UINT32_MAX) return hel_fail(HEL_ERROR_UNSUPPORTED, "no logit is a finite number");
    if (sampler->sampling.temperature == 0) {
        *out_token = best;
        return HEL_OK;
    }
    for (uint32_t i = 0; i < sampler->vocabulary; i++)
        if (isfinite(sampler->logits[i])) sampler->candidates[finite++] = (candidate){.logit = sampler->logits[i], .token = i};
    *out_token = draw(sampler, finite);
    return HEL_OK;
}
