// SPDX-License-Identifier: Apache-2.0
// Scoring: negative log-likelihood of a text in windows, and how far two models' distributions are apart.
#include <helicoid/generate.h>

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"

enum { DEFAULT_WINDOW = 512 };

static const hel_perplexity_params defaults = {.struct_size = sizeof(hel_perplexity_params)};

void hel_perplexity_params_init(hel_perplexity_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

typedef struct score_sums {
    double nll, against_nll, kl;
    uint64_t scored, agreed;
} score_sums;

typedef struct scorer {
    const uint32_t *window; // tokens of the current window
    uint32_t length;
    uint32_t first_target;  // positions before it were scored by an earlier window
    uint32_t vocabulary;
    float *against;         // logits of the other model for a stretch of positions, NULL without
    uint32_t against_first;
    const hel_perplexity_params *params;
    uint64_t before, total; // tokens evaluated in earlier windows, and in all
    score_sums sums;
} scorer;

// log of the sum of exponentials, in double, and the first largest.
static double log_sum_exp(const float *logits, uint32_t count, uint32_t *out_best) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += exp((double)logits[i] - logits[best]);
    *out_best = best;
    return logits[best] + log(sum);
}

// KL(p || q) with p the other model's distribution.
static void compare(scorer *s, const float *q, double q_norm, uint32_t q_best, const float *p, uint32_t target) {
    uint32_t p_best;
    double p_norm = log_sum_exp(p, s->vocabulary, &p_best), kl = 0;
    for (uint32_t i = 0; i < s->vocabulary; i++) {
        double log_p = p[i] - p_norm;
        kl += exp(log_p) * (log_p - (q[i] - q_norm));
    }
    s->sums.kl += kl;
    s->sums.agreed += p_best == q_best;
    s->sums.against_nll += p_norm - p[target];
}

static bool report_progress(const scorer *s, uint32_t done) {
    return !s->params->progress || s->params->progress(s->params->user, "scoring", s->before + done, s->total);
}

static bool score(void *user, uint32_t first, uint32_t count, const float *logits) {
    scorer *s = user;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t target_at = first + i + 1;
        if (target_at >= s->length || target_at < s->first_target) continue;
        const float *row = logits + (size_t)i * s->vocabulary;
        uint32_t best, target = s->window[target_at];
        double norm = log_sum_exp(row, s->vocabulary, &best);
        s->sums.nll += norm - row[target];
        s->sums.scored++;
        if (s->against) compare(s, row, norm, best, s->against + (size_t)(first + i - s->against_first) * s->vocabulary, target);
    }
    return report_progress(s, first + count);
}

static bool keep(void *user, uint32_t first, uint32_t count, const float *logits) {
    scorer *s = user;
    memcpy(s->against + (size_t)(first - s->against_first) * s->vocabulary, logits, (size_t)count * s->vocabulary * sizeof *logits);
    return true;
}

// Positions of a window at a time when two models are compared: bounded memory whatever the vocabulary.
enum { STRETCH = 32 };

typedef struct shift_state {
    scorer *scorer;
    hel_logits_callback callback;
    uint32_t offset; // callbacks count from the stretch's start
} shift_state;

static bool shift(void *user, uint32_t first, uint32_t count, const float *logits) {
    const shift_state *shifted = user;
    return shifted->callback(shifted->scorer, first + shifted->offset, count, logits);
}

static hel_status score_window(hel_context *context, hel_context *other, scorer *s) {
    HEL_TRY(hel_context_rewind(context, 0));
    if (!other) return hel_context_evaluate(context, s->window, s->length, 0, score, s);
    HEL_TRY(hel_context_rewind(other, 0));
    for (uint32_t at = 0; at < s->length; at += STRETCH) {
        uint32_t count = HEL_MIN(STRETCH, s->length - at);
        s->against_first = at;
        HEL_TRY(hel_context_evaluate(other, s->window + at, count, 0, shift, &(shift_state){s, keep, at}));
        HEL_TRY(hel_context_evaluate(context, s->window + at, count, 0, shift, &(shift_state){s, score, at}));
    }
    return HEL_OK;
}

typedef struct window_plan {
    uint32_t window, stride, chunks;
    uint64_t total; // tokens to evaluate
} window_plan;

