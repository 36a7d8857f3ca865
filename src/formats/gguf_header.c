// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_header.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

enum {
    FIRST_PIECE = 1 << 20,
    MAX_HEADER = 512 << 20,  // bytes; real vocabularies take some ten million
    MAX_KEY = 65535,
    MAX_NAME = 255,          // ggml itself stops at 63 or 127
    MAX_RANK = 4,
    MAX_VALUES = 4096,       // real files have some fifty keys
    MIN_VALUE = 8 + 1 + 4 + 1, // bytes that a key-value pair takes at least
    MIN_TENSOR = 8 + 1 + 4 + 8 + 4 + 8,
};

// ---------------------------------------------------------------- the cursor
// The header says nowhere how long it is: bytes are read as the cursor comes to them, twice as many each time.

typedef struct cursor {
    const hel_file *file;
    hel_gguf_header *header;
    uint64_t at;
} cursor;

#define BREAK(in, ...) hel_fail_file(HEL_ERROR_FORMAT, (in)->file->path, (in)->at, __VA_ARGS__)

static hel_status fill_to(cursor *in, uint64_t end) {
    hel_gguf_header *header = in->header;
    if (end <= header->size) return HEL_OK;
    if (end > in->file->size) return hel_fail_file(HEL_ERROR_FORMAT, in->file->path, in->at, "file ends early, inside the header");
    if (end > MAX_HEADER) return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->file->path, in->at, "header above %d bytes", MAX_HEADER);
    uint64_t wanted = HEL_MIN(in->file->size, HEL_MAX(end, HEL_MAX((uint64_t)header->size * 2, (uint64_t)FIRST_PIECE)));
    uint8_t *bytes = hel_resize(header->bytes, (size_t)wanted);
    if (!bytes) return hel_fail_memory((size_t)wanted);
    header->bytes = bytes;
    HEL_TRY(hel_file_read(in->file, header->size, bytes + header->size, (size_t)(wanted - header->size)));
    header->size = (uint32_t)wanted;
    return HEL_OK;
}

// The file offset of `size` bytes that are there, and steps over them.
static hel_status take(cursor *in, uint64_t size, uint32_t *out_at) {
    uint64_t end;
    if (!hel_size_add(in->at, size, &end)) return BREAK(in, "a length of %llu overflows", (unsigned long long)size);
    HEL_TRY(fill_to(in, end));
    *out_at = (uint32_t)in->at;
    in->at = end;
    return HEL_OK;
}

static hel_status take_u32(cursor *in, uint32_t *out) {
    uint32_t at = 0;
    HEL_TRY(take(in, sizeof *out, &at));
    memcpy(out, in->header->bytes + at, sizeof *out);
    return HEL_OK;
}

static hel_status take_u64(cursor *in, uint64_t *out) {
    uint32_t at = 0;
    HEL_TRY(take(in, sizeof *out, &at));
    memcpy(out, in->header->bytes + at, sizeof *out);
    return HEL_OK;
}

// A count of things that take `unit` bytes each at least cannot exceed what is left of the file.
static hel_status check_count(const cursor *in, uint64_t count, uint64_t unit, const char *what) {
    if (count <= (in->file->size - in->at) / unit) return HEL_OK;
    return BREAK(in, "%llu %s do not fit the file", (unsigned long long)count, what);
}

// A key or tensor name: short, and of bytes that can stand in a message and in JSON.
static hel_status take_name(cursor *in, uint64_t limit, char **out) {
    uint64_t length = 0;
    uint32_t at = 0;
    HEL_TRY(take_u64(in, &length));
    if (!length || length > limit)
        return BREAK(in, "a name of %llu bytes; 1 to %llu are allowed", (unsigned long long)length,
                     (unsigned long long)limit);
    HEL_TRY(take(in, length, &at));
    const uint8_t *bytes = in->header->bytes + at;
    for (uint64_t i = 0; i < length; i++)
        if (bytes[i] <= ' ' || bytes[i] > '~') return BREAK(in, "a name with byte 0x%02x", bytes[i]);
    *out = hel_string_copy_n((const char *)bytes, (size_t)length);
    return *out ? HEL_OK : hel_fail_memory((size_t)length);
}

// ---------------------------------------------------------------- key-value pairs

uint32_t hel_gguf_type_size(hel_gguf_type type) {
    switch (type) {
    case HEL_GGUF_U8: case HEL_GGUF_I8: case HEL_GGUF_BOOL: return 1;
    case HEL_GGUF_U16: case HEL_GGUF_I16: return 2;
    case HEL_GGUF_U32: case HEL_GGUF_I32: case HEL_GGUF_F32: return 4;
    case HEL_GGUF_U64: case HEL_GGUF_I64: case HEL_GGUF_F64: return 8;
    case HEL_GGUF_STRING: case HEL_GGUF_ARRAY: return 0;
    }
    return 0;
}

