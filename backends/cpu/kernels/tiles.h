// SPDX-License-Identifier: Apache-2.0
// AMX: eight tiles of 16 rows of 64 bytes. Numbers of tiles are digits. Not the compilers' own functions: GCC's pass strides of
// 32 bits on Windows.
#ifndef BACKENDS_CPU_TILES_H
#define BACKENDS_CPU_TILES_H

#include <cpuid.h>
#include <stddef.h>

#include "base/os.h"

typedef struct tiles_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tiles_shape;

// Shapes belong to the thread, and tiles in use make its switches slower.
static inline void tiles_begin(void) {
    static const tiles_shape shape = {.palette = 1,
                                      .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                      .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("ldtilecfg %0" : : "m"(shape));
}
static inline void tiles_end(void) { __asm__ volatile("tilerelease"); }

#define tile_load(tile, from, stride) \
    __asm__ volatile("tileloadd (%0, %1, 1), %%tmm" #tile : : "r"(from), "r"((size_t)(stride)) : "memory")
#define tile_store(tile, to, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0, %1, 1)" : : "r"(to), "r"((size_t)(stride)) : "memory")
#define tile_multiply(sum, a, b) __asm__ volatile("tdpbf16ps %tmm" #b ", %tmm" #a ", %tmm" #sum)

// Whether the processor has them and the system saves them.
static inline bool tiles_here(void) {
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, STATE = 3 << 17 };
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & STATE) == STATE;
}

// The system wants to be asked, once for the process.
static inline bool tiles_allowed(void) { return hel_os_tiles_allow(); }

#endif
