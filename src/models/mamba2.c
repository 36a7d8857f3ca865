// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "models/llama.h"
#include "models/mamba.h"

static uint32_t convolved(const hel_hyper *hyper) { return hel_hyper_dimension(hyper, HEL_DIMENSION_SSM_CONVOLVED); }

// ---------------------------------------------------------------- the mixer

void hel_mamba2_mixer_forward(const hel_hyper *hyper, const hel_mamba2_mixer *mixer, const hel_layer *layer,
                              hel_stage *stage, hel_tensor h, hel_tensor x) {
    const hel_ssm_hyper *ssm = &hyper->ssm;
    hel_exec *exec = &stage->exec;
    hel_ssm_kept kept = hel_ssm_kept_of(hyper, convolved(hyper), layer, stage);
    uint32_t inner = ssm->inner, shared = ssm->groups * ssm->state;

    hel_tensor all = hel_linear(exec, h, &mixer->in); // z, x, B, C, dt
    hel_columns z = {all, 0, inner}, xbc = {all, inner, inner + 2 * shared}, dt = {all, 2 * inner + 2 * shared, ssm->heads};
    hel_tensor u = hel_ssm_convolve(exec, hyper, xbc, mixer->taps, mixer->taps_bias, kept.inputs);
    hel_ssm_inputs in = {
        .x = {u, 0, inner}, .dt = dt, .b = {u, inner, shared}, .c = {u, inner + shared, shared}};
    hel_ssm scan = {.channels = inner, .state = ssm->state, .heads = ssm->heads, .groups = ssm->groups, .a = hel_bind(mixer->a),
                    .d = hel_bind(mixer->d), .dt_bias = hel_bind(mixer->dt_bias), .dt_low = ssm->dt_low, .dt_high = ssm->dt_high};
    hel_tensor y = hel_ssm_scan(exec, &scan, &in, kept.h);
    hel_gated_norm norm = {.gain = hel_bind(mixer->norm), .groups = ssm->norm_groups, .epsilon = ssm->norm_epsilon};
    hel_linear_add(exec, hel_rmsnorm_gated(exec, y, z, &norm), &mixer->out, x);
}

hel_layer_memory hel_mamba2_mixer_memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = hel_ssm_kept_floats(hyper, convolved(hyper))};
}

uint64_t hel_mamba2_mixer_scratch(const hel_hyper *hyper) {
    return (uint64_t)hel_hyper_dimension(hyper, HEL_DIMENSION_SSM_PROJECTION) + convolved(hyper) + 2 * hyper->ssm.inner;
}

// ---------------------------------------------------------------- Mamba-2's layer

typedef struct mamba2_layer {
    hel_buffer *norm; // [hidden]
    hel_mamba2_mixer mixer;
} mamba2_layer;

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const mamba2_layer *w = layer->weights;
    hel_stage *stage = &pass->stages[layer->place];
    hel_tensor h = hel_rmsnorm(&stage->exec, x, hel_bind(w->norm), network->hyper.norm_epsilon);
    hel_mamba2_mixer_forward(&network->hyper, &w->mixer, layer, stage, h, x);
}

static uint64_t scratch_floats(const hel_hyper *hyper, uint32_t tokens) {
    return tokens * (hyper->hidden + hel_mamba2_mixer_scratch(hyper));
}

static const hel_role roles[] = {
    HEL_SSM_VECTOR(mamba2_layer, "norm.weight", "attn_norm.weight", HIDDEN, NONE, norm),
    HEL_MAMBA2_MIXER_ROLES(mamba2_layer, "mixer.", mixer),
};

static const hel_layer_kind mamba2 = {.name = "mamba2",
                                      .roles = roles,
                                      .n_roles = HEL_COUNT(roles),
                                      .size = sizeof(mamba2_layer),
                                      .forward = forward,
                                      .memory = hel_mamba2_mixer_memory,
                                      .scratch_floats = scratch_floats};
static const hel_layer_kind *const kinds[] = {&mamba2};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)hyper, (void)layer;
    return &mamba2;
}

static const hel_model_type types[] = {{"mamba2", "Mamba2ForCausalLM", "mamba2", false}};

const hel_family hel_mamba2_family = {.types = types,
                                      .n_types = HEL_COUNT(types),
                                      .layer_prefix = "backbone.layers.",
                                      .roles = hel_mamba_ends,
                                      .n_roles = HEL_MAMBA_ENDS,
                                      .kinds = kinds,
                                      .n_kinds = HEL_COUNT(kinds),
                                      .parse = hel_mamba2_parse,
                                      .kind_of = kind_of,
                                      .leave = hel_leave_by_rmsnorm};
