// SPDX-License-Identifier: Apache-2.0
// 64 fields of 4, 5, 6 or 8 bits and the floats that a table has for them, in registers: the table is four planes of
// bytes, one look-up gives a byte of many floats at once, and interleaving the bytes makes floats of them.
// LOOKUP_BITS is the widest field that an instruction set can do so, LOOKUP_FIELDS how many fields a call takes.
#ifndef BACKENDS_CPU_LOOKUP_H
#define BACKENDS_CPU_LOOKUP_H

#include "simd.h"

enum { LOOKUP_FIELDS = 64 };

typedef struct vec_table { _Alignas(64) unsigned char planes[4][256]; } vec_table;

static inline void vec_table_make(const float *floats, uint32_t count, vec_table *out) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = hel_float_bits(floats[i]);
        for (int p = 0; p < 4; p++) out->planes[p][i] = (unsigned char)(bits >> 8 * p);
    }
}

#if defined(__AVX512VBMI__)
enum { LOOKUP_BITS = 8 };

// 64 fields of `bits` (5, 6 or 4) in the low bytes, one in each byte, under other bits. Eight fields are `bits` bytes: they
// go to a lane of eight, which is read at eight bit positions.
static inline __m512i vec_spread_fields(__m512i packed, const uint32_t bits) {
    unsigned char gather[64];
    uint64_t positions = 0;
    for (uint32_t i = 0; i < 64; i++) gather[i] = (unsigned char)(i / 8 * bits + i % 8);
    for (uint32_t i = 0; i < 8; i++) positions |= (uint64_t)(i * bits) << 8 * i;
    __m512i lanes = _mm512_permutexvar_epi8(_mm512_loadu_si512(gather), packed);
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64((long long)positions), lanes);
}

// 64 fields of `bits` (4, 5, 6 or 8) that begin at `bytes`, one in each byte.
static inline __m512i vec_fields(const unsigned char *bytes, const uint32_t bits) {
    if (bits == 8) return _mm512_loadu_si512(bytes);
    __m512i packed = _mm512_maskz_loadu_epi8(((__mmask64)1 << 8 * bits) - 1, bytes);
    return _mm512_and_si512(vec_spread_fields(packed, bits), _mm512_set1_epi8((char)((1 << bits) - 1)));
}

// One plane's bytes at 64 places; `upper` are the places from 128 on, where there are so many.
static inline __m512i vec_plane_look_up(const __m512i plane[4], __m512i at, __mmask64 upper, const uint32_t bits) {
    if (bits < 8) return _mm512_permutexvar_epi8(at, plane[0]);
    // A place that is masked out stays a place, for the other half of the table.
    at = _mm512_mask2_permutex2var_epi8(plane[0], at, ~upper, plane[1]);
    return _mm512_mask2_permutex2var_epi8(plane[2], at, upper, plane[3]);
}

// out[i] = table[field i] for 64 fields of `bits`, a constant where it is inlined. They are put in an order first from
// which unpacking bytes to words and words to floats within 128-bit lanes leads back to theirs.
static inline __attribute__((always_inline)) void vec_table_look_up(const vec_table *table, const unsigned char *fields,
                                                                    const uint32_t bits, float *out) {
    const __m512i spread = _mm512_set_epi8(63, 62, 61, 60, 47, 46, 45, 44, 31, 30, 29, 28, 15, 14, 13, 12, 59, 58, 57, 56, 43,
                                           42, 41, 40, 27, 26, 25, 24, 11, 10, 9, 8, 55, 54, 53, 52, 39, 38, 37, 36, 23, 22, 21,
                                           20, 7, 6, 5, 4, 51, 50, 49, 48, 35, 34, 33, 32, 19, 18, 17, 16, 3, 2, 1, 0);
    __m512i at = _mm512_permutexvar_epi8(spread, vec_fields(fields, bits)), bytes[4];
    for (int p = 0; p < 4; p++)
        bytes[p] = vec_plane_look_up((const __m512i *)(const void *)table->planes[p], at, _mm512_movepi8_mask(at), bits);
    __m512i low01 = _mm512_unpacklo_epi8(bytes[0], bytes[1]), high01 = _mm512_unpackhi_epi8(bytes[0], bytes[1]);
    __m512i low23 = _mm512_unpacklo_epi8(bytes[2], bytes[3]), high23 = _mm512_unpackhi_epi8(bytes[2], bytes[3]);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi16(low01, low23));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi16(low01, low23));
    _mm512_storeu_si512(out + 32, _mm512_unpacklo_epi16(high01, high23));
    _mm512_storeu_si512(out + 48, _mm512_unpackhi_epi16(high01, high23));
}

