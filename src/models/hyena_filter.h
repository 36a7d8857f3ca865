// SPDX-License-Identifier: Apache-2.0
// Implicit filters: each tap of each channel is a function of its position p of P. A network of sines, of `hidden` neurons,
// takes time and waves, and what it gives is damped:
//   z = (t, cos(f_b w), .., -sin(f_b w), ..),   t = p / (P - 1),   w = 2 pi p / P,   f_b from 10^-4 to the number of waves - 1
//   h[c, p] = (W_last s(W_2 s(W_1 s(W_0 z))))[c] (e^(-t |decay[c]|) + shift),   s(x) = sin(frequency x)
// They are made once, on the host, so that all devices convolve with the same taps.
#ifndef HEL_MODELS_HYENA_FILTER_H
#define HEL_MODELS_HYENA_FILTER_H

#include "base/threads.h"
#include "models/hyena.h"

typedef struct hel_hyena_filter {
    uint32_t width, positions; // channels of one convolution, P
    uint32_t features, hidden;
    float shift;
    float *first, *first_bias, *inner[HEL_HYENA_INNER], *inner_bias[HEL_HYENA_INNER], *last, *frequency, *decay; // as on the device
    float *z; // [taps, features], NULL where they are computed
    hel_threads *threads; // that make them: as many as the device was opened with
} hel_hyena_filter;

// Reads what filters of up to `taps` taps are made of, and starts the threads that make them. UNSUPPORTED for more taps than
// there are positions.
hel_status hel_hyena_filter_read(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t taps,
                                 hel_hyena_filter *out);
void hel_hyena_filter_finish(hel_hyena_filter *filter); // accepts a zeroed filter

// The filters h_o of all channels, [width, taps]. Statuses: MEMORY.
hel_status hel_hyena_filter_make(const hel_hyena_filter *filter, uint32_t o, uint32_t taps, float *out);

#endif