static hel_status make_plan(const hel_perplexity_params *params, size_t count, window_plan *out) {
    window_plan plan = {.window = params->context ? params->context : DEFAULT_WINDOW};
    plan.stride = params->stride ? params->stride : plan.window;
    if (count < 2) return hel_fail(HEL_ERROR_ARGUMENT, "the text has %zu tokens; scoring takes two", count);
    if (plan.window < 2) return hel_fail(HEL_ERROR_ARGUMENT, "a context of %u holds no position to score", plan.window);
    if (plan.stride > plan.window)
        return hel_fail(HEL_ERROR_ARGUMENT, "a stride of %u leaves gaps between contexts of %u", plan.stride, plan.window);
    plan.window = (uint32_t)HEL_MIN(plan.window, count); // a short text is one window
    plan.stride = HEL_MIN(plan.stride, plan.window);
    uint64_t chunks = (count - plan.window) / plan.stride + 1;
    plan.chunks = (uint32_t)HEL_MIN(chunks, params->chunks ? params->chunks : UINT32_MAX);
    plan.total = (uint64_t)plan.chunks * plan.window;
    *out = plan;
    return HEL_OK;
}

// Two models are compared in stretches, so a target is looked up before the model has seen and checked it.
static hel_status check_targets(const window_plan *plan, const uint32_t *tokens, uint32_t vocabulary) {
    size_t count = (size_t)(plan->chunks - 1) * plan->stride + plan->window;
    for (size_t i = 0; i < count; i++)
        if (tokens[i] >= vocabulary)
            return hel_fail(HEL_ERROR_ARGUMENT, "token %u is not below the vocabulary of %u", tokens[i], vocabulary);
    return HEL_OK;
}

static hel_status score_all(const window_plan *plan, const uint32_t *tokens, hel_context *context, hel_context *other,
                            scorer *s) {
    s->total = plan->total;
    if (!report_progress(s, 0)) return hel_fail(HEL_ERROR_CANCELLED, "scoring was cancelled");
    for (uint32_t chunk = 0; chunk < plan->chunks; chunk++) {
        s->window = tokens + (size_t)chunk * plan->stride;
        s->length = plan->window;
        s->first_target = chunk && plan->stride < plan->window ? plan->window - plan->stride : 1;
        HEL_TRY(score_window(context, other, s));
        s->before += plan->window;
    }
    return HEL_OK;
}

static void summarise(const scorer *s, const window_plan *plan, hel_perplexity_result *out) {
    double n = (double)s->sums.scored;
    *out = (hel_perplexity_result){.perplexity = exp(s->sums.nll / n), .tokens = s->sums.scored, .chunks = plan->chunks};
    if (!s->against) return;
    out->against_perplexity = exp(s->sums.against_nll / n);
    out->kl_divergence = s->sums.kl / n;
    out->top1_agreement = (double)s->sums.agreed / n;
}

hel_status hel_perplexity(const hel_model *model, const uint32_t *tokens, size_t count, const hel_perplexity_params *params,
                          hel_perplexity_result *out) {
    HEL_REQUIRE(model && (tokens || !count) && out);
    hel_perplexity_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_perplexity_params"));
    window_plan plan = {0};
    HEL_TRY(make_plan(&values, count, &plan));
    hel_model_info info, other_info;
    hel_model_describe(model, &info);
    if (info.labels) return hel_fail(HEL_ERROR_UNSUPPORTED, "this model labels tokens, it does not foretell them");
    HEL_TRY(check_targets(&plan, tokens, info.vocabulary));
    scorer s = {.vocabulary = info.vocabulary, .params = &values};
    hel_context *context = NULL, *other = NULL;
    hel_context_params context_params = hel_context_params_default();
    context_params.capacity = plan.window;
    hel_status status;
    HEL_TRY_DONE(hel_context_create(model, &context_params, &context));
    if (values.against) {
        hel_model_describe(values.against, &other_info);
        if (other_info.vocabulary != info.vocabulary) {
            status = hel_fail(HEL_ERROR_ARGUMENT, "the models' vocabularies differ: %u and %u", info.vocabulary,
                              other_info.vocabulary);
            goto done;
        }
        HEL_TRY_DONE(hel_context_create(values.against, &context_params, &other));
        s.against = hel_alloc_array((size_t)STRETCH * info.vocabulary, sizeof *s.against);
        if (!s.against) {
            status = hel_fail_memory((size_t)STRETCH * info.vocabulary * sizeof *s.against);
            goto done;
        }
    }
    status = score_all(&plan, tokens, context, other, &s);
    if (status == HEL_OK) summarise(&s, &plan, out);
done:
    hel_context_destroy(&context);
    hel_context_destroy(&other);
    hel_free(s.against);
    return status;
}
