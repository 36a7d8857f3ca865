// SPDX-License-Identifier: Apache-2.0
// Convolutions with filters of a few taps as products with bands of Toeplitz blocks, without a transform: what a plan of
// src/ops/fftconv.h does where that is sooner. Filters take the place of spectra as they are, f32 [filters, taps].
#ifndef HEL_OPS_FFTCONV_TOEPLITZ_H
#define HEL_OPS_FFTCONV_TOEPLITZ_H

#include "ops/fftconv_internal.h"

// Whether products are sooner than transforms of so many steps on this device (docs/fftconv.md has what was measured).
bool hel_fftconv_toeplitz_is_sooner(const hel_device *device, uint32_t steps, uint32_t taps);

void hel_fftconv_toeplitz_run(const hel_fftconv_rows *rows);

// Channels whose filters' gradients are made at a time, within the memory that this may take.
uint32_t hel_fftconv_toeplitz_channels(const hel_fftconv_plan *plan);
// Gradients of the filters of call->channels rows from dz = gate_out dy, call->y being dy: f32 [channels, taps] at `filters`, whose
// place a binding may begin at; `accumulate` adds to what is there.
void hel_fftconv_toeplitz_gradient(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call,
                                   hel_binding filters);

#endif
