// SPDX-License-Identifier: Apache-2.0
// The LLaMA family (Touvron et al. 2023): LLaMA 1-3, SmolLM, TinyLlama, Mistral within its window, Qwen2 with its biases. The two
// blocks of its layers serve hybrids, too.
#ifndef HEL_MODELS_LLAMA_H
#define HEL_MODELS_LLAMA_H

#include "models/network.h"

typedef struct hel_attention_block {
    hel_buffer *norm; // [hidden]
    hel_weight q;     // [heads * head_dim, hidden]
    hel_weight k, v;  // [kv_heads * head_dim, hidden]
    hel_weight o;     // [hidden, heads * head_dim]
} hel_attention_block;

typedef struct hel_ffn_block {
    hel_buffer *norm;    // [hidden]
    hel_weight gate, up; // [ffn, hidden]
    hel_weight down;     // [hidden, ffn]
} hel_ffn_block;

// x += Wo attention(rope(Wq h), rope(Wk h), Wv h),  h = norm(x)
void hel_attention_block_forward(const hel_hyper *hyper, const hel_attention_block *block, const hel_layer *layer, hel_stage *stage,
                                 hel_tensor x);
// attention(rope(q), rope(k), v) over the layer's cache, which gets k and v; q and k are turned in place where the model has rotary
// embeddings. `scale` is that of the scores; 0 for 1 / sqrt(head_dim).
hel_tensor hel_attention_mix(const hel_layer *layer, hel_stage *stage, float scale, hel_tensor q, hel_tensor k, hel_tensor v);
// x += Wdown (silu(Wgate h) * Wup h),  h = norm(x)
void hel_ffn_block_forward(const hel_hyper *hyper, const hel_ffn_block *block, hel_stage *stage, hel_tensor x);
hel_layer_memory hel_attention_block_memory(const hel_hyper *hyper);
// Floats of scratch a token.
uint64_t hel_attention_block_scratch(const hel_hyper *hyper);
uint64_t hel_ffn_block_scratch(const hel_hyper *hyper);

// RMSNorm of x with the norm behind the last layer: `leave` of most families.
hel_tensor hel_leave_by_rmsnorm(const hel_network *network, hel_stage *stage, hel_tensor x);

#endif
