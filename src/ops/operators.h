// SPDX-License-Identifier: Apache-2.0
// The operators, as model code calls them. Shapes are [tokens, features] unless said otherwise.
#ifndef HEL_OPS_OPERATORS_H
#define HEL_OPS_OPERATORS_H

#include "kernels.h"
#include "ops/exec.h"
#include "ops/weight.h"

// y = x W^T + bias for any form of weight; x [tokens, weight->cols] gives [tokens, weight->rows].
hel_tensor hel_linear(hel_exec *exec, hel_tensor x, const hel_weight *weight);
// The kernel that hel_linear runs for so many tokens, with or without matrix units (exec->matrix).
const char *hel_linear_kernel(bool matrix, uint32_t tokens);
// sum += x W^T + bias: how a residual stream takes a block's output.
void hel_linear_add(hel_exec *exec, hel_tensor x, const hel_weight *weight, hel_tensor sum);
// The same for rows first .. first + count of x alone, as logits are made in slices.
hel_tensor hel_linear_rows(hel_exec *exec, hel_tensor x, uint32_t first, uint32_t count, const hel_weight *weight);

// y [rows, cols] is, or with HEL_FLAG_ACCUMULATE grows by, the sum over slices of sums [slices rows, cols], in order, and with
// HEL_FLAG_BIAS `bias` [cols], else none.
void hel_add_slices(hel_exec *exec, hel_tensor sums, uint32_t slices, uint32_t flags, hel_binding bias, hel_binding y);

// Row tokens[t] of the weight for each token; `tokens` is a u32 buffer [count].
hel_tensor hel_embedding(hel_exec *exec, hel_binding tokens, uint32_t count, const hel_weight *weight);

// Zhang and Sennrich 2019; gain [cols].
hel_tensor hel_rmsnorm(hel_exec *exec, hel_tensor x, hel_binding gain, float epsilon);
// The same of each group of a row's columns, of x silu(gate), or with that factor behind the norm (Dao and Gu 2024).
typedef struct hel_gated_norm {
    hel_binding gain;  // [cols]
    uint32_t groups;   // at least 1
    bool before_gate;  // the norm comes first
    float epsilon;
} hel_gated_norm;
hel_tensor hel_rmsnorm_gated(hel_exec *exec, hel_tensor x, hel_columns gate, const hel_gated_norm *norm);

// Ba et al. 2016; gain and bias [cols]. Wu and He 2018: the same within each of `groups` groups of a row's columns.
hel_tensor hel_layernorm(hel_exec *exec, hel_tensor x, hel_binding gain, hel_binding bias, float epsilon);
hel_tensor hel_groupnorm(hel_exec *exec, hel_tensor x, uint32_t groups, hel_binding gain, hel_binding bias, float epsilon);

// Rotary position embedding in place (Su et al. 2021). `table` f32 [positions, rotary / 2, 2] holds cos and sin,
// step[0] the position of the first token.
typedef enum hel_rope_layout {
    HEL_ROPE_HALF_SPLIT = 0,  // pairs (i, i + rotary / 2), as Hugging Face weights want it
    HEL_ROPE_INTERLEAVED = 1, // pairs (2 i, 2 i + 1), as the original LLaMA weights want it
} hel_rope_layout;
typedef struct hel_rope {
    hel_binding table;
    uint32_t head_dim, rotary;
    hel_rope_layout layout;
} hel_rope;
void hel_rope_apply(hel_exec *exec, hel_tensor x, const hel_rope *rope, hel_binding step);

// One layer's part of the paged KV cache: pages [page][kv_head][slot][head_dim] f32, block_table u32 [pages].
typedef struct hel_kv_view {
    hel_binding keys, values, block_table;
    uint32_t kv_heads, head_dim, page_size;
    float scale; // of the scores; 0 for 1 / sqrt(head_dim)
} hel_kv_view;
// Stores k and v [tokens, kv_heads * head_dim] at positions step[0]...
void hel_kv_append(hel_exec *exec, hel_tensor k, hel_tensor v, const hel_kv_view *cache, hel_binding step);
// Positions that the device's kernel can go through; UINT32_MAX on all but a software driver.
uint32_t hel_attention_positions(const hel_device *device, uint32_t head_dim);
// Causal grouped-query attention (Ainslie et al. 2023) of q [tokens, heads * head_dim] over the cache.
hel_tensor hel_attention(hel_exec *exec, hel_tensor q, const hel_kv_view *cache, hel_binding step);

// Functions of single values (shaders/functions.kh). Gelu is x times the normal distribution's part below x (Hendrycks and
// Gimpel 2016), HEL_GELU_TANH their approximation by tanh.
typedef enum hel_activation {
    HEL_IDENTITY = HEL_ACTIVATION_IDENTITY,
    HEL_RELU = HEL_ACTIVATION_RELU,
    HEL_RELU_SQUARED = HEL_ACTIVATION_RELU_SQUARED,
    HEL_SIGMOID = HEL_ACTIVATION_SIGMOID,
    HEL_SILU = HEL_ACTIVATION_SILU,
    HEL_TANH = HEL_ACTIVATION_TANH,
    HEL_SOFTPLUS = HEL_ACTIVATION_SOFTPLUS,
    HEL_GELU = HEL_ACTIVATION_GELU,
    HEL_GELU_TANH = HEL_ACTIVATION_GELU_TANH,
} hel_activation;
// f(x).
hel_tensor hel_activate(hel_exec *exec, hel_activation function, hel_columns x);
// f(gate) * up, with as many columns.
hel_tensor hel_activate_gated(hel_exec *exec, hel_activation function, hel_columns gate, hel_columns up);
// silu(gate) * up (Shazeer 2020).
static inline hel_tensor hel_swiglu(hel_exec *exec, hel_tensor gate, hel_tensor up) {
    return hel_activate_gated(exec, HEL_SILU, hel_columns_all(gate), hel_columns_all(up));
}
// Depthwise convolution of each column with a filter of its own, over the rows before:
//   y[t, c] = f(bias[c] + sum over j of taps[c, j] x[t + ahead + 1 - width + j, c])
// Rows behind the last are 0, and so are those before the first where there is no state. A state, f32 [width - 1, columns], has
// those rows, and becomes the last ones of itself and x; then ahead is 0.
typedef struct hel_conv1d_filter {
    hel_binding taps; // [columns, width]
    hel_binding bias; // [columns]; without a buffer for none
    uint32_t width;   // at least 1
    uint32_t ahead;   // rows behind its own that a row sees, below width; 0 for causal filters
    hel_activation activation;
} hel_conv1d_filter;
hel_tensor hel_conv1d(hel_exec *exec, hel_columns x, const hel_conv1d_filter *filter, hel_binding state);

// [a, b], row by row; and `from` as it is.
hel_tensor hel_join_columns(hel_exec *exec, hel_tensor a, hel_tensor b);
void hel_copy(hel_exec *exec, hel_tensor from, hel_tensor to);
// x / scales, column by column.
hel_tensor hel_divide_columns(hel_exec *exec, hel_tensor x, hel_binding scales);

#endif
