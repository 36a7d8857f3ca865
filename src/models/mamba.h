// SPDX-License-Identifier: Apache-2.0
// What the layers of Mamba (Gu and Dao 2023) and Mamba-2 (Dao and Gu 2024) have in common: hyper-parameters, what they keep from
// token to token, the short convolution before the scan; and Mamba-2's mixer, which hybrids use too.
#ifndef HEL_MODELS_MAMBA_H
#define HEL_MODELS_MAMBA_H

#include "models/network.h"
#include "ops/ssm.h"

// ---------------------------------------------------------------- state

// Parts of a layer's state: the last inputs of the convolution, and h.
typedef struct hel_ssm_kept {
    hel_binding inputs; // [width - 1, convolved]
    hel_binding h;      // [state, inner]
} hel_ssm_kept;
hel_ssm_kept hel_ssm_kept_of(const hel_hyper *hyper, uint32_t convolved, const hel_layer *layer, const hel_stage *stage);
uint64_t hel_ssm_kept_floats(const hel_hyper *hyper, uint32_t convolved);

// silu of the causal convolution of some columns; `bias` may be NULL.
hel_tensor hel_ssm_convolve(hel_exec *exec, const hel_hyper *hyper, hel_columns x, hel_buffer *taps, hel_buffer *bias,
                            hel_binding inputs);

// ---------------------------------------------------------------- Mamba's layer

typedef struct hel_mamba_layer {
    hel_buffer *norm, *norm_bias; // [hidden]; the second of models with LayerNorm
    hel_weight in;                // [x and z, hidden]
    hel_buffer *taps, *taps_bias; // [inner, width], [inner]; the second may be NULL
    hel_weight selection;         // [dt, B and C, inner]
    hel_weight dt;                // [inner, rank]
    hel_buffer *dt_gain, *bc_gain; // [rank], [state]: ones, of Falcon Mamba
    hel_buffer *a, *d;            // [state, inner], negative; [inner]
    hel_weight out;               // [hidden, inner]
} hel_mamba_layer;

// Its scan and what goes into it, of (x', z) = Win h and u = silu(conv(x')):  (dt', B, C) = Wsel u,  dt = Wdt dt'.
typedef struct hel_mamba_scan {
    hel_ssm ssm;
    hel_ssm_inputs in;
} hel_mamba_scan;
hel_columns hel_mamba_enter(const hel_hyper *hyper, const hel_mamba_layer *w, hel_exec *exec, hel_tensor h, hel_columns *out_z);
hel_mamba_scan hel_mamba_select(const hel_hyper *hyper, const hel_mamba_layer *w, hel_exec *exec, hel_tensor u, hel_columns z);
uint64_t hel_mamba_scratch(const hel_hyper *hyper, uint32_t tokens); // floats

// Its roles below "mixer.", as members of the struct above.
#define HEL_MAMBA_MIXER_ROLES \
    HEL_SSM_MATRIX(hel_mamba_layer, "mixer.in_proj", "ssm_in", SSM_INNER_TWICE, HIDDEN, in), \
    HEL_SSM_BIAS(hel_mamba_layer, "mixer.in_proj", "ssm_in", SSM_INNER_TWICE, in), \
    HEL_SSM_TAPS(hel_mamba_layer, "mixer.conv1d.weight", "ssm_conv1d.weight", SSM_INNER, taps), \
    HEL_SSM_OPTIONAL(hel_mamba_layer, "mixer.conv1d.bias", "ssm_conv1d.bias", SSM_INNER, taps_bias), \
    HEL_SSM_MATRIX(hel_mamba_layer, "mixer.x_proj", "ssm_x", SSM_SELECTION, SSM_INNER, selection), \
    HEL_SSM_BIAS(hel_mamba_layer, "mixer.x_proj", "ssm_x", SSM_SELECTION, selection), \
    HEL_SSM_MATRIX(hel_mamba_layer, "mixer.dt_proj", "ssm_dt", SSM_INNER, SSM_RANK, dt), \
    HEL_SSM_BIAS(hel_mamba_layer, "mixer.dt_proj", "ssm_dt", SSM_INNER, dt), \
    HEL_SSM_RATE(hel_mamba_layer, "mixer.A_log", "ssm_a", SSM_INNER, SSM_STATE, a), \
    HEL_SSM_VECTOR(hel_mamba_layer, "mixer.D", "ssm_d", SSM_INNER, NONE, d), \
    HEL_SSM_MATRIX(hel_mamba_layer, "mixer.out_proj", "ssm_out", HIDDEN, SSM_INNER, out), \
    HEL_SSM_BIAS(hel_mamba_layer, "mixer.out_proj", "ssm_out", HIDDEN, out)

// ---------------------------------------------------------------- Mamba-2's mixer

