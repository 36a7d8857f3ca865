// SPDX-License-Identifier: Apache-2.0
#include "ops/weight_internal.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

// ---------------------------------------------------------------- layout

static uint32_t dense_format(hel_dtype dtype) {
    return dtype == HEL_F16 ? HEL_FORMAT_F16 : dtype == HEL_BF16 ? HEL_FORMAT_BF16 : HEL_FORMAT_F32;
}

// The fewest bits the kernels know that hold an index below k.
static uint32_t index_bits(uint32_t k) {
    static const uint32_t widths[] = {4, 5, 6, 8, 12};
    for (size_t i = 0; i < HEL_COUNT(widths); i++)
        if (k <= 1u << widths[i]) return widths[i];
    return 16;
}

hel_status hel_weight_check_size(const char *name, uint64_t rows, uint64_t cols) {
    if (rows && cols && rows <= HEL_WEIGHT_MAX_ROWS && cols <= HEL_WEIGHT_MAX_COLUMNS) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: %llu x %llu, kernels take 1 x 1 to %u x %u", name, (unsigned long long)rows,
                    (unsigned long long)cols, HEL_WEIGHT_MAX_ROWS, HEL_WEIGHT_MAX_COLUMNS);
}

static hel_status set_layout(const hel_weight_desc *desc, hel_weight *weight) {
    HEL_TRY(hel_weight_check_size(desc->module, desc->rows, desc->cols));
    weight->rows = (uint32_t)desc->rows;
    weight->cols = (uint32_t)desc->cols;
    uint64_t bits_per_row;
    if (desc->store == HEL_INDEX_NONE) {
        weight->format = dense_format(desc->data->dtype);
        weight->bits = weight->d = 1;
        bits_per_row = desc->cols * (weight->format == HEL_FORMAT_F32 ? 32 : 16);
    } else {
        weight->format = HEL_FORMAT_CODEBOOK;
        weight->bits = index_bits(desc->k);
        weight->d = desc->d;
        bits_per_row = desc->cols / desc->d * weight->bits;
    }
    weight->group = desc->group;
    weight->row_words = (uint32_t)hel_ceil_div(bits_per_row, 32);
    return HEL_OK;
}

