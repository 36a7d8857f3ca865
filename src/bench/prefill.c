// SPDX-License-Identifier: Apache-2.0
// A prompt evaluated at once; the time is of all of it.
#include "base/error.h"
#include "base/memory.h"
#include "bench/evaluate.h"
#include "bench/works.h"

enum { DEFAULT_COLUMNS = 512 };

static hel_status time_prompt(void *user, hel_bench_measure *measure, double *out_seconds) {
    hel_bench_subject *subject = user;
    const hel_bench_evaluation *evaluation = subject->evaluation;
    (void)measure;
    HEL_TRY(hel_context_rewind(subject->context, 0));
    double start = hel_bench_now();
    HEL_TRY(hel_context_logits(subject->context, evaluation->tokens, evaluation->prompt, evaluation->logits));
    *out_seconds = hel_bench_now() - start;
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    hel_bench_evaluation *evaluation = *state = hel_alloc_zero(1, sizeof *evaluation);
    if (!evaluation) return hel_fail_memory(sizeof *evaluation);
    uint32_t columns = run->params.columns ? run->params.columns : DEFAULT_COLUMNS;
    return hel_bench_evaluation_open(run, columns, 0, time_prompt, evaluation);
}

static void finish(hel_bench_run *run, void *state) {
    (void)run;
    if (state) hel_bench_evaluation_finish(state);
    hel_free(state);
}

const hel_bench_work_row hel_bench_work_prefill = {
    .about = {"prefill", "Tokens a second of a random LLaMA, a prompt at once", "layers hidden vocabulary columns k"},
    .prepare = prepare, .finish = finish};
