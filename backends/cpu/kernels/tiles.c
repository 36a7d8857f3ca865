// SPDX-License-Identifier: Apache-2.0
// linear_matmul in HEL_PRECISION_BF16 on matrix tiles (Intel's AMX, "Intel 64 and IA-32 Architectures Software Developer's
// Manual", volume 2, TDPBF16PS): a tile is 16 rows of 16 units, and one instruction adds the product of two to a third. Panels of
// x and tiles of w have the form that it reads, so all else is as in matmul.inc.c. TILES_HEADER: a model of the instructions.
#include "table.h"

#if defined(__AMX_BF16__) || defined(TILES_HEADER)
#define SIMD_TILES 1

#include "linear.inc.c"

#include "matmul.inc.c"

#ifdef TILES_HEADER
#include TILES_HEADER
#else
#include "tiles.h"
#endif

enum { TILE = 16 };
_Static_assert((int)TILE == (int)WIDTH && (int)TILE == (int)ROWS_TOGETHER && (int)TILE_ROWS % TILE == 0, "squares are whole");

// Tiles 0 to 3: sums of two rows of squares and two vectors of tokens; 4, 5: w; 6, 7: x.
static inline __attribute__((always_inline)) void multiply_squares(const float *w, const matmul_panel *x, uint32_t count,
                                                                   const bool two_rows, const bool two_vectors, float *sums) {
    const size_t w_stride = BLOCK_UNITS * sizeof *w, x_stride = sizeof x->at[0], stride = MOST_TOKENS * sizeof *sums;
    float *lower = sums + TILE * MOST_TOKENS;
    tile_load(0, sums, stride);
    if (two_vectors) tile_load(1, sums + TILE, stride);
    if (two_rows) tile_load(2, lower, stride);
    if (two_rows && two_vectors) tile_load(3, lower + TILE, stride);
    for (uint32_t u = 0; u < count; u += TILE) {
        tile_load(4, w + u, w_stride);
        tile_load(6, x[0].at[u], x_stride);
        tile_multiply(0, 4, 6);
        if (two_vectors) tile_load(7, x[1].at[u], x_stride);
        if (two_vectors) tile_multiply(1, 4, 7);
        if (!two_rows) continue;
        tile_load(5, w + TILE * BLOCK_UNITS + u, w_stride);
        tile_multiply(2, 5, 6);
        if (two_vectors) tile_multiply(3, 5, 7);
    }
    tile_store(0, sums, stride);
    if (two_vectors) tile_store(1, sums + TILE, stride);
    if (two_rows) tile_store(2, lower, stride);
    if (two_rows && two_vectors) tile_store(3, lower + TILE, stride);
}

static void multiply_pairs(const float *w, uint32_t rows, const matmul_panel *x, uint32_t count, uint32_t vectors, float *sums) {
    tiles_begin();
    for (uint32_t v = 0; v < vectors; v += 2)
        for (uint32_t r = 0; r < rows; r += 2 * TILE) {
            const float *tile = w + r * BLOCK_UNITS;
            float *out = sums + r * MOST_TOKENS + v * TILE;
            bool two_rows = rows - r > TILE, two_vectors = vectors - v > 1;
            if (two_rows && two_vectors) multiply_squares(tile, x + v, count, true, true, out);
            else if (two_rows) multiply_squares(tile, x + v, count, true, false, out);
            else if (two_vectors) multiply_squares(tile, x + v, count, false, true, out);
            else multiply_squares(tile, x + v, count, false, false, out);
        }
    tiles_end();
}

bool cpu_tiles_here(void) { return tiles_here(); }
bool cpu_tiles_allowed(void) { return tiles_allowed(); }

const cpu_kernel_entry cpu_entries_amx[] = {
    {"linear_matmul", SIMD(cpu_linear_matmul), SIMD(cpu_linear_matmul_scratch), SIMD(cpu_linear_matmul_prepare)},
    {.name = NULL},
};

#else // the compiler does not know them

bool cpu_tiles_here(void) { return false; }
bool cpu_tiles_allowed(void) { return false; }
const cpu_kernel_entry cpu_entries_amx[] = {{.name = NULL}};

#endif
