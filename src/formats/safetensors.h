// SPDX-License-Identifier: Apache-2.0
// safetensors: strict reader (single file, sharded index, Hugging Face folder) and resumable writer.
// Stricter than the reference: duplicate keys, a header that does not start with '{' and tensor names that
// are paths with ".." are refused.
#ifndef HEL_FORMATS_SAFETENSORS_H
#define HEL_FORMATS_SAFETENSORS_H

#include "base/file.h"
#include "formats/archive.h"

hel_status hel_safetensors_open(const char *path, hel_archive **out);        // one file
hel_status hel_safetensors_open_folder(const char *path, hel_archive **out); // config.json beside one file or an index

// --- writing: the layout is declared first, so that data can be written in any order and resumed ---
typedef struct hel_safetensors_entry {
    const char *name;
    hel_dtype dtype;
    uint32_t rank;
    uint64_t shape[HEL_MAX_RANK];
    uint64_t offset, bytes; // in the data part; filled in by the layout
} hel_safetensors_entry;

// Sorts nothing: entries keep their order, each tensor begins at a multiple of 8 where its predecessors allow it
// (the format forbids holes, so put wide dtypes first). Fills offset and bytes, and makes the header:
// 8 bytes length, JSON padded with spaces to a multiple of 8. `metadata` is an object of strings or NULL.
// *out_header is freed with hel_free; *out_size counts the 8 bytes too.
hel_status hel_safetensors_layout(hel_safetensors_entry *entries, size_t count, const json_t *metadata,
                                  char **out_header, size_t *out_size);
#endif
