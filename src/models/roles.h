// SPDX-License-Identifier: Apache-2.0
// The tensors of the LLaMA family: one table for loading, names of other formats, policy and info.
#ifndef HEL_MODELS_ROLES_H
#define HEL_MODELS_ROLES_H

#include <stdbool.h>
#include <stddef.h>

// Rows of q and k that GGUF ("llama") and llama2.c store in interleaved RoPE order.
typedef enum hel_row_order {
    HEL_ROWS_PLAIN,
    HEL_ROWS_QUERY,
    HEL_ROWS_KEY,
} hel_row_order;

typedef struct hel_role {
    const char *hugging_face; // "self_attn.q_proj.weight", below "model.layers.N." for tensors of a layer
    const char *gguf;         // "attn_q.weight", below "blk.N."
    bool per_layer;
    hel_row_order rows;
} hel_role;

extern const hel_role hel_roles[];
extern const size_t hel_role_count;

// Finds the role of a name in either naming, and the layer (0 for tensors of no layer). NULL where there is none.
const hel_role *hel_role_of_hugging_face(const char *name, unsigned *out_layer);
const hel_role *hel_role_of_gguf(const char *name, unsigned *out_layer);

#endif
