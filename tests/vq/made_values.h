// SPDX-License-Identifier: Apache-2.0
// Pseudo-random, nearly normal floats by integer mixing (splitmix64), so that other programs can make the same ones.
#ifndef TESTS_MADE_VALUES_H
#define TESTS_MADE_VALUES_H

#include <stdint.h>

static inline uint64_t made_mix(uint64_t i) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static inline float made_value(uint64_t i, uint64_t seed) {
    uint64_t z = made_mix(i + (seed << 32));
    int64_t sum = (int64_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
    float a = (float)(sum - 131070) / 65536.0f, b = 1.0f + (float)(z >> 20 & 0xffff) / 65536.0f;
    return a * b;
}

static inline void made_values(float *out, uint64_t count, uint64_t seed) {
    for (uint64_t i = 0; i < count; i++) out[i] = made_value(i, seed);
}

#endif
