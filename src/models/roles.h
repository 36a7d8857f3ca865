// SPDX-License-Identifier: Apache-2.0
// Families of models: which tensors they have, and what each is. One table per family drives loading, names of other
// formats, shapes, compression policy and info. (The order inside llama2.c files is that format's, formats/llama2c.c.)
#ifndef HEL_MODELS_ROLES_H
#define HEL_MODELS_ROLES_H

#include <stddef.h>

#include "models/hyper.h"
#include "vq/policy.h"

// Rows of q and k that GGUF ("llama") and llama2.c store in interleaved RoPE order.
typedef enum hel_row_order {
    HEL_ROWS_PLAIN,
    HEL_ROWS_QUERY,
    HEL_ROWS_KEY,
} hel_row_order;

typedef enum hel_section {
    HEL_SECTION_FIRST, // with the first layer
    HEL_SECTION_LAYER, // once in every layer
    HEL_SECTION_LAST,  // with the last layer
} hel_section;

typedef enum hel_role_kind {
    HEL_ROLE_MATRIX, // [rows, cols], a hel_weight
    HEL_ROLE_VECTOR, // [rows], a hel_buffer
    HEL_ROLE_BIAS,   // [rows], may be missing; it is part of its matrix's hel_weight
} hel_role_kind;

typedef struct hel_role {
    const char *hugging_face; // "self_attn.q_proj.weight", below "model.layers.N." for tensors of a layer
    const char *gguf;         // "attn_q.weight", below "blk.N."
    hel_section section;
    hel_role_kind kind;
    hel_dimension rows, cols; // cols of matrices only
    hel_tensor_class class;
    hel_row_order order;
    size_t member; // where it is kept: offset in the family's layer, or in its model
} hel_role;

// One value of model_type in a config.json, and what other places call it.
typedef struct hel_model_type {
    const char *name, *class_name;
    const char *gguf;       // general.architecture, NULL where GGUF has no name of its own for it
    bool gguf_interleaved;  // whether that puts rows of q and k in interleaved order
} hel_model_type;

typedef struct hel_family {
    const hel_model_type *types;
    size_t n_types;
    const hel_role *roles;
    size_t n_roles;
} hel_family;

extern const hel_family hel_llama_family;

// NULL where no family that we run has it.
const hel_model_type *hel_model_type_find(const char *name);
const hel_model_type *hel_model_type_of_gguf(const char *architecture, size_t length);

// Finds the role of a name in either naming, and the layer (0 for tensors of no layer). NULL where there is none.
const hel_role *hel_role_of_hugging_face(const char *name, unsigned *out_layer);
const hel_role *hel_role_of_gguf(const char *name, unsigned *out_layer);
// The layer of a tensor below one, whatever its role; of the others the role whose module the name begins with:
// "lm_head.codebook" as well as "lm_head.weight".
bool hel_name_layer(const char *name, unsigned *out_layer);
const hel_role *hel_role_of_end(const char *name);
// By how a matrix's module ends, whatever its name begins with.
const hel_role *hel_role_of_module(const char *module);

// The Hugging Face name in full.
enum { HEL_ROLE_NAME = 96 };
void hel_role_name(const hel_role *role, unsigned layer, char out[HEL_ROLE_NAME]);

// The class of any tensor: by role in either naming where a family that we run has it, else by hel_tensor_classify.
hel_tensor_class hel_role_classify(const char *name, uint32_t rank);

#endif
