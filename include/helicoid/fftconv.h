// SPDX-License-Identifier: Apache-2.0
// Long causal convolution, the heart of Hyena (Poli et al. 2023, "Hyena Hierarchy"): for every sequence of a batch and every
// channel
//   y[t] = gate_out[t] (sum over s <= t of h[s] v[t - s] + bias v[t]),   v = gate_in u,
// by one transform there and one back, or, where filters have few taps, without (docs/fftconv.md), for any number of steps up to
// 2^22. A NaN or infinity in a row spreads over that row and no other.
#ifndef HELICOID_FFTCONV_H
#define HELICOID_FFTCONV_H

#include <helicoid/common.h>
#include <helicoid/device.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEL_FFTCONV_MAX_STEPS (UINT32_C(1) << 22)

// How u, gates and y are kept, on the host and on the device. Sums are floats either way; results in bf16 are rounded once, to
// the nearest, ties to even.
typedef enum hel_fftconv_dtype {
    HEL_FFTCONV_F32 = 0,
    HEL_FFTCONV_BF16 = 1, // uint16_t, the upper halves of floats
} hel_fftconv_dtype;

typedef struct hel_fftconv_params {
    size_t struct_size;
    uint32_t batch, channels, steps; // of u, gates and y: [batch, channels, steps]; default 1, 1, and steps must be set
    uint32_t filters;                // 0: one a channel; 1: one for all
    uint32_t taps;                   // of each filter, at most steps; 0: as many as steps
    hel_fftconv_dtype dtype;         // of u, gates and y; default HEL_FFTCONV_F32. Filters and bias are floats
    hel_progress_callback progress;  // unit: rows done of batch * channels; called on the calling thread; may be NULL
    void *user;
} hel_fftconv_params;

// The defaults above.
HEL_API void hel_fftconv_params_init(hel_fftconv_params *params, size_t struct_size);
HEL_DEFAULT(hel_fftconv_params)

// Host memory, the caller's; nothing is kept. y may not overlap the others.
typedef struct hel_fftconv_arrays {
    const void *u;                  // [batch, channels, steps] of params.dtype, no row padded
    const float *h;                 // [filters, taps]
    const void *gate_in, *gate_out; // as u; NULL: ones
    const float *bias;              // [channels]; NULL: zeros
    void *y;                        // as u
} hel_fftconv_arrays;

// Convolves on the device, some rows at a time: besides the arrays it takes about 500 MB at most, on devices that have
// less room as few rows at a time as fit. Blocking. Statuses: ARGUMENT, UNSUPPORTED, MEMORY, DEVICE_MEMORY, DEVICE,
// DEVICE_LOST, CANCELLED. Relative error of a row: about that of FFTW in single precision, with bf16 2^-8 more at most; the same
// bits in every run on a device, whatever the number of threads. Thread-safety: safe.
HEL_API hel_status hel_fftconv(const hel_device *device, const hel_fftconv_params *params, const hel_fftconv_arrays *arrays);

// NPY files of floats, bf16 as ml_dtypes has it (<V2). u is [steps], [channels, steps] or [batch, channels, steps], gates as u;
// h [taps] or [channels, taps]; bias [channels]. Optional ones may be NULL.
typedef struct hel_fftconv_files {
    const char *u, *h, *gate_in, *gate_out, *bias, *y;
} hel_fftconv_files;

// The same from files to a file of params.dtype in the shape of u; floats of other types are converted. Read and written as it
// goes, so that u may be larger than memory; y appears when it is complete. `overwrite` replaces a file that is there. Sizes of
// `params` are not read; `out`, which may be NULL, gets params with those of the files. Statuses: also IO, FORMAT, EXISTS.
HEL_API hel_status hel_fftconv_file(const hel_device *device, const hel_fftconv_files *files, bool overwrite,
                                    const hel_fftconv_params *params, hel_fftconv_params *out);

#ifdef __cplusplus
}
#endif

#endif
