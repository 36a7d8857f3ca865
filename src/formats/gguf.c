// SPDX-License-Identifier: Apache-2.0
// Tensors must lie one behind the other, each at the next multiple of the alignment, as ggml writes and demands them:
// then no two overlap and nothing hides between them.
#include "formats/gguf.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"
#include "formats/ggml_blocks.h"
#include "formats/gguf_header.h"

enum { SHOWN_ELEMENTS = 64 };

typedef struct gguf_state {
    hel_file file;
    hel_gguf_header header;
} gguf_state;

static void close_gguf(hel_archive *archive) {
    gguf_state *state = archive->state;
    hel_gguf_header_finish(&state->header);
    hel_file_close(&state->file);
}

// ---------------------------------------------------------------- reading tensors

static hel_status read_gguf(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const gguf_state *state = archive->state;
    const hel_ggml_type *type = hel_ggml_type_find(state->header.tensors[tensor - archive->tensors].type);
    return hel_ggml_read(&state->file, type, tensor, offset, bytes, size);
}

static const hel_archive_format version_2 = {"GGUF v2", close_gguf, read_gguf};
static const hel_archive_format version_3 = {"GGUF v3", close_gguf, read_gguf};

// ---------------------------------------------------------------- the tensor table

static hel_status describe_tensor(const gguf_state *state, const hel_gguf_tensor *from, uint64_t at, hel_tensor_info *to) {
    const char *path = state->file.path;
    const hel_ggml_type *type = hel_ggml_type_find(from->type);
    if (!type)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, path, from->declared_at, "tensor %s: ggml type %u is not read",
                             from->name, from->type);
    *to = (hel_tensor_info){.name = from->name, .rank = from->rank, .offset = at};
    for (uint32_t i = 0; i < from->rank; i++) to->shape[i] = from->shape[from->rank - 1 - i];
    return hel_ggml_describe(&state->file, from->declared_at, type, to);
}

// A file may end with the last tensor or with the padding behind it.
static hel_status check_end(const gguf_state *state, uint64_t end) {
    uint64_t padded;
    if (end == state->file.size ||
        (hel_size_align(end, state->header.alignment, &padded) && padded == state->file.size))
        return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, state->file.path, end, "the last tensor ends here, the file at byte %llu",
                         (unsigned long long)state->file.size);
}

static hel_status describe_tensors(hel_archive *archive) {
    gguf_state *state = archive->state;
    const hel_gguf_header *header = &state->header;
    uint64_t end = header->size, data = 0, at = 0;
    archive->tensors = hel_alloc_zero(header->n_tensors + 1, sizeof *archive->tensors);
    if (!archive->tensors) return hel_fail_memory(header->n_tensors * sizeof *archive->tensors);
    if (!hel_size_align(end, header->alignment, &data))
        return hel_fail_file(HEL_ERROR_FORMAT, archive->path, end, "header too long");
    for (size_t i = 0; i < header->n_tensors; i++) {
        const hel_gguf_tensor *from = &header->tensors[i];
        if (!hel_size_align(end, header->alignment, &at) || from->offset != at - data)
            return hel_fail_file(HEL_ERROR_FORMAT, archive->path, from->declared_at,
                                 "tensor %s: offset %llu leaves a hole or overlaps; %llu is next", from->name,
                                 (unsigned long long)from->offset, (unsigned long long)(at - data));
        HEL_TRY(describe_tensor(state, from, at, &archive->tensors[i]));
        archive->n_tensors = i + 1;
        end = at + archive->tensors[i].stored_bytes; // both inside the file
    }
    return check_end(state, end);
}

// ---------------------------------------------------------------- metadata as JSON

// NULL for what JSON cannot say: bytes that are not UTF-8, infinities.
static json_t *element_json(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index) {
    const char *bytes;
    uint64_t size;
    double real = 0;
    if (value->type == HEL_GGUF_STRING) {
        hel_gguf_value_string(header, value, index, &bytes, &size);
        return json_stringn(bytes, (size_t)size);
    }
    if (value->type == HEL_GGUF_BOOL && hel_gguf_value_u64(header, value, index, &size)) return json_boolean(size);
    hel_gguf_value_f64(header, value, index, &real);
    bool whole = value->type != HEL_GGUF_F32 && value->type != HEL_GGUF_F64 && fabs(real) < 0x1p53;
    return whole ? json_integer((json_int_t)real) : json_real(real);
}

