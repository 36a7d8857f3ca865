// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "ops/weight_internal.h"

// Rows of a factor, each value times its column's scale where there are scales.
static hel_status stream_factor(hel_archive *archive, const hel_tensor_info *tensor, const float *scales,
                                const hel_weight *factor) {
    uint64_t cols = factor->cols, row_bytes = cols * sizeof(float);
    uint32_t piece = (uint32_t)HEL_MIN(HEL_MAX(HEL_WEIGHT_PIECE_BYTES / row_bytes, 1), factor->rows);
    float *values = hel_alloc_array(piece, row_bytes);
    if (!values) return hel_fail_memory(piece * row_bytes);
    hel_status status = HEL_OK;
    for (uint32_t first = 0; status == HEL_OK && first < factor->rows; first += piece) {
        uint32_t count = HEL_MIN(piece, factor->rows - first);
        status = hel_archive_read_f32(archive, tensor, first * cols, count * cols, values);
        for (uint64_t i = 0; scales && status == HEL_OK && i < count * cols; i++) values[i] *= scales[i % cols];
        if (status == HEL_OK)
            status = hel_weight_write_rows(factor, first, count, (const uint32_t *)(const void *)values);
    }
    hel_free(values);
    return status;
}

static hel_status prepare_factor(const hel_device *device, hel_archive *archive, const hel_tensor_info *tensor,
                                 const float *scales, hel_weight **out) {
    hel_weight *factor = hel_alloc_zero(1, sizeof *factor);
    if (!factor) return hel_fail_memory(sizeof *factor);
    *out = factor;
    *factor = (hel_weight){.device = device, .rows = (uint32_t)tensor->shape[0], .cols = (uint32_t)tensor->shape[1],
                           .format = HEL_FORMAT_F32, .bits = 1, .d = 1, .row_words = (uint32_t)tensor->shape[1]};
    HEL_TRY(hel_weight_make_slices(factor));
    return stream_factor(archive, tensor, scales, factor);
}

static bool has_svd(const hel_weight_desc *desc) {
    return desc->svd_u && desc->svd_s && desc->svd_vt && desc->svd_s->elements;
}

hel_status hel_weight_check_svd(const hel_weight_desc *desc) {
    if (!has_svd(desc)) return HEL_OK;
    HEL_TRY(hel_weight_check_size(desc->svd_u->name, desc->svd_u->shape[0], desc->svd_u->shape[1]));
    return hel_weight_check_size(desc->svd_vt->name, desc->svd_vt->shape[0], desc->svd_vt->shape[1]);
}

hel_status hel_weight_prepare_svd(hel_archive *archive, const hel_weight_desc *desc, hel_weight *weight) {
    if (!has_svd(desc)) return HEL_OK;
    uint64_t rank = desc->svd_s->elements;
    float *scales = hel_alloc_array(rank, sizeof *scales);
    if (!scales) return hel_fail_memory(rank * sizeof *scales);
    hel_status status = hel_archive_read_f32(archive, desc->svd_s, 0, rank, scales);
    if (status == HEL_OK) status = prepare_factor(weight->device, archive, desc->svd_u, scales, &weight->svd_us);
    if (status == HEL_OK) status = prepare_factor(weight->device, archive, desc->svd_vt, NULL, &weight->svd_vt);
    hel_free(scales);
    return status;
}
