// SPDX-License-Identifier: Apache-2.0
// Norms of rows (shaders/rmsnorm.k, rmsnorm_gated.k, layernorm.k) and of heads (wkv7_keys.k), WIDTH columns at once. Each lane sums
// columns of its own; lanes fold by a fixed tree.
#include <math.h>

// Columns that a vector has from `c` on.
static inline uint32_t norm_count(uint32_t cols, uint32_t c) { return HEL_MIN(WIDTH, cols - c); }

// The first `count` lanes, zeros behind them.
static inline vec norm_first(vec a, uint32_t count) {
    if (count == WIDTH) return a;
    float lanes[WIDTH];
    vec_store(lanes, a);
    return vec_load_part(lanes, count);
}

// 1 / sqrt(mean of squares + epsilon)
static inline vec norm_scale(vec squares, uint32_t cols, float epsilon) {
    return vec_set(1.0f / sqrtf(vec_sum(squares) / (float)cols + epsilon));
}

// y = x scale gain; y may be x.
static void norm_apply(const float *x, vec scale, const float *gain, uint32_t cols, float *y) {
    for (uint32_t c = 0; c < cols; c += WIDTH) {
        uint32_t count = norm_count(cols, c);
        store_some(y + c, count, vec_mul(vec_mul(load_some(x + c, count), scale), load_some(gain + c, count)));
    }
}

// ---------------------------------------------------------------- rmsnorm

void SIMD(cpu_rmsnorm)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_rmsnorm_params *p = launch->params;
    for (uint32_t row = first; row < first + count; row++) {
        const float *x = (const float *)launch->buffers[0] + (size_t)row * p->cols;
        vec squares = vec_zero();
        for (uint32_t c = 0; c < p->cols; c += WIDTH) {
            vec value = load_some(x + c, norm_count(p->cols, c));
            squares = vec_fma(value, value, squares);
        }
        float *y = (float *)launch->buffers[2] + (size_t)row * p->cols;
        norm_apply(x, norm_scale(squares, p->cols, p->epsilon), launch->buffers[1], p->cols, y);
    }
}

// ---------------------------------------------------------------- layernorm

static void layernorm_row(const hel_layernorm_params *p, const float *x, const float *gain, const float *bias, float *y) {
    vec sum = vec_zero(), squares = vec_zero();
    for (uint32_t c = 0; c < p->cols; c += WIDTH) sum = vec_add(sum, load_some(x + c, norm_count(p->cols, c)));
    vec mean = vec_set(vec_sum(sum) / (float)p->cols);
    for (uint32_t c = 0; c < p->cols; c += WIDTH) {
        uint32_t count = norm_count(p->cols, c);
        vec off = norm_first(vec_sub(load_some(x + c, count), mean), count);
        squares = vec_fma(off, off, squares);
    }
    vec scale = norm_scale(squares, p->cols, p->epsilon);
    for (uint32_t c = 0; c < p->cols; c += WIDTH) {
        uint32_t count = norm_count(p->cols, c);
        vec off = vec_mul(vec_sub(load_some(x + c, count), mean), scale);
        store_some(y + c, count, vec_fma(off, load_some(gain + c, count), load_some(bias + c, count)));
    }
}

void SIMD(cpu_layernorm)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_layernorm_params *p = launch->params;
    for (uint32_t row = first; row < first + count; row++) {
        size_t at = (size_t)row * p->cols, parameters = row % p->gains * (size_t)p->cols;
        layernorm_row(p, (const float *)launch->buffers[0] + at, (const float *)launch->buffers[1] + parameters,
                      (const float *)launch->buffers[2] + parameters, (float *)launch->buffers[3] + at);
    }
}

// ---------------------------------------------------------------- rmsnorm_gated

static void rmsnorm_gated_row(const hel_rmsnorm_gated_params *p, bool behind, const float *x, const float *gain, const float *gate,
                              float *y) {
    vec squares = vec_zero();
    for (uint32_t c = 0; c < p->cols; c += WIDTH) {
        uint32_t count = norm_count(p->cols, c);
        vec value = load_some(x + c, count), gated = vec_mul(value, vec_silu(load_some(gate + c, count)));
        if (!behind) value = gated;
        squares = vec_fma(value, value, squares);
        store_some(y + c, count, gated);
    }
    norm_apply(y, norm_scale(squares, p->cols, p->epsilon), gain, p->cols, y);
}

void SIMD(cpu_rmsnorm_gated)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_rmsnorm_gated_params *p = launch->params;
    for (uint32_t row = first; row < first + count; row++) {
        size_t at = (size_t)row * p->cols, group = row % p->gains * (size_t)p->cols;
        size_t gate = p->gate_first + (size_t)(row / p->gains) * p->gate_stride + group;
        rmsnorm_gated_row(p, launch->constants[HEL_RMSNORM_GATED_AT_BEHIND], (const float *)launch->buffers[0] + at,
                          (const float *)launch->buffers[1] + group, (const float *)launch->buffers[2] + gate,
                          (float *)launch->buffers[3] + at);
    }
}

// ---------------------------------------------------------------- wkv7_keys

static const float wkv7_steepest = 0.606530659712633f, wkv7_shortest = 1e-12f; // as the text has them

// A head of a token, `i` its first channel of the tokens' and `c` of the vectors'.
static void wkv7_keys_head(const cpu_launch *launch, uint32_t head, size_t i, size_t c) {
    float *w = (float *)launch->buffers[0] + i, *k = (float *)launch->buffers[1] + i, *a = (float *)launch->buffers[2] + i;
    float *kappa = (float *)launch->buffers[3] + i;
    const float *decay = (const float *)launch->buffers[4] + c, *rate_bias = (const float *)launch->buffers[5] + c;
    const float *removal = (const float *)launch->buffers[6] + c, *replacement = (const float *)launch->buffers[7] + c;
    vec squares = vec_zero(), one = vec_set(1.0f);
    for (uint32_t j = 0; j < head; j += WIDTH) {
        uint32_t count = norm_count(head, j);
        vec removed = vec_mul(load_some(k + j, count), load_some(removal + j, count));
        squares = vec_fma(removed, removed, squares);
    }
    vec scale = vec_set(1.0f / fmaxf(sqrtf(vec_sum(squares)), wkv7_shortest));
    for (uint32_t j = 0; j < head; j += WIDTH) {
        uint32_t count = norm_count(head, j);
        vec key = load_some(k + j, count), rate = vec_sigmoid(vec_add(load_some(rate_bias + j, count), load_some(a + j, count)));
        vec unit = vec_mul(vec_mul(key, load_some(removal + j, count)), scale);
        vec steepness = vec_sigmoid(vec_add(load_some(decay + j, count), load_some(w + j, count)));
        store_some(w + j, count, vec_exp(vec_mul(vec_set(-wkv7_steepest), steepness)));
        store_some(kappa + j, count, unit);
        store_some(a + j, count, vec_mul(unit, rate));
        store_some(k + j, count, vec_mul(key, vec_fma(vec_sub(rate, one), load_some(replacement + j, count), one)));
    }
}

void SIMD(cpu_wkv7_keys)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_wkv7_keys_params *p = launch->params;
    for (uint32_t group = first; group < first + count; group++)
        wkv7_keys_head(launch, p->head, (size_t)group * p->head, group % p->heads * (size_t)p->head);
}
