// SPDX-License-Identifier: Apache-2.0
// IEEE binary16 and bfloat16 to and from float, bit-exact, round to nearest even; floats as keys.
#ifndef HEL_BASE_HALF_H
#define HEL_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t hel_float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float hel_bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Keys order as the floats do; -0 and +0 have one key. NaN lies beyond the infinities.
static inline uint32_t hel_float_key(float value) {
    uint32_t bits = hel_float_bits(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static inline float hel_key_float(uint32_t key) {
    return hel_bits_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

static inline float hel_bf16_to_float(uint16_t half) { return hel_bits_float((uint32_t)half << 16); }

static inline uint16_t hel_float_to_bf16(float value) {
    uint32_t bits = hel_float_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40); // a quiet NaN stays one
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float hel_f16_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    if (exponent == 31) return hel_bits_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return hel_bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

static inline uint16_t hel_float_to_f16(float value) {
    uint32_t bits = hel_float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00); // 65536 and above, infinity
    if (magnitude < 0x38800000u) { // below 2^-14: add a float whose last place is 2^-24, the FPU rounds to even
        float shifted = hel_bits_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (hel_float_bits(shifted) - 0x3f000000u));
    }
    uint32_t rounded = magnitude - 0x38000000u + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | rounded >> 13);
}

#endif
