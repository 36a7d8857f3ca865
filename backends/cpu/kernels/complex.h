// SPDX-License-Identifier: Apache-2.0
// Vectors of complex numbers, and the butterflies that take a polynomial modulo x^2n - s^2 to its remainders modulo x^n - s
// and x^n + s, and back (twice the polynomial). The numbers s have magnitude 1.
#ifndef BACKENDS_CPU_COMPLEX_H
#define BACKENDS_CPU_COMPLEX_H

#include "simd.h"

typedef struct cvec { vec re, im; } cvec;

static inline cvec cvec_load(const float *re, const float *im) { return (cvec){vec_load(re), vec_load(im)}; }
static inline void cvec_store(float *re, float *im, cvec a) { vec_store(re, a.re), vec_store(im, a.im); }
static inline cvec cvec_set(const float s[2]) { return (cvec){vec_set(s[0]), vec_set(s[1])}; }
static inline cvec cvec_add(cvec a, cvec b) { return (cvec){vec_add(a.re, b.re), vec_add(a.im, b.im)}; }
static inline cvec cvec_sub(cvec a, cvec b) { return (cvec){vec_sub(a.re, b.re), vec_sub(a.im, b.im)}; }
static inline cvec cvec_mul(cvec a, cvec b) {
    return (cvec){vec_fnma(a.im, b.im, vec_mul(a.re, b.re)), vec_fma(a.im, b.re, vec_mul(a.re, b.im))};
}
static inline cvec cvec_mul_conj(cvec a, cvec b) { // a conj(b)
    return (cvec){vec_fma(a.im, b.im, vec_mul(a.re, b.re)), vec_fnma(a.re, b.im, vec_mul(a.im, b.re))};
}
static inline cvec cvec_mul_add(cvec a, cvec b, cvec sum) {
    return (cvec){vec_fnma(a.im, b.im, vec_fma(a.re, b.re, sum.re)), vec_fma(a.im, b.re, vec_fma(a.re, b.im, sum.im))};
}
static inline cvec cvec_mul_conj_add(cvec a, cvec b, cvec sum) {
    return (cvec){vec_fma(a.im, b.im, vec_fma(a.re, b.re, sum.re)), vec_fnma(a.re, b.im, vec_fma(a.im, b.re, sum.im))};
}

// 2 a - b: the second output of a butterfly from the first, one instruction for a multiplication and two additions.
static inline cvec cvec_twice_less(cvec a, cvec b) {
    return (cvec){vec_fms(a.re, vec_set(2.0f), b.re), vec_fms(a.im, vec_set(2.0f), b.im)};
}

// (low, high) = (low + s high, low - s high)
static inline void cvec_split(cvec *low, cvec *high, cvec s) {
    cvec sum = cvec_mul_add(s, *high, *low);
    *high = cvec_twice_less(*low, sum);
    *low = sum;
}
// The same with i s.
static inline void cvec_split_i(cvec *low, cvec *high, cvec s) {
    cvec sum = {vec_fnma(s.im, high->re, vec_fnma(s.re, high->im, low->re)),
                vec_fnma(s.im, high->im, vec_fma(s.re, high->re, low->im))};
    *high = cvec_twice_less(*low, sum);
    *low = sum;
}
// (low, high) = (low + high, conj(s) (low - high))
static inline void cvec_join(cvec *low, cvec *high, cvec s) {
    cvec difference = cvec_sub(*low, *high);
    *low = cvec_add(*low, *high);
    *high = cvec_mul_conj(difference, s);
}
// The same with i s.
static inline void cvec_join_i(cvec *low, cvec *high, cvec s) {
    cvec difference = {vec_sub(low->im, high->im), vec_sub(high->re, low->re)};
    *low = cvec_add(*low, *high);
    *high = cvec_mul_conj(difference, s);
}

static inline void cvec_transpose(cvec a[WIDTH]) {
    vec re[WIDTH], im[WIDTH];
    for (int i = 0; i < WIDTH; i++) re[i] = a[i].re, im[i] = a[i].im;
    vec_transpose(re);
    vec_transpose(im);
    for (int i = 0; i < WIDTH; i++) a[i] = (cvec){re[i], im[i]};
}

#endif
