// SPDX-License-Identifier: Apache-2.0
// Zamba2 (Glorioso et al. 2024): layers of Mamba-2, some of which first ask a transformer block. There are few such blocks, used in
// turn, over the stream and the embedding side by side; each use has adapters of its own (LoRA, Hu et al. 2021).
#include <math.h>

#include "base/size.h"
#include "models/llama.h"
#include "models/mamba.h"

// ---------------------------------------------------------------- layers

typedef struct zamba2_block {
    hel_buffer *attention_norm; // [2 hidden]
    hel_weight q, k, v;         // [heads * head_dim, 2 hidden]
    hel_weight o;               // [hidden, heads * head_dim]
    hel_buffer *ffn_norm;       // [hidden]
    hel_weight gate_up;         // [2 ffn, hidden]
    hel_weight down;            // [hidden, ffn]
} zamba2_block;

typedef struct zamba2_adapter {
    hel_weight down, up; // [rank, columns], [rows, rank]
} zamba2_adapter;

typedef struct zamba2_layer {
    hel_buffer *norm; // [hidden]
    hel_mamba2_mixer mixer;
    // Of hybrid layers:
    hel_weight linear;              // [hidden, hidden]
    zamba2_adapter gate_up;
    zamba2_adapter q, k, v;         // of some models
} zamba2_layer;

static void mix(const hel_network *network, const hel_layer *layer, hel_stage *stage, hel_tensor seen, hel_tensor x) {
    const zamba2_layer *w = layer->weights;
    hel_tensor h = hel_rmsnorm(&stage->exec, seen, hel_bind(w->norm), network->hyper.norm_epsilon);
    hel_mamba2_mixer_forward(&network->hyper, &w->mixer, layer, stage, h, x);
}

static void forward_mamba(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    mix(network, layer, &pass->stages[layer->place], x, x);
}

// (W + up down) h
static hel_tensor adapted(hel_exec *exec, hel_tensor h, const hel_weight *weight, const zamba2_adapter *adapter) {
    hel_tensor y = hel_linear(exec, h, weight);
    if (!adapter->up.rows) return y;
    uint64_t mark = hel_exec_mark(exec);
    hel_linear_add(exec, hel_linear(exec, h, &adapter->down), &adapter->up, y);
    hel_exec_release(exec, mark);
    return y;
}

static hel_tensor attend(const hel_hyper *hyper, const hel_layer *layer, hel_stage *stage, hel_tensor h) {
    const zamba2_block *block = layer->shared;
    const zamba2_layer *w = layer->weights;
    hel_exec *exec = &stage->exec;
    float scale = 1.0f / sqrtf(0.5f * (float)hyper->head_dim);
    hel_tensor q = adapted(exec, h, &block->q, &w->q);
    hel_tensor k = adapted(exec, h, &block->k, &w->k);
    hel_tensor v = adapted(exec, h, &block->v, &w->v);
    return hel_linear(exec, hel_attention_mix(layer, stage, scale, q, k, v), &block->o);
}

// What the mixer sees is x + W block(x, embedding); what it gives is added to x alone.
static void forward_hybrid(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const hel_hyper *hyper = &network->hyper;
    const zamba2_block *block = layer->shared;
    const zamba2_layer *w = layer->weights;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_tensor seen = hel_exec_tensor(exec, x.rows, x.cols);
    uint64_t mark = hel_exec_mark(exec);

    hel_tensor h = hel_rmsnorm(exec, hel_join_columns(exec, x, pass->side), hel_bind(block->attention_norm), hyper->norm_epsilon);
    h = hel_rmsnorm(exec, attend(hyper, layer, stage, h), hel_bind(block->ffn_norm), hyper->norm_epsilon);
    hel_tensor both = adapted(exec, h, &block->gate_up, &w->gate_up);
    h = hel_activate_gated(exec, HEL_GELU, (hel_columns){both, 0, hyper->ffn}, (hel_columns){both, hyper->ffn, hyper->ffn});
    h = hel_linear(exec, h, &block->down);
    hel_copy(exec, x, seen);
    hel_linear_add(exec, h, &w->linear, seen);
    hel_exec_release(exec, mark);
    mix(network, layer, stage, seen, x);
}

