// SPDX-License-Identifier: Apache-2.0
// The operators of RWKV, versions 4 to 7 (Peng et al. 2023, 2024, 2025). Those that go from token to token keep what they need
// in a state and go on from there, so that a text may come in any pieces.
#ifndef HEL_OPS_RWKV_H
#define HEL_OPS_RWKV_H

#include "kernels.h"
#include "ops/exec.h"

// Floats of a layer's state, from `first` on. Zeros before the first token.
typedef struct hel_kept {
    hel_binding state;
    uint32_t first;
} hel_kept;

// The token before each: keeps [cols], the last row of x.
hel_tensor hel_token_shift(hel_exec *exec, hel_tensor x, hel_kept last);

// x + (other - x) share, where each channel has a share of its own, and each token too in the last two forms.
typedef enum hel_share_form {
    HEL_SHARE_OF_OTHER = HEL_MIX_OF_OTHER, // mu
    HEL_SHARE_OF_X = HEL_MIX_OF_X,         // 1 - mu
    HEL_SHARE_LOW_RANK = HEL_MIX_LOW_RANK, // mu + factor[index] change[index], which is a slice of the change's columns
    HEL_SHARE_SIGMOID = HEL_MIX_SIGMOID,   // sigmoid(mu + change)
} hel_share_form;
typedef struct hel_share {
    hel_share_form form;
    hel_binding mu;      // [cols]
    hel_tensor change;   // [tokens, slices * rank], or [tokens, cols]
    hel_binding factor;  // [slices, cols, rank]
    uint32_t index, rank;
} hel_share;
hel_tensor hel_token_mix(hel_exec *exec, hel_tensor x, hel_tensor other, const hel_share *share);

// y += sigmoid(gate) x.
void hel_gate_add(hel_exec *exec, hel_tensor gate, hel_tensor x, hel_tensor y);

// Version 4: sigmoid(r) wkv(k, v). decay (negative) and bonus [cols]; keeps [3, cols].
hel_tensor hel_wkv4(hel_exec *exec, hel_tensor r, hel_tensor k, hel_tensor v, hel_binding decay, hel_binding bonus, hel_kept kept);

// Versions 5 and 6: keeps [heads, head, head].
typedef struct hel_wkv5 {
    uint32_t heads;
    hel_binding decay, bonus;           // [cols / share]: so many channels have one in common
    uint32_t decay_share, bonus_share;
    hel_tensor change;                  // rows 0: decay is the factor; else the factor is e^-e^(decay + change)
} hel_wkv5;
hel_tensor hel_wkv5_apply(hel_exec *exec, hel_tensor r, hel_tensor k, hel_tensor v, const hel_wkv5 *terms, hel_kept kept);

// Version 7. The first turns low-rank products w and a, and k, into what the second takes, and gives kappa; vectors [cols].
typedef struct hel_wkv7_vectors {
    hel_binding decay, rate_bias; // w0, a0
    hel_binding removal, replacement; // k_k, k_a
} hel_wkv7_vectors;
hel_tensor hel_wkv7_keys(hel_exec *exec, hel_tensor w, hel_tensor k, hel_tensor a, uint32_t heads, const hel_wkv7_vectors *vectors);
// Keeps [heads, head, head].
typedef struct hel_wkv7 {
    uint32_t heads;
    hel_tensor r, w, k, v, kappa, a;
} hel_wkv7;
hel_tensor hel_wkv7_apply(hel_exec *exec, const hel_wkv7 *in, hel_kept kept);
// y = (y + (r . (bonus k) within the head) v) gate.
void hel_wkv7_gate(hel_exec *exec, const hel_wkv7 *in, hel_tensor gate, hel_binding bonus, hel_tensor y);

#endif
