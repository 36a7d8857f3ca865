// SPDX-License-Identifier: Apache-2.0
#include "models/rwkv_gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "formats/archive_build.h"

enum { NAME_SIZE = 96, MOST_ROWS = 6 };

// Where a tensor of the view is.
typedef struct piece {
    size_t from;        // tensor of the origin
    uint64_t offset;    // bytes of it
    uint32_t halvings;  // that are undone
    char name[NAME_SIZE]; // of a row
} piece;

typedef struct view_state {
    hel_archive_format format; // under the origin's name
    piece *pieces;
} view_state;

static void close_view(hel_archive *archive) { hel_free(((view_state *)archive->state)->pieces); }

// ---------------------------------------------------------------- reading

static void grow_f32(float *values, size_t count, int doublings) {
    for (size_t i = 0; i < count; i++) values[i] = ldexpf(values[i], doublings);
}

static void grow_halves(hel_dtype dtype, uint16_t *values, size_t count, int doublings) {
    bool f16 = dtype == HEL_F16;
    for (size_t i = 0; i < count; i++) {
        float value = ldexpf(f16 ? hel_f16_to_float(values[i]) : hel_bf16_to_float(values[i]), doublings);
        values[i] = f16 ? hel_float_to_f16(value) : hel_float_to_bf16(value);
    }
}

static hel_status read_view(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const piece *p = &((const view_state *)archive->state)->pieces[tensor - archive->tensors];
    HEL_TRY(hel_archive_read(archive->origin, &archive->origin->tensors[p->from], p->offset + offset, bytes, size));
    if (!p->halvings) return HEL_OK;
    if (tensor->dtype == HEL_F32) grow_f32(bytes, size / sizeof(float), (int)p->halvings);
    else grow_halves(tensor->dtype, bytes, size / sizeof(uint16_t), (int)p->halvings);
    return HEL_OK;
}

static const hel_archive_format view_format = {"view", close_view, read_view};

// ---------------------------------------------------------------- rows that stand in one tensor

static bool is_fused(const hel_tensor_info *tensor) { return hel_path_has_suffix(tensor->name, ".time_mix_lerp_fused.weight"); }

// What the rows are mixes for: version 6 has five, version 7 six. NULL where it is neither.
static const char *row_order(const hel_tensor_info *tensor) {
    bool plain = tensor->rank >= 2 && hel_dtype_is_float(tensor->dtype);
    return plain && tensor->shape[0] == 5 ? "wkvrg" : plain && tensor->shape[0] == MOST_ROWS ? "rwkvag" : NULL;
}

// Row `row` of tensor `from` of the origin becomes tensor `to`.
static void place_row(hel_archive *archive, size_t from, uint32_t row, char what, size_t to) {
    const hel_tensor_info *whole = &archive->origin->tensors[from];
    hel_tensor_info *tensor = &archive->tensors[to];
    piece *p = &((view_state *)archive->state)->pieces[to];
    uint64_t rows = whole->shape[0];
    *tensor = *whole;
    tensor->elements /= rows;
    tensor->bytes /= rows;
    tensor->stored_bytes /= rows;
    tensor->rank = 1;
    tensor->shape[0] = tensor->elements;
    *p = (piece){.from = from, .offset = row * tensor->bytes};
    snprintf(p->name, NAME_SIZE, "%.*s_%c.weight", (int)(strlen(whole->name) - strlen("_fused.weight")), whole->name, what);
    tensor->name = p->name;
}

// The first row takes the tensor's own place, the others stand behind all.
static hel_status unfuse(hel_archive *archive, size_t from) {
    const hel_tensor_info *whole = &archive->origin->tensors[from];
    const char *order = row_order(whole);
    if (!order || strlen(whole->name) >= NAME_SIZE)
        return hel_fail_file(HEL_ERROR_FORMAT, whole->file, whole->offset, "tensor \"%.200s\": neither five nor six rows",
                             whole->name);
    for (uint32_t row = 0; order[row]; row++) place_row(archive, from, row, order[row], row ? archive->n_tensors++ : from);
    return HEL_OK;
}

// ---------------------------------------------------------------- halvings

static hel_status set_halvings(const hel_archive *archive, size_t index, uint32_t rescale) {
    const hel_tensor_info *tensor = &archive->tensors[index];
    bool halved = hel_path_has_suffix(tensor->name, ".time_mix_output.weight") ||
                  hel_path_has_suffix(tensor->name, ".channel_mix_value.weight");
    if (!rescale || !halved || strncmp(tensor->name, "blk.", 4) != 0) return HEL_OK;
    unsigned long halvings = strtoul(tensor->name + 4, NULL, 10) / rescale;
    if (tensor->dtype != HEL_F32 && tensor->dtype != HEL_F16 && tensor->dtype != HEL_BF16)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, tensor->file, tensor->offset, "tensor \"%s\" of %s, halved", tensor->name,
                             hel_dtype_name(tensor->dtype));
    if (halvings > 64)
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\" was halved %lu times", tensor->name,
                             halvings);
    ((view_state *)archive->state)->pieces[index].halvings = (uint32_t)halvings;
    return HEL_OK;
}

// ---------------------------------------------------------------- making a view

static hel_status reserve(hel_archive *archive) {
    size_t room = archive->n_tensors + 1;
    for (size_t i = 0; i < archive->n_tensors; i++) room += is_fused(&archive->tensors[i]) ? MOST_ROWS - 1 : 0;
    view_state *view = archive->state;
    view->pieces = hel_alloc_zero(room, sizeof *view->pieces);
    hel_tensor_info *tensors = hel_resize(archive->tensors, room * sizeof *tensors);
    if (tensors) archive->tensors = tensors;
    return view->pieces && tensors ? HEL_OK : hel_fail_memory(room * sizeof *tensors);
}

static hel_status fill(hel_archive *archive, uint32_t rescale) {
    size_t count = archive->n_tensors;
    HEL_TRY(reserve(archive));
    for (size_t i = 0; i < count; i++) {
        ((view_state *)archive->state)->pieces[i].from = i;
        if (is_fused(&archive->tensors[i])) HEL_TRY(unfuse(archive, i));
        else HEL_TRY(set_halvings(archive, i, rescale));
    }
    return hel_archive_index(archive);
}

hel_status hel_rwkv_gguf_view(hel_archive *origin, uint32_t rescale, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create_view(&view_format, origin, sizeof(view_state), &archive));
    hel_status status = fill(archive, rescale);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}
