// SPDX-License-Identifier: Apache-2.0
// Long convolutions whose input comes as it goes, for models that write one token after the other: exact, at O(log^2 steps)
// operations a step. What the input at s adds to the output at r > s is added when the steps before t have gone by, t the
// number in s + 1 .. r that most powers of two divide: then the last U inputs, U = 2^q the largest power that divides t, are
// convolved with the first 2 U taps, and the second half of that goes to the next U outputs. Each pair (s, r) is met once.
// (Relaxed multiplication: van der Hoeven 2002; Flash Inference: Oncescu et al. 2024.) Pairs within a block of
// HEL_FFTCONV_BLOCK steps are summed as they come.
//
// A sequence's state is one float a row and step: [capacity][rows], inputs before its position, sums of what they add from
// there on. So decoding may follow a prefill of any length, and be followed by another.
#ifndef HEL_OPS_FFTCONV_DECODE_H
#define HEL_OPS_FFTCONV_DECODE_H

#include "ops/fftconv.h"

enum { HEL_FFTCONV_BLOCK = 128, HEL_FFTCONV_MAX_LEVELS = 16 };

// What is made once for the filters; sequences share it. Its memory on the device: 16 bytes a filter and step, the capacity
// rounded up to a power of two; where there is a bias, each channel has a filter of its own here.
typedef struct hel_fftconv_decoder {
    const hel_device *device;
    uint32_t channels, filters, capacity;
    hel_buffer *taps; // [HEL_FFTCONV_BLOCK][channels], the bias added to the first
    uint32_t n_levels;
    struct hel_fftconv_level {
        hel_fftconv_plan plan; // of 2 block, 4 block, ... steps
        hel_buffer *spectra;   // of as many taps of each filter
    } levels[HEL_FFTCONV_MAX_LEVELS];
} hel_fftconv_decoder;

typedef struct hel_fftconv_filters {
    uint32_t channels, filters; // filters: as many as channels, or 1
    uint32_t taps;
    const float *h;    // [filters, taps]
    const float *bias; // [channels], or NULL
} hel_fftconv_filters;

// For sequences of up to `capacity` steps, at most HEL_CONVOLUTION_MAX_STEPS; taps from there on are not heeded. The filters are
// not kept. Freed with hel_fftconv_decoder_finish before the device. Statuses: ARGUMENT, UNSUPPORTED, MEMORY, DEVICE_MEMORY,
// DEVICE.
hel_status hel_fftconv_decoder_init(const hel_device *device, const hel_fftconv_filters *filters, uint32_t capacity,
                                    hel_fftconv_decoder *out);
void hel_fftconv_decoder_finish(hel_fftconv_decoder *decoder); // accepts a zeroed decoder
uint64_t hel_fftconv_decoder_bytes(const hel_fftconv_decoder *decoder);

// Sequences that go together. The state is the caller's, zeros at position 0; of up to 2^31 floats, or exec->status becomes
// UNSUPPORTED, and of what a binding holds, or it becomes DEVICE_MEMORY. Steps beyond the capacity make it ARGUMENT.
typedef struct hel_fftconv_sequence {
    hel_binding state;        // f32 [capacity, rows]
    uint32_t rows;            // batch times channels
    uint32_t position;        // steps that have gone by
    uint64_t multiplications; // that each row has cost so far
} hel_fftconv_sequence;

// Of one or several steps: f32 [steps, rows]. y is gate_out (h * v + bias v), v = gate_in u; gates are left out where their
// buffer is NULL.
typedef struct hel_fftconv_tokens {
    hel_binding u, gate_in, gate_out, y;
} hel_fftconv_tokens;

// One step, in one dispatch that may be recorded: `step` is a u32 with the sequence's position. hel_fftconv_decode_advance must
// follow, outside of a recording.
void hel_fftconv_decode_step(hel_exec *exec, const hel_fftconv_decoder *decoder, const hel_fftconv_sequence *sequence,
                             hel_binding step, const hel_fftconv_tokens *tokens);
void hel_fftconv_decode_advance(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence);

// `count` steps at once, by transforms; O(log^2 count) operations each, whatever the position.
void hel_fftconv_decode_prefill(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence,
                                uint32_t count, const hel_fftconv_tokens *tokens);

// Back to an earlier position, or to the same one after a call that stopped half way; what went before it stays. It takes as
// much as going on to the next tile of each size.
void hel_fftconv_decode_rewind(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence,
                               uint32_t position);

// Floats of scratch that these take at most, with so many tokens at once.
uint64_t hel_fftconv_decode_scratch(uint32_t channels, uint32_t capacity, uint32_t tokens);

#endif