static hel_status take_strings(cursor *in, hel_gguf_value *value) {
    HEL_TRY(check_count(in, value->count, sizeof(uint64_t), "strings"));
    value->at = (uint32_t)in->at;
    if (value->array) value->strings = hel_alloc_array((size_t)value->count, sizeof *value->strings);
    if (value->array && !value->strings) return hel_fail_memory((size_t)value->count * sizeof *value->strings);
    for (uint64_t i = 0; i < value->count; i++) {
        uint64_t length = 0;
        uint32_t at = 0;
        if (value->array) value->strings[i] = (uint32_t)in->at;
        HEL_TRY(take_u64(in, &length));
        HEL_TRY(take(in, length, &at));
    }
    return HEL_OK;
}

static hel_status take_numbers(cursor *in, hel_gguf_value *value) {
    uint32_t size = hel_gguf_type_size(value->type);
    HEL_TRY(check_count(in, value->count, size, "numbers"));
    HEL_TRY(take(in, value->count * size, &value->at)); // no overflow: it fits the file
    if (value->type != HEL_GGUF_BOOL) return HEL_OK;
    for (uint64_t i = 0; i < value->count; i++)
        if (in->header->bytes[value->at + i] > 1) return BREAK(in, "key %.200s: a bool that is neither 0 nor 1", value->key);
    return HEL_OK;
}

static hel_status take_type(cursor *in, const char *key, hel_gguf_type *out) {
    uint32_t type = 0;
    HEL_TRY(take_u32(in, &type));
    if (type > HEL_GGUF_F64) return BREAK(in, "key %.200s: unknown type %u", key, type);
    *out = (hel_gguf_type)type;
    return HEL_OK;
}

static hel_status take_value(cursor *in, hel_gguf_value *value) {
    HEL_TRY(take_name(in, MAX_KEY, &value->key));
    HEL_TRY(take_type(in, value->key, &value->type));
    value->count = 1;
    value->array = value->type == HEL_GGUF_ARRAY;
    if (value->array) {
        HEL_TRY(take_type(in, value->key, &value->type));
        HEL_TRY(take_u64(in, &value->count));
        if (value->type == HEL_GGUF_ARRAY) return BREAK(in, "key %.200s: an array of arrays", value->key);
    }
    return value->type == HEL_GGUF_STRING ? take_strings(in, value) : take_numbers(in, value);
}

static hel_status take_values(cursor *in, uint64_t count) {
    hel_gguf_header *header = in->header;
    header->values = hel_alloc_zero((size_t)count, sizeof *header->values);
    if (!header->values) return hel_fail_memory((size_t)count * sizeof *header->values);
    for (uint64_t i = 0; i < count; i++) {
        hel_gguf_value *value = &header->values[i];
        hel_status status = take_value(in, value);
        bool twice = status == HEL_OK && hel_gguf_header_find(header, value->key);
        header->n_values = (size_t)i + 1; // also a broken one: it is freed with the others
        HEL_TRY(status);
        if (twice) return BREAK(in, "key %.200s comes twice", value->key);
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- tensors

static hel_status take_tensor(cursor *in, hel_gguf_tensor *tensor) {
    tensor->declared_at = in->at;
    HEL_TRY(take_name(in, MAX_NAME, &tensor->name));
    HEL_TRY(take_u32(in, &tensor->rank));
    if (!tensor->rank || tensor->rank > MAX_RANK) return BREAK(in, "tensor %s: %u dimensions", tensor->name, tensor->rank);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        HEL_TRY(take_u64(in, &tensor->shape[i]));
        if (!tensor->shape[i] || tensor->shape[i] > INT64_MAX)
            return BREAK(in, "tensor %s: a dimension of %llu", tensor->name, (unsigned long long)tensor->shape[i]);
    }
    HEL_TRY(take_u32(in, &tensor->type));
    return take_u64(in, &tensor->offset);
}

static hel_status take_tensors(cursor *in, uint64_t count) {
    hel_gguf_header *header = in->header;
    HEL_TRY(check_count(in, count, MIN_TENSOR, "tensors"));
    header->tensors = hel_alloc_zero((size_t)count, sizeof *header->tensors);
    if (!header->tensors) return hel_fail_memory((size_t)count * sizeof *header->tensors);
    for (uint64_t i = 0; i < count; i++) {
        header->n_tensors = (size_t)i + 1;
        HEL_TRY(take_tensor(in, &header->tensors[i]));
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- the whole

static hel_status take_version(cursor *in) {
    uint32_t magic = 0, version = 0;
    HEL_TRY(take_u32(in, &magic));
    if (magic != 0x46554747) return hel_fail_file(HEL_ERROR_FORMAT, in->file->path, 0, "no GGUF magic");
    HEL_TRY(take_u32(in, &version));
    if (version && !(version & 0xffff)) return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->file->path, 4, "big-endian GGUF");
    if (version != 2 && version != 3)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->file->path, 4, "GGUF version %u; 2 and 3 are read", version);
    in->header->version = version;
    return HEL_OK;
}

static hel_status take_alignment(cursor *in) {
    const hel_gguf_value *value = hel_gguf_header_find(in->header, "general.alignment");
    uint64_t alignment = 32;
    if (value &&
        (value->array || value->type != HEL_GGUF_U32 || !hel_gguf_value_u64(in->header, value, 0, &alignment) ||
         alignment < 8 || alignment > 65536 || (alignment & (alignment - 1))))
        return BREAK(in, "general.alignment is not a power of two from 8 to 65536");
    in->header->alignment = (uint32_t)alignment;
    return HEL_OK;
}

// What was read ahead is given back.
static void trim(hel_gguf_header *header, uint64_t size) {
    uint8_t *bytes = hel_resize(header->bytes, (size_t)size);
    if (bytes) header->bytes = bytes;
    header->size = (uint32_t)size;
}

hel_status hel_gguf_header_read(const hel_file *file, hel_gguf_header *out) {
    *out = (hel_gguf_header){0};
    cursor in = {file, out, 0};
    uint64_t n_tensors = 0, n_values = 0;
    HEL_TRY(take_version(&in));
    HEL_TRY(take_u64(&in, &n_tensors));
    HEL_TRY(take_u64(&in, &n_values));
    HEL_TRY(check_count(&in, n_tensors, MIN_TENSOR, "tensors"));
    HEL_TRY(check_count(&in, n_values, MIN_VALUE, "key-value pairs"));
    if (n_values > MAX_VALUES)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, file->path, 16, "more than %d key-value pairs", MAX_VALUES);
    HEL_TRY(take_values(&in, n_values));
    HEL_TRY(take_alignment(&in));
    HEL_TRY(take_tensors(&in, n_tensors));
    trim(out, in.at);
    return HEL_OK;
}