hel_status hel_weight_make_slices(hel_weight *weight) {
    const hel_device_limits *limits = &weight->device->limits;
    uint64_t row_bytes = (uint64_t)weight->row_words * 4;
    uint64_t most = HEL_MIN(limits->max_binding, limits->max_buffer) / row_bytes;
    if (!most) return hel_fail(HEL_ERROR_DEVICE_MEMORY, "one row of %llu bytes is over the device's binding limit",
                               (unsigned long long)row_bytes);
    uint64_t count = hel_ceil_div(weight->rows, most);
    weight->slices = hel_alloc_zero(count, sizeof *weight->slices);
    if (!weight->slices) return hel_fail_memory(count * sizeof *weight->slices);
    for (uint32_t first = 0; first < weight->rows;) {
        uint32_t rows = (uint32_t)HEL_MIN(most, weight->rows - first);
        hel_weight_slice slice = {.first = first, .rows = rows};
        HEL_TRY(hel_buffer_create(weight->device, rows * row_bytes, &slice.words));
        weight->slices[weight->n_slices++] = slice;
        first += rows;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- the small parts, in one buffer

hel_status hel_weight_add_part(hel_weight_parts *parts, hel_binding *binding, const void *bytes, uint64_t size) {
    const hel_device_limits *limits = &parts->weight->device->limits;
    if (size > limits->max_binding)
        return hel_fail(HEL_ERROR_DEVICE_MEMORY, "%llu bytes beside a weight's rows are over the device's binding limit",
                        (unsigned long long)size);
    uint64_t at = hel_round_up(parts->size, HEL_MAX(16, limits->offset_alignment));
    unsigned char *grown = hel_resize(parts->bytes, at + size);
    if (!grown) return hel_fail_memory(at + size);
    memset(grown + parts->size, 0, at - parts->size);
    if (size) memcpy(grown + at, bytes, size);
    parts->bytes = grown;
    parts->size = at + size;
    *binding = (hel_binding){.offset = at, .size = size};
    return HEL_OK;
}

static hel_status add_tensor(hel_weight_parts *parts, hel_archive *archive, const hel_tensor_info *tensor, hel_binding *binding) {
    if (!tensor || !tensor->elements) return HEL_OK;
    float *values = hel_alloc_array(tensor->elements, sizeof *values);
    if (!values) return hel_fail_memory(tensor->elements * sizeof *values);
    hel_status status = hel_archive_read_f32(archive, tensor, 0, tensor->elements, values);
    if (status == HEL_OK) status = hel_weight_add_part(parts, binding, values, tensor->elements * sizeof *values);
    hel_free(values);
    return status;
}

// Kernels may read every entry that an index of so many bits can name, so short codebooks are filled up with zeros.
static hel_status add_codebook(hel_weight_parts *parts, hel_archive *archive, const hel_tensor_info *codebook) {
    hel_weight *weight = parts->weight;
    HEL_TRY(add_tensor(parts, archive, codebook, &weight->codebook));
    if (!codebook || weight->bits > 8) return HEL_OK;
    uint64_t size = ((uint64_t)weight->d << weight->bits) * sizeof(float), more = size - weight->codebook.size;
    unsigned char *grown = hel_resize(parts->bytes, parts->size + more);
    if (!grown) return hel_fail_memory(parts->size + more);
    memset(grown + parts->size, 0, more);
    parts->bytes = grown;
    parts->size += more;
    weight->codebook.size = size;
    return HEL_OK;
}

static hel_status upload_parts(hel_weight_parts *parts) {
    hel_weight *weight = parts->weight;
    if (!parts->size) return HEL_OK;
    HEL_TRY(hel_buffer_create(weight->device, parts->size, &weight->extras));
    hel_binding *bindings[] = {&weight->codebook, &weight->sidecar_blocks, &weight->sidecar_entries,
                               &weight->group_scales, &weight->bias, &weight->channel_scales};
    for (size_t i = 0; i < HEL_COUNT(bindings); i++)
        if (bindings[i]->size) bindings[i]->buffer = weight->extras;
    return hel_buffer_write(weight->device, HEL_QUEUE_COMPUTE, weight->extras, 0, parts->bytes, parts->size);
}

// ---------------------------------------------------------------- dense rows

hel_status hel_weight_write_rows(const hel_weight *weight, uint32_t first, uint32_t count, const uint32_t *words) {
    uint64_t row_bytes = (uint64_t)weight->row_words * 4;
    for (uint32_t i = 0; i < weight->n_slices; i++) {
        const hel_weight_slice *slice = &weight->slices[i];
        uint32_t begin = HEL_MAX(first, slice->first), end = HEL_MIN(first + count, slice->first + slice->rows);
        if (begin >= end) continue;
        HEL_TRY(hel_buffer_write(weight->device, HEL_QUEUE_COMPUTE, slice->words, (begin - slice->first) * row_bytes,
                                 words + (uint64_t)(begin - first) * weight->row_words, (end - begin) * row_bytes));
    }
    return HEL_OK;
}

// Rows first .. first + count as words; rows of an odd number of halves are padded to a word.
static hel_status read_dense(hel_archive *archive, const hel_tensor_info *data, const hel_weight *weight, uint32_t first,
                             uint32_t count, uint32_t *words) {
    uint64_t cols = weight->cols, row_bytes = (uint64_t)weight->row_words * 4;
    if (data->dtype != HEL_F16 && data->dtype != HEL_BF16)
        return hel_archive_read_f32(archive, data, first * cols, count * cols, (float *)words);
    if (cols % 2 == 0) return hel_archive_read(archive, data, first * row_bytes, words, count * row_bytes);
    memset(words, 0, count * row_bytes);
    for (uint32_t r = 0; r < count; r++)
        HEL_TRY(hel_archive_read(archive, data, (first + r) * cols * 2, words + (uint64_t)r * weight->row_words, cols * 2));
    return HEL_OK;
}

// ---------------------------------------------------------------- indices

static void pack_row(const uint16_t *indices, uint64_t count, uint32_t bits, uint32_t *words) {
    uint64_t pending = 0;
    uint32_t filled = 0;
    for (uint64_t i = 0; i < count; i++) {
        pending |= (uint64_t)indices[i] << filled;
        filled += bits;
        if (filled < 32) continue;
        *words++ = (uint32_t)pending;
        pending >>= 32;
        filled -= 32;
    }
    if (filled) *words = (uint32_t)pending;
}

// ---------------------------------------------------------------- streaming

typedef struct row_stream {
    hel_archive *archive;
    const hel_weight_desc *desc;
    hel_weight *weight;
    hel_sidecar_fold sidecar;
    uint32_t piece_rows;
    uint32_t *words;
    uint16_t *indices; // NULL for dense weights
} row_stream;

static hel_status stream_rows(row_stream *stream, uint32_t first, uint32_t count) {
    hel_weight *weight = stream->weight;
    if (!stream->indices) {
        HEL_TRY(read_dense(stream->archive, stream->desc->data, weight, first, count, stream->words));
        return hel_weight_write_rows(weight, first, count, stream->words);
    }
    uint64_t per_row = weight->cols / weight->d;
    HEL_TRY(hel_weight_read_indices(stream->archive, stream->desc, first, count, stream->indices));
    for (uint32_t r = 0; r < count; r++)
        pack_row(stream->indices + r * per_row, per_row, weight->bits, stream->words + (uint64_t)r * weight->row_words);
    hel_sidecar_fold_rows(&stream->sidecar, weight, first, count, stream->indices);
    return hel_weight_write_rows(weight, first, count, stream->words);
}

static hel_status open_stream(row_stream *stream) {
    hel_weight *weight = stream->weight;
    uint64_t row_bytes = (uint64_t)weight->row_words * 4, index_bytes = 0;
    if (weight->format == HEL_FORMAT_CODEBOOK) index_bytes = weight->cols / weight->d * sizeof(uint16_t);
    stream->piece_rows = (uint32_t)HEL_MIN(HEL_MAX(HEL_WEIGHT_PIECE_BYTES / (row_bytes + index_bytes), 1), weight->rows);
    stream->words = hel_alloc_array(stream->piece_rows, row_bytes);
    if (!stream->words) return hel_fail_memory(stream->piece_rows * row_bytes);
    if (!index_bytes) return HEL_OK;
    stream->indices = hel_alloc_array(stream->piece_rows, index_bytes);
    return stream->indices ? HEL_OK : hel_fail_memory(stream->piece_rows * index_bytes);
}

static hel_status prepare_matrix(hel_archive *archive, const hel_weight_desc *desc, hel_weight *weight) {
    hel_weight_parts parts = {.weight = weight};
    row_stream stream = {.archive = archive, .desc = desc, .weight = weight};
    hel_status status;
    HEL_TRY_DONE(hel_weight_make_slices(weight));
    HEL_TRY_DONE(add_tensor(&parts, archive, desc->bias, &weight->bias));
    HEL_TRY_DONE(add_tensor(&parts, archive, desc->channel_scales, &weight->channel_scales));
    HEL_TRY_DONE(add_tensor(&parts, archive, desc->group_scales, &weight->group_scales));
    HEL_TRY_DONE(add_codebook(&parts, archive, desc->codebook));
    if (desc->sidecar_positions) HEL_TRY_DONE(hel_sidecar_fold_open(&stream.sidecar, archive, desc, &parts));
    HEL_TRY_DONE(open_stream(&stream));
    for (uint32_t first = 0; first < weight->rows; first += stream.piece_rows)
        HEL_TRY_DONE(stream_rows(&stream, first, HEL_MIN(stream.piece_rows, weight->rows - first)));
    HEL_TRY_DONE(hel_sidecar_fold_add(&stream.sidecar, &parts));
    status = upload_parts(&parts);
done:
    hel_free(parts.bytes);
    hel_sidecar_fold_finish(&stream.sidecar);
    hel_free(stream.words);
    hel_free(stream.indices);
    return status;
}

// ---------------------------------------------------------------- interface

hel_status hel_weight_prepare(const hel_device *device, hel_archive *archive, const hel_weight_desc *desc, hel_weight *out) {
    hel_weight weight = {.device = device};
    hel_status status = set_layout(desc, &weight);
    if (status == HEL_OK) status = hel_weight_check_svd(desc);
    if (status == HEL_OK) status = prepare_matrix(archive, desc, &weight);
    if (status == HEL_OK) status = hel_weight_prepare_svd(archive, desc, &weight);
    if (status == HEL_OK) *out = weight;
    else hel_weight_finish(&weight);
    return status;
}

static void destroy_factor(hel_weight **factor) {
    if (!*factor) return;
    hel_weight_finish(*factor);
    hel_free(*factor);
    *factor = NULL;
}

void hel_weight_finish(hel_weight *weight) {
    for (uint32_t i = 0; i < weight->n_slices; i++) hel_buffer_destroy(weight->device, &weight->slices[i].words);
    hel_free(weight->slices);
    hel_buffer_destroy(weight->device, &weight->extras);
    destroy_factor(&weight->svd_us);
    destroy_factor(&weight->svd_vt);
    *weight = (hel_weight){0};
}

uint64_t hel_weight_bytes(const hel_weight *weight) {
    uint64_t bytes = weight->extras ? hel_buffer_size(weight->extras) : 0;
    for (uint32_t i = 0; i < weight->n_slices; i++) bytes += hel_buffer_size(weight->slices[i].words);
    if (weight->svd_us) bytes += hel_weight_bytes(weight->svd_us) + hel_weight_bytes(weight->svd_vt);
    return bytes;
}

hel_status hel_vector_prepare_turned(const hel_device *device, hel_archive *archive, const char *name, uint32_t rows, uint32_t cols,
                                     hel_vector_turn *turn, hel_buffer **out) {
    const hel_tensor_info *tensor = hel_archive_find(archive, name);
    uint64_t count = (uint64_t)rows * cols;
    if (!tensor) return hel_fail(HEL_ERROR_NOT_FOUND, "%s: no tensor \"%s\"", archive->path, name);
    if (tensor->elements != count)
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\" has %llu elements, %llu expected",
                             name, (unsigned long long)tensor->elements, (unsigned long long)count);
    float *values = hel_alloc_array((turn ? 2 : 1) * (size_t)count, sizeof *values), *kept = turn ? values + count : values;
    if (!values) return hel_fail_memory(count * sizeof *values);
    hel_status status = hel_archive_read_f32(archive, tensor, 0, count, values);
    if (status == HEL_OK && turn) turn(values, rows, cols, kept);
    if (status == HEL_OK) status = hel_buffer_create_from(device, kept, count * sizeof *values, out);
    hel_free(values);
    return status;
}

hel_status hel_vector_prepare(const hel_device *device, hel_archive *archive, const char *name, uint32_t count, hel_buffer **out) {
    return hel_vector_prepare_turned(device, archive, name, count, 1, NULL, out);
}
