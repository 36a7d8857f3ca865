// SPDX-License-Identifier: Apache-2.0
// For tests that run on a device by name: whether this machine has it; where not, why, as a skipped test says it.
#ifndef TESTS_DEVICE_HERE_H
#define TESTS_DEVICE_HERE_H

#include <helicoid/device.h>
#include <stdio.h>

enum { SKIPPED = 77 }; // the exit status of a skipped test

static inline bool device_here(const char *name) {
    const hel_device *device;
    hel_status status = hel_device_open(name, NULL, &device);
    if (status == HEL_ERROR_UNAVAILABLE) printf("skipped: %s: %s\n", name, hel_error_message());
    hel_device_destroy(&device);
    return status != HEL_ERROR_UNAVAILABLE;
}
#endif
