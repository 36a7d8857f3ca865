// SPDX-License-Identifier: Apache-2.0
// Long causal convolution of the rows of [rows, steps] with a filter for each channel, the heart of Hyena (Poli et al. 2023):
//   y = gate_out (h * v + bias v)  [+ y],   v = gate_in u,   (h * v)[t] = sum over s <= t of h[s] v[t - s]
// by one transform there and one back, for any number of steps. Where the device has convolutions of its own (the CPU's vector
// code) they are taken; elsewhere kernels: fftconv_block alone where a row fits a work-group's memory, else between fftconv_split
// and fftconv_join, or, where the device has transforms of its own and those are faster, one there and one back between
// fftconv_weigh and fftconv_unweigh; as many rows at a time as SCRATCH_BYTES hold. With filters of few taps rows are multiplied by
// Toeplitz blocks instead, without a transform.
#ifndef HEL_OPS_FFTCONV_H
#define HEL_OPS_FFTCONV_H

#include "device/convolution.h"
#include "ops/exec.h"

enum { HEL_FFTCONV_MAX_SPLITS = 4 };

// What is made once for a number of steps. The caller's; freed with hel_fftconv_plan_finish before the device.
typedef struct hel_fftconv_plan {
    const hel_device *device;
    uint32_t steps, taps;
    uint32_t filter_steps;        // of a filter's row, and its gradient's: taps, or steps, zeros behind the taps
    uint64_t spectrum_size;       // bytes of one filter's spectrum, in an order of the plan's own
    bool toeplitz;                // spectra are the filters themselves, or
    hel_convolution *own;         // the device's plan, or
    uint32_t points;              // of a row
    hel_transform *transform;     // the device's, or
    uint32_t size;                // of a block that fits a work-group
    uint32_t n_splits, radices[HEL_FFTCONV_MAX_SPLITS];
    hel_buffer *turns[HEL_FFTCONV_MAX_SPLITS + 1]; // of each split, then of the blocks; or of fftconv_weigh
} hel_fftconv_plan;

// How to go about it, for what compares the ways; others leave it to the plan.
typedef enum hel_fftconv_way {
    HEL_FFTCONV_FASTEST,
    HEL_FFTCONV_TOEPLITZ, // filters of up to 256 taps
    HEL_FFTCONV_LONG,     // the fastest for filters as long as rows: the device's convolution, or one of
    HEL_FFTCONV_KERNELS,
    HEL_FFTCONV_TRANSFORM,
} hel_fftconv_way;

// `steps` is 1 to HEL_CONVOLUTION_MAX_STEPS, `taps` 1 to steps. Statuses: ARGUMENT, UNSUPPORTED, MEMORY, DEVICE_MEMORY, DEVICE.
hel_status hel_fftconv_plan_init(const hel_device *device, uint32_t steps, uint32_t taps, hel_fftconv_plan *out);
hel_status hel_fftconv_plan_init_as(const hel_device *device, uint32_t steps, uint32_t taps, hel_fftconv_way way,
                                    hel_fftconv_plan *out);
void hel_fftconv_plan_finish(hel_fftconv_plan *plan); // accepts a zeroed plan

// What hel_convolution_call says; filters, which `transform` makes spectra of, are f32 [rows, filter_steps].
void hel_fftconv_run(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call);

// Where gradients go; those without a buffer are not made. All but the filters' are as u is.
typedef struct hel_fftconv_gradients {
    hel_binding u, gate_in, gate_out;
    hel_binding filters; // f32 [channels, filter_steps], summed over the batch; a filter's first is its bias's, too
} hel_fftconv_gradients;

// Gradients of a sum from those of y, `dy` [rows, steps]. `call` is the forward call (`reversed`, `accumulate`, `transform` and y
// are not heeded); rows are whole batches of channels.
void hel_fftconv_backward(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call, hel_binding dy,
                          const hel_fftconv_gradients *out);

#endif
