// SPDX-License-Identifier: Apache-2.0
// Fourier transforms of rows by a device's own means, where it has any (an optional group of the device table; VkFFT behind the
// drivers). src/ops/fftconv.h makes convolutions of them.
#ifndef HEL_DEVICE_TRANSFORM_H
#define HEL_DEVICE_TRANSFORM_H

#include <helicoid/device.h>

// Of rows of so many points; a backend's begins with this.
typedef struct hel_transform {
    uint32_t points;
    struct hel_transform *next; // in the device's list
} hel_transform;

// The transform of this size, made, and seen to convolve, at its first use; it is the device's. Statuses: UNSUPPORTED where the
// device has none, or none of this size that is right, MEMORY, DEVICE_MEMORY, DEVICE.
hel_status hel_transform_get(const hel_device *device, uint32_t points, hel_transform **out);

// From how many points on the device's own transforms are faster than kernels; UINT32_MAX where it has none.
uint32_t hel_transform_least(const hel_device *device);

// Rows at a time: as many work-groups as every driver allows in any direction.
enum { HEL_TRANSFORM_MAX_ROWS = 65535 };

// Replaces `count` rows of complex numbers (pairs of f32), close to each other from the binding's offset on, by
//   X[k] = sum over t of x[t] e^(-2 pi i k t / points)   or, with `back`, x[t] = sum over k of X[k] e^(2 pi i k t / points),
// the X in an order of the transform's own. In order with the compute queue's other work. Statuses: as hel_dispatch.
hel_status hel_transform_run(const hel_device *device, hel_transform *transform, const hel_binding *rows, uint32_t count,
                             bool back);

#endif
