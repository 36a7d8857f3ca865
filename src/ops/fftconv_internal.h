// SPDX-License-Identifier: Apache-2.0
// What the ways to go about a long convolution share: kernels alone (fftconv.c), the device's transform between kernels
// (fftconv_transform.c), products with Toeplitz blocks (fftconv_toeplitz.c).
#ifndef HEL_OPS_FFTCONV_INTERNAL_H
#define HEL_OPS_FFTCONV_INTERNAL_H

#include "ops/fftconv.h"

// Rows of a call that are under way together: consecutive channels of one batch item, or several whole ones.
typedef struct hel_fftconv_rows {
    hel_exec *exec;
    const hel_fftconv_plan *plan;
    const hel_convolution_call *call;
    uint32_t first, count;
    uint32_t u_first, y_first, spectra_first; // elements before what is bound of each buffer begins
    hel_binding u, gate_in, gate_out, bias, spectra, y;
    hel_tensor work;
} hel_fftconv_rows;

// All but `work`. Bindings begin where the device lets them; kernels count from the first filter's spectrum.
hel_fftconv_rows hel_fftconv_rows_bind(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call,
                                       uint32_t first, uint32_t count);

// HEL_FLAG_* of shaders/fftconv.kh.
uint32_t hel_fftconv_flags(const hel_convolution_call *call);

// The least of 1, 3, 5, 7 times a power of two that is not below `parts`: the odd one, and the power's exponent.
uint32_t hel_fftconv_choose_odd(uint32_t parts, uint32_t *out_bits);

// e^(2 pi i angle)
void hel_fftconv_put_turn(double angle, float out[2]);

// Makes the plan one for the device's transform, or leaves it as it is. UNSUPPORTED where there is none.
hel_status hel_fftconv_transform_prepare(hel_fftconv_plan *plan);
void hel_fftconv_transform_rows(const hel_fftconv_rows *rows);

#endif
