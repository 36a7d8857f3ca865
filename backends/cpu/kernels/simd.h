// SPDX-License-Identifier: Apache-2.0
// One vector of floats, whatever the instruction set: WIDTH lanes, and the few operations that kernels need.
// The folder's *.inc.c are compiled once for each set. Sums of lanes fold by a fixed tree.
#ifndef BACKENDS_CPU_SIMD_H
#define BACKENDS_CPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"

#if defined(__AVX__)
#include <immintrin.h>

// Lanes i and i + 4, those sums i and i + 2, and the last two.
static inline float sum_of_8(__m256 a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
#endif

#if defined(__AVX512F__)
#if defined(SIMD_TILES)
#define SIMD(name) name##_amx
#elif defined(__AVX512BF16__)
#define SIMD(name) name##_avx512bf16
#elif defined(__AVX512VBMI__)
#define SIMD(name) name##_avx512vbmi
#else
#define SIMD(name) name##_avx512
#endif
#ifdef __AVX512VBMI__
#define SIMD_FIXED 1
#endif
typedef __m512 vec;
enum { WIDTH = 16, LOG_WIDTH = 4, ROWS_AT_ONCE = 8, TOKENS_AT_ONCE = 3 };
static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); } // c - a b
static inline vec vec_fms(vec a, vec b, vec c) { return _mm512_fmsub_ps(a, b, c); }
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
typedef __mmask16 vec_mask;
static inline vec_mask vec_less(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vec vec_select(vec_mask mask, vec a, vec b) { return _mm512_mask_blend_ps(mask, b, a); } // a where it is set
static inline vec vec_round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec vec_scale(vec a, vec exponent) { return _mm512_scalef_ps(a, exponent); } // a 2^exponent, a whole number
static inline vec vec_reverse(vec a) {
    return _mm512_permutexvar_ps(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), a);
}
// Pairs of rows, pairs of pairs within 128 bits, then the sixteen squares of 128 bits.
static inline void vec_transpose(vec a[16]) {
    vec b[16];
    for (int i = 0; i < 16; i += 2) b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d low = _mm512_castps_pd(b[i + j]), high = _mm512_castps_pd(b[i + 2 + j]);
            a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    for (int i = 0; i < 4; i++) {
        vec even0 = _mm512_shuffle_f32x4(a[i], a[4 + i], 0x88), odd0 = _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd);
        vec even1 = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0x88), odd1 = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0xdd);
        b[i] = _mm512_shuffle_f32x4(even0, even1, 0x88), b[8 + i] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        b[4 + i] = _mm512_shuffle_f32x4(odd0, odd1, 0x88), b[12 + i] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
    for (int i = 0; i < 16; i++) a[i] = b[i];
}

