// SPDX-License-Identifier: Apache-2.0
// What the tensors of a family are: names, shape, class, place in memory. (The order inside llama2.c files is that format's,
// formats/llama2c.c.)
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
    HEL_SECTION_LAYER, // in a layer
    HEL_SECTION_SHARED, // in a block that several layers use, below the name of the first of them; kept in hel_layer.shared
    HEL_SECTION_USE,    // in one layer's use of such a block: below that name too, with the number of the use in place of "#"
    HEL_SECTION_LAST,  // with the last layer
} hel_section;

typedef enum hel_role_kind {
    HEL_ROLE_MATRIX, // [rows, cols], a hel_weight
    HEL_ROLE_VECTOR, // rows * cols floats that are kept as they are, a hel_buffer *
    HEL_ROLE_BIAS,   // [rows], may be missing; it is part of its matrix's hel_weight
    HEL_ROLE_RATE,   // a vector of which -exp of each value is kept, columns first: [cols, rows]
    HEL_ROLE_ONES,   // rows * cols ones, in no file
} hel_role_kind;

typedef struct hel_role {
    const char *hugging_face; // "self_attn.q_proj.weight", below the family's prefix and the layer's number for tensors of a layer;
                              // "#" stands for the number of a use
    const char *gguf;         // "attn_q.weight", below "blk.N."; NULL where that has no name for it
    hel_section section;
    hel_role_kind kind;
    hel_dimension rows, cols;
    hel_tensor_class class;
    hel_row_order order;
    size_t member; // where it is kept: offset in the layer's struct, or in hel_ends
    bool optional; // may be missing; its member is zeros then
} hel_role;

// Role `index` of all those of the family, ends first; NULL behind the last.
const hel_role *hel_family_role(const hel_family *family, size_t index);
// The one of the ends that has the class; NULL where none has.
const hel_role *hel_family_end(const hel_family *family, hel_tensor_class class);

// Finds the role of a name in either naming, and the layer (0 for tensors of no layer). NULL where there is none.
const hel_role *hel_role_of_hugging_face(const hel_family *family, const char *name, unsigned *out_layer);
const hel_role *hel_role_of_gguf(const hel_family *family, const char *architecture, const char *name, unsigned *out_layer);
// The layer of a tensor below one, whatever its role; of the others the role whose module the name begins with:
// "lm_head.codebook" as well as "lm_head.weight".
bool hel_name_layer(const hel_family *family, const char *name, unsigned *out_layer);
const hel_role *hel_role_of_end(const hel_family *family, const char *name);
// In the same way one of a block that several layers share.
const hel_role *hel_role_of_shared(const hel_family *family, const char *name);
// By how a matrix's module ends, whatever its name begins with.
const hel_role *hel_role_of_module(const hel_family *family, const char *module);

// The Hugging Face name in full, of the use of a shared block with that number where it is part of one.
enum { HEL_ROLE_NAME = 96 };
void hel_role_name_of_use(const hel_family *family, const hel_role *role, unsigned layer, unsigned use, char out[HEL_ROLE_NAME]);
void hel_role_name(const hel_family *family, const hel_role *role, unsigned layer, char out[HEL_ROLE_NAME]);
static inline bool hel_role_is_buffer(const hel_role *role) {
    return role->kind == HEL_ROLE_VECTOR || role->kind == HEL_ROLE_RATE || role->kind == HEL_ROLE_ONES;
}
static inline bool hel_role_in_layer(const hel_role *role) {
    return role->section != HEL_SECTION_FIRST && role->section != HEL_SECTION_LAST;
}

// The class of any tensor: by role in either naming where a family that we run has it, else by hel_tensor_classify.
hel_tensor_class hel_role_classify(const char *name, uint32_t rank);

#endif
