// SPDX-License-Identifier: Apache-2.0
// A model on named devices and a context for it, or the test fails with the library's words.
#ifndef TESTS_MODEL_HERE_H
#define TESTS_MODEL_HERE_H
#include "support/support.h"

#include <helicoid/helicoid.h>

static inline hel_model *model_on(const char *devices, const char *path) {
    hel_model_params params = hel_model_params_default();
    params.devices = devices;
    hel_model *model = NULL;
    if (hel_model_load(path, &params, &model) != HEL_OK) fail_msg("%s: %s", path, hel_error_message());
    return model;
}

// 0 for either means its default.
static inline hel_context *context_of(const hel_model *model, uint32_t capacity, uint32_t batch) {
    hel_context_params params = hel_context_params_default();
    params.capacity = capacity;
    params.batch = batch;
    hel_context *context = NULL;
    if (hel_context_create(model, &params, &context) != HEL_OK) fail_msg("%s", hel_error_message());
    return context;
}
#endif
