// SPDX-License-Identifier: Apache-2.0
// Long causal convolution by a device's own means, where it has any (an optional group of the device table); src/ops/fftconv.h
// has the operator for every device.
#ifndef HEL_DEVICE_CONVOLUTION_H
#define HEL_DEVICE_CONVOLUTION_H

#include <helicoid/device.h>

// How values lie in a buffer; sums are floats.
typedef enum hel_storage {
    HEL_STORAGE_F32 = 0,
    HEL_STORAGE_BF16 = 1,
} hel_storage;

// Bytes from one row to the next: rows of halves begin with a word, so odd ones have one behind them that means nothing.
static inline uint64_t hel_storage_row(hel_storage storage, uint32_t steps) {
    return storage == HEL_STORAGE_F32 ? 4 * (uint64_t)steps : ((uint64_t)steps + 1) / 2 * 4;
}

// A plan for rows of so many steps; a backend's begins with this.
typedef struct hel_convolution {
    uint32_t steps;
    uint64_t spectrum_size; // bytes of one filter's spectrum, in an order of the plan's own
} hel_convolution;

// For row r of `rows`, with filter r % filters and bias r % channels:
//   y = gate_out (filter * (gate_in u) + bias gate_in u)  [+ y]
// With `reversed`, rows are read and written from their last step to their first. Gates and bias are left out where their
// buffer is NULL; u and gates are [rows, steps] in `storage`, y is in `y_storage`, rows hel_storage_row apart; bias f32 [channels].
// Offsets are multiples of 4.
typedef struct hel_convolution_call {
    uint32_t rows, channels, filters; // filters 0: as many as channels
    hel_storage storage, y_storage;
    bool reversed, accumulate;
    bool transform; // instead, y gets each row's spectrum: f32, rows times spectrum_size bytes; not `reversed`
    hel_binding u, gate_in, gate_out, bias, spectra, y;
} hel_convolution_call;

static inline uint32_t hel_convolution_filters(const hel_convolution_call *call) {
    return call->filters ? call->filters : call->channels;
}

// `steps` is 1 to HEL_CONVOLUTION_MAX_STEPS. Freed with hel_convolution_destroy before the device. Statuses: ARGUMENT,
// UNSUPPORTED where the device has none, MEMORY, DEVICE.
#define HEL_CONVOLUTION_MAX_STEPS (UINT32_C(1) << 22)
hel_status hel_convolution_create(const hel_device *device, uint32_t steps, hel_convolution **out);
// In order with the compute queue's other work. Statuses: as hel_dispatch.
hel_status hel_convolution_run(const hel_device *device, const hel_convolution *plan, const hel_convolution_call *call);
void hel_convolution_destroy(const hel_device *device, hel_convolution **plan);

#endif
