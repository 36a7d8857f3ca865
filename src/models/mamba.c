// SPDX-License-Identifier: Apache-2.0
#include "models/mamba.h"

#include "base/size.h"
#include "models/llama.h"

static hel_binding all_of(hel_buffer *buffer) { return (hel_binding){.buffer = buffer}; }

// ---------------------------------------------------------------- for its relatives, too

// Bindings may begin at multiples of 256 bytes everywhere.
static uint64_t inputs_floats(const hel_hyper *hyper, uint32_t convolved) {
    return hel_round_up((uint64_t)(hyper->ssm.width - 1) * convolved, 64);
}
static uint64_t h_floats(const hel_hyper *hyper) { return (uint64_t)hyper->ssm.state * hyper->ssm.inner; }

uint64_t hel_ssm_kept_floats(const hel_hyper *hyper, uint32_t convolved) {
    return inputs_floats(hyper, convolved) + h_floats(hyper);
}

hel_ssm_kept hel_ssm_kept_of(const hel_hyper *hyper, uint32_t convolved, const hel_layer *layer, const hel_stage *stage) {
    hel_binding all = hel_layer_state(layer, stage);
    uint64_t inputs = inputs_floats(hyper, convolved) * sizeof(float);
    return (hel_ssm_kept){.inputs = {all.buffer, all.offset, inputs},
                          .h = {all.buffer, all.offset + inputs, h_floats(hyper) * sizeof(float)}};
}

hel_tensor hel_ssm_convolve(hel_exec *exec, const hel_hyper *hyper, hel_columns x, hel_buffer *taps, hel_buffer *bias,
                            hel_binding inputs) {
    hel_conv1d_filter filter = {.taps = all_of(taps), .bias = all_of(bias), .width = hyper->ssm.width, .activation = HEL_SILU};
    return hel_conv1d(exec, x, &filter, inputs);
}

// ---------------------------------------------------------------- Mamba's layer

typedef struct mamba_layer {
    hel_buffer *norm;             // [hidden]
    hel_weight in;                // [x and z, hidden]
    hel_buffer *taps, *taps_bias; // [inner, width], [inner]; the second may be NULL
    hel_weight selection;         // [dt, B and C, inner]
    hel_weight dt;                // [inner, rank]
    hel_buffer *a, *d;            // [state, inner], negative; [inner]
    hel_weight out;               // [hidden, inner]
} mamba_layer;

// x += Wout (scan(u; dt, B, C) silu(z)),  u = silu(conv(x')),  (x', z) = Win norm(x),  (dt', B, C) = Wsel u,  dt = Wdt dt'
static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const mamba_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    const hel_ssm_hyper *ssm = &hyper->ssm;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_ssm_kept kept = hel_ssm_kept_of(hyper, ssm->inner, layer, stage);

    hel_tensor h = hel_rmsnorm(exec, x, all_of(w->norm), hyper->norm_epsilon);
    hel_tensor both = hel_linear(exec, h, &w->in);
    hel_tensor u = hel_ssm_convolve(exec, hyper, (hel_columns){both, 0, ssm->inner}, w->taps, w->taps_bias, kept.inputs);
    hel_tensor selection = hel_linear(exec, u, &w->selection);
    hel_tensor low = hel_activate(exec, HEL_IDENTITY, (hel_columns){selection, 0, ssm->rank});
    hel_ssm_inputs in = {.x = hel_columns_all(u),
                         .dt = hel_columns_all(hel_linear(exec, low, &w->dt)),
                         .b = {selection, ssm->rank, ssm->state},
                         .c = {selection, ssm->rank + ssm->state, ssm->state},
                         .gate = {both, ssm->inner, ssm->inner}};
    hel_ssm scan = {.channels = ssm->inner, .state = ssm->state, .groups = 1, .a = all_of(w->a), .d = all_of(w->d),
                    .dt_low = ssm->dt_low, .dt_high = ssm->dt_high};
    hel_linear_add(exec, hel_ssm_scan(exec, &scan, &in, kept.h), &w->out, x);
}

static hel_layer_memory memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = hel_ssm_kept_floats(hyper, hyper->ssm.inner)};
}

static uint64_t scratch_floats(const hel_hyper *hyper, uint32_t tokens) {
    const hel_ssm_hyper *ssm = &hyper->ssm;
    return tokens * (hyper->hidden + 5 * (uint64_t)ssm->inner + 2 * (ssm->rank + ssm->state));
}

// ---------------------------------------------------------------- its tensors

const hel_role hel_mamba_ends[HEL_MAMBA_ENDS] = {
    HEL_SSM_END(FIRST, MATRIX, "backbone.embeddings", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    HEL_SSM_END(LAST, VECTOR, "backbone.norm_f", HIDDEN, NONE, NORM, norm),
    HEL_SSM_END(LAST, MATRIX, "lm_head", VOCABULARY, HIDDEN, LM_HEAD, head),
};

static const hel_role roles[] = {
    HEL_SSM_VECTOR(mamba_layer, "norm.weight", HIDDEN, NONE, norm),
    HEL_SSM_MATRIX(mamba_layer, "mixer.in_proj", SSM_INNER_TWICE, HIDDEN, in),
    HEL_SSM_BIAS(mamba_layer, "mixer.in_proj", SSM_INNER_TWICE, in),
    HEL_SSM_TAPS(mamba_layer, "mixer.conv1d.weight", SSM_INNER, taps),
    HEL_SSM_OPTIONAL(mamba_layer, "mixer.conv1d.bias", SSM_INNER, taps_bias),
    HEL_SSM_MATRIX(mamba_layer, "mixer.x_proj", SSM_SELECTION, SSM_INNER, selection),
    HEL_SSM_MATRIX(mamba_layer, "mixer.dt_proj", SSM_INNER, SSM_RANK, dt),
    HEL_SSM_BIAS(mamba_layer, "mixer.dt_proj", SSM_INNER, dt),
    HEL_SSM_RATE(mamba_layer, "mixer.A_log", SSM_INNER, SSM_STATE, a),
    HEL_SSM_VECTOR(mamba_layer, "mixer.D", SSM_INNER, NONE, d),
    HEL_SSM_MATRIX(mamba_layer, "mixer.out_proj", HIDDEN, SSM_INNER, out),
    HEL_SSM_BIAS(mamba_layer, "mixer.out_proj", HIDDEN, out),
};

static const hel_layer_kind mamba = {.name = "mamba",
                                     .roles = roles,
                                     .n_roles = HEL_COUNT(roles),
                                     .size = sizeof(mamba_layer),
                                     .forward = forward,
                                     .memory = memory,
                                     .scratch_floats = scratch_floats};
static const hel_layer_kind *const kinds[] = {&mamba};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)hyper, (void)layer;
    return &mamba;
}

static const hel_model_type types[] = {{"mamba", "MambaForCausalLM", NULL, false}};

const hel_family hel_mamba_family = {.types = types,
                                     .n_types = HEL_COUNT(types),
                                     .layer_prefix = "backbone.layers.",
                                     .roles = hel_mamba_ends,
                                     .n_roles = HEL_MAMBA_ENDS,
                                     .kinds = kinds,
                                     .n_kinds = HEL_COUNT(kinds),
                                     .parse = hel_mamba_parse,
                                     .kind_of = kind_of,
                                     .leave = hel_leave_by_rmsnorm};
