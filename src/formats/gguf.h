// SPDX-License-Identifier: Apache-2.0
// GGUF v2 and v3 (ggml's docs/gguf.md). Block-quantised tensors read as F16, expanded block by block.
#ifndef HEL_FORMATS_GGUF_H
#define HEL_FORMATS_GGUF_H

#include "formats/archive.h"

hel_status hel_gguf_open(const char *path, hel_archive **out);
bool hel_archive_is_gguf(const hel_archive *archive);

// Typed access to the metadata, token tables included (those are left out of archive->metadata).
// Missing keys are HEL_ERROR_NOT_FOUND, another type HEL_ERROR_FORMAT. Strings are not zero-terminated.
typedef struct hel_gguf_string { const char *bytes; uint64_t size; } hel_gguf_string;
hel_status hel_gguf_get_u64(const hel_archive *archive, const char *key, uint64_t *out); // any integer type or bool
hel_status hel_gguf_get_f64(const hel_archive *archive, const char *key, double *out);
hel_status hel_gguf_get_string(const hel_archive *archive, const char *key, hel_gguf_string *out);
hel_status hel_gguf_array_size(const hel_archive *archive, const char *key, uint64_t *out);
hel_status hel_gguf_array_string(const hel_archive *archive, const char *key, uint64_t index, hel_gguf_string *out); // O(1)
hel_status hel_gguf_array_f64(const hel_archive *archive, const char *key, uint64_t index, double *out); // any number type
#endif
