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
#define SIMD(name) name##_avx512
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
