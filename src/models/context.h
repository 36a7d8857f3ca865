// SPDX-License-Identifier: Apache-2.0
#ifndef HEL_MODELS_CONTEXT_H
#define HEL_MODELS_CONTEXT_H

#include "models/model_internal.h"
#include "models/pass.h"
#include "models/replay.h"

struct hel_context {
    const hel_model *model;
    uint32_t capacity, batch;
    uint32_t position;
    bool lost; // a device failed while its states were cleared or taken back: nothing but a rewind to 0 helps
    hel_pass pass; // stages are the context's memory on the devices
    hel_replay replay;
    float *logits; // one slice on the host
};

// What a context takes; 0 for `capacity` and `batch` means the defaults.
typedef struct hel_context_bytes {
    uint64_t keys;   // of a layer that attends, or its values
    uint64_t device; // on each device besides what layers keep
    uint64_t rope;   // of that the rotary table, which kernels bind whole, as they do keys and values
} hel_context_bytes;

hel_context_bytes hel_context_measure(const hel_hyper *hyper, uint32_t capacity, uint32_t batch);
// What one layer keeps between tokens: keys and values, its state twice, its history.
uint64_t hel_context_layer_bytes(const hel_hyper *hyper, uint32_t layer, uint32_t capacity);

// States of layers, all zeros; none where `bytes` is 0.
hel_status hel_stage_make_state(hel_stage *stage, uint64_t bytes);
// Around a call: a failed one has changed states and histories, which are taken back to what they were. The copy costs little
// beside the weights that a token reads.
hel_status hel_context_save(hel_context *context);
void hel_context_take_back(hel_context *context, uint32_t position);

// Histories of layers, behind a pass: its statuses are the stages'.
void hel_context_settle(hel_context *context);

// MEMORY, DEVICE_MEMORY or UNSUPPORTED where a device cannot hold or go through so many positions.
hel_status hel_context_check_room(const hel_context *context);

#endif
