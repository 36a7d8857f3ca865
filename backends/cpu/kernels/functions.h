// SPDX-License-Identifier: Apache-2.0
// The functions of shaders/functions.kh, WIDTH values at once.
#ifndef BACKENDS_CPU_FUNCTIONS_H
#define BACKENDS_CPU_FUNCTIONS_H

#include "kernels.h"
#include "simd.h"

// c[0] + c[1] x + ... + c[degree] x^degree; the degree is a constant where it is inlined.
static inline __attribute__((always_inline)) vec vec_polynomial(vec x, const float *c, const int degree) {
    vec sum = vec_set(c[degree]);
    for (int i = degree - 1; i >= 0; i--) sum = vec_fma(sum, x, vec_set(c[i]));
    return sum;
}

static inline vec vec_negative(vec x) { return vec_sub(vec_zero(), x); }
static inline vec vec_size(vec x) { return vec_max(x, vec_negative(x)); }

static inline vec vec_sigmoid(vec x) {
    vec one = vec_set(1.0f);
    return vec_div(one, vec_add(one, vec_exp(vec_negative(x))));
}

static inline vec vec_silu(vec x) { return vec_div(x, vec_add(vec_set(1.0f), vec_exp(vec_negative(x)))); }

static inline vec vec_tanh(vec x) {
    static const float c[] = {0.999999987f, -0.333330694f, 0.133247793f, -0.052986073f, 0.017135001f};
    vec one = vec_set(1.0f), size = vec_size(x), square = vec_mul(x, x);
    vec near = vec_mul(x, vec_polynomial(square, c, 4));
    vec far = vec_sub(one, vec_div(vec_set(2.0f), vec_add(vec_exp(vec_add(size, size)), one)));
    far = vec_select(vec_less(x, vec_zero()), vec_negative(far), far);
    return vec_select(vec_less(size, vec_set(0.5f)), near, far);
}

static inline vec vec_softplus(vec x) {
    static const float c[] = {1.0f, 0.333331573f, 0.200124551f, 0.139803024f, 0.14089163f};
    vec u = vec_exp(vec_negative(vec_size(x))), s = vec_div(u, vec_add(vec_set(2.0f), u));
    return vec_fma(vec_add(s, s), vec_polynomial(vec_mul(s, s), c, 4), vec_max(x, vec_zero()));
}

// max(x, 0) - |x| (the part below -|x|), which for x < 0 is x times the part below x.
static inline vec vec_gelu(vec x) {
    static const float c[] = {0.119629298f, 0.120753968f,  0.099913409f,  0.128561922f,
                              -0.053684241f, 0.20635419f, -0.157203495f, 0.035674876f};
    vec size = vec_size(x), t = vec_div(vec_set(1.0f), vec_fma(size, vec_set(0.3f), vec_set(1.0f)));
    vec below = vec_mul(vec_mul(vec_exp(vec_mul(vec_mul(x, x), vec_set(-0.5f))), t), vec_polynomial(t, c, 7));
    return vec_fnma(size, below, vec_max(x, vec_zero()));
}

static inline vec vec_gelu_tanh(vec x) {
    vec bent = vec_mul(x, vec_fma(vec_mul(x, x), vec_set(1.59576912f * 0.044715f), vec_set(1.59576912f)));
    return vec_mul(x, vec_sigmoid(bent));
}

// The activation is a constant where it is inlined.
static inline __attribute__((always_inline)) vec vec_activated(const uint32_t activation, vec x) {
    switch (activation) {
    case HEL_ACTIVATION_RELU: return vec_max(x, vec_zero());
    case HEL_ACTIVATION_RELU_SQUARED: return vec_mul(vec_max(x, vec_zero()), vec_max(x, vec_zero()));
    case HEL_ACTIVATION_SIGMOID: return vec_sigmoid(x);
    case HEL_ACTIVATION_SILU: return vec_silu(x);
    case HEL_ACTIVATION_TANH: return vec_tanh(x);
    case HEL_ACTIVATION_SOFTPLUS: return vec_softplus(x);
    case HEL_ACTIVATION_GELU: return vec_gelu(x);
    case HEL_ACTIVATION_GELU_TANH: return vec_gelu_tanh(x);
    default: return x;
    }
}

#endif
