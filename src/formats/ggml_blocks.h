// SPDX-License-Identifier: Apache-2.0
// The element types of tensors in ggml's files (ggml.h, ggml-common.h) and how blocks of quantised ones expand to float.
#ifndef HEL_FORMATS_GGML_BLOCKS_H
#define HEL_FORMATS_GGML_BLOCKS_H

#include "base/file.h"
#include "formats/archive.h"

enum { HEL_GGML_MAX_ELEMENTS = 256, HEL_GGML_MAX_BYTES = 210 }; // of one block

typedef struct hel_ggml_type {
    uint32_t id;
    const char *name;
    hel_dtype dtype;    // of what is read: itself, or F16 where blocks are expanded
    uint32_t elements;  // of a block, 1 for plain types
    uint32_t bytes;     // of a block
    void (*expand)(const uint8_t *block, float *out); // `elements` floats; NULL for plain types
} hel_ggml_type;

const hel_ggml_type *hel_ggml_type_find(uint32_t id); // NULL for types that we do not read

// Fills in what the type says of a tensor whose name, shape and offset are known, and checks that its rows are whole blocks
// and that it lies in the file. Complaints speak of `declared_at`.
hel_status hel_ggml_describe(const hel_file *file, uint64_t declared_at, const hel_ggml_type *type, hel_tensor_info *tensor);

// Bytes offset .. offset + size of the tensor's elements, expanded to F16 where they are in blocks.
hel_status hel_ggml_read(const hel_file *file, const hel_ggml_type *type, const hel_tensor_info *tensor, uint64_t offset,
                         void *bytes, size_t size);

#endif
