// SPDX-License-Identifier: Apache-2.0
// The tensors of the LLaMA family, in the order in which they are loaded.
#include "base/size.h"
#include "models/llama.h"
#include "models/roles.h"

static const hel_model_type types[] = {
    {"llama", "LlamaForCausalLM", "llama", true},
    {"mistral", "MistralForCausalLM", NULL, false},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false},
};

// A tensor of the model or of a layer. Biases have no place of their own.
#define MATRIX(section, hf, gguf, rows, cols, class, order, member) \
    {hf ".weight", gguf ".weight", HEL_SECTION_##section, HEL_ROLE_MATRIX, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_##order, member}
#define NORM(section, hf, gguf, member) \
    {hf ".weight", gguf ".weight", HEL_SECTION_##section, HEL_ROLE_VECTOR, HEL_DIMENSION_HIDDEN, HEL_DIMENSION_NONE, \
     HEL_CLASS_NORM, HEL_ROWS_PLAIN, member}
#define BIAS(hf, gguf, rows, order) \
    {hf ".bias", gguf ".bias", HEL_SECTION_LAYER, HEL_ROLE_BIAS, HEL_DIMENSION_##rows, HEL_DIMENSION_NONE, \
     HEL_CLASS_UNKNOWN, HEL_ROWS_##order, 0}
#define OF_MODEL(member) offsetof(hel_llama, member)
#define OF_LAYER(member) offsetof(hel_llama_layer, member)

static const hel_role roles[] = {
    MATRIX(FIRST, "model.embed_tokens", "token_embd", VOCABULARY, HIDDEN, EMBEDDING, PLAIN, OF_MODEL(embedding)),
    NORM(LAST, "model.norm", "output_norm", OF_MODEL(norm)),
    MATRIX(LAST, "lm_head", "output", VOCABULARY, HIDDEN, LM_HEAD, PLAIN, OF_MODEL(head)),
    NORM(LAYER, "input_layernorm", "attn_norm", OF_LAYER(attention_norm)),
    NORM(LAYER, "post_attention_layernorm", "ffn_norm", OF_LAYER(ffn_norm)),
    MATRIX(LAYER, "self_attn.q_proj", "attn_q", QUERY, HIDDEN, ATTENTION_QK, QUERY, OF_LAYER(q)),
    MATRIX(LAYER, "self_attn.k_proj", "attn_k", KEY, HIDDEN, ATTENTION_QK, KEY, OF_LAYER(k)),
    MATRIX(LAYER, "self_attn.v_proj", "attn_v", KEY, HIDDEN, ATTENTION_VO, PLAIN, OF_LAYER(v)),
    MATRIX(LAYER, "self_attn.o_proj", "attn_output", HIDDEN, QUERY, ATTENTION_VO, PLAIN, OF_LAYER(o)),
    BIAS("self_attn.q_proj", "attn_q", QUERY, QUERY),
    BIAS("self_attn.k_proj", "attn_k", KEY, KEY),
    BIAS("self_attn.v_proj", "attn_v", KEY, PLAIN),
    MATRIX(LAYER, "mlp.gate_proj", "ffn_gate", FFN, HIDDEN, FFN, PLAIN, OF_LAYER(gate)),
    MATRIX(LAYER, "mlp.up_proj", "ffn_up", FFN, HIDDEN, FFN, PLAIN, OF_LAYER(up)),
    MATRIX(LAYER, "mlp.down_proj", "ffn_down", HIDDEN, FFN, FFN, PLAIN, OF_LAYER(down)),
};

const hel_family hel_llama_family = {types, HEL_COUNT(types), roles, HEL_COUNT(roles)};
