// SPDX-License-Identifier: Apache-2.0
// For tests that run on a device by name: whether this machine has it; where not, why, as a skipped test says it.
#ifndef TESTS_DEVICE_HERE_H
#define TESTS_DEVICE_HERE_H

#include "support/support.h"

#include <helicoid/device.h>

enum { SKIPPED = 77 }; // the exit status of a skipped test

// Opens the device; "scalar" is the CPU without its vector kernels. 0, or the exit status of the test.
static inline int device_open_here(const char *name, const hel_device **out) {
    hel_device_params params = hel_device_params_default();
    params.scalar = strcmp(name, "scalar") == 0;
    hel_status status = hel_device_open(params.scalar ? "cpu" : name, &params, out);
    if (status == HEL_ERROR_UNAVAILABLE) printf("skipped: %s: %s\n", name, hel_error_message());
    return status == HEL_OK ? 0 : status == HEL_ERROR_UNAVAILABLE ? SKIPPED : 1;
}

static inline bool device_here(const char *name) {
    const hel_device *device;
    int status = device_open_here(name, &device);
    hel_device_destroy(&device);
    return status != SKIPPED;
}
#endif
