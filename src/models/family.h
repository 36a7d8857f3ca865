// SPDX-License-Identifier: Apache-2.0
// Families of models: what they are called, which tensors they have, how their hyper-parameters are read, what their layers do. A
// family is this one table, which drives loading, names of other formats, shapes, compression policy, info and evaluation;
// a hybrid is a family with several kinds of layers.
#ifndef HEL_MODELS_FAMILY_H
#define HEL_MODELS_FAMILY_H

#include "models/hyper.h"
#include "models/pass.h"
#include "models/roles.h"

typedef struct hel_network hel_network;
typedef struct hel_layer hel_layer;

// One value of model_type in a config.json, and what other places call it.
typedef struct hel_model_type {
    const char *name, *class_name; // the second may be NULL
    const char *gguf;       // general.architecture, NULL where GGUF has no name of its own for it
    bool gguf_interleaved;  // whether that puts rows of q and k in interleaved order
} hel_model_type;

// What a layer keeps of the tokens before.
typedef struct hel_layer_memory {
    bool attends;          // keys and values of each, in the KV cache
    uint64_t state_floats; // values of its own, in stage->state: zeros before the first token
} hel_layer_memory;

// What a layer keeps of each position besides keys and values, made with a context for its capacity. It is never copied: when a
// call fails, it goes back.
typedef struct hel_layer_history {
    hel_status (*make)(const hel_network *network, const hel_layer *layer, uint32_t capacity, void **out);
    void (*destroy)(void *history);
    uint64_t (*bytes)(const hel_hyper *hyper, uint32_t capacity);
    // Behind each pass, outside of recordings: what it leaves for tokens to come.
    void (*settle)(void *history, hel_exec *exec, uint32_t tokens);
    void (*rewind)(void *history, hel_exec *exec, uint32_t position);
} hel_layer_history;

typedef struct hel_layer_kind {
    const char *name;
    const char *gguf;      // the one general.architecture in which the roles go by their names of GGUF; NULL: all of the family's
    const hel_role *roles; // their members lie in the struct behind hel_layer.weights,
    size_t n_roles;
    size_t size;           // which has so many bytes
    size_t shared_size;    // of the struct behind hel_layer.shared; 0 where no role is in HEL_SECTION_SHARED
    // x [tokens, hidden] goes through the layer in place.
    void (*forward)(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x);
    hel_layer_memory (*memory)(const hel_hyper *hyper);
    // Floats of scratch for so many tokens, at its widest part, besides x.
    uint64_t (*scratch_floats)(const hel_hyper *hyper, uint32_t tokens);
    const hel_layer_history *history; // in pass->histories; NULL for none
} hel_layer_kind;

struct hel_family {
    const hel_model_type *types;
    size_t n_types;
    const char *layer_prefix; // of a layer's tensors in Hugging Face naming, before its number: "model.layers."
    const hel_role *roles;    // of both ends; their members lie in hel_ends
    size_t n_roles;
    const hel_layer_kind *const *kinds;
    size_t n_kinds;
    // Fills what is the family's own of *out, whose `family` and `architecture` are set.
    hel_status (*parse)(const json_t *config, hel_hyper *out);
    const hel_layer_kind *(*kind_of)(const hel_hyper *hyper, uint32_t layer);
    // The first of the layers that use the same shared block, and which use of any such block this one is; NULL for none.
    uint32_t (*owner_of)(const hel_hyper *hyper, uint32_t layer, uint32_t *out_use);
    // Columns of pass->side, which the layers of a pass share besides x; NULL for none.
    uint32_t (*side_cols)(const hel_hyper *hyper);
    // Between embedding and first layer, in place; NULL for nothing.
    void (*enter)(const hel_network *network, hel_pass *pass, hel_stage *stage, hel_tensor x);
    // Behind the last layer: what the head takes.
    hel_tensor (*leave)(const hel_network *network, hel_stage *stage, hel_tensor x);
};

static inline uint32_t hel_family_side_cols(const hel_hyper *hyper) {
    return hyper->family->side_cols ? hyper->family->side_cols(hyper) : 0;
}

// A new family is one line in family.c.
extern const hel_family *const hel_families[];
extern const size_t hel_n_families;

// NULL where no family that we run has it. `out_family` may be NULL.
const hel_model_type *hel_model_type_find(const char *name, const hel_family **out_family);
const hel_model_type *hel_model_type_of_gguf(const char *architecture, size_t length, const hel_family **out_family);

extern const hel_family hel_llama_family, hel_mamba_family, hel_mamba2_family, hel_mamba_labels_family, hel_zamba2_family,
    hel_rwkv_family;
extern const hel_family hel_hyena_family, hel_hyenadna_family; // they differ in the names of tensors
extern const hel_family hel_striped_family;

#endif
