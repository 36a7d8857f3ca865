// SPDX-License-Identifier: Apache-2.0
// What the parts of preparing a weight share.
#ifndef HEL_OPS_WEIGHT_INTERNAL_H
#define HEL_OPS_WEIGHT_INTERNAL_H

#include "ops/weight.h"

enum { HEL_WEIGHT_PIECE_BYTES = 8 << 20 }; // read at a time
// The kernels count the bits of a row in 32 bits, up to a word beyond its end; rows leave room for the blocks that kernels
// and readers go by.
enum { HEL_WEIGHT_MAX_ROWS = 1 << 30, HEL_WEIGHT_MAX_COLUMNS = 1 << 26 };

// --- weight.c ---
hel_status hel_weight_check_size(const char *name, uint64_t rows, uint64_t cols);
// Buffers for `rows` rows of `row_words`, in slices below the device's binding limit.
hel_status hel_weight_make_slices(hel_weight *weight);
hel_status hel_weight_write_rows(const hel_weight *weight, uint32_t first, uint32_t count, const uint32_t *words);

// The small parts, which end in one buffer.
typedef struct hel_weight_parts {
    hel_weight *weight;
    unsigned char *bytes;
    uint64_t size;
} hel_weight_parts;

// Appends `size` bytes at the device's alignment and points `binding` at them; the buffer comes when all are there.
hel_status hel_weight_add_part(hel_weight_parts *parts, hel_binding *binding, const void *bytes, uint64_t size);

// --- weight_sidecar.c ---
// Outliers become differences to what the codebook gives, while the rows stream by.
typedef struct hel_sidecar_fold {
    hel_outlier *outliers; // by position
    size_t count, next;
    const float *codebook, *group_scales;
    uint32_t *entries; // pairs: row in its block and column, bits of the difference
} hel_sidecar_fold;

// `parts` hold codebook and group scales already, and move no more until the rows are folded.
hel_status hel_sidecar_fold_open(hel_sidecar_fold *fold, hel_archive *archive, const hel_weight_desc *desc,
                                 const hel_weight_parts *parts);
void hel_sidecar_fold_rows(hel_sidecar_fold *fold, const hel_weight *weight, uint32_t first, uint32_t count,
                           const uint16_t *indices);
hel_status hel_sidecar_fold_add(const hel_sidecar_fold *fold, hel_weight_parts *parts);
void hel_sidecar_fold_finish(hel_sidecar_fold *fold); // accepts a zeroed fold

// --- weight_factors.c ---
hel_status hel_weight_check_svd(const hel_weight_desc *desc);
// U * s and Vt as dense f32 weights of their own, where the description has them.
hel_status hel_weight_prepare_svd(hel_archive *archive, const hel_weight_desc *desc, hel_weight *weight);

#endif
