// SPDX-License-Identifier: Apache-2.0
// A random model per number of codes, loaded and evaluated as every program does: what decode and prefill share.
#ifndef HEL_BENCH_EVALUATE_H
#define HEL_BENCH_EVALUATE_H

#include <helicoid/model.h>

#include "bench/random_model.h"

typedef struct hel_bench_evaluation hel_bench_evaluation;

// A context of a model.
typedef struct hel_bench_subject {
    hel_bench_evaluation *evaluation;
    hel_model *model;
    bool borrowed; // the model is the subject's before this one
    hel_context *context;
} hel_bench_subject;

// For each number of codes one, and on devices that record passes of one token another that does not.
enum { HEL_BENCH_SUBJECTS = 6 };

struct hel_bench_evaluation {
    hel_hyper hyper;
    uint32_t *tokens;     // [prompt + generated]
    uint32_t prompt;      // tokens that are there before a round, or that it evaluates at once
    uint32_t generated;   // that a round evaluates one by one
    float *logits;        // [vocabulary]
    hel_bench_subject subjects[HEL_BENCH_SUBJECTS];
    uint32_t n_subjects;
};

typedef hel_status (*hel_bench_round)(void *user, hel_bench_measure *measure, double *out_seconds);

// Loads the models and adds entries for each, timed by `round`, whose `user` is the subject.
hel_status hel_bench_evaluation_open(hel_bench_run *run, uint32_t prompt, uint32_t generated, hel_bench_round round,
                                     hel_bench_evaluation *out);
void hel_bench_evaluation_finish(hel_bench_evaluation *evaluation); // accepts a zeroed one

#endif
