// SPDX-License-Identifier: Apache-2.0
// A weight as it lies on a device: the descriptor's data once, in the layout the kernels read.
#ifndef HEL_OPS_WEIGHT_H
#define HEL_OPS_WEIGHT_H

#include "formats/weight_desc.h"
#include "kernels.h"
#include "ops/exec.h"

// Rows first .. first + rows in a buffer of their own, none above the device's binding limit.
typedef struct hel_weight_slice {
    hel_buffer *words;
    uint32_t first, rows;
} hel_weight_slice;

typedef struct hel_weight {
    const hel_device *device;
    uint32_t rows, cols;
    uint32_t format;  // HEL_FORMAT_..., as shaders/weight.kh numbers them
    uint32_t bits, d; // of an index; entry width
    uint32_t group;   // columns per group scale, 0 without
    uint32_t row_words; // u32 words from one row to the next
    uint32_t block_outliers; // of the sidecar, in the block of rows that has most
    uint32_t n_slices;
    hel_weight_slice *slices;
    hel_buffer *extras;  // holds the parts below; size 0 where absent
    hel_binding codebook, sidecar_blocks, sidecar_entries, group_scales, bias, channel_scales;
    struct hel_weight *svd_us, *svd_vt; // dense [rows, rank] and [rank, cols], NULL without
} hel_weight;

// Of an element or an index.
static inline uint32_t hel_weight_field_bits(const hel_weight *weight) {
    return weight->format == HEL_FORMAT_CODEBOOK ? weight->bits : weight->format == HEL_FORMAT_F32 ? 32 : 16;
}

// What it has besides its rows, as the kernels' FLAGS.
static inline uint32_t hel_weight_flags(const hel_weight *weight) {
    return (weight->sidecar_blocks.size ? HEL_FLAG_SIDECAR : 0) | (weight->bias.size ? HEL_FLAG_BIAS : 0) |
           (weight->group_scales.size ? HEL_FLAG_GROUPS : 0);
}

// Reads the weight in pieces of at most 8 MiB straight into the device's layout. *out owns everything it holds.
hel_status hel_weight_prepare(const hel_device *device, hel_archive *archive, const hel_weight_desc *desc, hel_weight *out);
void hel_weight_finish(hel_weight *weight); // accepts a zeroed weight
uint64_t hel_weight_bytes(const hel_weight *weight);

// A vector of `count` floats (norm gains) from any float tensor.
hel_status hel_vector_prepare(const hel_device *device, hel_archive *archive, const char *name, uint32_t count, hel_buffer **out);
// The same of a tensor [rows, cols] whose values are turned into others, as many, on the way.
typedef void hel_vector_turn(const float *values, uint32_t rows, uint32_t cols, float *out);
hel_status hel_vector_prepare_turned(const hel_device *device, hel_archive *archive, const char *name, uint32_t rows, uint32_t cols,
                                     hel_vector_turn *turn, hel_buffer **out);

#endif
