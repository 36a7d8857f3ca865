// SPDX-License-Identifier: Apache-2.0
// Selective state space models: S6 (Gu and Dao 2023), and SSD with one A for each head (Dao and Gu 2024).
#ifndef HEL_OPS_SSM_H
#define HEL_OPS_SSM_H

#include "ops/exec.h"

typedef struct hel_ssm {
    uint32_t channels, state; // h is f32 [state, channels]
    uint32_t heads;           // that have an A, a dt and a D each; 0: every channel has its own
    uint32_t groups;          // of channels that share B and C
    hel_binding a;            // negative: [state, channels], or [heads]
    hel_binding d;            // [channels], or [heads]
    hel_binding dt_bias;      // of heads
    float dt_low, dt_high;    // dt = max(low, min(high, softplus(dt + bias))) + extra
    float dt_extra;
    uint32_t piece;           // steps of a piece; 0 for what suits the device
} hel_ssm;

typedef struct hel_ssm_inputs {
    hel_columns x;    // [tokens, channels]
    hel_columns dt;   // [tokens, heads or channels]
    hel_columns b, c; // [tokens, groups * state], of one tensor
    hel_columns gate; // z [tokens, channels] of a factor silu(z), or none, where count is 0; not with heads
} hel_ssm_inputs;

// y[t] = (C[t] h[t] + D x[t]) silu(z[t]) with h[t] = exp(dt A) h[t - 1] + dt B[t] x[t]. The state goes on from `state` and is
// left there. GPUs cut many tokens into pieces that run side by side: first from zero, then from what the pieces before left.
// Heads go through many tokens in chunks, as products of matrices, where that is faster on the device.
hel_tensor hel_ssm_scan(hel_exec *exec, const hel_ssm *ssm, const hel_ssm_inputs *in, hel_binding state);
// The same from the last token to the first, onto y: y = (y + C h + D x) silu(z).
void hel_ssm_scan_back(hel_exec *exec, const hel_ssm *ssm, const hel_ssm_inputs *in, hel_binding state, hel_tensor y);

#endif
