// SPDX-License-Identifier: Apache-2.0
#include "formats/npy_write.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/require.h"
#include "formats/archive_build.h"

enum { PREAMBLE = 10, HEADER = 256 };

// numpy's name of a type, NULL where arrays of it are not written.
static const char *type_name(hel_dtype dtype) {
    switch (dtype) {
    case HEL_F32: return "f4";
    case HEL_F64: return "f8";
    case HEL_BF16: return "V2"; // of ml_dtypes
    case HEL_U16: return "u2";
    case HEL_U32: return "u4";
    default: return NULL;
    }
}

// The Python literal is padded with spaces so that the elements begin at a multiple of 64 bytes.
static void write_header(hel_dtype dtype, uint32_t rank, const uint64_t *shape, char header[HEADER + 1]) {
    int size = snprintf(header, HEADER, "%-*s{'descr': '<%s', 'fortran_order': False, 'shape': (", PREAMBLE, "",
                        type_name(dtype));
    for (uint32_t i = 0; i < rank; i++)
        size += snprintf(header + size, HEADER - (size_t)size, "%llu%s", (unsigned long long)shape[i],
                         rank == 1 ? "," : i + 1 < rank ? ", " : "");
    size += snprintf(header + size, HEADER - (size_t)size, "), }");
    snprintf(header + size, HEADER + 1 - (size_t)size, "%*s\n", HEADER - 1 - size, "");
    memcpy(header, "\x93NUMPY\x01\x00\xf6\x00", PREAMBLE); // 0xf6 = 246 bytes follow
}

hel_status hel_npy_begin(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape) {
    char header[HEADER + 1];
    HEL_REQUIRE(type_name(dtype) && rank >= 1 && rank <= HEL_MAX_RANK);
    write_header(dtype, rank, shape, header);
    return hel_writer_append(writer, header, HEADER);
}

hel_status hel_npy_append(hel_writer *writer, hel_dtype dtype, uint32_t rank, const uint64_t *shape, const void *bytes) {
    uint64_t elements, size;
    HEL_REQUIRE(rank <= HEL_MAX_RANK && hel_shape_bytes(dtype, rank, shape, &elements, &size));
    HEL_TRY(hel_npy_begin(writer, dtype, rank, shape));
    return hel_writer_append(writer, bytes, size);
}
