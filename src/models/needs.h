// SPDX-License-Identifier: Apache-2.0
// How much device memory a model will take, told from its file before anything is loaded.
//
// Counted: weights as their tensors are stored (GGUF's quantised types as the 16-bit values they become), a tied head a
// second time where it lies on another device than the embedding, and for a context of default capacity and batch its
// KV cache, activations, logits and rotary table. Not counted: what a driver takes for itself and for compiled kernels,
// scratch for channel scales and SVD factors, contexts beyond the first.
#ifndef HEL_MODELS_NEEDS_H
#define HEL_MODELS_NEEDS_H

#include "formats/archive.h"
#include "models/hyper.h"

typedef struct hel_needs {
    uint32_t layers;
    uint64_t *layer_bytes;    // [layers], weights of its own
    uint64_t *shared_bytes;   // [layers], of the block that it owns, on each device that has a layer which uses it
    uint32_t *owners;         // [layers], whose block it uses: its own number where it uses none
    uint64_t embedding_bytes; // on the first layer's device
    uint64_t head_bytes;      // on the last layer's device; of a tied head only where that is not the first's
    bool tied;
    uint64_t *cache_bytes;  // [layers], of a default context: what a layer keeps between tokens,
    uint64_t scratch_bytes; // and what each device that has one takes besides
} hel_needs;

hel_status hel_needs_measure(const hel_archive *archive, const hel_hyper *hyper, hel_needs *out);
void hel_needs_finish(hel_needs *needs); // accepts zeroed needs

// All bytes that will be read, for progress.
uint64_t hel_needs_total(const hel_needs *needs);
// Of the device that `places` [layers] gives its layers by the number `place`.
uint64_t hel_needs_weights_on(const hel_needs *needs, const uint32_t *places, uint32_t place);
uint64_t hel_needs_context_on(const hel_needs *needs, const uint32_t *places, uint32_t place);

// Moves layers from the end of device 0 to device 1 until weights and context on device 0 fit `budget`; gives how many stay.
uint32_t hel_needs_spill(const hel_needs *needs, uint64_t budget, uint32_t *places);

#endif
