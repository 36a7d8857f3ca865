// SPDX-License-Identifier: Apache-2.0
// One vector of floats, whatever the instruction set: WIDTH lanes, and the few operations that kernels need.
// The folder's *.inc.c are compiled once for each set. Sums of lanes fold by a fixed tree.
#ifndef BACKENDS_CPU_SIMD_H
#define BACKENDS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>

#include "base/half.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#if defined(__AVX512BF16__)
#define SIMD(name) name##_avx512bf16
#elif defined(__AVX512VBMI__)
#define SIMD(name) name##_avx512vbmi
#else
#define SIMD(name) name##_avx512
#endif
#ifdef __AVX512VBMI__
#define SIMD_LOOKUP 1
#define SIMD_FIXED 1
#endif
typedef __m512 vec;
enum { WIDTH = 16, ROWS_AT_ONCE = 8, TOKENS_AT_ONCE = 3 };
static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec vec_of_halves(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
#elif defined(__AVX2__)
#include <immintrin.h>
#define SIMD(name) name##_avx2
typedef __m256 vec;
enum { WIDTH = 8, ROWS_AT_ONCE = 4, TOKENS_AT_ONCE = 3 };
static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_set(float x) { return _mm256_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_of_halves(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SIMD(name) name##_neon
typedef float32x4_t vec;
enum { WIDTH = 4, ROWS_AT_ONCE = 4, TOKENS_AT_ONCE = 4 };
static inline vec vec_zero(void) { return vdupq_n_f32(0.0f); }
static inline vec vec_set(float x) { return vdupq_n_f32(x); }
static inline vec vec_load(const float *p) { return vld1q_f32(p); }
static inline void vec_store(float *p, vec a) { vst1q_f32(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vec_of_halves(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
#error "no vector instructions are known for this processor"
#endif

#ifdef __AVX512BF16__
// Lanes of two halves: sum[i] += a[i].low b[i].low + a[i].high b[i].high.
#define SIMD_PAIRS 1
static inline vec vec_pairs(vec a, vec b, vec sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// out[i] = the pair of in[2 i] and in[2 i + 1], rounded to the nearest; `count` floats, zeros behind them.
static inline void vec_to_pairs(const float *in, uint32_t count, float *out) {
    for (uint32_t i = 0; i < count; i += 32) {
        uint32_t left = count - i;
        __mmask16 low = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
        __mmask16 high = left < 16 ? 0 : left < 32 ? (__mmask16)((1u << (left - 16)) - 1) : 0xffff;
        __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, in + i + 16), _mm512_maskz_loadu_ps(low, in + i));
        _mm512_storeu_ps(out + i / 2, (__m512)pairs);
    }
}
#else
static inline vec vec_pairs(vec a, vec b, vec sum) { (void)a, (void)b; return sum; }
static inline void vec_to_pairs(const float *in, uint32_t count, float *out) { (void)in, (void)count, (void)out; }
#endif

#ifdef SIMD_LOOKUP
// A table of at most 256 floats as four planes of bytes: a permutation of bytes looks up 64 of them at once where there
// are at most 64 entries, two permutations of two registers and a blend where there are more.
typedef struct vec_table { _Alignas(64) unsigned char planes[4][256]; } vec_table;

static inline void vec_table_make(const float *floats, uint32_t count, vec_table *out) {
    for (uint32_t i = 0; i < count; i += 16) {
        __m512i bits = _mm512_loadu_si512(floats + i);
        for (int p = 0; p < 4; p++, bits = _mm512_srli_epi32(bits, 8))
            _mm_store_si128((__m128i *)(void *)(out->planes[p] + i), _mm512_cvtepi32_epi8(bits));
    }
}

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

// out[p] = the first n_planes planes' bytes at 64 places.
static inline void vec_table_bytes(const vec_table *table, __m512i at, const uint32_t bits, const int n_planes, __m512i *out) {
    __mmask64 upper = _mm512_movepi8_mask(at);
    for (int p = 0; p < n_planes; p++) {
        const __m512i *plane = (const __m512i *)(const void *)table->planes[p];
        if (bits < 8) {
            out[p] = _mm512_permutexvar_epi8(at, plane[0]);
            continue;
        }
        __m512i low = _mm512_permutex2var_epi8(plane[0], at, plane[1]), high = _mm512_permutex2var_epi8(plane[2], at, plane[3]);
        out[p] = _mm512_mask_blend_epi8(upper, low, high);
    }
}

// out[i] = table[field i] for 64 fields of `bits`, a constant where it is inlined. They are put in an order first from
// which unpacking bytes to words and words to floats within 128-bit lanes leads back to theirs.
static inline __attribute__((always_inline)) void vec_table_look_up(const vec_table *table, const unsigned char *fields,
                                                                    const uint32_t bits, float *out) {
    const __m512i spread = _mm512_set_epi8(63, 62, 61, 60, 47, 46, 45, 44, 31, 30, 29, 28, 15, 14, 13, 12, 59, 58, 57, 56, 43,
                                           42, 41, 40, 27, 26, 25, 24, 11, 10, 9, 8, 55, 54, 53, 52, 39, 38, 37, 36, 23, 22, 21,
                                           20, 7, 6, 5, 4, 51, 50, 49, 48, 35, 34, 33, 32, 19, 18, 17, 16, 3, 2, 1, 0);
    __m512i bytes[4];
    vec_table_bytes(table, _mm512_permutexvar_epi8(spread, vec_fields(fields, bits)), bits, 4, bytes);
    __m512i low01 = _mm512_unpacklo_epi8(bytes[0], bytes[1]), high01 = _mm512_unpackhi_epi8(bytes[0], bytes[1]);
    __m512i low23 = _mm512_unpacklo_epi8(bytes[2], bytes[3]), high23 = _mm512_unpackhi_epi8(bytes[2], bytes[3]);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi16(low01, low23));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi16(low01, low23));
    _mm512_storeu_si512(out + 32, _mm512_unpacklo_epi16(high01, high23));
    _mm512_storeu_si512(out + 48, _mm512_unpackhi_epi16(high01, high23));
}
#endif

static inline float vec_sum(vec a) {
    float lanes[WIDTH];
    vec_store(lanes, a);
    for (int fold = WIDTH / 2; fold > 0; fold /= 2)
        for (int i = 0; i < fold; i++) lanes[i] += lanes[i + fold];
    return lanes[0];
}

// The first `count` of WIDTH lanes, zeros behind them.
static inline vec vec_load_part(const float *p, uint32_t count) {
    float lanes[WIDTH] = {0};
    memcpy(lanes, p, count * sizeof *p);
    return vec_load(lanes);
}

#endif