// The upper halves of the same floats, two to a float of `out`: floats that are halves become pairs so.
static inline __attribute__((always_inline)) void vec_table_look_up_halves(const vec_table *table, const unsigned char *fields,
                                                                           const uint32_t bits, float *out) {
    const __m512i spread = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    __m512i at = _mm512_permutexvar_epi64(spread, vec_fields(fields, bits)), bytes[2];
    for (int p = 0; p < 2; p++)
        bytes[p] = vec_plane_look_up((const __m512i *)(const void *)table->planes[2 + p], at, _mm512_movepi8_mask(at), bits);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi8(bytes[0], bytes[1]));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi8(bytes[0], bytes[1]));
}

#else
enum { LOOKUP_BITS = 6 };

// Fields of 8 `bits` bytes each in a lane of eight bytes, one to a byte: field i moves up by what the fields below lack.
#define LOOKUP_LANE_BITS(i, bits) ((uint64_t)((1u << (bits)) - 1) << 8 * (i))

static inline uint64_t lookup_lane(const unsigned char *bytes, const uint32_t bits) {
    uint32_t low;
    memcpy(&low, bytes, sizeof low);
    uint64_t lane = low;
    for (uint32_t b = sizeof low; b < bits; b++) lane |= (uint64_t)bytes[b] << 8 * b;
    return lane;
}

#if defined(__AVX2__)
static inline __m256i vec_fields_32(const unsigned char *bytes, const uint32_t bits) {
    uint64_t lane[4];
    for (uint32_t i = 0; i < 4; i++) lane[i] = lookup_lane(bytes + i * bits, bits);
    __m256i lanes = _mm256_set_epi64x((long long)lane[3], (long long)lane[2], (long long)lane[1], (long long)lane[0]);
    __m256i fields = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) {
        __m256i mask = _mm256_set1_epi64x((long long)LOOKUP_LANE_BITS(i, bits));
        fields = _mm256_or_si256(fields, _mm256_and_si256(_mm256_slli_epi64(lanes, (int)(8 - bits) * i), mask));
    }
    return fields;
}

// One byte each: two or four tables of 16, chosen between by the index's upper bits.
static inline __m256i vec_table_bytes_32(const unsigned char *plane, __m256i at, const uint32_t bits) {
    __m256i out[4];
    for (int t = 0; t < 1 << (bits - 4); t++) {
        __m128i entries = _mm_load_si128((const __m128i *)(const void *)(plane + 16 * t));
        out[t] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), at);
    }
    if (bits == 4) return out[0];
    __m256i bit4 = _mm256_slli_epi16(at, 3), low = _mm256_blendv_epi8(out[0], out[1], bit4);
    if (bits == 5) return low;
    return _mm256_blendv_epi8(low, _mm256_blendv_epi8(out[2], out[3], bit4), _mm256_slli_epi16(at, 2));
}

static inline void store_lanes(float *out, __m256i floats) {
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(floats));
    _mm_storeu_si128((__m128i *)(void *)(out + 16), _mm256_extracti128_si256(floats, 1));
}

