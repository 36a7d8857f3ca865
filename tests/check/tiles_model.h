// SPDX-License-Identifier: Apache-2.0
// A model of the tile instructions of backends/cpu/kernels/tiles.h for processors without them, in the order of operations
// that the manual gives for TDPBF16PS: the products of first halves and those of second halves have a sum each, and what they
// come to is added to the third tile.
#ifndef TESTS_CHECK_TILES_MODEL_H
#define TESTS_CHECK_TILES_MODEL_H

#include <math.h>

static _Thread_local struct {
    bool configured;
    uint32_t words[8][16][16];
} tiles;

static inline void tiles_begin(void) {
    memset(&tiles, 0x7f, sizeof tiles); // what was not loaded is no number to go by
    tiles.configured = true;
}
static inline void tiles_end(void) { tiles.configured = false; }
static inline bool tiles_here(void) { return true; }
static inline bool tiles_allowed(void) { return true; }

static inline void tile_load(int tile, const void *from, size_t stride) {
    if (!tiles.configured) __builtin_trap();
    for (int r = 0; r < 16; r++) memcpy(tiles.words[tile][r], (const char *)from + r * stride, 64);
}

static inline void tile_store(int tile, void *to, size_t stride) {
    if (!tiles.configured) __builtin_trap();
    for (int r = 0; r < 16; r++) memcpy((char *)to + r * stride, tiles.words[tile][r], 64);
}

// Denormal numbers count as zeros.
static inline float tile_normal(float value) { return fabsf(value) < 0x1p-126f ? 0.0f : value; }
static inline float tile_half(uint32_t word, int which) {
    return tile_normal(hel_bits_float(which ? word & 0xffff0000u : word << 16));
}

static inline void tile_multiply(int sum, int a, int b) {
    if (!tiles.configured) __builtin_trap();
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float of[2] = {0.0f, 0.0f};
            for (int k = 0; k < 16; k++)
                for (int half = 0; half < 2; half++)
                    of[half] = tile_normal(fmaf(tile_half(tiles.words[a][m][k], half), tile_half(tiles.words[b][k][n], half),
                                                of[half]));
            float total = tile_normal(hel_bits_float(tiles.words[sum][m][n]));
            tiles.words[sum][m][n] = hel_float_bits(tile_normal(total + tile_normal(of[0] + of[1])));
        }
}

#endif
