// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "ops/weight_internal.h"

hel_status hel_sidecar_fold_open(hel_sidecar_fold *fold, hel_archive *archive, const hel_weight_desc *desc,
                                 const hel_weight_parts *parts) {
    HEL_TRY(hel_weight_read_sidecar(archive, desc, &fold->outliers, &fold->count));
    if (!fold->count) return HEL_OK;
    fold->codebook = (const float *)(const void *)(parts->bytes + parts->weight->codebook.offset);
    fold->group_scales = (const float *)(const void *)(parts->bytes + parts->weight->group_scales.offset);
    fold->entries = hel_alloc_zero(fold->count, 2 * sizeof(uint32_t));
    return fold->entries ? HEL_OK : hel_fail_memory(fold->count * 8);
}

void hel_sidecar_fold_rows(hel_sidecar_fold *fold, const hel_weight *weight, uint32_t first, uint32_t count,
                           const uint16_t *indices) {
    uint32_t per_row = weight->cols / weight->d;
    for (; fold->next < fold->count; fold->next++) {
        const hel_outlier *outlier = &fold->outliers[fold->next];
        if (outlier->row >= first + count) return;
        uint32_t index = indices[(uint64_t)(outlier->row - first) * per_row + outlier->col / weight->d];
        double decoded = fold->codebook[index * weight->d + outlier->col % weight->d];
        if (weight->group)
            decoded *= fold->group_scales[outlier->row * hel_ceil_div(weight->cols, weight->group) + outlier->col / weight->group];
        float difference = (float)(outlier->value - decoded);
        fold->entries[2 * fold->next] = outlier->row % HEL_SIDECAR_ROWS << HEL_SIDECAR_COLUMN_BITS | outlier->col;
        memcpy(&fold->entries[2 * fold->next + 1], &difference, sizeof difference);
    }
}

hel_status hel_sidecar_fold_add(const hel_sidecar_fold *fold, hel_weight_parts *parts) {
    if (!fold->count) return HEL_OK;
    hel_weight *weight = parts->weight;
    size_t blocks = hel_ceil_div(weight->rows, HEL_SIDECAR_ROWS);
    uint32_t *starts = hel_alloc_zero(blocks + 1, sizeof *starts);
    if (!starts) return hel_fail_memory((blocks + 1) * sizeof *starts);
    for (size_t i = 0; i < fold->count; i++) starts[fold->outliers[i].row / HEL_SIDECAR_ROWS + 1]++;
    for (size_t b = 0; b < blocks; b++) {
        weight->block_outliers = HEL_MAX(weight->block_outliers, starts[b + 1]);
        starts[b + 1] += starts[b];
    }
    hel_status status = hel_weight_add_part(parts, &weight->sidecar_blocks, starts, (blocks + 1) * sizeof *starts);
    if (status == HEL_OK)
        status = hel_weight_add_part(parts, &weight->sidecar_entries, fold->entries, fold->count * 2 * sizeof(uint32_t));
    hel_free(starts);
    return status;
}

void hel_sidecar_fold_finish(hel_sidecar_fold *fold) {
    hel_free(fold->outliers);
    hel_free(fold->entries);
    *fold = (hel_sidecar_fold){0};
}
