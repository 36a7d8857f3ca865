// SPDX-License-Identifier: Apache-2.0
#include "formats/archive.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/npy.h"
#include "formats/rwkvcpp.h"
#include "formats/safetensors.h"

// ---------------------------------------------------------------- element types

static const struct dtype_row {
    const char *name;
    uint32_t size;
    bool floating;
} dtypes[] = {
    [HEL_F32] = {"F32", 4, true}, [HEL_F16] = {"F16", 2, true},  [HEL_BF16] = {"BF16", 2, true}, [HEL_F64] = {"F64", 8, true},
    [HEL_U8] = {"U8", 1, false},  [HEL_I8] = {"I8", 1, false},   [HEL_U16] = {"U16", 2, false},  [HEL_I16] = {"I16", 2, false},
    [HEL_U32] = {"U32", 4, false}, [HEL_I32] = {"I32", 4, false}, [HEL_U64] = {"U64", 8, false}, [HEL_I64] = {"I64", 8, false},
    [HEL_BOOL] = {"BOOL", 1, false},
};

uint32_t hel_dtype_size(hel_dtype dtype) { return dtypes[dtype].size; }
const char *hel_dtype_name(hel_dtype dtype) { return dtypes[dtype].name; }
bool hel_dtype_is_float(hel_dtype dtype) { return dtypes[dtype].floating; }

bool hel_dtype_from_name(const char *name, hel_dtype *out) {
    for (size_t i = 0; i < HEL_COUNT(dtypes); i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = (hel_dtype)i;
            return true;
        }
    return false;
}

bool hel_shape_bytes(hel_dtype dtype, uint32_t rank, const uint64_t *shape, uint64_t *out_elements, uint64_t *out_bytes) {
    uint64_t elements = 1, bytes;
    for (uint32_t i = 0; i < rank; i++)
        if (!hel_size_mul(elements, shape[i], &elements)) return false;
    if (!hel_size_mul(elements, hel_dtype_size(dtype), &bytes)) return false;
    *out_elements = elements;
    *out_bytes = bytes;
    return true;
}

// ---------------------------------------------------------------- names: open addressing over the tensor list

static uint64_t hash_of(const char *name) { // FNV-1a
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

hel_status hel_archive_index(hel_archive *archive) {
    size_t slots = 16;
    while (slots < 2 * archive->n_tensors) slots *= 2;
    uint32_t *index = hel_alloc_zero(slots, sizeof *index);
    if (!index) return hel_fail_memory(slots * sizeof *index);
    hel_free(archive->index);
    archive->index = index;
    archive->index_mask = slots - 1;
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &archive->tensors[i];
        size_t slot = hash_of(tensor->name) & archive->index_mask;
        for (; index[slot]; slot = (slot + 1) & archive->index_mask)
            if (strcmp(archive->tensors[index[slot] - 1].name, tensor->name) == 0)
                return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%.200s\" is there twice",
                                     tensor->name);
        index[slot] = (uint32_t)i + 1;
    }
    return HEL_OK;
}

const hel_tensor_info *hel_archive_find(const hel_archive *archive, const char *name) {
    for (size_t slot = hash_of(name) & archive->index_mask; archive->index[slot]; slot = (slot + 1) & archive->index_mask) {
        const hel_tensor_info *tensor = &archive->tensors[archive->index[slot] - 1];
        if (strcmp(tensor->name, name) == 0) return tensor;
    }
    return NULL;
}

bool hel_archive_begins_file(const hel_archive *archive, size_t tensor) {
    for (size_t i = tensor; i-- > 0;) // most often the one before is of the same file
        if (strcmp(archive->tensors[i].file, archive->tensors[tensor].file) == 0) return false;
    return true;
}

// ---------------------------------------------------------------- lifetime

hel_status hel_archive_create(const hel_archive_format *format, const char *path, size_t state_size, hel_archive **out) {
    hel_archive *archive = hel_alloc_zero(1, sizeof *archive);
    if (!archive) return hel_fail_memory(sizeof *archive);
    archive->format = format;
    archive->path = hel_string_copy(path);
    archive->state = hel_alloc_zero(1, state_size);
    archive->metadata = json_object();
    if (!archive->path || !archive->state || !archive->metadata) {
        hel_archive_close(&archive);
        return hel_fail_memory(state_size);
    }
    *out = archive;
    return HEL_OK;
}

hel_status hel_archive_create_view(const hel_archive_format *format, hel_archive *origin, size_t state_size, hel_archive **out) {
    hel_archive *archive = NULL;
    hel_status status = hel_archive_create(format, origin->path, state_size, &archive);
    if (status != HEL_OK) {
        hel_archive_close(&origin);
        return status;
    }
    hel_archive_format *own = archive->state;
    *own = *format;
    own->name = origin->format->name;
    archive->format = own;
    archive->origin = origin;
    archive->file_bytes = origin->file_bytes;
    json_decref(archive->metadata);
    archive->metadata = json_incref(origin->metadata);
    archive->tensors = hel_alloc_zero(origin->n_tensors + 1, sizeof *archive->tensors);
    if (!archive->tensors) {
        hel_archive_close(&archive);
        return hel_fail_memory(sizeof *archive->tensors);
    }
    memcpy(archive->tensors, origin->tensors, origin->n_tensors * sizeof *archive->tensors);
    archive->n_tensors = origin->n_tensors;
    *out = archive;
    return HEL_OK;
}

