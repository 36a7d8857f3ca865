// SPDX-License-Identifier: Apache-2.0
#include "models/llama.h"

#include "base/size.h"

// ---------------------------------------------------------------- the model

hel_tensor hel_attention_mix(const hel_layer *layer, hel_stage *stage, float scale, hel_tensor q, hel_tensor k, hel_tensor v) {
    hel_exec *exec = &stage->exec;
    hel_kv_view cache = hel_kvcache_view(&stage->cache, layer->kv_slot);
    hel_binding step = hel_bind(stage->step);
    cache.scale = scale;
    if (stage->rope.rotary) {
        hel_rope_apply(exec, q, &stage->rope, step);
        hel_rope_apply(exec, k, &stage->rope, step);
    }
    hel_kv_append(exec, k, v, &cache, step);
    return hel_attention(exec, q, &cache, step);
}

void hel_attention_block_forward(const hel_hyper *hyper, const hel_attention_block *block, const hel_layer *layer, hel_stage *stage,
                                 hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_tensor h = hel_rmsnorm(exec, x, hel_bind(block->norm), hyper->norm_epsilon);
    hel_tensor q = hel_linear(exec, h, &block->q);
    hel_tensor k = hel_linear(exec, h, &block->k);
    hel_tensor v = hel_linear(exec, h, &block->v);
    hel_linear_add(exec, hel_attention_mix(layer, stage, 0.0f, q, k, v), &block->o, x);
}

void hel_ffn_block_forward(const hel_hyper *hyper, const hel_ffn_block *block, hel_stage *stage, hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_tensor h = hel_rmsnorm(exec, x, hel_bind(block->norm), hyper->norm_epsilon);
    hel_tensor gate = hel_linear(exec, h, &block->gate);
    hel_tensor up = hel_linear(exec, h, &block->up);
    hel_linear_add(exec, hel_swiglu(exec, gate, up), &block->down, x);
}

hel_tensor hel_leave_by_rmsnorm(const hel_network *network, hel_stage *stage, hel_tensor x) {
    return hel_rmsnorm(&stage->exec, x, hel_bind(network->ends.norm), network->hyper.norm_epsilon);
}

// ---------------------------------------------------------------- its layer

typedef struct llama_layer {
    hel_attention_block attention;
    hel_ffn_block ffn;
} llama_layer;

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const llama_layer *weights = layer->weights;
    hel_stage *stage = &pass->stages[layer->place];
    uint64_t mark = hel_exec_mark(&stage->exec);
    hel_attention_block_forward(&network->hyper, &weights->attention, layer, stage, x);
    hel_exec_release(&stage->exec, mark);
    hel_ffn_block_forward(&network->hyper, &weights->ffn, stage, x);
}

hel_layer_memory hel_attention_block_memory(const hel_hyper *hyper) {
    (void)hyper;
    return (hel_layer_memory){.attends = true};
}

// A norm with q, k, v and the mixture, or with the feed-forward's three products.
uint64_t hel_attention_block_scratch(const hel_hyper *hyper) {
    return hyper->hidden + 2 * (uint64_t)(hyper->heads + hyper->kv_heads) * hyper->head_dim;
}
uint64_t hel_ffn_block_scratch(const hel_hyper *hyper) { return hyper->hidden + 3 * (uint64_t)hyper->ffn; }

static uint64_t scratch_floats(const hel_hyper *hyper, uint32_t tokens) {
    return tokens * HEL_MAX(hel_attention_block_scratch(hyper), hel_ffn_block_scratch(hyper));
}

// ---------------------------------------------------------------- its tensors, in the order in which they are loaded

#define END(section, kind, hf, gguf, rows, cols, class, member) \
    {hf ".weight", gguf ".weight", HEL_SECTION_##section, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_PLAIN, offsetof(hel_ends, member), false}
#define LAYER(kind, hf, gguf, rows, cols, class, order, member) \
    {hf, gguf, HEL_SECTION_LAYER, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_##order, offsetof(llama_layer, member), false}
#define NORM(hf, gguf, member) LAYER(VECTOR, hf ".weight", gguf ".weight", HIDDEN, NONE, NORM, PLAIN, member)
#define MATRIX(hf, gguf, rows, cols, class, order, member) \
    LAYER(MATRIX, hf ".weight", gguf ".weight", rows, cols, class, order, member)
#define BIAS(hf, gguf, rows, order, member) LAYER(BIAS, hf ".bias", gguf ".bias", rows, NONE, UNKNOWN, order, member)

static const hel_role ends[] = {
    END(FIRST, MATRIX, "model.embed_tokens", "token_embd", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    END(LAST, VECTOR, "model.norm", "output_norm", HIDDEN, NONE, NORM, norm),
    END(LAST, MATRIX, "lm_head", "output", VOCABULARY, HIDDEN, LM_HEAD, head),
};

static const hel_role roles[] = {
    NORM("input_layernorm", "attn_norm", attention.norm),
    NORM("post_attention_layernorm", "ffn_norm", ffn.norm),
    MATRIX("self_attn.q_proj", "attn_q", QUERY, HIDDEN, ATTENTION_QK, QUERY, attention.q),
    MATRIX("self_attn.k_proj", "attn_k", KEY, HIDDEN, ATTENTION_QK, KEY, attention.k),
    MATRIX("self_attn.v_proj", "attn_v", KEY, HIDDEN, ATTENTION_VO, PLAIN, attention.v),
    MATRIX("self_attn.o_proj", "attn_output", HIDDEN, QUERY, ATTENTION_VO, PLAIN, attention.o),
    BIAS("self_attn.q_proj", "attn_q", QUERY, QUERY, attention.q),
    BIAS("self_attn.k_proj", "attn_k", KEY, KEY, attention.k),
    BIAS("self_attn.v_proj", "attn_v", KEY, PLAIN, attention.v),
    MATRIX("mlp.gate_proj", "ffn_gate", FFN, HIDDEN, FFN, PLAIN, ffn.gate),
    MATRIX("mlp.up_proj", "ffn_up", FFN, HIDDEN, FFN, PLAIN, ffn.up),
    MATRIX("mlp.down_proj", "ffn_down", HIDDEN, FFN, FFN, PLAIN, ffn.down),
};

static const hel_layer_kind decoder = {.name = "decoder",
                                       .roles = roles,
                                       .n_roles = HEL_COUNT(roles),
                                       .size = sizeof(llama_layer),
                                       .forward = forward,
                                       .memory = hel_attention_block_memory,
                                       .scratch_floats = scratch_floats};
static const hel_layer_kind *const kinds[] = {&decoder};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)hyper, (void)layer;
    return &decoder;
}

static const hel_model_type types[] = {
    {"llama", "LlamaForCausalLM", "llama", true},
    {"mistral", "MistralForCausalLM", NULL, false},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false},
};

const hel_family hel_llama_family = {.types = types,
                                     .n_types = HEL_COUNT(types),
                                     .layer_prefix = "model.layers.",
                                     .roles = ends,
                                     .n_roles = HEL_COUNT(ends),
                                     .kinds = kinds,
                                     .n_kinds = HEL_COUNT(kinds),
                                     .parse = hel_transformer_parse,
                                     .kind_of = kind_of,
                                     .leave = hel_leave_by_rmsnorm};
