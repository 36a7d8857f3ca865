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
    uint32_t threads;       // of the CPU device and of what the host makes for others: in all, 0 one per processor
    uint64_t memory_limit;  // bytes of buffers per device, contexts included; 0 no limit
    hel_precision precision; // of matrix products
    const char *tokenizer;  // tokenizer file where the model has none of its own, or NULL
    const char *cache_directory; // compiled kernels, what tuning chose; NULL the user's cache directory, "" none
    hel_progress_callback progress; // bytes of weights read; called by the loading thread; may be NULL
    void *user;
    hel_tuning tuning;      // of the model's products, before the first token
} hel_model_params;

// The best device, one thread per processor, no limit, the user's cache directory, HEL_TUNING_AUTO.
HEL_API void hel_model_params_init(hel_model_params *params, size_t struct_size);
HEL_DEFAULT(hel_model_params)

// Loads a Hugging Face folder, .safetensors, GGUF or llama2.c file, dense or HXQ-compressed. Weights are read in
// pieces of at most 8 MiB straight into device memory; nothing is expanded (GGUF's quantised types become 16-bit floats).
// Before that the need for memory is compared with what there is: weights as stored, a tied head once more where it lies on
// another device than the embedding, and a context of default size (KV cache, activations, logits). Weights that do not fit
// are MEMORY (CPU, software devices: what the system has free) or DEVICE_MEMORY (GPUs: nine tenths of what
// hel_device_memory_free says, or of all their memory where that says nothing); a context that does not fit is a warning. A
// single GPU takes the layers that fit with a context, the CPU the others. Not counted: what drivers need for themselves,
// further contexts.
// Where params.tuning wants it, products of shapes that are new to a device are then tuned there, for 20 seconds at most,
// with up to 32 MiB of buffers that are freed again; progress is asked on, with the stage "tuning".
// `params` may be NULL; nothing of it is kept after the call. *out is freed with hel_model_destroy, NULL after an error.
// Blocking. The model's formula is LLaMA's (Touvron et al. 2023), with Qwen2's biases where the file has them.
// Statuses: ARGUMENT, NOT_FOUND, FORMAT, UNSUPPORTED (architecture, or something of it), UNAVAILABLE (device), MEMORY,
// DEVICE_MEMORY, DEVICE, DEVICE_LOST, IO, CANCELLED.
HEL_API hel_status hel_model_load(const char *path, const hel_model_params *params, hel_model **out);

// Frees the model, its devices and its tokenizer; its contexts must be gone. Nulls the handle, accepts NULL and a pointer
// to NULL. Thread-safety: no other call with the model may run or follow.
HEL_API void hel_model_destroy(hel_model **model);

typedef struct hel_model_info {
    const char *architecture; // "llama", "qwen2"; lives as long as the model
    uint32_t layers, hidden, heads, kv_heads, head_dim, vocabulary;
    uint32_t context_length;  // what the model was trained for; 0 for models of states alone, which have no end
    uint64_t parameters;      // weights and biases that were loaded; a tied head is the embedding
    uint64_t file_bytes;      // of the files they came from
    uint64_t prepared_bytes;  // of weights as they lie on the devices
    uint32_t compressed;      // matrices that run from codebook and indices
    uint32_t devices;
    uint32_t labels;          // 0; of models that label the tokens of a text instead of continuing it, how many there are. Such
                              // a model sees a text whole: a context takes one call, then has to be rewound
} hel_model_info;

// What was loaded. Thread-safety: safe.
HEL_API void hel_model_describe(const hel_model *model, hel_model_info *out);

// Device number `index` below info.devices, else NULL; in the order of params.devices. Belongs to the model.
// Thread-safety: safe.
HEL_API const hel_device *hel_model_device(const hel_model *model, uint32_t index);

// NULL where neither the model nor params.tokenizer gave one. Belongs to the model. Thread-safety: safe.
HEL_API const hel_tokenizer *hel_model_tokenizer(const hel_model *model);

