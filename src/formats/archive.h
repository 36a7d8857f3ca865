// SPDX-License-Identifier: Apache-2.0
// A model file as a list of named tensors, whatever its format. Formats fill in the table below; everything above
// reads through the functions of this header and never asks which format it is.
#ifndef HEL_FORMATS_ARCHIVE_H
#define HEL_FORMATS_ARCHIVE_H

#include <helicoid/common.h>
#include <jansson.h>

typedef enum hel_dtype {
    HEL_F32, HEL_F16, HEL_BF16, HEL_F64,
    HEL_U8, HEL_I8, HEL_U16, HEL_I16, HEL_U32, HEL_I32, HEL_U64, HEL_I64, HEL_BOOL,
} hel_dtype;

uint32_t hel_dtype_size(hel_dtype dtype);      // bytes of one element
const char *hel_dtype_name(hel_dtype dtype);   // "F32", as safetensors spells it
bool hel_dtype_is_float(hel_dtype dtype);      // F32 F16 BF16 F64

enum { HEL_MAX_RANK = 8 };

typedef struct hel_tensor_info {
    const char *name;
    hel_dtype dtype;              // of what hel_archive_read returns
    uint32_t rank;
    uint64_t shape[HEL_MAX_RANK]; // row-major, outermost first (GGUF's order is turned round)
    uint64_t elements;            // product of shape; 1 for rank 0
    uint64_t bytes;               // elements * size of dtype, checked
    const char *stored_as;        // the file's own type: dtype's name, or "Q4_K" where it is expanded on reading
    uint64_t stored_bytes;        // what it takes in the file
    uint64_t offset;              // in its file, for error messages
    const char *file;             // path of the file that holds it
} hel_tensor_info;

typedef struct hel_archive hel_archive;

// Behaviour of one format. `read` gets a range that is checked already and aligned to whole elements.
typedef struct hel_archive_format {
    const char *name; // "safetensors", "Hugging Face folder", "GGUF v3", "llama2.c", "rwkv.cpp", "NPY"
    void (*close)(hel_archive *archive);
    hel_status (*read)(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size);
} hel_archive_format;

// Thread-safety: hel_archive_read may be called from several threads on one archive.
struct hel_archive {
    const hel_archive_format *format;
    char *path;                 // as it was opened
    size_t n_tensors;
    hel_tensor_info *tensors;   // in file order
    // A model's description in Hugging Face terms (config.json): read from the file or made from GGUF / llama2.c
    // header fields by src/models. NULL where the file has none. Owned by the archive.
    json_t *config;
    // The file's own key-value data as a JSON object (GGUF metadata without its token tables, safetensors
    // __metadata__, llama2.c header). Never NULL.
    json_t *metadata;
    char *config_text;          // config.json exactly as stored, NULL where there is none
    char *tokenizer_text;       // tokenizer.json exactly as stored, NULL where there is none
    size_t tokenizer_size;
    char *tokenizer_config_text; // tokenizer_config.json, likewise
    uint64_t file_bytes;        // size of all files that hold tensors
    hel_archive *origin;        // what a view under other names stands before (src/models/source.c), owned; else NULL
    uint32_t *index;            // hash table over tensor names: 1 + position, 0 empty
    size_t index_mask;
    void *state;                // the format's own
};

// Opens a model folder or file; the format is told by content, not by name:
// Hugging Face folder (config.json + model.safetensors or model.safetensors.index.json), .safetensors (with the config in
// its metadata or, for a file named model.safetensors, in the config.json beside it), GGUF, llama2.c or rwkv.cpp
// checkpoint, .npy (one tensor named after the file). Statuses: FORMAT, UNSUPPORTED, NOT_FOUND, IO, MEMORY.
hel_status hel_archive_open(const char *path, hel_archive **out);
void hel_archive_close(hel_archive **archive);

// NULL where there is no such tensor. Average O(1).
const hel_tensor_info *hel_archive_find(const hel_archive *archive, const char *name);
bool hel_archive_begins_file(const hel_archive *archive, size_t tensor); // no tensor before it lies in the same file

// Bytes offset .. offset + size of the tensor's elements in `dtype`, both multiples of the element size.
// Out of range is HEL_ERROR_ARGUMENT.
hel_status hel_archive_read(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size);

// Elements first .. first + count as float; any float dtype, integers are converted too.
hel_status hel_archive_read_f32(hel_archive *archive, const hel_tensor_info *tensor, uint64_t first, uint64_t count, float *out);

// One tensor of a whole, at most `limit` bytes; free with hel_free.
hel_status hel_archive_read_all(hel_archive *archive, const hel_tensor_info *tensor, uint64_t limit, void **out);

#endif
