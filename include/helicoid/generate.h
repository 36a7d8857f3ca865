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

// Draws tokens; owns its random state (xoroshiro128+, Blackman and Vigna 2018, seeded by splitmix64).
// Thread-safety: one thread at a time per sampler.
typedef struct hel_sampler hel_sampler;

// `sampling` may be NULL and is copied. *out is freed with hel_sampler_destroy, NULL after an error.
// Statuses: ARGUMENT (vocabulary 0; temperature < 0, top_p outside (0, 1], min_p outside [0, 1], penalty <= 0), MEMORY.
HEL_API hel_status hel_sampler_create(const hel_sampling *sampling, uint32_t vocabulary, hel_sampler **out);

// Frees the sampler. Nulls the handle, accepts NULL and a pointer to NULL.
HEL_API void hel_sampler_destroy(hel_sampler **sampler);

// Picks from logits [vocabulary], which stay as they are; history [count] are the tokens so far, newest last, for the
// repetition penalty (may be NULL where count is 0). Non-finite logits never win. Draws one random number unless the
// temperature is 0. Statuses: ARGUMENT, UNSUPPORTED where no logit is finite; *out_token is then unchanged.
HEL_API hel_status hel_sampler_pick(hel_sampler *sampler, const float *logits, const uint32_t *history, uint32_t count,
                                    uint32_t *out_token);

// ---------------------------------------------------------------- generation

// Gets each new token with the text that became complete with it (whole UTF-8 characters, size 0 while one is
// unfinished, not zero-terminated, valid during the call). Text that may turn out to begin a stop string is held back; what
// is left of it at the end comes with the last token once more. Runs on the calling thread and may not use the context.
// Return false to stop.
typedef bool (*hel_token_callback)(void *user, uint32_t token, const char *text, size_t size);

typedef struct hel_generate_params {
    size_t struct_size;
    uint32_t max_tokens;      // new tokens at most; 0: until the end of the text or of the context
    hel_sampling sampling;
    bool ignore_eos;
    const char *const *stop;  // [stop_count] UTF-8 texts that end generation, themselves left out
    size_t stop_count;
    hel_token_callback callback; // may be NULL
    void *user;
} hel_generate_params;

// Greedy, until the end of the text or of the context, no stop texts.
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

// Appends prompt [count], at least one token, to the context and generates, on the calling thread; nothing of `params`,
// which may be NULL, is kept. Blocking. The result is freed with hel_generation_finish, also after an error, when it has
// what was made so far. Afterwards the context holds the prompt and the new tokens but the last, which is evaluated only
// after HEL_FINISH_EOS: to go on, begin the next prompt with it. After an error the context holds what was evaluated
// (nothing of the prompt where that failed).
// Statuses: ARGUMENT (empty prompt or one that does not fit, ids not below the vocabulary, sampling values out of range),
// UNSUPPORTED (no finite logits), MEMORY, DEVICE, DEVICE_LOST, DEVICE_MEMORY.
HEL_API hel_status hel_generate(hel_context *context, const uint32_t *prompt, uint32_t count,
                                const hel_generate_params *params, hel_generation *out);

// Frees what the result owns and zeroes it; accepts NULL and a zeroed result.
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

// Windows of 512 tokens side by side, all of them, no other model.
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

// Scores every position of tokens [count] after the first of each full window; with a stride below the context only the
// positions that no earlier window scored. Tokens behind the last full window are left out; a text shorter than one is one
// window. Windows begin afresh (empty cache). Sums are double. KL divergence: Kullback and Leibler 1951.
// `params` may be NULL. Creates a context of its own on each model, so both may be in use elsewhere. Blocking.
// Thread-safety: safe on one model. *out is set on success only. Statuses: ARGUMENT (fewer than two tokens, a stride above
// the context, ids not below the vocabulary, models of different vocabularies), CANCELLED, MEMORY, DEVICE_MEMORY, DEVICE,
// DEVICE_LOST.
HEL_API hel_status hel_perplexity(const hel_model *model, const uint32_t *tokens, size_t count,
                                  const hel_perplexity_params *params, hel_perplexity_result *out);

#ifdef __cplusplus
}
#endif

#endif
