// SPDX-License-Identifier: Apache-2.0
// Models: load dense or compressed weights onto one or several devices and evaluate tokens.
#ifndef HELICOID_MODEL_H
#define HELICOID_MODEL_H

#include <helicoid/common.h>
#include <helicoid/device.h>
#include <helicoid/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------- models

// Weights, hyper-parameters and tokenizer. Thread-safety: safe to share; loading and destroying are one thread's.
typedef struct hel_model hel_model;

typedef struct hel_model_params {
    size_t struct_size;
    const char *devices;    // "cuda", "vulkan:0,cpu": layers fill the devices in this order; NULL the best device
    uint32_t gpu_layers;    // layers on the first device of several; the rest go to the others in equal parts.
                            // UINT32_MAX (default): an even split over the devices
    uint32_t threads;       // CPU device: threads in all, 0 one per processor
    uint64_t memory_limit;  // bytes of buffers per device, 0 no limit
    const char *tokenizer;  // tokenizer file where the model has none of its own, or NULL
    const char *cache_directory; // compiled kernels; NULL the user's cache directory, "" none
    hel_progress_callback progress; // bytes of weights read, may be NULL
    void *user;
} hel_model_params;

HEL_API void hel_model_params_init(hel_model_params *params, size_t struct_size);
HEL_DEFAULT(hel_model_params)

// Loads a Hugging Face folder, .safetensors, GGUF or llama2.c file, dense or HXQ-compressed. Weights are read in
// pieces of at most 8 MiB straight into device memory; nothing is expanded. `params` may be NULL.
// Statuses: FORMAT, UNSUPPORTED (architecture), UNAVAILABLE (device), DEVICE_MEMORY, IO, CANCELLED...
HEL_API hel_status hel_model_load(const char *path, const hel_model_params *params, hel_model **out);

// Contexts of the model must be gone. Nulls the handle, accepts NULL.
HEL_API void hel_model_destroy(hel_model **model);

typedef struct hel_model_info {
    const char *architecture; // "llama", "qwen2"; lives as long as the model
    uint32_t layers, hidden, heads, kv_heads, head_dim, vocabulary;
    uint32_t context_length;  // what the model was trained for
    uint64_t parameters;      // weights and biases
    uint64_t file_bytes;      // of the files they came from
    uint64_t prepared_bytes;  // of weights as they lie on the devices
    uint32_t compressed;      // matrices that run from codebook and indices
    uint32_t devices;
} hel_model_info;

HEL_API void hel_model_describe(const hel_model *model, hel_model_info *out);
HEL_API const hel_device *hel_model_device(const hel_model *model, uint32_t index); // index < info.devices
// NULL where neither the model nor params.tokenizer gave one. Belongs to the model.
HEL_API const hel_tokenizer *hel_model_tokenizer(const hel_model *model);

// ---------------------------------------------------------------- contexts

// One sequence being evaluated: KV cache and scratch memory on the model's devices.
// Thread-safety: one thread at a time per context; several contexts may run at once.
typedef struct hel_context hel_context;

typedef struct hel_context_params {
    size_t struct_size;
    uint32_t capacity; // positions the context can hold; 0 the smaller of context_length and 2048
    uint32_t batch;    // most tokens evaluated in one pass; 0 means 128
} hel_context_params;

HEL_API void hel_context_params_init(hel_context_params *params, size_t struct_size);
HEL_DEFAULT(hel_context_params)

// Plans and allocates all memory evaluation will need. Statuses: ARGUMENT, DEVICE_MEMORY, MEMORY, DEVICE.
HEL_API hel_status hel_context_create(const hel_model *model, const hel_context_params *params, hel_context **out);
HEL_API void hel_context_destroy(hel_context **context);
HEL_API const hel_model *hel_context_model(const hel_context *context);
HEL_API uint32_t hel_context_capacity(const hel_context *context);
HEL_API uint32_t hel_context_position(const hel_context *context); // tokens evaluated so far
// Forgets the positions from `position` on (0: all). ARGUMENT where there are not that many.
HEL_API hel_status hel_context_rewind(hel_context *context, uint32_t position);
// Bytes of KV cache on all devices.
HEL_API uint64_t hel_context_cache_bytes(const hel_context *context);

// Gets logits [count, vocabulary] of tokens first .. first + count of the call, in order, a slice at a time.
// Return false to stop (HEL_ERROR_CANCELLED).
typedef bool (*hel_logits_callback)(void *user, uint32_t first, uint32_t count, const float *logits);

// Appends `count` tokens to the sequence. Logits are made for tokens from `first_logits` on (count - 1: only the last;
// count: none). Ids not below the vocabulary and more tokens than fit are ARGUMENT; the sequence is then unchanged.
HEL_API hel_status hel_context_evaluate(hel_context *context, const uint32_t *tokens, uint32_t count,
                                        uint32_t first_logits, hel_logits_callback callback, void *user);

// The same for the last token alone: logits [vocabulary] into `logits`.
HEL_API hel_status hel_context_logits(hel_context *context, const uint32_t *tokens, uint32_t count, float *logits);

#ifdef __cplusplus
}
#endif

#endif
