// SPDX-License-Identifier: Apache-2.0
// Tokens one by one, as text is generated; the time is of one of them.
#include "base/error.h"
#include "base/memory.h"
#include "bench/evaluate.h"
#include "bench/works.h"

enum { PROMPT = 16, DEFAULT_TOKENS = 16 };

static hel_status time_tokens(void *user, hel_bench_measure *measure, double *out_seconds) {
    hel_bench_subject *subject = user;
    const hel_bench_evaluation *evaluation = subject->evaluation;
    (void)measure;
    if (hel_context_position(subject->context) < PROMPT)
        HEL_TRY(hel_context_evaluate(subject->context, evaluation->tokens, PROMPT, PROMPT, NULL, NULL));
    HEL_TRY(hel_context_rewind(subject->context, PROMPT));
    double start = hel_bench_now();
    for (uint32_t i = 0; i < evaluation->generated; i++)
        HEL_TRY(hel_context_logits(subject->context, evaluation->tokens + PROMPT + i, 1, evaluation->logits));
    *out_seconds = (hel_bench_now() - start) / evaluation->generated;
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    hel_bench_evaluation *evaluation = *state = hel_alloc_zero(1, sizeof *evaluation);
    if (!evaluation) return hel_fail_memory(sizeof *evaluation);
    uint32_t tokens = run->params.tokens ? run->params.tokens : DEFAULT_TOKENS;
    return hel_bench_evaluation_open(run, PROMPT, tokens, time_tokens, evaluation);
}

static void finish(hel_bench_run *run, void *state) {
    (void)run;
    if (state) hel_bench_evaluation_finish(state);
    hel_free(state);
}

const hel_bench_work_row hel_bench_work_decode = {
    .about = {"decode", "Tokens a second of a random LLaMA, one by one", "layers hidden vocabulary tokens k"},
    .prepare = prepare, .finish = finish};
