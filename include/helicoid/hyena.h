// SPDX-License-Identifier: Apache-2.0
// The Hyena operator (Poli et al. 2023, "Hyena Hierarchy") by itself, over sequences of any length up to that of its filters: of
// order N, with projections x_0 .. x_(N-1), v of the input, each convolved with a filter of three taps,
//   v[t] <- sum over s <= t of h_o[s] w[t - s] + bias_o w[t],   w = x_i v,   for i = N - 1 .. 1, o = N - 1 - i
//   y = W_out (x_0 v) + b_out
// Filters h_o are made by a network of sines from positions, and damped (docs/hyena.md). For whole models of such operators see
// <helicoid/model.h>.
#ifndef HELICOID_HYENA_H
#define HELICOID_HYENA_H

#include <helicoid/common.h>
#include <helicoid/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hel_hyena hel_hyena;

// Numbers that are 0 are taken from the checkpoint's config (max_seq_len, activation_freq, fast_decay_pct, slow_decay_pct,
// target, shift) or, where it has none, are those in brackets.
typedef struct hel_hyena_params {
    size_t struct_size;
    const char *prefix;  // of the tensors; NULL: the first layer's, "[hyena.]backbone.layers.0.mixer."
    uint32_t max_length; // of a sequence, which positions are relative to [as filter_fn.pos_emb.z has, else 1024]
    // Not heeded where the checkpoint has implicit_filter.1.freq, or modulation.deltas.
    double sine_frequency;                       // [1]
    double fast_decay, slow_decay, decay_target; // [0.3, 1.5, 0.01]
    double shift;                                // of the window, negative for none [0.05]
    hel_progress_callback progress;              // of hel_hyena_forward, on the calling thread; may be NULL
    void *user;
} hel_hyena_params;

// The defaults above.
HEL_API void hel_hyena_params_init(hel_hyena_params *params, size_t struct_size);
HEL_DEFAULT(hel_hyena_params)

// Reads the operator's tensors, named as HyenaDNA's (docs/formats.md), from any checkpoint that hel_model_load reads, matrices
// dense or compressed. The device must outlive it; the caller's, freed with hel_hyena_destroy. Blocking. Statuses: ARGUMENT, IO,
// FORMAT, UNSUPPORTED, NOT_FOUND, MEMORY, DEVICE_MEMORY, DEVICE. Thread-safety: safe.
HEL_API hel_status hel_hyena_create(const hel_device *device, const char *path, const hel_hyena_params *params, hel_hyena **out);
HEL_API void hel_hyena_destroy(hel_hyena **hyena); // accepts NULL and a pointer to NULL

typedef struct hel_hyena_info {
    uint32_t width, order, max_length;
} hel_hyena_info;
// Of one that hel_hyena_create made. Thread-safety: safe.
HEL_API void hel_hyena_describe(const hel_hyena *hyena, hel_hyena_info *out);

// y of x, both [batch, length, width] in host memory, which may not overlap; nothing is kept. Some channels, and some steps, at a
// time: besides x and y it takes N - 1 times as much memory as x, filters of length * width floats and about 300 MB. Blocking.
// Statuses: ARGUMENT, UNSUPPORTED (longer than max_length), MEMORY, DEVICE_MEMORY, DEVICE, DEVICE_LOST, CANCELLED. The same bits
// in every run on a device, whatever the number of threads: filters are made by as many as the device was opened with.
// Thread-safety: safe, calls on one operator included.
HEL_API hel_status hel_hyena_forward(const hel_hyena *hyena, uint32_t batch, uint32_t length, const float *x, float *y);

// The same from an NPY file of floats [length, width] or [batch, length, width] to another, f32 in that shape, read and written as
// it goes; it takes N times as much memory as x, filters and about 300 MB. y appears when it is complete; `overwrite` replaces a
// file that is there. Statuses: also IO, FORMAT, EXISTS.
HEL_API hel_status hel_hyena_forward_file(const hel_hyena *hyena, const char *x, const char *y, bool overwrite);

#ifdef __cplusplus
}
#endif

#endif
