// SPDX-License-Identifier: Apache-2.0
// A model as it runs: a layer table between an embedding and a head. What the layers do is their family's.
#ifndef HEL_MODELS_NETWORK_H
#define HEL_MODELS_NETWORK_H

#include "formats/archive.h"
#include "models/family.h"
#include "ops/tune.h"

struct hel_layer {
    const hel_layer_kind *kind;
    hel_layer_memory memory;
    uint32_t index;
    uint32_t place;    // stage that holds it
    uint32_t kv_slot;  // its layer in that stage's cache, where it attends
    uint64_t state_at; // its bytes in that stage's `state`
    void *weights;     // kind->size bytes, as the family's own file declares them
    void *shared;      // kind->shared_size bytes, of the block that it shares with other layers on its place
    bool holds_shared; // it is the first of those
    uint32_t owner;    // layer below whose name the shared tensors stand
    uint32_t use;      // of all uses of shared blocks
};

// What stands before the first layer and behind the last.
typedef struct hel_ends {
    hel_weight embedding; // [vocabulary, hidden], on the first layer's device
    hel_weight head;      // the same shape, on the last layer's device; absent where the embedding serves
    hel_buffer *norm, *norm_bias;             // [hidden], on the last layer's device
    hel_buffer *entry_norm, *entry_norm_bias; // [hidden], on the first's; of families that normalise the embedding
} hel_ends;

struct hel_network {
    hel_hyper hyper;
    const hel_device *const *devices; // of the stages, by place
    hel_ends ends;
    hel_layer *layers;
};

// Counts bytes as they are read; false stops the loading.
typedef bool (*hel_network_progress)(void *user, uint64_t bytes);

// `places` [layers] says which device holds each layer. On failure *out is empty.
hel_status hel_network_load(hel_archive *archive, const hel_hyper *hyper, const hel_device *const *devices,
                            const uint32_t *places, hel_network_progress progress, void *user, hel_network *out);
void hel_network_finish(hel_network *network); // accepts a zeroed one

// Tunes the products with the weights that lie on request->device, which are added to the request here.
hel_status hel_network_tune(const hel_network *network, const hel_tune_request *request);

// Hidden states [tokens, hidden] as the head takes them, on the last layer's device.
hel_tensor hel_network_forward(const hel_network *network, hel_pass *pass);
// Logits [count, vocabulary] of rows first .. first + count of them.
hel_tensor hel_network_logits(const hel_network *network, hel_pass *pass, hel_tensor hidden, uint32_t first, uint32_t count);

uint64_t hel_network_bytes(const hel_network *network);
uint32_t hel_network_compressed(const hel_network *network); // matrices with a codebook
// Those that were loaded, once where several devices hold them.
uint64_t hel_network_parameters(const hel_network *network);

// What the layers on a place keep between tokens.
typedef struct hel_place_memory {
    uint32_t kv_layers;
    uint64_t state_bytes; // of all its layers, each beginning where a binding may
} hel_place_memory;
hel_place_memory hel_network_memory(const hel_network *network, uint32_t place);
// Where a layer's part of the stage's state is; size 0 where it has none.
hel_binding hel_layer_state(const hel_layer *layer, const hel_stage *stage);

#endif
