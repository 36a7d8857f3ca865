// SPDX-License-Identifier: Apache-2.0
// Products of many tokens on matrix units: whether a device does them, and in what blocks.
#ifndef HEL_OPS_MATRIX_UNITS_H
#define HEL_OPS_MATRIX_UNITS_H

#include <helicoid/device.h>

// The block of results that a work-group of a kernel for many tokens makes.
typedef struct hel_tiling {
    uint32_t rows, tokens;
} hel_tiling;

// For `rows` x `tokens` results; the blocks of the matrix units change no bit of them.
hel_tiling hel_tiling_of(const hel_device *device, bool matrix, uint32_t rows, uint32_t tokens);

// True where the device has matrix units, was opened for rounded products, and makes the same of small integers, which no
// rounding changes, as linear_matmul does. Where it fails to, a warning is logged. A device is tried once; that blocks for
// some milliseconds, and compiles six kernels at the first use on a machine. Statuses: DEVICE_LOST, DEVICE_MEMORY, MEMORY.
hel_status hel_matrix_units_check(const hel_device *device, bool *out);

#endif