static inline float vec_sum(vec a) { return sum_of_8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1))); }
// Lane i of the result is the sum of a[i]'s lanes.
static inline vec vec_sums(const vec a[16]) {
    vec pairs[8], fours[4];
    for (int i = 0; i < 8; i++)
        pairs[i] = _mm512_add_ps(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        __m512d low = _mm512_castps_pd(pairs[2 * i]), high = _mm512_castps_pd(pairs[2 * i + 1]);
        fours[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)), _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
    }
    vec first = _mm512_add_ps(_mm512_shuffle_f32x4(fours[0], fours[1], 0x88), _mm512_shuffle_f32x4(fours[0], fours[1], 0xdd));
    vec second = _mm512_add_ps(_mm512_shuffle_f32x4(fours[2], fours[3], 0x88), _mm512_shuffle_f32x4(fours[2], fours[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(first, second, 0x88), _mm512_shuffle_f32x4(first, second, 0xdd));
}
static inline vec vec_of_halves(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
static inline vec vec_of_bf16(const uint16_t *p) {
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}
#elif defined(__AVX2__)
#define SIMD(name) name##_avx2
typedef __m256 vec;
enum { WIDTH = 8, LOG_WIDTH = 3, ROWS_AT_ONCE = 4, TOKENS_AT_ONCE = 3 };
static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_set(float x) { return _mm256_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); } // c - a b
static inline vec vec_fms(vec a, vec b, vec c) { return _mm256_fmsub_ps(a, b, c); }
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
typedef __m256 vec_mask;
static inline vec_mask vec_less(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vec vec_select(vec_mask mask, vec a, vec b) { return _mm256_blendv_ps(b, a, mask); } // a where it is set
static inline vec vec_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec vec_power(__m256i exponent) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}
static inline vec vec_scale(vec a, vec exponent) { // in two steps, so that both powers of two are normal
    __m256i whole = _mm256_cvtps_epi32(exponent), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(a, vec_power(half)), vec_power(_mm256_sub_epi32(whole, half)));
}
static inline vec vec_reverse(vec a) { return _mm256_permutevar8x32_ps(a, _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline void vec_transpose(vec a[8]) {
    vec b[8];
    for (int i = 0; i < 8; i += 2) b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            __m256d low = _mm256_castps_pd(b[i + j]), high = _mm256_castps_pd(b[i + 2 + j]);
            a[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
            a[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
        }
    for (int i = 0; i < 4; i++)
        b[i] = _mm256_permute2f128_ps(a[i], a[4 + i], 0x20), b[4 + i] = _mm256_permute2f128_ps(a[i], a[4 + i], 0x31);
    for (int i = 0; i < 8; i++) a[i] = b[i];
}
static inline float vec_sum(vec a) { return sum_of_8(a); }
static inline vec vec_sums(const vec a[8]) {
    vec low = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    vec high = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
static inline vec vec_of_halves(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }
static inline vec vec_of_bf16(const uint16_t *p) {
    __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SIMD(name) name##_neon
typedef float32x4_t vec;
enum { WIDTH = 4, LOG_WIDTH = 2, ROWS_AT_ONCE = 4, TOKENS_AT_ONCE = 4 };
static inline vec vec_zero(void) { return vdupq_n_f32(0.0f); }
static inline vec vec_set(float x) { return vdupq_n_f32(x); }
static inline vec vec_load(const float *p) { return vld1q_f32(p); }
static inline void vec_store(float *p, vec a) { vst1q_f32(p, a); }
static inline vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vec_fnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); } // c - a b
static inline vec vec_fms(vec a, vec b, vec c) { return vfmaq_f32(vnegq_f32(c), a, b); }
static inline vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec vec_min(vec a, vec b) { return vminq_f32(a, b); }
static inline vec vec_max(vec a, vec b) { return vmaxq_f32(a, b); }
typedef uint32x4_t vec_mask;
static inline vec_mask vec_less(vec a, vec b) { return vcltq_f32(a, b); }
static inline vec vec_select(vec_mask mask, vec a, vec b) { return vbslq_f32(mask, a, b); } // a where it is set
static inline vec vec_round(vec a) { return vrndnq_f32(a); }
static inline vec vec_power(int32x4_t exponent) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(exponent, vdupq_n_s32(127)), 23));
}
static inline vec vec_scale(vec a, vec exponent) { // in two steps, so that both powers of two are normal
    int32x4_t whole = vcvtnq_s32_f32(exponent), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(a, vec_power(half)), vec_power(vsubq_s32(whole, half)));
}
static inline vec vec_reverse(vec a) {
    vec pairs = vrev64q_f32(a);
    return vcombine_f32(vget_high_f32(pairs), vget_low_f32(pairs));
}
static inline void vec_transpose(vec a[4]) {
    float32x4x2_t top = vtrnq_f32(a[0], a[1]), bottom = vtrnq_f32(a[2], a[3]);
    for (int i = 0; i < 2; i++) {
        a[i] = vcombine_f32(vget_low_f32(top.val[i]), vget_low_f32(bottom.val[i]));
        a[2 + i] = vcombine_f32(vget_high_f32(top.val[i]), vget_high_f32(bottom.val[i]));
    }
}
static inline float vec_sum(vec a) { return vaddv_f32(vadd_f32(vget_low_f32(a), vget_high_f32(a))); }
static inline vec vec_sums(const vec a[4]) { return vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])); }
static inline vec vec_of_halves(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline vec vec_of_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
#else
#error "no vector instructions are known for this processor"
#endif

#ifdef __AVX512BF16__
// Lanes of two halves: sum[i] += a[i].low b[i].low + a[i].high b[i].high.
#define SIMD_PAIRS 1
static inline vec vec_pairs(vec a, vec b, vec sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
// The first or second half of each lane.
static inline vec vec_of_pairs(vec pairs, bool second) {
    __m512i bits = _mm512_castps_si512(pairs);
    return _mm512_castsi512_ps(second ? _mm512_and_si512(bits, _mm512_set1_epi32(-65536)) : _mm512_slli_epi32(bits, 16));
}

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
static inline vec vec_of_pairs(vec pairs, bool second) { (void)second; return pairs; }
static inline void vec_to_pairs(const float *in, uint32_t count, float *out) { (void)in, (void)count, (void)out; }
#endif

// a, in a register: compilers would load it again for each use where an instruction can take it from memory.
static inline vec vec_hold(vec a) {
#if defined(__aarch64__)
    __asm__("" : "+w"(a));
#else
    __asm__("" : "+v"(a));
#endif
    return a;
}

// e^x within a unit in the last place, 0 below the denormals, infinite above the floats: 2^n e^r with |r| <= ln(2) / 2,
// and the first eight terms of e^r.
static inline vec vec_exp(vec x) {
    x = vec_min(vec_set(90.0f), vec_max(vec_set(-110.0f), x)); // in this order a NaN stays
    vec n = vec_round(vec_mul(x, vec_set(0x1.715476p+0f)));
    vec r = vec_fma(n, vec_set(-0x1.62e4p-1f), x); // ln 2 in two parts, the first times n exact
    r = vec_fma(n, vec_set(-0x1.7f7d1cp-20f), r);
    vec sum = vec_set(1.0f / 5040);
    static const float inverse_factorials[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    for (int i = 0; i < 7; i++) sum = vec_fma(sum, r, vec_set(inverse_factorials[i]));
    return vec_scale(sum, n);
}

// The first `count` of WIDTH lanes, zeros behind them.
static inline vec vec_load_part(const float *p, uint32_t count) {
#if defined(__AVX512F__)
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif defined(__AVX2__)
    __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)count), lanes));
#else
    float lanes[WIDTH] = {0};
    memcpy(lanes, p, count * sizeof *p);
    return vec_load(lanes);
#endif
}
static inline void vec_store_part(float *p, uint32_t count, vec a) {
    float lanes[WIDTH];
    vec_store(lanes, a);
    memcpy(p, lanes, count * sizeof *p);
}

// The first `count` of WIDTH lanes; without a detour where that is a constant WIDTH.
static inline __attribute__((always_inline)) vec load_some(const float *p, uint32_t count) {
    return count == WIDTH ? vec_load(p) : vec_load_part(p, count);
}
static inline __attribute__((always_inline)) void store_some(float *p, uint32_t count, vec a) {
    if (count == WIDTH) vec_store(p, a);
    else vec_store_part(p, count, a);
}

#endif
