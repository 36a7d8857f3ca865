// SPDX-License-Identifier: Apache-2.0
// Which device holds which layer.
#ifndef HEL_MODELS_PLACEMENT_H
#define HEL_MODELS_PLACEMENT_H

#include <helicoid/model.h>

#include "models/needs.h"

enum { HEL_MAX_PLACES = 16 };

typedef struct hel_placement {
    const hel_device *devices[HEL_MAX_PLACES]; // opened here
    uint32_t n_devices;
    uint32_t *places; // [layers] index into devices
} hel_placement;

// Opens the devices that params name (the best one where they name none) and spreads the layers. What is needed is
// compared with what the devices have before anything is loaded. A single GPU gets the layers that fit it together with
// a default context, the CPU the rest. Weights that do not fit their device are HEL_ERROR_MEMORY (host) or
// HEL_ERROR_DEVICE_MEMORY; where only the context does not fit, that is logged, since a smaller one may.
// Devices in host memory share what is free there. Of a GPU all but a tenth, for the driver's own, of what that says is free
// counts, or of its memory where the driver does not say.
hel_status hel_placement_make(const hel_model_params *params, const hel_needs *needs, hel_placement *out);
// The CPU, and drivers that run on it.
bool hel_in_host_memory(const hel_device *device);
void hel_placement_finish(hel_placement *placement); // accepts a zeroed placement

#endif