// ---------------------------------------------------------------- contexts

// One sequence being evaluated: KV cache, states of recurrent layers and scratch memory on the model's devices.
// Thread-safety: one thread at a time per context; several contexts may run at once.
typedef struct hel_context hel_context;

typedef struct hel_context_params {
    size_t struct_size;
    uint32_t capacity; // positions the context can hold; 0 the smaller of 2048 and context_length, where that is not 0
    uint32_t batch;    // most tokens evaluated in one pass; 0 means 256
    bool no_recording; // start each kernel of a token by itself. Otherwise, where all layers are on one device that has
                       // features.recording, a pass of one token is recorded once and replayed: the same bits, sooner
} hel_context_params;

// Default capacity and batch.
HEL_API void hel_context_params_init(hel_context_params *params, size_t struct_size);
HEL_DEFAULT(hel_context_params)

// Plans and allocates all memory evaluation will need, so that evaluating does not run out of it. `params` may be NULL.
// *out is freed with hel_context_destroy before the model, NULL after an error. The cache is paged (Kwon et al. 2023).
// Blocking. Thread-safety: safe on one model. Statuses: ARGUMENT, DEVICE_MEMORY, MEMORY, DEVICE, DEVICE_LOST.
HEL_API hel_status hel_context_create(const hel_model *model, const hel_context_params *params, hel_context **out);

// Frees the context. Nulls the handle, accepts NULL and a pointer to NULL.
HEL_API void hel_context_destroy(hel_context **context);

HEL_API const hel_model *hel_context_model(const hel_context *context);   // the one it was created for
HEL_API uint32_t hel_context_capacity(const hel_context *context);        // positions it can hold
HEL_API uint32_t hel_context_position(const hel_context *context);        // tokens evaluated so far
HEL_API uint64_t hel_context_cache_bytes(const hel_context *context);     // kept between tokens on all devices: KV cache, states

// Forgets the positions from `position` on (0: all). Does not block. Statuses: ARGUMENT where there are not that many,
// UNSUPPORTED for models that keep states instead of positions (RWKV, Mamba) and a position that is neither 0 nor the present,
// DEVICE, DEVICE_LOST where a device fails: the context then evaluates nothing until a rewind to 0 has worked, and can be rewound
// to no other position (DEVICE).
HEL_API hel_status hel_context_rewind(hel_context *context, uint32_t position);

// Gets logits [count, vocabulary or labels], row-major, of tokens first .. first + count of the call, in order, a slice of at most
// 4 MiB or one token at a time. `logits` belongs to the context and is overwritten after the return. Runs on the calling
// thread and may not use the context. Return false to stop (HEL_ERROR_CANCELLED).
typedef bool (*hel_logits_callback)(void *user, uint32_t first, uint32_t count, const float *logits);

// Appends tokens [count] to the sequence. Logits are made for tokens from `first_logits` on (count - 1: only the last;
// count: none, `callback` may be NULL then). Where logits are made it blocks until the last of them; otherwise work may
// still be running when it returns, and its failure is a later call's. After an error, a cancelled call too, the sequence
// is what it was before the call, and the context can be used on unless the device is lost.
// Statuses: ARGUMENT (ids not below the vocabulary, more tokens than fit), CANCELLED, DEVICE, DEVICE_LOST, DEVICE_MEMORY,
// MEMORY.
HEL_API hel_status hel_context_evaluate(hel_context *context, const uint32_t *tokens, uint32_t count,
                                        uint32_t first_logits, hel_logits_callback callback, void *user);

// The same for the last of at least one token: logits [vocabulary] into the caller's `logits`, undefined after an error.
// Blocking. Statuses as above.
HEL_API hel_status hel_context_logits(hel_context *context, const uint32_t *tokens, uint32_t count, float *logits);

#ifdef __cplusplus
}
#endif

#endif
