// SPDX-License-Identifier: Apache-2.0
// Hyper-parameters of a model, from a Hugging Face config.json. A family fills what it has; the rest is 0.
#ifndef HEL_MODELS_HYPER_H
#define HEL_MODELS_HYPER_H

#include <helicoid/common.h>
#include <jansson.h>

typedef enum hel_rope_scaling {
    HEL_ROPE_UNSCALED,
    HEL_ROPE_LINEAR, // positions divided by factor
    HEL_ROPE_LLAMA3, // low frequencies divided by factor, high ones kept, a ramp between
} hel_rope_scaling;

typedef struct hel_family hel_family;

// State space layers (models/mamba.h); 0 where a family has no such thing.
typedef struct hel_ssm_hyper {
    uint32_t inner;  // channels
    uint32_t state;  // of a channel
    uint32_t width;  // of the convolution
    uint32_t rank;   // of the time step, in Mamba
    uint32_t heads, groups; // from Mamba-2 on
    float dt_low, dt_high, dt_extra; // of max(low, min(high, softplus(dt))) + extra
    float selection_epsilon; // of the norms of time step, B and C; 0 where there are none
    float norm_epsilon;   // of the gated norm,
    uint32_t norm_groups; // and how many groups of channels it has
} hel_ssm_hyper;

// Hybrids: which layers attend, of Zamba2 through a shared block.
enum { HEL_MAX_LAYERS = 4096 };
typedef struct hel_hybrid_hyper {
    uint32_t blocks, adapter_rank;
    bool adapts_attention;
    uint32_t uses[HEL_MAX_LAYERS / 32]; // a bit for each layer
} hel_hybrid_hyper;
static inline bool hel_hybrid_attends(const hel_hybrid_hyper *hybrid, uint32_t layer) {
    return hybrid->uses[layer / 32] >> layer % 32 & 1;
}
static inline void hel_hybrid_let_attend(hel_hybrid_hyper *hybrid, uint32_t layer) {
    hybrid->uses[layer / 32] |= UINT32_C(1) << layer % 32;
}

// What RWKV's layers have besides their width and heads; 0 where a version has no such thing.
typedef struct hel_rwkv_hyper {
    uint32_t version; // 4 to 7
    bool gated;       // version 5: whether what attention gives is gated
    float group_epsilon;
    uint32_t decays, bonuses; // values of a layer's decay and bonus: one a channel or one a head
    uint32_t mix_rank, decay_rank, rate_rank, value_rank, gate_rank; // of its low-rank products
} hel_rwkv_hyper;

// Of Hyena's operator; what stands last is for where a checkpoint does not keep what they make.
typedef struct hel_hyena_hyper {
    uint32_t order, short_width;
    uint32_t features, filter_hidden;
    uint32_t modes, split; // of filters in modal form
    double sine, fast_decay, slow_decay, decay_target, shift;
} hel_hyena_hyper;

typedef struct hel_hyper {
    const hel_family *family;
    char architecture[32]; // model_type
    uint32_t layers, hidden, ffn, vocabulary;
    uint32_t context_length; // 0 where nothing ends: layers keep states alone
    uint32_t heads, kv_heads, head_dim; // of attention
    uint32_t rotary;                    // dimensions of a head that RoPE turns
    float norm_epsilon;
    bool tied; // the head is the embedding
    uint32_t labels; // of models that label the tokens of a text, which they see whole; 0 where they continue it
    double rope_theta;
    bool rope_interleaved; // rows of q and k in the original LLaMA's order, pairs (2 i, 2 i + 1)
    hel_rope_scaling rope_scaling;
    double rope_factor, rope_low_factor, rope_high_factor, rope_original_length;
    hel_ssm_hyper ssm;
    hel_hybrid_hyper hybrid;
    hel_rwkv_hyper rwkv;
    hel_hyena_hyper hyena;
} hel_hyper;

