// SPDX-License-Identifier: Apache-2.0
// A LLaMA of any size with random weights, as a file like any other: dense bf16, or HXQ as hel_compress would leave it,
// output head included.
#ifndef HEL_BENCH_RANDOM_MODEL_H
#define HEL_BENCH_RANDOM_MODEL_H

#include "bench/run.h"
#include "models/hyper.h"

// The shape that the settings ask for; TinyLlama-1.1B's where they ask for none.
hel_hyper hel_bench_model_shape(const hel_bench_params *params);
void hel_bench_model_tell(hel_bench_run *run, const hel_hyper *hyper);

// The path of such a model with `k` codes (0: dense) in the data folder, where it is written once and stays. Free with
// hel_free.
hel_status hel_bench_model_file(hel_bench_run *run, const hel_hyper *hyper, uint32_t k, char **out_path);

// What `k` codes, not 0, leave of the model's normally distributed weights, in dB.
hel_status hel_bench_model_error_db(const hel_hyper *hyper, uint32_t k, double *out);

#endif