static inline void vec_table_look_up_32(const vec_table *table, const unsigned char *fields, const uint32_t bits, float *out) {
    __m256i at = vec_fields_32(fields, bits), bytes[4];
    for (int p = 0; p < 4; p++) bytes[p] = vec_table_bytes_32(table->planes[p], at, bits);
    __m256i low01 = _mm256_unpacklo_epi8(bytes[0], bytes[1]), high01 = _mm256_unpackhi_epi8(bytes[0], bytes[1]);
    __m256i low23 = _mm256_unpacklo_epi8(bytes[2], bytes[3]), high23 = _mm256_unpackhi_epi8(bytes[2], bytes[3]);
    store_lanes(out, _mm256_unpacklo_epi16(low01, low23));
    store_lanes(out + 4, _mm256_unpackhi_epi16(low01, low23));
    store_lanes(out + 8, _mm256_unpacklo_epi16(high01, high23));
    store_lanes(out + 12, _mm256_unpackhi_epi16(high01, high23));
}

static inline __attribute__((always_inline)) void vec_table_look_up(const vec_table *table, const unsigned char *fields,
                                                                    const uint32_t bits, float *out) {
    for (uint32_t i = 0; i < LOOKUP_FIELDS; i += 32) vec_table_look_up_32(table, fields + i / 8 * bits, bits, out + i);
}

#else
static inline uint8x16_t vec_fields_16(const unsigned char *bytes, const uint32_t bits) {
    uint64x2_t lanes = vcombine_u64(vcreate_u64(lookup_lane(bytes, bits)), vcreate_u64(lookup_lane(bytes + bits, bits)));
    uint64x2_t fields = vdupq_n_u64(0);
    for (int i = 0; i < 8; i++) {
        uint64x2_t moved = vshlq_u64(lanes, vdupq_n_s64((int)(8 - bits) * i));
        fields = vorrq_u64(fields, vandq_u64(moved, vdupq_n_u64(LOOKUP_LANE_BITS(i, bits))));
    }
    return vreinterpretq_u8_u64(fields);
}

static inline uint8x16_t vec_table_bytes_16(const unsigned char *plane, uint8x16_t at, const uint32_t bits) {
    if (bits == 4) return vqtbl1q_u8(vld1q_u8(plane), at);
    if (bits == 5) return vqtbl2q_u8((uint8x16x2_t){{vld1q_u8(plane), vld1q_u8(plane + 16)}}, at);
    return vqtbl4q_u8((uint8x16x4_t){{vld1q_u8(plane), vld1q_u8(plane + 16), vld1q_u8(plane + 32), vld1q_u8(plane + 48)}}, at);
}

static inline void vec_table_look_up_16(const vec_table *table, const unsigned char *fields, const uint32_t bits, float *out) {
    uint8x16_t at = vec_fields_16(fields, bits), bytes[4];
    for (int p = 0; p < 4; p++) bytes[p] = vec_table_bytes_16(table->planes[p], at, bits);
    uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(bytes[0], bytes[1]));
    uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(bytes[0], bytes[1]));
    uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(bytes[2], bytes[3]));
    uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(bytes[2], bytes[3]));
    vst1q_f32(out, vreinterpretq_f32_u16(vzip1q_u16(low01, low23)));
    vst1q_f32(out + 4, vreinterpretq_f32_u16(vzip2q_u16(low01, low23)));
    vst1q_f32(out + 8, vreinterpretq_f32_u16(vzip1q_u16(high01, high23)));
    vst1q_f32(out + 12, vreinterpretq_f32_u16(vzip2q_u16(high01, high23)));
}

static inline __attribute__((always_inline)) void vec_table_look_up(const vec_table *table, const unsigned char *fields,
                                                                    const uint32_t bits, float *out) {
    for (uint32_t i = 0; i < LOOKUP_FIELDS; i += 16) vec_table_look_up_16(table, fields + i / 8 * bits, bits, out + i);
}
#endif
#endif

#endif
