// SPDX-License-Identifier: Apache-2.0
// Files made by hand, byte by byte, so that tests can break each rule of a format.
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H

#include "support/support.h"

#include "base/memory.h"
#include "formats/safetensors.h"

static inline void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void *read_bytes(const char *path, size_t *out_size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *out_size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*out_size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *out_size, file), *out_size);
    fclose(file);
    return bytes;
}

// A file of tests/data under another path.
static inline void copy_data(const char *name, const char *path) {
    char source[TESTS_PATH];
    size_t size;
    support_data(source, name);
    void *bytes = read_bytes(source, &size);
    write_bytes(path, bytes, size);
    free(bytes);
}

// 8-byte length, the header as given, `data` zero bytes.
static inline void write_safetensors_text(const char *path, const char *header, size_t size, size_t data) {
    uint64_t length = size;
    char *bytes = calloc(1, 8 + size + data + 1);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, size);
    write_bytes(path, bytes, 8 + size + data);
    free(bytes);
}

typedef struct test_tensor {
    const char *name;
    hel_dtype dtype;
    uint32_t rank;
    uint64_t shape[3];
    const void *values;
} test_tensor;

// A right file of these tensors, through the writer's layout.
static inline void write_safetensors(const char *path, const test_tensor *tensors, size_t count, const json_t *metadata) {
    hel_safetensors_entry entries[64] = {{0}};
    char *header;
    size_t size, total;
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (hel_safetensors_entry){.name = tensors[i].name, .dtype = tensors[i].dtype, .rank = tensors[i].rank};
        memcpy(entries[i].shape, tensors[i].shape, sizeof tensors[i].shape);
    }
    assert_int_equal(hel_safetensors_layout(entries, count, metadata, &header, &size), HEL_OK);
    total = size;
    for (size_t i = 0; i < count; i++) total += entries[i].bytes;
    char *bytes = calloc(1, total);
    memcpy(bytes, header, size);
    for (size_t i = 0; i < count; i++) memcpy(bytes + size + entries[i].offset, tensors[i].values, entries[i].bytes);
    write_bytes(path, bytes, total);
    free(bytes);
    hel_free(header);
}

#endif
