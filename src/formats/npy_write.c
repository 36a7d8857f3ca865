// SPDX-License-Identifier: Apache-2.0
#include "formats/npy_write.h"

#include "base/error.h"
#include "base/npy_header.h"
#include "base/require.h"
#include "formats/archive_build.h"

// numpy's name of a type, NULL where arrays of it are not written.
static const char *type_name(hel_dtype dtype) {
    switch (dtype) {
    case HEL_F32: return "<f4";
    case HEL_F64: return "<f8";
    case HEL_BF16: return "<V2"; // of ml_dtypes
    case HEL_U16: return "<u2";
    case HEL_U32: return "<u4";
    default: return NULL;
    }
}

hel_status hel_npy_begin(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape) {
    char header[HEL_NPY_HEADER + 1];
    HEL_REQUIRE(type_name(dtype) && rank >= 1 && rank <= HEL_MAX_RANK);
    hel_npy_header(type_name(dtype), rank, shape, header);
    return hel_writer_append(writer, header, HEL_NPY_HEADER);
}

hel_status hel_npy_append(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape, const void *bytes) {
    uint64_t elements, size;
    HEL_REQUIRE(rank <= HEL_MAX_RANK && hel_shape_bytes(dtype, rank, shape, &elements, &size));
    HEL_TRY(hel_npy_begin(writer, dtype, rank, shape));
    return hel_writer_append(writer, bytes, size);
}