typedef struct hel_mamba2_mixer {
    hel_weight in;  // [z, x, B, C and dt, hidden]
    hel_weight out; // [hidden, inner]
    hel_buffer *taps, *taps_bias; // [convolved, width], [convolved]; the second may be NULL
    hel_buffer *a;                // [heads], negative
    hel_buffer *d, *dt_bias;      // [heads]
    hel_buffer *norm;             // [inner]
} hel_mamba2_mixer;

// x += Wout norm(scan(conv(...)), z),  all from Win h.
void hel_mamba2_mixer_forward(const hel_hyper *hyper, const hel_mamba2_mixer *mixer, const hel_layer *layer,
                              hel_stage *stage, hel_tensor h, hel_tensor x);
hel_layer_memory hel_mamba2_mixer_memory(const hel_hyper *hyper);
uint64_t hel_mamba2_mixer_scratch(const hel_hyper *hyper); // floats a token

// Its roles below `path`, as members of `type` from `mixer` on.
#define HEL_MAMBA2_MIXER_ROLES(type, path, mixer) \
    HEL_SSM_MATRIX(type, path "in_proj", "ssm_in", SSM_PROJECTION, HIDDEN, mixer.in), \
    HEL_SSM_BIAS(type, path "in_proj", "ssm_in", SSM_PROJECTION, mixer.in), \
    HEL_SSM_MATRIX(type, path "out_proj", "ssm_out", HIDDEN, SSM_INNER, mixer.out), \
    HEL_SSM_BIAS(type, path "out_proj", "ssm_out", HIDDEN, mixer.out), \
    HEL_SSM_TAPS(type, path "conv1d.weight", "ssm_conv1d.weight", SSM_CONVOLVED, mixer.taps), \
    HEL_SSM_OPTIONAL(type, path "conv1d.bias", "ssm_conv1d.bias", SSM_CONVOLVED, mixer.taps_bias), \
    HEL_SSM_RATE(type, path "A_log", "ssm_a", SSM_HEADS, NONE, mixer.a), \
    HEL_SSM_VECTOR(type, path "D", "ssm_d", SSM_HEADS, NONE, mixer.d), \
    HEL_SSM_VECTOR(type, path "dt_bias", "ssm_dt.bias", SSM_HEADS, NONE, mixer.dt_bias), \
    HEL_SSM_VECTOR(type, path "norm.weight", "ssm_norm.weight", SSM_INNER, NONE, mixer.norm)

// ---------------------------------------------------------------- roles

#define HEL_SSM_ROLE(type, of_section, of_kind, name, gguf_name, of_rows, of_cols, of_class, of_member) \
    .hugging_face = name, .gguf = gguf_name, .section = HEL_SECTION_##of_section, .kind = HEL_ROLE_##of_kind, \
    .rows = HEL_DIMENSION_##of_rows, .cols = HEL_DIMENSION_##of_cols, .class = HEL_CLASS_##of_class, \
    .member = offsetof(type, of_member)
#define HEL_SSM_MATRIX(type, name, gguf, rows, cols, member) \
    {HEL_SSM_ROLE(type, LAYER, MATRIX, name ".weight", gguf ".weight", rows, cols, FFN, member)}
#define HEL_SSM_BIAS(type, name, gguf, rows, member) \
    {HEL_SSM_ROLE(type, LAYER, BIAS, name ".bias", gguf ".bias", rows, NONE, UNKNOWN, member)}
#define HEL_SSM_VECTOR(type, name, gguf, rows, cols, member) \
    {HEL_SSM_ROLE(type, LAYER, VECTOR, name, gguf, rows, cols, NORM, member)}
#define HEL_SSM_TAPS(type, name, gguf, rows, member) \
    {HEL_SSM_ROLE(type, LAYER, VECTOR, name, gguf, rows, SSM_WIDTH, UNKNOWN, member)}
#define HEL_SSM_OPTIONAL(type, name, gguf, rows, member) \
    {HEL_SSM_ROLE(type, LAYER, VECTOR, name, gguf, rows, NONE, NORM, member), .optional = true}
#define HEL_SSM_RATE(type, name, gguf, rows, cols, member) {HEL_SSM_ROLE(type, LAYER, RATE, name, gguf, rows, cols, NORM, member)}
#define HEL_SSM_END(section, kind, name, gguf, rows, cols, class, member) \
    {HEL_SSM_ROLE(hel_ends, section, kind, name ".weight", gguf ".weight", rows, cols, class, member)}

// Of both Mambas: embedding, norm, head.
enum { HEL_MAMBA_ENDS = 3 };
extern const hel_role hel_mamba_ends[HEL_MAMBA_ENDS];

// ---------------------------------------------------------------- hyper-parameters

hel_status hel_mamba_parse(const json_t *config, hel_hyper *out), hel_mamba2_parse(const json_t *config, hel_hyper *out),
    hel_zamba2_parse(const json_t *config, hel_hyper *out), hel_mamba_labels_parse(const json_t *config, hel_hyper *out);

#endif