static hel_layer_memory memory_of_hybrid(const hel_hyper *hyper) {
    hel_layer_memory memory = hel_mamba2_mixer_memory(hyper);
    memory.attends = true;
    return memory;
}

static uint64_t scratch_of_mamba(const hel_hyper *hyper, uint32_t tokens) {
    return (uint64_t)tokens * (hyper->hidden + hel_mamba2_mixer_scratch(hyper));
}

static uint64_t scratch_of_hybrid(const hel_hyper *hyper, uint32_t tokens) {
    uint64_t attention = 4 * (uint64_t)hyper->hidden + 4 * (uint64_t)hyper->heads * hyper->head_dim;
    uint64_t block = attention + 3 * (uint64_t)hyper->hidden + 3 * (uint64_t)hyper->ffn;
    return (uint64_t)tokens * hyper->hidden + HEL_MAX(tokens * block, scratch_of_mamba(hyper, tokens));
}

// ---------------------------------------------------------------- their tensors

#define BLOCK(kind, name, rows, cols, class, member) \
    {HEL_SSM_ROLE(zamba2_block, SHARED, kind, "shared_transformer." name, NULL, rows, cols, class, member)}
#define ADAPTER(name, rows, cols, class, member) \
    {HEL_SSM_ROLE(zamba2_layer, USE, MATRIX, "shared_transformer." name ".#.0.weight", NULL, ADAPTER, cols, class, member.down)}, \
    {HEL_SSM_ROLE(zamba2_layer, USE, MATRIX, "shared_transformer." name ".#.1.weight", NULL, rows, ADAPTER, class, member.up)}

