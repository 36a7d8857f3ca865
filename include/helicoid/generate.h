// SPDX-License-Identifier: Apache-2.0
// Sampling, text generation and scoring on top of a context.
#ifndef HELICOID_GENERATE_H
#define HELICOID_GENERATE_H

#include <helicoid/common.h>
#include <helicoid/model.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------- sampling

// Filters apply in this order: repetition penalty, temperature, top-k, top-p, min-p.
typedef struct hel_sampling {
    size_t struct_size;
    float temperature;        // 0: greedy, the first of the largest logits
    uint32_t top_k;           // 0: off
    float top_p;              // nucleus, Holtzman et al. 2020; 1: off
    float min_p;              // share of the best probability, Nguyen et al. 2024; 0: off
    float repetition_penalty; // Keskar et al. 2019 (CTRL); 1: off
    uint32_t repetition_window; // last tokens it looks at
    uint64_t seed;            // same seed, same device, same text
    uint64_t reserved[4];     // 0: room for more, since a member of hel_generate_params must not change its size
} hel_sampling;

// Greedy, everything off, seed 0, window 64.
HEL_API void hel_sampling_init(hel_sampling *sampling, size_t struct_size);
HEL_DEFAULT(hel_sampling)

// Draws tokens; owns its random state. Thread-safety: one thread at a time.
typedef struct hel_sampler hel_sampler;
HEL_API hel_status hel_sampler_create(const hel_sampling *sampling, uint32_t vocabulary, hel_sampler **out);
HEL_API void hel_sampler_destroy(hel_sampler **sampler);
// Picks from logits [vocabulary]; `history` are the tokens so far, newest last. Non-finite logits never win;
// UNSUPPORTED where none is finite.
HEL_API hel_status hel_sampler_pick(hel_sampler *sampler, const float *logits, const uint32_t *history, uint32_t count,
                                    uint32_t *out_token);

// ---------------------------------------------------------------- generation

// Gets each new token with the text that became complete with it (whole UTF-8 characters, size 0 while one is
// unfinished, not zero-terminated). Text that may turn out to begin a stop string is held back. Return false to stop.
typedef bool (*hel_token_callback)(void *user, uint32_t token, const char *text, size_t size);

typedef struct hel_generate_params {
    size_t struct_size;
    uint32_t max_tokens;      // new tokens at most; 0: until the end of the text or of the context
    hel_sampling sampling;
    bool ignore_eos;
    const char *const *stop;  // texts that end generation, themselves left out
    size_t stop_count;
    hel_token_callback callback; // may be NULL
    void *user;
} hel_generate_params;

HEL_API void hel_generate_params_init(hel_generate_params *params, size_t struct_size);
HEL_DEFAULT(hel_generate_params)

typedef enum hel_finish {
    HEL_FINISH_LENGTH, // max_tokens
    HEL_FINISH_EOS,
    HEL_FINISH_STOP,   // a stop text
    HEL_FINISH_CALLBACK,
    HEL_FINISH_CONTEXT, // the context is full
} hel_finish;

typedef struct hel_generation {
    uint32_t *tokens; // the new ones, end-of-text token left out
    uint32_t count;
    char *text;       // zero-terminated; "" without a tokenizer
    size_t text_size;
    hel_finish finish;
    uint32_t prompt_tokens;
    double prompt_seconds, generation_seconds;
} hel_generation;

// Appends `prompt` to the context and generates. The result is freed with hel_generation_finish, also after an error.
HEL_API hel_status hel_generate(hel_context *context, const uint32_t *prompt, uint32_t count,
                                const hel_generate_params *params, hel_generation *out);
HEL_API void hel_generation_finish(hel_generation *generation);

// ---------------------------------------------------------------- scoring

typedef struct hel_perplexity_params {
    size_t struct_size;
    uint32_t context;         // tokens in a window; 0: 512
    uint32_t stride;          // tokens between window starts; 0: = context
    uint32_t chunks;          // windows at most; 0: all
    const hel_model *against; // also compare with this model's distributions, or NULL
    hel_progress_callback progress; // tokens, may be NULL
    void *user;
} hel_perplexity_params;

HEL_API void hel_perplexity_params_init(hel_perplexity_params *params, size_t struct_size);
HEL_DEFAULT(hel_perplexity_params)

typedef struct hel_perplexity_result {
    double perplexity;     // exp of the mean negative log-likelihood
    double against_perplexity;
    uint64_t tokens;       // scored positions
    uint32_t chunks;
    double kl_divergence;  // mean over scored positions of KL(against || model), nats
    double top1_agreement; // share of positions where both prefer the same token
} hel_perplexity_result;

// Scores every position after the first of each full window; with a stride below the context only the positions that
// no earlier window scored. Windows begin afresh (empty cache). Sums are double. ARGUMENT with fewer than two tokens or
// models of different vocabularies.
HEL_API hel_status hel_perplexity(const hel_model *model, const uint32_t *tokens, size_t count,
                                  const hel_perplexity_params *params, hel_perplexity_result *out);

#ifdef __cplusplus
}
#endif

#endif
