// SPDX-License-Identifier: Apache-2.0
// The LLaMA family (Touvron et al. 2023): LLaMA 1-3, SmolLM, TinyLlama, Mistral within its window, Qwen2 with its biases.
#ifndef HEL_MODELS_LLAMA_H
#define HEL_MODELS_LLAMA_H

#include "models/hyper.h"
#include "models/pass.h"
#include "ops/tune.h"

typedef struct hel_llama_layer {
    uint32_t place; // stage that holds it
    uint32_t slot;  // its layer in that stage's cache
    hel_buffer *attention_norm, *ffn_norm; // [hidden]
    hel_weight q;    // [heads * head_dim, hidden]
    hel_weight k, v; // [kv_heads * head_dim, hidden]
    hel_weight o;    // [hidden, heads * head_dim]
    hel_weight gate, up; // [ffn, hidden]
    hel_weight down;     // [hidden, ffn]
} hel_llama_layer;

typedef struct hel_llama {
    hel_hyper hyper;
    const hel_device *const *devices; // of the stages, by place
    hel_weight embedding; // [vocabulary, hidden], on the first layer's device
    hel_weight head;      // the same shape, on the last layer's device; absent where the embedding serves
    hel_buffer *norm;     // [hidden], on the last layer's device
    hel_llama_layer *layers;
} hel_llama;

// Counts bytes as they are read; false stops the loading.
typedef bool (*hel_llama_progress)(void *user, uint64_t bytes);

// `places` [layers] says which device holds each layer. On failure *out is empty.
hel_status hel_llama_load(hel_archive *archive, const hel_hyper *hyper, const hel_device *const *devices,
                          const uint32_t *places, hel_llama_progress progress, void *user, hel_llama *out);
void hel_llama_finish(hel_llama *model); // accepts a zeroed model

// Tunes the products with the weights that lie on request->device, which are added to the request here.
hel_status hel_llama_tune(const hel_llama *model, const hel_tune_request *request);

// Hidden states [tokens, hidden] after the last norm, on the last layer's device.
hel_tensor hel_llama_forward(const hel_llama *model, hel_pass *pass);
// Logits [count, vocabulary] of rows first .. first + count of them.
hel_tensor hel_llama_logits(const hel_llama *model, hel_pass *pass, hel_tensor hidden, uint32_t first, uint32_t count);
// Bytes of activations for so many tokens, logits for some of them, in the widest part of hel_llama_forward.
uint64_t hel_llama_scratch_bytes(const hel_hyper *hyper, uint32_t tokens, uint32_t logits_tokens);

uint64_t hel_llama_bytes(const hel_llama *model);
uint32_t hel_llama_compressed(const hel_llama *model); // matrices with a codebook
#endif