// What tensors' shapes are made of.
typedef enum hel_dimension {
    HEL_DIMENSION_NONE, // 1
    HEL_DIMENSION_HIDDEN,
    HEL_DIMENSION_FFN,
    HEL_DIMENSION_QUERY, // heads * head_dim
    HEL_DIMENSION_KEY,   // kv_heads * head_dim
    HEL_DIMENSION_VOCABULARY,
    HEL_DIMENSION_LABELS,
    HEL_DIMENSION_HIDDEN_TWICE,
    HEL_DIMENSION_FFN_TWICE,
    HEL_DIMENSION_ADAPTER,
    HEL_DIMENSION_SSM_INNER,
    HEL_DIMENSION_SSM_INNER_TWICE,
    HEL_DIMENSION_SSM_STATE,
    HEL_DIMENSION_SSM_WIDTH,
    HEL_DIMENSION_SSM_RANK,
    HEL_DIMENSION_SSM_SELECTION,  // time step, B and C of Mamba
    HEL_DIMENSION_SSM_HEADS,
    HEL_DIMENSION_SSM_CONVOLVED,  // x, B and C of Mamba-2
    HEL_DIMENSION_SSM_PROJECTION, // z, x, B, C and time step of Mamba-2
    HEL_DIMENSION_DECAYS, // of hel_rwkv_hyper, as what follows
    HEL_DIMENSION_BONUSES,
    HEL_DIMENSION_MIX_RANKS, // of all five mixes
    HEL_DIMENSION_DECAY_RANK,
    HEL_DIMENSION_RATE_RANK,
    HEL_DIMENSION_VALUE_RANK,
    HEL_DIMENSION_GATE_RANK,
    HEL_DIMENSION_POSITIONS,
    HEL_DIMENSION_PROJECTIONS, // of Hyena's operator, (order + 1) * hidden
    HEL_DIMENSION_FILTERS,     // its long convolutions, (order - 1) * hidden
    HEL_DIMENSION_SHORT,
    HEL_DIMENSION_MODES_TWICE,
    HEL_DIMENSION_QUERY_KEY_VALUE,
    HEL_DIMENSION_FEATURES,
    HEL_DIMENSION_FILTER_HIDDEN,
} hel_dimension;

uint32_t hel_hyper_dimension(const hel_hyper *hyper, hel_dimension dimension);
// Logits of a token.
static inline uint32_t hel_hyper_outputs(const hel_hyper *hyper) { return hyper->labels ? hyper->labels : hyper->vocabulary; }

// As the family of its model_type says: UNSUPPORTED where none has it. FORMAT for values that contradict each other or are
// missing, UNSUPPORTED for what the runtime does not compute (other activations, RoPE scalings, windows).
hel_status hel_hyper_parse(const json_t *config, const char *path, hel_hyper *out);

// For the families' parsers: a number that must be from `low` to `high`, `otherwise` where the key is missing.
hel_status hel_hyper_get(const json_t *config, const char *key, uint32_t otherwise, uint32_t low, uint32_t high, uint32_t *out);
// Far above any model.
enum { HEL_MAX_WIDTH = 1 << 20, HEL_MAX_VOCABULARY = 1 << 24, HEL_MAX_POSITIONS = 1 << 24 };
// heads, kv_heads and head_dim; then RoPE, with rope_theta and its scaling where transformers 4 and where 5 puts them.
hel_status hel_hyper_get_heads(const json_t *config, hel_hyper *hyper);
hel_status hel_hyper_get_rope(const json_t *config, hel_hyper *hyper);
// `otherwise` where the key is missing; positive.
hel_status hel_hyper_get_positive(const json_t *config, const char *key, double otherwise, float *out);

// hel_family.parse of transformers with LLaMA's layers.
hel_status hel_transformer_parse(const json_t *config, hel_hyper *out);

// cos and sin of every position and frequency, [positions, rotary / 2, 2], computed in double.
void hel_hyper_rope_table(const hel_hyper *hyper, uint32_t positions, float *out);

#endif
