// SPDX-License-Identifier: Apache-2.0
#include "models/mamba.h"

#include "base/size.h"
#include "models/llama.h"

// ---------------------------------------------------------------- for its relatives, too

// What follows them is bound by itself.
static uint64_t inputs_floats(const hel_hyper *hyper, uint32_t convolved) {
    return hel_round_up((uint64_t)(hyper->ssm.width - 1) * convolved, HEL_BINDING_ALIGNMENT / sizeof(float));
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
    hel_conv1d_filter filter = {.taps = hel_bind(taps), .bias = hel_bind(bias), .width = hyper->ssm.width, .activation = HEL_SILU};
    return hel_conv1d(exec, x, &filter, inputs);
}

// ---------------------------------------------------------------- Mamba's layer

hel_columns hel_mamba_enter(const hel_hyper *hyper, const hel_mamba_layer *w, hel_exec *exec, hel_tensor h, hel_columns *out_z) {
    hel_tensor both = hel_linear(exec, h, &w->in);
    *out_z = (hel_columns){both, hyper->ssm.inner, hyper->ssm.inner};
    return (hel_columns){both, 0, hyper->ssm.inner};
}

// Some columns, normalised in as many groups as the gain goes into them.
static hel_tensor normed(hel_exec *exec, hel_columns from, hel_buffer *gain, uint32_t groups, float epsilon) {
    hel_tensor x = hel_activate(exec, HEL_IDENTITY, from);
    hel_tensor y = hel_rmsnorm(exec, (hel_tensor){x.where, x.rows * groups, x.cols / groups}, hel_bind(gain), epsilon);
    return (hel_tensor){y.where, x.rows, x.cols};
}

hel_mamba_scan hel_mamba_select(const hel_hyper *hyper, const hel_mamba_layer *w, hel_exec *exec, hel_tensor u, hel_columns z) {
    const hel_ssm_hyper *ssm = &hyper->ssm;
    hel_tensor selection = hel_linear(exec, u, &w->selection), low;
    hel_columns dt = {selection, 0, ssm->rank}, bc = {selection, ssm->rank, 2 * ssm->state};
    if (ssm->selection_epsilon > 0.0f) {
        low = normed(exec, dt, w->dt_gain, 1, ssm->selection_epsilon);
        bc = hel_columns_all(normed(exec, bc, w->bc_gain, 2, ssm->selection_epsilon));
    } else {
        low = hel_activate(exec, HEL_IDENTITY, dt);
    }
    return (hel_mamba_scan){.ssm = {.channels = ssm->inner, .state = ssm->state, .groups = 1,
                                    .a = hel_bind(w->a), .d = hel_bind(w->d),
                                    .dt_low = ssm->dt_low, .dt_high = ssm->dt_high, .dt_extra = ssm->dt_extra},
                            .in = {.x = hel_columns_all(u),
                                   .dt = hel_columns_all(hel_linear(exec, low, &w->dt)),
                                   .b = {bc.of, bc.first, ssm->state},
                                   .c = {bc.of, bc.first + ssm->state, ssm->state},
                                   .gate = z}};
}

// x += Wout (scan(u; dt, B, C) silu(z))
static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const hel_mamba_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_ssm_kept kept = hel_ssm_kept_of(hyper, hyper->ssm.inner, layer, stage);

    hel_columns z, from = hel_mamba_enter(hyper, w, exec, hel_rmsnorm(exec, x, hel_bind(w->norm), hyper->norm_epsilon), &z);
    hel_tensor u = hel_ssm_convolve(exec, hyper, from, w->taps, w->taps_bias, kept.inputs);
    hel_mamba_scan scan = hel_mamba_select(hyper, w, exec, u, z);
    hel_linear_add(exec, hel_ssm_scan(exec, &scan.ssm, &scan.in, kept.h), &w->out, x);
}

static hel_layer_memory memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = hel_ssm_kept_floats(hyper, hyper->ssm.inner)};
}

uint64_t hel_mamba_scratch(const hel_hyper *hyper, uint32_t tokens) {
    const hel_ssm_hyper *ssm = &hyper->ssm;
    return tokens * (hyper->hidden + 5 * (uint64_t)ssm->inner + 4 * (ssm->rank + ssm->state));
}

// ---------------------------------------------------------------- its tensors

const hel_role hel_mamba_ends[HEL_MAMBA_ENDS] = {
    HEL_SSM_END(FIRST, MATRIX, "backbone.embeddings", "token_embd", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    HEL_SSM_END(LAST, VECTOR, "backbone.norm_f", "output_norm", HIDDEN, NONE, NORM, norm),
    HEL_SSM_END(LAST, MATRIX, "lm_head", "output", VOCABULARY, HIDDEN, LM_HEAD, head),
};

// Falcon Mamba's gains stand last: Mamba has none.
static const hel_role roles[] = {
    HEL_SSM_VECTOR(hel_mamba_layer, "norm.weight", "attn_norm.weight", HIDDEN, NONE, norm),
    HEL_MAMBA_MIXER_ROLES,
    {HEL_SSM_ROLE(hel_mamba_layer, LAYER, ONES, "mixer.dt_rms", NULL, SSM_RANK, NONE, NORM, dt_gain)},
    {HEL_SSM_ROLE(hel_mamba_layer, LAYER, ONES, "mixer.b_c_rms", NULL, SSM_STATE, NONE, NORM, bc_gain)},
};
enum { GAINS = 2 };

static const hel_layer_kind mamba = {.name = "mamba",
                                     .roles = roles,
                                     .n_roles = HEL_COUNT(roles) - GAINS,
                                     .size = sizeof(hel_mamba_layer),
                                     .forward = forward,
                                     .memory = memory,
                                     .scratch_floats = hel_mamba_scratch};
static const hel_layer_kind falcon_mamba = {.name = "mamba with normalised selection",
                                            .roles = roles,
                                            .n_roles = HEL_COUNT(roles),
                                            .size = sizeof(hel_mamba_layer),
                                            .forward = forward,
                                            .memory = memory,
                                            .scratch_floats = hel_mamba_scratch};
static const hel_layer_kind *const kinds[] = {&mamba, &falcon_mamba};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)layer;
    return hyper->ssm.selection_epsilon > 0.0f ? &falcon_mamba : &mamba;
}

static const hel_model_type types[] = {
    {"mamba", "MambaForCausalLM", "mamba", false},
    {"falcon_mamba", "FalconMambaForCausalLM", NULL, false},
};

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
