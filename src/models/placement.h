// SPDX-License-Identifier: Apache-2.0
// Which device holds which layer.
#ifndef HEL_MODELS_PLACEMENT_H
#define HEL_MODELS_PLACEMENT_H

#include <helicoid/model.h>

enum { HEL_MAX_PLACES = 16 };

typedef struct hel_placement {
    const hel_device *devices[HEL_MAX_PLACES]; // opened here
    uint32_t n_devices;
    uint32_t *places; // [layers] index into devices
} hel_placement;

typedef struct hel_needs {
    uint32_t layers;
    uint64_t layer_bytes; // of the largest layer
    uint64_t first_bytes; // embedding, on the first layer's device
    uint64_t last_bytes;  // head, on the last layer's device
} hel_needs;

// Opens the devices that params name (the best one where they name none) and spreads the layers. What is needed is
// compared with what the devices have before anything is loaded: layers that do not fit a single GPU go to the CPU,
// and what does not fit the host is HEL_ERROR_MEMORY.
hel_status hel_placement_make(const hel_model_params *params, const hel_needs *needs, hel_placement *out);
void hel_placement_finish(hel_placement *placement); // accepts a zeroed placement

#endif
