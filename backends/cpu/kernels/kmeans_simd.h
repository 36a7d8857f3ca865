// SPDX-License-Identifier: Apache-2.0
// What the k-means kernels need of vectors beyond simd.h: plain arithmetic, lanes that are equal, the least lane.
#ifndef BACKENDS_CPU_KMEANS_SIMD_H
#define BACKENDS_CPU_KMEANS_SIMD_H

#include "simd.h"

// vec_lesser(a, b) is b where a is NaN. SIMD_WHOLE: there are products of pairs of 16-bit integers too;
// ivec_pair(low, high) makes words of them, ivec_add_pairs(a, b, c) is c + low low + high high; ivec_above16 is a - b of unsigned
// halves, or 0. ivec_list_lanes writes the numbers of the set lanes, `first` that of lane 0, perhaps a whole vector, and
// counts them.
#if defined(__AVX512F__)
enum { VECTORS_AT_ONCE = 3, CENTROIDS_AT_ONCE = 8 };
static inline vec vec_lesser(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vec_greater(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline uint32_t vec_equal_lanes(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline uint32_t vec_less_lanes(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline float vec_least(vec a) { return _mm512_reduce_min_ps(a); }
#define SIMD_WHOLE 1
typedef __m512i ivec;
static inline ivec ivec_set(int32_t x) { return _mm512_set1_epi32(x); }
static inline ivec ivec_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void ivec_store(int32_t *p, ivec a) { _mm512_storeu_si512(p, a); }
static inline ivec ivec_min(ivec a, ivec b) { return _mm512_min_epi32(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
static inline vec vec_of_bits(ivec a) { return _mm512_castsi512_ps(a); }
static inline ivec ivec_max(ivec a, ivec b) { return _mm512_max_epi32(a, b); }
static inline int32_t ivec_least(ivec a) { return _mm512_reduce_min_epi32(a); }
static inline uint32_t ivec_less_lanes(ivec a, ivec b) { return _mm512_cmplt_epi32_mask(a, b); }
static inline uint32_t ivec_equal_lanes(ivec a, ivec b) { return _mm512_cmpeq_epi32_mask(a, b); }
static inline ivec ivec_select_less(ivec a, ivec b, ivec yes, ivec no) {
    return _mm512_mask_blend_epi32(_mm512_cmplt_epi32_mask(a, b), no, yes);
}
static inline uint32_t ivec_list_lanes(uint32_t lanes, int32_t first, int32_t *out) {
    const ivec numbers = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    ivec_store(out, _mm512_maskz_compress_epi32((__mmask16)lanes, _mm512_add_epi32(numbers, ivec_set(first))));
    return (uint32_t)__builtin_popcount(lanes);
}
static inline ivec ivec_add16(ivec a, ivec b) { return _mm512_add_epi16(a, b); }
static inline ivec ivec_magnitude16(ivec a) { return _mm512_abs_epi16(a); }
static inline ivec ivec_above16(ivec a, ivec b) { return _mm512_subs_epu16(a, b); }
static inline ivec ivec_shift16(ivec a, int bits) { return _mm512_srai_epi16(a, (unsigned)bits); }
static inline ivec ivec_of_floats(vec a) { return _mm512_cvtps_epi32(a); }
static inline vec vec_of_ints(ivec a) { return _mm512_cvtepi32_ps(a); }
static inline ivec ivec_pair(ivec low, ivec high) { return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16)); }
// GCC copies its sums round the built-in functions; written so they stay where they are.
static inline ivec ivec_add_pairs(ivec a, ivec b, ivec c) {
#ifdef __AVX512VNNI__
    __asm__("vpdpwssd %1, %2, %0" : "+v"(c) : "v"(a), "v"(b));
#else
    ivec products = _mm512_madd_epi16(a, b);
    __asm__("vpaddd %1, %0, %0" : "+v"(c) : "v"(products));
#endif
    return c;
}
#elif defined(__AVX2__)
enum { VECTORS_AT_ONCE = 2, CENTROIDS_AT_ONCE = 4 };
static inline vec vec_lesser(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vec_greater(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline uint32_t vec_equal_lanes(vec a, vec b) { return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
static inline uint32_t vec_less_lanes(vec a, vec b) { return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
static inline float vec_least(vec a) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}
#define SIMD_WHOLE 1
typedef __m256i ivec;
static inline ivec ivec_set(int32_t x) { return _mm256_set1_epi32(x); }
static inline ivec ivec_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline void ivec_store(int32_t *p, ivec a) { _mm256_storeu_si256((__m256i *)(void *)p, a); }
static inline ivec ivec_min(ivec a, ivec b) { return _mm256_min_epi32(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
static inline vec vec_of_bits(ivec a) { return _mm256_castsi256_ps(a); }
static inline ivec ivec_max(ivec a, ivec b) { return _mm256_max_epi32(a, b); }
static inline int32_t ivec_least(ivec a) {
    __m128i half = _mm_min_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    half = _mm_min_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_min_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}
static inline uint32_t ivec_sign_lanes(ivec a) { return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(a)); }
static inline uint32_t ivec_less_lanes(ivec a, ivec b) { return ivec_sign_lanes(_mm256_cmpgt_epi32(b, a)); }
static inline uint32_t ivec_equal_lanes(ivec a, ivec b) { return ivec_sign_lanes(_mm256_cmpeq_epi32(a, b)); }
static inline ivec ivec_select_less(ivec a, ivec b, ivec yes, ivec no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpgt_epi32(b, a));
}
static inline uint32_t ivec_list_lanes(uint32_t lanes, int32_t first, int32_t *out) {
    uint32_t count = 0;
    for (; lanes; lanes &= lanes - 1) out[count++] = first + __builtin_ctz(lanes);
    return count;
}
static inline ivec ivec_add16(ivec a, ivec b) { return _mm256_add_epi16(a, b); }
static inline ivec ivec_magnitude16(ivec a) { return _mm256_abs_epi16(a); }
static inline ivec ivec_above16(ivec a, ivec b) { return _mm256_subs_epu16(a, b); }
static inline ivec ivec_shift16(ivec a, int bits) { return _mm256_srai_epi16(a, bits); }
static inline ivec ivec_of_floats(vec a) { return _mm256_cvtps_epi32(a); }
static inline vec vec_of_ints(ivec a) { return _mm256_cvtepi32_ps(a); }
static inline ivec ivec_pair(ivec low, ivec high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa); }
static inline ivec ivec_add_pairs(ivec a, ivec b, ivec c) {
    ivec products = _mm256_madd_epi16(a, b);
    __asm__("vpaddd %1, %0, %0" : "+x"(c) : "x"(products));
    return c;
}
#elif defined(__aarch64__)
enum { VECTORS_AT_ONCE = 3, CENTROIDS_AT_ONCE = 8 };
static inline vec vec_lesser(vec a, vec b) { return vminnmq_f32(a, b); }
static inline vec vec_greater(vec a, vec b) { return vmaxnmq_f32(a, b); }
static inline uint32_t mask_lanes(uint32x4_t mask) {
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(mask, vld1q_u32(bits)));
}
static inline uint32_t vec_equal_lanes(vec a, vec b) { return mask_lanes(vceqq_f32(a, b)); }
static inline uint32_t vec_less_lanes(vec a, vec b) { return mask_lanes(vcltq_f32(a, b)); }
static inline float vec_least(vec a) { return vminnmvq_f32(a); }
#endif

#endif
