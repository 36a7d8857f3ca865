// SPDX-License-Identifier: Apache-2.0
// NPY 1.0-3.0 (numpy.lib.format), C order, little-endian; the header is parsed by grammar, never evaluated.
#ifndef HEL_FORMATS_NPY_H
#define HEL_FORMATS_NPY_H

#include "formats/archive.h"

hel_status hel_npy_open(const char *path, hel_archive **out); // one tensor, named after the file without ".npy"
// Header of version 1.0 (magic to newline, multiple of 64 bytes); free with hel_free.
hel_status hel_npy_header(hel_dtype dtype, uint32_t rank, const uint64_t *shape, char **out, size_t *out_size);
hel_status hel_npy_write(const char *path, bool overwrite, hel_dtype dtype, uint32_t rank, const uint64_t *shape,
                         const void *values);
#endif