static const hel_role ends[] = {
    HEL_SSM_END(FIRST, MATRIX, "model.embed_tokens", "token_embd", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    HEL_SSM_END(LAST, VECTOR, "model.final_layernorm", "output_norm", HIDDEN, NONE, NORM, norm),
    HEL_SSM_END(LAST, MATRIX, "lm_head", "output", VOCABULARY, HIDDEN, LM_HEAD, head),
};

static const hel_role roles_of_mamba[] = {
    HEL_SSM_VECTOR(zamba2_layer, "input_layernorm.weight", "attn_norm.weight", HIDDEN, NONE, norm),
    HEL_MAMBA2_MIXER_ROLES(zamba2_layer, "mamba.", mixer),
};

// The adapters of attention stand last, since some models have none.
static const hel_role roles_of_hybrid[] = {
    HEL_SSM_VECTOR(zamba2_layer, "mamba_decoder.input_layernorm.weight", "attn_norm.weight", HIDDEN, NONE, norm),
    HEL_MAMBA2_MIXER_ROLES(zamba2_layer, "mamba_decoder.mamba.", mixer),
    HEL_SSM_MATRIX(zamba2_layer, "linear", "linear", HIDDEN, HIDDEN, linear),
    BLOCK(VECTOR, "input_layernorm.weight", HIDDEN_TWICE, NONE, NORM, attention_norm),
    BLOCK(MATRIX, "self_attn.q_proj.weight", QUERY, HIDDEN_TWICE, ATTENTION_QK, q),
    BLOCK(MATRIX, "self_attn.k_proj.weight", KEY, HIDDEN_TWICE, ATTENTION_QK, k),
    BLOCK(MATRIX, "self_attn.v_proj.weight", KEY, HIDDEN_TWICE, ATTENTION_VO, v),
    BLOCK(MATRIX, "self_attn.o_proj.weight", HIDDEN, QUERY, ATTENTION_VO, o),
    BLOCK(VECTOR, "pre_ff_layernorm.weight", HIDDEN, NONE, NORM, ffn_norm),
    BLOCK(MATRIX, "feed_forward.gate_up_proj.weight", FFN_TWICE, HIDDEN, FFN, gate_up),
    BLOCK(BIAS, "feed_forward.gate_up_proj.bias", FFN_TWICE, NONE, UNKNOWN, gate_up),
    BLOCK(MATRIX, "feed_forward.down_proj.weight", HIDDEN, FFN, FFN, down),
    BLOCK(BIAS, "feed_forward.down_proj.bias", HIDDEN, NONE, UNKNOWN, down),
    ADAPTER("feed_forward.gate_up_proj_adapter_list", FFN_TWICE, HIDDEN, FFN, gate_up),
    ADAPTER("self_attn.linear_q_adapter_list", QUERY, HIDDEN_TWICE, ATTENTION_QK, q),
    ADAPTER("self_attn.linear_k_adapter_list", KEY, HIDDEN_TWICE, ATTENTION_QK, k),
    ADAPTER("self_attn.linear_v_adapter_list", KEY, HIDDEN_TWICE, ATTENTION_VO, v),
};
enum { ROLES_OF_ATTENTION_ADAPTERS = 6 };

static const hel_layer_kind mamba = {.name = "mamba",
                                     .roles = roles_of_mamba,
                                     .n_roles = HEL_COUNT(roles_of_mamba),
                                     .size = sizeof(zamba2_layer),
                                     .forward = forward_mamba,
                                     .memory = hel_mamba2_mixer_memory,
                                     .scratch_floats = scratch_of_mamba};
static const hel_layer_kind hybrid = {.name = "hybrid",
                                      .roles = roles_of_hybrid,
                                      .n_roles = HEL_COUNT(roles_of_hybrid) - ROLES_OF_ATTENTION_ADAPTERS,
                                      .size = sizeof(zamba2_layer),
                                      .shared_size = sizeof(zamba2_block),
                                      .forward = forward_hybrid,
                                      .memory = memory_of_hybrid,
                                      .scratch_floats = scratch_of_hybrid};
static const hel_layer_kind adapted_hybrid = {.name = "hybrid with adapted attention",
                                              .roles = roles_of_hybrid,
                                              .n_roles = HEL_COUNT(roles_of_hybrid),
                                              .size = sizeof(zamba2_layer),
                                              .shared_size = sizeof(zamba2_block),
                                              .forward = forward_hybrid,
                                              .memory = memory_of_hybrid,
                                              .scratch_floats = scratch_of_hybrid};
static const hel_layer_kind *const kinds[] = {&mamba, &hybrid, &adapted_hybrid};

// ---------------------------------------------------------------- the family

static bool is_hybrid(const hel_hyper *hyper, uint32_t layer) { return hel_hybrid_attends(&hyper->hybrid, layer); }

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    if (!is_hybrid(hyper, layer)) return &mamba;
    return hyper->hybrid.adapts_attention ? &adapted_hybrid : &hybrid;
}

// Blocks take turns: the first uses are those of block 0, 1, ...
static uint32_t owner_of(const hel_hyper *hyper, uint32_t layer, uint32_t *out_use) {
    *out_use = 0;
    if (!is_hybrid(hyper, layer)) return layer;
    for (uint32_t l = 0; l < layer; l++) *out_use += is_hybrid(hyper, l);
    uint32_t owner = 0;
    for (uint32_t left = *out_use % hyper->hybrid.blocks;; owner++)
        if (is_hybrid(hyper, owner) && !left--) return owner;
}

static uint32_t side_cols(const hel_hyper *hyper) { return hyper->hidden; }

static void enter(const hel_network *network, hel_pass *pass, hel_stage *stage, hel_tensor x) {
    (void)network;
    hel_copy(&stage->exec, x, pass->side);
}

static const hel_model_type types[] = {{"zamba2", "Zamba2ForCausalLM", NULL, false}};

const hel_family hel_zamba2_family = {.types = types,
                                      .n_types = HEL_COUNT(types),
                                      .layer_prefix = "model.layers.",
                                      .roles = ends,
                                      .n_roles = HEL_COUNT(ends),
                                      .kinds = kinds,
                                      .n_kinds = HEL_COUNT(kinds),
                                      .parse = hel_zamba2_parse,
                                      .kind_of = kind_of,
                                      .owner_of = owner_of,
                                      .side_cols = side_cols,
                                      .enter = enter,
                                      .leave = hel_leave_by_rmsnorm};
