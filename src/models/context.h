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
    hel_pass pass; // stages are the context's memory on the devices
    hel_replay replay;
    float *logits; // one slice on the host
};

// What a context takes; 0 for `capacity` and `batch` means the defaults.
typedef struct hel_context_bytes {
    uint64_t layer;  // for each layer on a device: keys and values
    uint64_t device; // on each device besides
    uint64_t rope;   // of that the rotary table, which kernels bind whole, as they do half of `layer`
} hel_context_bytes;

hel_context_bytes hel_context_measure(const hel_hyper *hyper, uint32_t capacity, uint32_t batch);

// MEMORY, DEVICE_MEMORY or UNSUPPORTED where a device cannot hold or go through so many positions.
hel_status hel_context_check_room(const hel_context *context);

#endif
