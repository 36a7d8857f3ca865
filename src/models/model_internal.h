// SPDX-License-Identifier: Apache-2.0
#ifndef HEL_MODELS_MODEL_INTERNAL_H
#define HEL_MODELS_MODEL_INTERNAL_H

#include <helicoid/model.h>

#include "models/network.h"
#include "models/placement.h"

struct hel_model {
    hel_model_info info;
    hel_placement placement;
    hel_network network;
    hel_tokenizer *tokenizer; // NULL without
};

#endif
