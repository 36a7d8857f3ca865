// SPDX-License-Identifier: Apache-2.0
#ifndef HEL_MODELS_CONTEXT_H
#define HEL_MODELS_CONTEXT_H

#include "models/model_internal.h"
#include "models/pass.h"

struct hel_context {
    const hel_model *model;
    uint32_t capacity, batch;
    uint32_t position;
    hel_pass pass; // stages are the context's memory on the devices
    float *logits; // one slice on the host
};

// Bytes that a context of default capacity and batch takes: for each layer on a device, and on each device besides.
void hel_context_default_bytes(const hel_hyper *hyper, uint64_t *out_layer, uint64_t *out_device);

#endif
