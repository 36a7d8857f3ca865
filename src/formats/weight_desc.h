// SPDX-License-Identifier: Apache-2.0
// The one weight descriptor: what a matrix is and in which tensors of an archive its parts lie. HXQ's keys
// ({module}.codebook, .indices, ...) and dense tensors both end here, and `linear` takes nothing else.
//
//   W[r, c] = codebook[index[r, c / d]][c mod d] * group_scale[r, c / group]   (or the dense element)
//   then sidecar values replace, then + (U * s) Vt;   y = W (x / channel_scales) + bias
#ifndef HEL_FORMATS_WEIGHT_DESC_H
#define HEL_FORMATS_WEIGHT_DESC_H

#include "formats/archive.h"

typedef enum hel_index_store {
    HEL_INDEX_NONE,   // dense
    HEL_INDEX_U8,
    HEL_INDEX_U16,    // also I16 in the file
    HEL_INDEX_PACK12, // pairs in three bytes: a[7:0], a[11:8] | b[3:0] << 4, b[11:4]
    HEL_INDEX_PACK6,  // our --packed files: little-endian bit stream, each row starts at a byte
    HEL_INDEX_PACK5,
    HEL_INDEX_PACK4,
} hel_index_store;

uint32_t hel_index_store_bits(hel_index_store store); // of one index, 0 for dense

typedef struct hel_weight_desc {
    char *module;                 // "model.layers.0.self_attn.q_proj"
    uint64_t rows, cols;          // out and in features
    hel_index_store store;        // NONE: `data` is the dense tensor
    uint32_t k, d;                // codebook entries and their width (1, 2, 4); 0 for dense
    uint32_t group;               // columns per group scale, 0 without
    const hel_tensor_info *data;  // indices, or the dense [rows, cols] tensor
    const hel_tensor_info *codebook;
    const hel_tensor_info *sidecar_positions, *sidecar_values; // NULL without
    const hel_tensor_info *svd_u, *svd_s, *svd_vt;             // NULL without
    const hel_tensor_info *channel_scales, *group_scales, *bias; // NULL without
} hel_weight_desc;

// Finds `module` by key presence, compressed before dense ("{module}.weight", or a tensor of that very name), and checks
// every shape and dtype against the others; unknown neighbours are ignored. NOT_FOUND where there is neither. `rows`/`cols`
// that are not 0 must agree with the file (needed for 12-bit indices, whose shape is flat; a caller that knows neither gets
// UNSUPPORTED for those without quantization_config). The desc borrows from the archive; finish frees `module` only.
hel_status hel_weight_desc_find(const hel_archive *archive, const char *module, uint64_t rows, uint64_t cols,
                                hel_weight_desc *out);
void hel_weight_desc_finish(hel_weight_desc *desc);
uint64_t hel_weight_desc_stored_bytes(const hel_weight_desc *desc);
// Whether a tensor is a part of the matrix; its bias is not, and stays a tensor of its own when the matrix is decoded.
bool hel_weight_desc_has(const hel_weight_desc *desc, const hel_tensor_info *tensor);

// --- pieces, for preparing and for decoding to check against ---

// Unpacked indices of rows first .. first + count, cols / d each. An index >= k is HEL_ERROR_FORMAT.
hel_status hel_weight_read_indices(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count,
                                   uint16_t *out);
// Sidecar sorted by position; of repeated positions the last in the file wins. Positions outside the matrix are
// HEL_ERROR_FORMAT. *out is freed with hel_free; *out_count may be 0.
typedef struct hel_outlier { uint32_t row, col; float value; } hel_outlier;
hel_status hel_weight_read_sidecar(hel_archive *archive, const hel_weight_desc *desc, hel_outlier **out, size_t *out_count);
// W itself for rows first .. first + count as float (sidecar and SVD applied, channel scales folded in as W / scale):
// for `export`, statistics and tests; running never calls it.
hel_status hel_weight_decode_rows(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count, float *out);

// Every compressed module of an archive, as "{module}.codebook" keys show, in file order: a NULL-terminated list,
// freed with hel_weight_modules_free.
hel_status hel_weight_modules(const hel_archive *archive, char ***out, size_t *out_count);
void hel_weight_modules_free(char **modules);
#endif
