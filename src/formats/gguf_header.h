// SPDX-License-Identifier: Apache-2.0
// Everything before the tensor data of a GGUF file: magic, version, key-value pairs, tensor table. One copy of these
// bytes is kept; keys, strings and arrays are offsets into it.
#ifndef HEL_FORMATS_GGUF_HEADER_H
#define HEL_FORMATS_GGUF_HEADER_H

#include "base/file.h"
#include "formats/archive.h"

typedef enum hel_gguf_type {
    HEL_GGUF_U8, HEL_GGUF_I8, HEL_GGUF_U16, HEL_GGUF_I16, HEL_GGUF_U32, HEL_GGUF_I32, HEL_GGUF_F32, HEL_GGUF_BOOL,
    HEL_GGUF_STRING, HEL_GGUF_ARRAY, HEL_GGUF_U64, HEL_GGUF_I64, HEL_GGUF_F64,
} hel_gguf_type;

typedef struct hel_gguf_value {
    char *key;
    hel_gguf_type type;    // of the elements for an array
    bool array;
    uint64_t count;        // elements; 1 for a single value
    uint32_t at;           // of the first element in the header's bytes; of a single string, its length field
    uint32_t *strings;     // array of strings: where each one's length field lies; else NULL
} hel_gguf_value;

typedef struct hel_gguf_tensor {
    char *name;
    uint32_t rank, type;
    uint64_t shape[4];     // innermost first, as in the file
    uint64_t offset;       // from the start of the data
    uint64_t declared_at;  // in the file, for messages
} hel_gguf_tensor;

typedef struct hel_gguf_header {
    uint32_t version, alignment;
    uint8_t *bytes;        // the file's first `size` bytes
    uint32_t size;
    hel_gguf_value *values;
    size_t n_values;
    hel_gguf_tensor *tensors;
    size_t n_tensors;
} hel_gguf_header;

// Checks syntax only; what the tensors ask for is the caller's to check. `out` is to be finished also after a failure.
hel_status hel_gguf_header_read(const hel_file *file, hel_gguf_header *out);
void hel_gguf_header_finish(hel_gguf_header *header);

const hel_gguf_value *hel_gguf_header_find(const hel_gguf_header *header, const char *key); // NULL where missing
uint32_t hel_gguf_type_size(hel_gguf_type type); // 0 for strings
// Element `index` of a value of numbers. False where it is a string, or negative for the unsigned form.
bool hel_gguf_value_u64(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, uint64_t *out);
bool hel_gguf_value_f64(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, double *out);
// Element `index` of a value of strings.
void hel_gguf_value_string(const hel_gguf_header *header, const hel_gguf_value *value, uint64_t index, const char **out_bytes,
                           uint64_t *out_size);

#endif