void hel_gguf_header_finish(hel_gguf_header *header) {
    for (size_t i = 0; i < header->n_values; i++) {
        hel_free(header->values[i].key);
        hel_free(header->values[i].strings);
    }
    for (size_t i = 0; i < header->n_tensors; i++) hel_free(header->tensors[i].name);
    hel_free(header->values);
    hel_free(header->tensors);
    hel_free(header->bytes);
    *header = (hel_gguf_header){0};
}

// ---------------------------------------------------------------- values

const hel_gguf_value *hel_gguf_header_find(const hel_gguf_header *header, const char *key) {
    for (size_t i = 0; i < header->n_values; i++)
        if (strcmp(header->values[i].key, key) == 0) return &header->values[i];
    return NULL;
}

typedef union number {
    uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32; float f32; uint64_t u64; int64_t i64; double f64;
} number;

static number number_at(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index) {
    number bits = {0};
    uint32_t size = hel_gguf_type_size(value->type);
    memcpy(&bits, header->bytes + value->at + index * size, size);
    return bits;
}

static bool from_signed(int64_t value, uint64_t *out) {
    *out = (uint64_t)value;
    return value >= 0;
}

bool hel_gguf_value_u64(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, uint64_t *out) {
    number bits = number_at(header, value, index);
    switch (value->type) {
    case HEL_GGUF_U8: case HEL_GGUF_BOOL: return *out = bits.u8, true;
    case HEL_GGUF_U16: return *out = bits.u16, true;
    case HEL_GGUF_U32: return *out = bits.u32, true;
    case HEL_GGUF_U64: return *out = bits.u64, true;
    case HEL_GGUF_I8: return from_signed(bits.i8, out);
    case HEL_GGUF_I16: return from_signed(bits.i16, out);
    case HEL_GGUF_I32: return from_signed(bits.i32, out);
    case HEL_GGUF_I64: return from_signed(bits.i64, out);
    case HEL_GGUF_F32: case HEL_GGUF_F64: case HEL_GGUF_STRING: case HEL_GGUF_ARRAY: return false;
    }
    return false;
}

bool hel_gguf_value_f64(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, double *out) {
    number bits = number_at(header, value, index);
    switch (value->type) {
    case HEL_GGUF_F32: return *out = bits.f32, true;
    case HEL_GGUF_F64: return *out = bits.f64, true;
    case HEL_GGUF_U8: case HEL_GGUF_BOOL: return *out = bits.u8, true;
    case HEL_GGUF_U16: return *out = bits.u16, true;
    case HEL_GGUF_U32: return *out = bits.u32, true;
    case HEL_GGUF_U64: return *out = (double)bits.u64, true;
    case HEL_GGUF_I8: return *out = bits.i8, true;
    case HEL_GGUF_I16: return *out = bits.i16, true;
    case HEL_GGUF_I32: return *out = bits.i32, true;
    case HEL_GGUF_I64: return *out = (double)bits.i64, true;
    case HEL_GGUF_STRING: case HEL_GGUF_ARRAY: return false;
    }
    return false;
}

void hel_gguf_value_string(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, const char **out_bytes,
                           uint64_t *out_size) {
    uint32_t at = value->array ? value->strings[index] : value->at;
    memcpy(out_size, header->bytes + at, sizeof *out_size);
    *out_bytes = (const char *)header->bytes + at + sizeof *out_size;
}
