// SPDX-License-Identifier: Apache-2.0
// The pieces of a weight as numbers: indices, sidecar, decoded rows.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/weight_desc.h"

// ---------------------------------------------------------------- indices

// Fields of `bits` from bit `start` of a little-endian stream.
static void unpack(const unsigned char *bytes, uint64_t start, uint64_t count, uint32_t bits, uint16_t *out) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bit = start + i * bits, byte = bit / 8;
        uint32_t value = bytes[byte], have = 8 - (uint32_t)(bit % 8);
        value >>= bit % 8;
        for (; have < bits; have += 8) value |= (uint32_t)bytes[++byte] << have;
        out[i] = (uint16_t)(value & ((1u << bits) - 1));
    }
}

static hel_status check_range(const hel_weight_desc *desc, uint64_t first, uint64_t per_row, uint64_t count,
                              const uint16_t *indices) {
    for (uint64_t i = 0; i < count; i++)
        if (indices[i] >= desc->k)
            return hel_fail_file(HEL_ERROR_FORMAT, desc->data->file, desc->data->offset,
                                 "tensor \"%.200s\": index %u of row %llu is not below the %u codebook entries", desc->data->name,
                                 indices[i], (unsigned long long)(first + i / per_row), desc->k);
    return HEL_OK;
}

hel_status hel_weight_read_indices(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count,
                                   uint16_t *out) {
    uint64_t per_row = desc->cols / desc->d, bits = hel_index_store_bits(desc->store);
    if (desc->store == HEL_INDEX_NONE || first > desc->rows || count > desc->rows - first)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: rows %llu + %llu are not inside it", desc->module,
                        (unsigned long long)first, (unsigned long long)count);
    // 12-bit indices are one stream over the whole matrix; all others begin each row at a byte.
    bool one_stream = desc->store == HEL_INDEX_PACK12;
    uint64_t row_bits = one_stream ? per_row * bits : hel_ceil_div(per_row * bits, 8) * 8;
    uint64_t begin = first * row_bits / 8, end = hel_ceil_div((first + count) * row_bits, 8);
    unsigned char *bytes = hel_alloc(end - begin);
    if (!bytes) return hel_fail_memory(end - begin);
    hel_status status = hel_archive_read(archive, desc->data, begin, bytes, end - begin);
    if (status == HEL_OK) {
        for (uint64_t r = 0; r < count; r++)
            unpack(bytes, (first + r) * row_bits - begin * 8, per_row, (uint32_t)bits, out + r * per_row);
        status = check_range(desc, first, per_row, count * per_row, out);
    }
    hel_free(bytes);
    return status;
}

// ---------------------------------------------------------------- sidecar

typedef struct placed {
    uint64_t position;
    uint64_t order; // in the file
    float value;
} placed;

