// SPDX-License-Identifier: Apache-2.0
// What a model's forward sees of a context: one stage per device, and a batch of tokens.
#ifndef HEL_MODELS_PASS_H
#define HEL_MODELS_PASS_H

#include "kvcache/kvcache.h"
#include "ops/operators.h"

// One device's part of a context. `step` holds what changes from token to token, so that dispatches never do.
typedef struct hel_stage {
    hel_exec exec;
    hel_kvcache cache;    // of the layers on this device that attend
    hel_buffer *state;    // what its other layers keep between tokens; NULL where none does
    hel_buffer *saved;    // the same as it was before the call
    uint64_t state_bytes;
    hel_buffer *step;     // u32: position of the batch's first token
    hel_buffer *tokens;   // u32 [batch]
    hel_buffer *rope_table;
    hel_rope rope; // of models that rotate
} hel_stage;

typedef struct hel_pass {
    hel_stage *stages;
    uint32_t n_stages;
    uint32_t count;  // tokens in this pass
    hel_tensor side; // what layers of some families share besides x, [count, family->side_cols]
    void **histories; // of the layers whose kind has one
    float *carry;    // host memory for activations on their way to another device, [batch, the wider of the two]
} hel_pass;

// Brings x to another stage's device; x itself where it is there already.
hel_tensor hel_pass_move(hel_pass *pass, hel_tensor x, uint32_t from, uint32_t to);

#endif
