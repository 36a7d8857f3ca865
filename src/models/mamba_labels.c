// SPDX-License-Identifier: Apache-2.0
// A Mamba that labels the tokens of a text, as the Python package typeseg has one: its layers go through the text both ways, with
// one set of weights, so that they see it whole; norms are LayerNorms.
#include "base/size.h"
#include "models/mamba.h"

// ---------------------------------------------------------------- layers

// Both directions begin from zero: a half of the layer's state each.
static hel_binding start_of(const hel_hyper *hyper, const hel_layer *layer, const hel_stage *stage, bool back) {
    hel_binding all = hel_layer_state(layer, stage);
    uint64_t size = (uint64_t)hyper->ssm.state * hyper->ssm.inner * sizeof(float);
    return (hel_binding){all.buffer, all.offset + (back ? all.size - size : 0), size};
}

// x += Wout ((scan(u) + scan back(u)) silu(z)),  u = silu(conv(x')), where the convolution looks both ways, too
static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const hel_mamba_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_conv1d_filter filter = {.taps = hel_bind(w->taps), .bias = hel_bind(w->taps_bias), .width = hyper->ssm.width,
                                .ahead = hyper->ssm.width / 2, .activation = HEL_SILU};

    hel_tensor h = hel_layernorm(exec, x, hel_bind(w->norm), hel_bind(w->norm_bias), hyper->norm_epsilon);
    hel_columns z, from = hel_mamba_enter(hyper, w, exec, h, &z);
    hel_tensor u = hel_conv1d(exec, from, &filter, (hel_binding){.buffer = NULL});
    hel_mamba_scan scan = hel_mamba_select(hyper, w, exec, u, (hel_columns){.count = 0});
    hel_tensor y = hel_ssm_scan(exec, &scan.ssm, &scan.in, start_of(hyper, layer, stage, false));
    scan.in.gate = z;
    hel_ssm_scan_back(exec, &scan.ssm, &scan.in, start_of(hyper, layer, stage, true), y);
    hel_linear_add(exec, y, &w->out, x);
}

static hel_layer_memory memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = 2 * hel_round_up((uint64_t)hyper->ssm.state * hyper->ssm.inner, 64)};
}

// ---------------------------------------------------------------- the family

static const hel_role ends[] = {
    HEL_SSM_END(FIRST, MATRIX, "backbone.embeddings", "token_embd", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    HEL_SSM_END(LAST, VECTOR, "backbone.norm_f", "output_norm", HIDDEN, NONE, NORM, norm),
    {HEL_SSM_ROLE(hel_ends, LAST, VECTOR, "backbone.norm_f.bias", NULL, HIDDEN, NONE, NORM, norm_bias)},
    HEL_SSM_END(LAST, MATRIX, "classifier", "cls", LABELS, HIDDEN, LM_HEAD, head),
    {HEL_SSM_ROLE(hel_ends, LAST, BIAS, "classifier.bias", NULL, LABELS, NONE, UNKNOWN, head)},
};

static const hel_role roles[] = {
    HEL_SSM_VECTOR(hel_mamba_layer, "norm.weight", "attn_norm.weight", HIDDEN, NONE, norm),
    HEL_SSM_VECTOR(hel_mamba_layer, "norm.bias", "attn_norm.bias", HIDDEN, NONE, norm_bias),
    HEL_MAMBA_MIXER_ROLES,
};

static const hel_layer_kind both_ways = {.name = "mamba both ways",
                                         .roles = roles,
                                         .n_roles = HEL_COUNT(roles),
                                         .size = sizeof(hel_mamba_layer),
                                         .forward = forward,
                                         .memory = memory,
                                         .scratch_floats = hel_mamba_scratch};
static const hel_layer_kind *const kinds[] = {&both_ways};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)hyper, (void)layer;
    return &both_ways;
}

static hel_tensor leave(const hel_network *network, hel_stage *stage, hel_tensor x) {
    const hel_ends *ends_of = &network->ends;
    return hel_layernorm(&stage->exec, x, hel_bind(ends_of->norm), hel_bind(ends_of->norm_bias), network->hyper.norm_epsilon);
}

static const hel_model_type types[] = {{"bidirectional_mamba", "BidirectionalMambaForTokenClassification", NULL, false}};

const hel_family hel_mamba_labels_family = {.types = types,
                                            .n_types = HEL_COUNT(types),
                                            .layer_prefix = "backbone.layers.",
                                            .roles = ends,
                                            .n_roles = HEL_COUNT(ends),
                                            .kinds = kinds,
                                            .n_kinds = HEL_COUNT(kinds),
                                            .parse = hel_mamba_labels_parse,
                                            .kind_of = kind_of,
                                            .leave = leave};
