// SPDX-License-Identifier: Apache-2.0
// The long convolution of rows that come from and go to the host, some at a time.
#ifndef HEL_OPS_FFTCONV_STREAM_H
#define HEL_OPS_FFTCONV_STREAM_H

#include <helicoid/fftconv.h>

typedef enum hel_fftconv_array {
    HEL_FFTCONV_U, HEL_FFTCONV_GATE_IN, HEL_FFTCONV_GATE_OUT, HEL_FFTCONV_H, HEL_FFTCONV_BIAS,
} hel_fftconv_array;

// Where rows come from and go to. Ranges of y come in order, each once.
typedef struct hel_fftconv_stream {
    bool gate_in, gate_out, bias; // which of them there are
    // Elements first .. first + count, of params->dtype, or floats of h and bias.
    hel_status (*read)(void *user, hel_fftconv_array array, uint64_t first, uint64_t count, void *out);
    hel_status (*write)(void *user, uint64_t count, const void *y);
    void *user;
} hel_fftconv_stream;

// `params` are complete: steps and, where they were 0, filters and taps too.
hel_status hel_fftconv_stream_run(const hel_device *device, const hel_fftconv_params *params, const hel_fftconv_stream *stream);

// Bytes of an element.
static inline size_t hel_fftconv_unit(const hel_fftconv_params *params, hel_fftconv_array array) {
    return params->dtype == HEL_FFTCONV_F32 || array == HEL_FFTCONV_H || array == HEL_FFTCONV_BIAS ? 4 : 2;
}

// Checks sizes and completes filters and taps.
hel_status hel_fftconv_params_check(hel_fftconv_params *params);

#endif
