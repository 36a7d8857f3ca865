// SPDX-License-Identifier: Apache-2.0
// What an NPY 1.0 file begins with, for the library's writers and the program's.
#ifndef HEL_BASE_NPY_HEADER_H
#define HEL_BASE_NPY_HEADER_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HEL_NPY_HEADER = 256 };

// Of an array of `type` as numpy spells it ("<f4"), with at least one and at most eight dimensions; the elements follow in C order.
// A Python literal, padded with spaces so that they begin at a multiple of 64 bytes. `out` has room for a zero behind it.
static inline void hel_npy_header(const char *type, uint32_t rank, const uint64_t *shape, char out[HEL_NPY_HEADER + 1]) {
    enum { PREAMBLE = 10 };
    int size = snprintf(out, HEL_NPY_HEADER, "%-*s{'descr': '%s', 'fortran_order': False, 'shape': (", PREAMBLE, "", type);
    for (uint32_t i = 0; i < rank; i++)
        size += snprintf(out + size, HEL_NPY_HEADER - (size_t)size, "%llu%s", (unsigned long long)shape[i],
                         rank == 1 ? "," : i + 1 < rank ? ", " : "");
    size += snprintf(out + size, HEL_NPY_HEADER - (size_t)size, "), }");
    snprintf(out + size, HEL_NPY_HEADER + 1 - (size_t)size, "%*s\n", HEL_NPY_HEADER - 1 - size, "");
    memcpy(out, "\x93NUMPY\x01\x00\xf6\x00", PREAMBLE); // 0xf6 = 246 bytes follow
}

#endif