static int by_position(const void *left, const void *right) {
    const placed *a = left, *b = right;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static hel_status read_placed(hel_archive *archive, const hel_weight_desc *desc, placed *out, uint64_t count) {
    int64_t *positions = NULL;
    float *values = hel_alloc_array(count, sizeof *values);
    hel_status status = values ? HEL_OK : hel_fail_memory(count * sizeof *values);
    if (status == HEL_OK) status = hel_archive_read_all(archive, desc->sidecar_positions, UINT64_MAX, (void **)&positions);
    if (status == HEL_OK) status = hel_archive_read_f32(archive, desc->sidecar_values, 0, count, values);
    for (uint64_t i = 0; status == HEL_OK && i < count; i++) {
        if (positions[i] < 0 || (uint64_t)positions[i] >= desc->rows * desc->cols)
            status =
                hel_fail_file(HEL_ERROR_FORMAT, desc->sidecar_positions->file, desc->sidecar_positions->offset + 8 * i,
                              "tensor \"%.200s\": position %lld is not inside the matrix",
                              desc->sidecar_positions->name, (long long)positions[i]);
        else out[i] = (placed){(uint64_t)positions[i], i, values[i]};
    }
    hel_free(positions);
    hel_free(values);
    return status;
}

hel_status hel_weight_read_sidecar(hel_archive *archive, const hel_weight_desc *desc, hel_outlier **out, size_t *out_count) {
    *out = NULL;
    *out_count = 0;
    uint64_t count = desc->sidecar_positions ? desc->sidecar_positions->elements : 0, kept = 0;
    if (!count) return HEL_OK;
    placed *all = hel_alloc_array(count, sizeof *all);
    hel_outlier *outliers = hel_alloc_array(count, sizeof *outliers);
    hel_status status = all && outliers ? read_placed(archive, desc, all, count) : hel_fail_memory(count * sizeof *all);
    if (status == HEL_OK) {
        qsort(all, count, sizeof *all, by_position);
        for (uint64_t i = 0; i < count; i++) {
            if (i + 1 < count && all[i + 1].position == all[i].position) continue; // the last one wins
            outliers[kept++] = (hel_outlier){(uint32_t)(all[i].position / desc->cols),
                                             (uint32_t)(all[i].position % desc->cols), all[i].value};
        }
        *out = outliers;
        *out_count = kept;
        outliers = NULL;
    }
    hel_free(all);
    hel_free(outliers);
    return status;
}

// ---------------------------------------------------------------- whole rows

static hel_status read_vector(hel_archive *archive, const hel_tensor_info *tensor, float **out) {
    *out = hel_alloc_array(tensor->elements, sizeof **out);
    if (!*out) return hel_fail_memory(tensor->elements * sizeof **out);
    return hel_archive_read_f32(archive, tensor, 0, tensor->elements, *out);
}

static hel_status decode_codebook(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count, float *out) {
    uint64_t per_row = desc->cols / desc->d;
    float *codebook = NULL;
    uint16_t *indices = hel_alloc_array(count * per_row, sizeof *indices);
    hel_status status = indices ? HEL_OK : hel_fail_memory(count * per_row * sizeof *indices);
    if (status == HEL_OK) status = read_vector(archive, desc->codebook, &codebook);
    if (status == HEL_OK) status = hel_weight_read_indices(archive, desc, first, count, indices);
    for (uint64_t i = 0; status == HEL_OK && i < count * per_row; i++)
        memcpy(out + i * desc->d, codebook + (size_t)indices[i] * desc->d, desc->d * sizeof *out);
    hel_free(indices);
    hel_free(codebook);
    return status;
}

static hel_status apply_group_scales(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count,
                                     float *out) {
    if (!desc->group_scales) return HEL_OK;
    uint64_t groups = desc->cols / desc->group;
    float *scales = hel_alloc_array(count * groups, sizeof *scales);
    if (!scales) return hel_fail_memory(count * groups * sizeof *scales);
    hel_status status = hel_archive_read_f32(archive, desc->group_scales, first * groups, count * groups, scales);
    for (uint64_t i = 0; status == HEL_OK && i < count * desc->cols; i++)
        out[i] *= scales[i / desc->cols * groups + i % desc->cols / desc->group];
    hel_free(scales);
    return status;
}

static hel_status apply_sidecar(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count, float *out) {
    hel_outlier *outliers;
    size_t n;
    HEL_TRY(hel_weight_read_sidecar(archive, desc, &outliers, &n));
    for (size_t i = 0; i < n; i++)
        if (outliers[i].row >= first && outliers[i].row < first + count)
            out[(outliers[i].row - first) * desc->cols + outliers[i].col] = outliers[i].value;
    hel_free(outliers);
    return HEL_OK;
}

static hel_status apply_svd(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count, float *out) {
    if (!desc->svd_u) return HEL_OK;
    uint64_t rank = desc->svd_s->elements, cols = desc->cols;
    float *u = NULL, *s = NULL, *vt = NULL;
    hel_status status;
    HEL_TRY_DONE(read_vector(archive, desc->svd_u, &u));
    HEL_TRY_DONE(read_vector(archive, desc->svd_s, &s));
    HEL_TRY_DONE(read_vector(archive, desc->svd_vt, &vt));
    for (uint64_t r = 0; r < count; r++)
        for (uint64_t j = 0; j < rank; j++) {
            float factor = u[(first + r) * rank + j] * s[j];
            for (uint64_t c = 0; c < cols; c++) out[r * cols + c] += factor * vt[j * cols + c];
        }
done:
    hel_free(u);
    hel_free(s);
    hel_free(vt);
    return status;
}

static hel_status apply_channel_scales(hel_archive *archive, const hel_weight_desc *desc, uint64_t count, float *out) {
    if (!desc->channel_scales) return HEL_OK;
    float *scales;
    hel_status status = read_vector(archive, desc->channel_scales, &scales);
    for (uint64_t i = 0; status == HEL_OK && i < count * desc->cols; i++) out[i] /= scales[i % desc->cols];
    hel_free(scales);
    return status;
}

hel_status hel_weight_decode_rows(hel_archive *archive, const hel_weight_desc *desc, uint64_t first, uint64_t count, float *out) {
    if (first > desc->rows || count > desc->rows - first)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: rows %llu + %llu are not inside it", desc->module,
                        (unsigned long long)first, (unsigned long long)count);
    if (desc->store == HEL_INDEX_NONE)
        return hel_archive_read_f32(archive, desc->data, first * desc->cols, count * desc->cols, out);
    HEL_TRY(decode_codebook(archive, desc, first, count, out));
    HEL_TRY(apply_group_scales(archive, desc, first, count, out));
    HEL_TRY(apply_sidecar(archive, desc, first, count, out));
    HEL_TRY(apply_svd(archive, desc, first, count, out));
    return apply_channel_scales(archive, desc, count, out);
}
