// SPDX-License-Identifier: Apache-2.0
// Hyper-parameters of decoder-only transformers, from a Hugging Face config.json.
#ifndef HEL_MODELS_HYPER_H
#define HEL_MODELS_HYPER_H

#include <helicoid/common.h>
#include <jansson.h>

typedef enum hel_rope_scaling {
    HEL_ROPE_UNSCALED,
    HEL_ROPE_LINEAR, // positions divided by factor
    HEL_ROPE_LLAMA3, // low frequencies divided by factor, high ones kept, a ramp between
} hel_rope_scaling;

typedef struct hel_hyper {
    char architecture[32]; // model_type
    uint32_t layers, hidden, ffn, heads, kv_heads, head_dim, vocabulary, context_length;
    float norm_epsilon;
    bool tied; // the head is the embedding
    double rope_theta;
    bool rope_interleaved; // rows of q and k in the original LLaMA's order, pairs (2 i, 2 i + 1)
    hel_rope_scaling rope_scaling;
    double rope_factor, rope_low_factor, rope_high_factor, rope_original_length;
} hel_hyper;

// What tensors' shapes are made of.
typedef enum hel_dimension {
    HEL_DIMENSION_NONE, // 1
    HEL_DIMENSION_HIDDEN,
    HEL_DIMENSION_FFN,
    HEL_DIMENSION_QUERY, // heads * head_dim
    HEL_DIMENSION_KEY,   // kv_heads * head_dim
    HEL_DIMENSION_VOCABULARY,
} hel_dimension;

uint32_t hel_hyper_dimension(const hel_hyper *hyper, hel_dimension dimension);

// Accepts rope_theta and dtype where transformers 4 and where 5 puts them. FORMAT for values that contradict each
// other or are missing, UNSUPPORTED for what the runtime does not compute (other activations, RoPE scalings, windows).
hel_status hel_hyper_parse(const json_t *config, const char *path, hel_hyper *out);

// cos and sin of every position and frequency, [positions, head_dim / 2, 2], computed in double.
void hel_hyper_rope_table(const hel_hyper *hyper, uint32_t positions, float *out);

#endif
