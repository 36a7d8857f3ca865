// SPDX-License-Identifier: Apache-2.0
// GGUF files put together byte by byte.
#ifndef TESTS_GGUF_FILES_H
#define TESTS_GGUF_FILES_H

#include "support/model_files.h"

#include "base/text.h"

typedef struct gguf_file { hel_text head, data; uint32_t tensors, values; } gguf_file;

static inline void put_u32(hel_text *out, uint32_t value) { hel_text_append(out, &value, 4); }
static inline void put_u64(hel_text *out, uint64_t value) { hel_text_append(out, &value, 8); }

static inline void put_string(hel_text *out, const char *text) {
    put_u64(out, strlen(text));
    hel_text_append(out, text, strlen(text));
}

// The key and type of a value whose bytes follow.
static inline void gguf_key(gguf_file *file, const char *key, uint32_t type) {
    put_string(&file->head, key);
    put_u32(&file->head, type);
    file->values++;
}

static inline void gguf_u32(gguf_file *file, const char *key, uint32_t value) {
    gguf_key(file, key, 4);
    put_u32(&file->head, value);
}

static inline void gguf_f32(gguf_file *file, const char *key, float value) {
    gguf_key(file, key, 6);
    hel_text_append(&file->head, &value, 4);
}

static inline void gguf_text(gguf_file *file, const char *key, const char *value) {
    gguf_key(file, key, 8);
    put_string(&file->head, value);
}

// All values come before all tensors. `shape` is innermost first; `bytes` are padded to 32.
static inline void gguf_tensor(gguf_file *file, const char *name, uint32_t type, uint32_t rank, const uint64_t *shape, const void *bytes, size_t size) {
    while (file->data.size % 32) hel_text_append(&file->data, "", 1);
    put_string(&file->head, name);
    put_u32(&file->head, rank);
    for (uint32_t i = 0; i < rank; i++) put_u64(&file->head, shape[i]);
    put_u32(&file->head, type);
    put_u64(&file->head, file->data.size);
    hel_text_append(&file->data, bytes, size);
    file->tensors++;
}

// Writes and frees; `version` 2 or 3.
static inline void gguf_write(gguf_file *file, const char *path, uint32_t version) {
    hel_text all = {0};
    hel_text_append(&all, "GGUF", 4);
    put_u32(&all, version);
    put_u64(&all, file->tensors);
    put_u64(&all, file->values);
    hel_text_append(&all, file->head.bytes, file->head.size);
    while (file->tensors && all.size % 32) hel_text_append(&all, "", 1);
    hel_text_append(&all, file->data.bytes, file->data.size);
    write_bytes(path, all.bytes, all.size);
    hel_text_finish(&all);
    hel_text_finish(&file->head);
    hel_text_finish(&file->data);
    *file = (gguf_file){0};
}

#endif
