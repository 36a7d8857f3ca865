// SPDX-License-Identifier: Apache-2.0
// One array as an NPY 1.0 file, written where hel_writer puts it.
#ifndef HEL_FORMATS_NPY_WRITE_H
#define HEL_FORMATS_NPY_WRITE_H

#include "base/file.h"
#include "formats/archive.h"

// The header of an array F32, F64, BF16, U16 or U32 of `shape` [rank], 1 <= rank <= HEL_MAX_RANK; the elements are to follow.
hel_status hel_npy_begin(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape);

// The header and `bytes`, all elements.
hel_status hel_npy_append(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape, const void *bytes);

#endif
