// SPDX-License-Identifier: Apache-2.0
// The element types of GGUF tensors (ggml.h, ggml-common.h) and how blocks of quantised ones expand to float.
#ifndef HEL_FORMATS_GGML_BLOCKS_H
#define HEL_FORMATS_GGML_BLOCKS_H

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

#endif