static json_t *value_json(const hel_gguf_header *header, const hel_gguf_value *value) {
    if (!value->array) return element_json(header, value, 0);
    json_t *array = json_array();
    for (uint64_t i = 0; i < value->count; i++) {
        if (json_array_append_new(array, element_json(header, value, i)) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

static void show_metadata(hel_archive *archive, const hel_gguf_header *header) {
    for (size_t i = 0; i < header->n_values; i++) {
        const hel_gguf_value *value = &header->values[i];
        json_t *shown = value->array && value->count > SHOWN_ELEMENTS ? NULL : value_json(header, value);
        if (shown) json_object_set_new(archive->metadata, value->key, shown);
    }
}

static hel_status fill(hel_archive *archive, const char *path) {
    gguf_state *state = archive->state;
    HEL_TRY(hel_file_open(path, &state->file));
    HEL_TRY(hel_gguf_header_read(&state->file, &state->header));
    if (state->header.version == 2) archive->format = &version_2;
    HEL_TRY(describe_tensors(archive));
    show_metadata(archive, &state->header);
    archive->file_bytes = state->file.size;
    return hel_archive_index(archive);
}

hel_status hel_gguf_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&version_3, path, sizeof(gguf_state), &archive));
    hel_status status = fill(archive, path);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}

// ---------------------------------------------------------------- typed metadata

static const hel_gguf_header *header_of(const hel_archive *archive) {
    while (archive->origin) archive = archive->origin;
    if (archive->format != &version_2 && archive->format != &version_3) return NULL;
    return &((const gguf_state *)archive->state)->header;
}

bool hel_archive_is_gguf(const hel_archive *archive) { return header_of(archive) != NULL; }

static hel_status find(const hel_archive *archive, const char *key, bool array, const hel_gguf_header **out_header,
                       const hel_gguf_value **out) {
    *out_header = header_of(archive);
    *out = *out_header ? hel_gguf_header_find(*out_header, key) : NULL;
    if (!*out) return hel_fail(HEL_ERROR_NOT_FOUND, "%s: no key %s", archive->path, key);
    if ((*out)->array != array)
        return hel_fail(HEL_ERROR_FORMAT, "%s: key %s %s an array", archive->path, key, array ? "is not" : "is");
    return HEL_OK;
}

static hel_status check_string(const hel_archive *archive, const char *key, const hel_gguf_value *value, bool string) {
    if ((value->type == HEL_GGUF_STRING) == string) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s: key %s %s strings", archive->path, key, string ? "does not hold" : "holds");
}

static hel_status check_index(const hel_archive *archive, const char *key, const hel_gguf_value *value, uint64_t index) {
    if (index < value->count) return HEL_OK;
    return hel_fail(HEL_ERROR_NOT_FOUND, "%s: key %s has %llu elements, not %llu", archive->path, key,
                    (unsigned long long)value->count, (unsigned long long)index + 1);
}

hel_status hel_gguf_get_u64(const hel_archive *archive, const char *key, uint64_t *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find(archive, key, false, &header, &value));
    HEL_TRY(check_string(archive, key, value, false));
    if (hel_gguf_value_u64(header, value, 0, out)) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s: key %s is not a non-negative integer", archive->path, key);
}

hel_status hel_gguf_get_f64(const hel_archive *archive, const char *key, double *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find(archive, key, false, &header, &value));
    HEL_TRY(check_string(archive, key, value, false));
    hel_gguf_value_f64(header, value, 0, out);
    return HEL_OK;
}

hel_status hel_gguf_get_string(const hel_archive *archive, const char *key, hel_gguf_string *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find(archive, key, false, &header, &value));
    HEL_TRY(check_string(archive, key, value, true));
    hel_gguf_value_string(header, value, 0, &out->bytes, &out->size);
    return HEL_OK;
}

hel_status hel_gguf_array_size(const hel_archive *archive, const char *key, uint64_t *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find(archive, key, true, &header, &value));
    *out = value->count;
    return HEL_OK;
}

static hel_status find_element(const hel_archive *archive, const char *key, bool string, uint64_t index,
                               const hel_gguf_header **out_header, const hel_gguf_value **out) {
    HEL_TRY(find(archive, key, true, out_header, out));
    HEL_TRY(check_string(archive, key, *out, string));
    return check_index(archive, key, *out, index);
}

hel_status hel_gguf_array_string(const hel_archive *archive, const char *key, uint64_t index, hel_gguf_string *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find_element(archive, key, true, index, &header, &value));
    hel_gguf_value_string(header, value, index, &out->bytes, &out->size);
    return HEL_OK;
}

hel_status hel_gguf_array_f64(const hel_archive *archive, const char *key, uint64_t index, double *out) {
    const hel_gguf_header *header;
    const hel_gguf_value *value;
    HEL_TRY(find_element(archive, key, false, index, &header, &value));
    hel_gguf_value_f64(header, value, index, out);
    return HEL_OK;
}