void hel_archive_close(hel_archive **handle) {
    if (!handle || !*handle) return;
    hel_archive *archive = *handle;
    if (archive->state) archive->format->close(archive);
    hel_archive_close(&archive->origin);
    hel_free(archive->state);
    hel_free(archive->path);
    hel_free(archive->tensors);
    hel_free(archive->index);
    hel_free(archive->config_text);
    hel_free(archive->tokenizer_text);
    hel_free(archive->tokenizer_config_text);
    json_decref(archive->config);
    json_decref(archive->metadata);
    hel_free(archive);
    *handle = NULL;
}

// ---------------------------------------------------------------- reading

hel_status hel_archive_read(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    uint32_t element = hel_dtype_size(tensor->dtype);
    if (offset % element || size % element || offset > tensor->bytes || size > tensor->bytes - offset)
        return hel_fail(HEL_ERROR_ARGUMENT, "tensor \"%s\": bytes %llu + %zu are not whole elements inside it", tensor->name,
                        (unsigned long long)offset, size);
    return size ? archive->format->read(archive, tensor, offset, bytes, size) : HEL_OK;
}

// One element of `dtype` at `bytes`.
static inline float element_f32(hel_dtype dtype, const unsigned char *bytes) {
    union {
        float f32;
        double f64;
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } value;
    memcpy(&value, bytes, hel_dtype_size(dtype));
    switch (dtype) {
    case HEL_F32: return value.f32;
    case HEL_F16: return hel_f16_to_float(value.u16);
    case HEL_BF16: return hel_bf16_to_float(value.u16);
    case HEL_F64: return (float)value.f64;
    case HEL_U8: case HEL_BOOL: return value.u8;
    case HEL_I8: return value.i8;
    case HEL_U16: return value.u16;
    case HEL_I16: return value.i16;
    case HEL_U32: return (float)value.u32;
    case HEL_I32: return (float)value.i32;
    case HEL_U64: return (float)value.u64;
    case HEL_I64: return (float)value.i64;
    }
    return 0.0f;
}

// The types of most weights apart, so that their loops hold nothing else.
static void elements_f32(hel_dtype dtype, const unsigned char *bytes, uint64_t count, float *out) {
    uint32_t size = hel_dtype_size(dtype);
    switch (dtype) {
    case HEL_BF16:
        for (uint64_t i = 0; i < count; i++) out[i] = element_f32(HEL_BF16, bytes + i * sizeof(uint16_t));
        break;
    case HEL_F16:
        for (uint64_t i = 0; i < count; i++) out[i] = element_f32(HEL_F16, bytes + i * sizeof(uint16_t));
        break;
    default:
        for (uint64_t i = 0; i < count; i++) out[i] = element_f32(dtype, bytes + i * size);
    }
}

enum { PIECE = 16384 };

hel_status hel_archive_read_f32(hel_archive *archive, const hel_tensor_info *tensor, uint64_t first, uint64_t count, float *out) {
    uint32_t size = hel_dtype_size(tensor->dtype);
    if (first > tensor->elements || count > tensor->elements - first)
        return hel_fail(HEL_ERROR_ARGUMENT, "tensor \"%s\": elements %llu + %llu are not inside it", tensor->name,
                        (unsigned long long)first, (unsigned long long)count);
    if (tensor->dtype == HEL_F32) return hel_archive_read(archive, tensor, first * size, out, count * size);
    unsigned char piece[PIECE];
    uint64_t most = PIECE / size;
    for (uint64_t done = 0; done < count;) {
        uint64_t now = HEL_MIN(most, count - done);
        HEL_TRY(hel_archive_read(archive, tensor, (first + done) * size, piece, now * size));
        elements_f32(tensor->dtype, piece, now, out + done);
        done += now;
    }
    return HEL_OK;
}

hel_status hel_archive_read_all(hel_archive *archive, const hel_tensor_info *tensor, uint64_t limit, void **out) {
    if (tensor->bytes > limit || tensor->bytes > SIZE_MAX)
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\" has %llu bytes, %llu are allowed",
                             tensor->name, (unsigned long long)tensor->bytes, (unsigned long long)limit);
    void *bytes = hel_alloc(tensor->bytes);
    if (!bytes) return hel_fail_memory(tensor->bytes);
    hel_status status = hel_archive_read(archive, tensor, 0, bytes, tensor->bytes);
    if (status == HEL_OK) *out = bytes;
    else hel_free(bytes);
    return status;
}

// ---------------------------------------------------------------- opening by content

static hel_status open_file(const char *path, hel_archive **out) {
    hel_file file;
    HEL_TRY(hel_file_open(path, &file));
    unsigned char head[16] = {0};
    size_t have = (size_t)HEL_MIN(file.size, sizeof head);
    hel_status status = hel_file_read(&file, 0, head, have);
    hel_file_close(&file);
    HEL_TRY(status);
    if (memcmp(head, "GGUF", 4) == 0) return hel_gguf_open(path, out);
    if (memcmp(head, "\x93NUMPY", 6) == 0) return hel_npy_open(path, out);
    if (memcmp(head, HEL_RWKVCPP_MAGIC, 4) == 0) return hel_rwkvcpp_open(path, out);
    if (have > 8 && head[8] == '{') return hel_safetensors_open(path, out);
    if (hel_path_has_suffix(path, ".safetensors")) return hel_safetensors_open(path, out); // for its own error
    return hel_llama2c_open(path, out);
}

hel_status hel_archive_open(const char *path, hel_archive **out) {
    *out = NULL;
    return hel_path_is_directory(path) ? hel_safetensors_open_folder(path, out) : open_file(path, out);
}
