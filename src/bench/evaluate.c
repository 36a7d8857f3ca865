// SPDX-License-Identifier: Apache-2.0
#include "bench/evaluate.h"

#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"

static const uint32_t codes[] = {256, 64, 16};

static hel_status make_tokens(hel_bench_evaluation *evaluation) {
    uint32_t count = evaluation->prompt + evaluation->generated, vocabulary = evaluation->hyper.vocabulary;
    evaluation->tokens = hel_alloc_array(count, sizeof *evaluation->tokens);
    evaluation->logits = hel_alloc_array(vocabulary, sizeof *evaluation->logits);
    if (!evaluation->tokens || !evaluation->logits) return hel_fail_memory(count * sizeof *evaluation->tokens);
    hel_random random = {5};
    for (uint32_t i = 0; i < count; i++) evaluation->tokens[i] = (uint32_t)(hel_random_next(&random) % vocabulary);
    return HEL_OK;
}

static hel_status load_model(hel_bench_run *run, uint32_t k, hel_bench_subject *subject) {
    char *path;
    HEL_TRY(hel_bench_model_file(run, &subject->evaluation->hyper, k, &path));
    hel_model_params params = hel_model_params_default();
    params.devices = run->params.device;
    params.threads = run->params.threads;
    params.precision = run->params.precision;
    params.tuning = run->params.tuning;
    hel_status status = hel_model_load(path, &params, &subject->model);
    hel_free(path);
    return status;
}

static hel_status make_context(hel_bench_subject *subject, bool no_recording) {
    const hel_bench_evaluation *evaluation = subject->evaluation;
    hel_context_params context = hel_context_params_default();
    context.capacity = evaluation->prompt + evaluation->generated;
    context.batch = evaluation->prompt;
    context.no_recording = no_recording;
    return hel_context_create(subject->model, &context, &subject->context);
}

// Of the embedding a token reads one row.
static double bytes_per_token(const hel_bench_subject *subject) {
    hel_model_info info;
    hel_model_describe(subject->model, &info);
    return (double)info.prepared_bytes - 2.0 * info.vocabulary * info.hidden;
}

// Entries of one number of codes are a group.
static hel_status add_entry(hel_bench_run *run, uint32_t k, bool baseline, hel_bench_round round, hel_bench_subject *subject) {
    char name[32];
    snprintf(name, sizeof name, baseline ? "k%u unrecorded" : "k%u", k);
    hel_bench_entry *entry = hel_bench_add(run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = baseline;
    entry->group = k;
    entry->round = round;
    entry->user = subject;
    entry->measure.tokens = subject->evaluation->generated ? 1 : subject->evaluation->prompt;
    if (subject->evaluation->generated) entry->measure.bytes = bytes_per_token(subject);
    return hel_bench_model_error_db(&subject->evaluation->hyper, k, &entry->measure.error_db);
}

static hel_bench_subject *next_subject(hel_bench_evaluation *evaluation) {
    hel_bench_subject *subject = &evaluation->subjects[evaluation->n_subjects++];
    subject->evaluation = evaluation;
    return subject;
}

// Where tokens are recorded, the same model beside it without shows what that is good for.
static hel_status add_subjects(hel_bench_run *run, uint32_t k, hel_bench_round round, hel_bench_evaluation *evaluation) {
    hel_bench_subject *subject = next_subject(evaluation);
    HEL_TRY(load_model(run, k, subject));
    HEL_TRY(make_context(subject, false));
    HEL_TRY(add_entry(run, k, false, round, subject));
    if (!evaluation->generated || !run->device->features.recording) return HEL_OK;
    hel_bench_subject *unrecorded = next_subject(evaluation);
    unrecorded->model = subject->model;
    unrecorded->borrowed = true;
    HEL_TRY(make_context(unrecorded, true));
    return add_entry(run, k, true, round, unrecorded);
}

hel_status hel_bench_evaluation_open(hel_bench_run *run, uint32_t prompt, uint32_t generated, hel_bench_round round,
                                     hel_bench_evaluation *out) {
    out->hyper = hel_bench_model_shape(&run->params);
    out->prompt = prompt;
    out->generated = generated;
    if ((uint64_t)prompt + generated > out->hyper.context_length)
        return hel_fail(HEL_ERROR_ARGUMENT, "%u and %u tokens do not fit the %u positions of the random model", prompt,
                        generated, out->hyper.context_length);
    HEL_TRY(make_tokens(out));
    hel_bench_model_tell(run, &out->hyper);
    hel_bench_tell(run, "prompt", prompt);
    hel_bench_tell(run, "tokens", generated);
    for (size_t i = 0; i < HEL_COUNT(codes); i++)
        if (!run->params.k || run->params.k == codes[i]) HEL_TRY(add_subjects(run, codes[i], round, out));
    return HEL_OK;
}

void hel_bench_evaluation_finish(hel_bench_evaluation *evaluation) {
    for (uint32_t i = evaluation->n_subjects; i-- > 0;) {
        hel_bench_subject *subject = &evaluation->subjects[i];
        hel_context_destroy(&subject->context);
        if (!subject->borrowed) hel_model_destroy(&subject->model);
    }
    hel_free(evaluation->tokens);
    hel_free(evaluation->logits);
    *evaluation = (hel_bench_evaluation){0};
}
