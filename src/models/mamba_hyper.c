// SPDX-License-Identifier: Apache-2.0
// Hyper-parameters of Mamba, Mamba-2 and Zamba2, as the configurations of transformers spell them.
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "kernels.h"
#include "models/mamba.h"

enum { MAX_STATE = 1 << 12, LONG_CONTEXT = 16384 };
#define MAX_KEPT (UINT64_C(1) << 28) // floats of a layer's h

// ---------------------------------------------------------------- in common

static hel_status parse_sizes(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get(config, "num_hidden_layers", 0, 1, HEL_MAX_LAYERS, &hyper->layers));
    HEL_TRY(hel_hyper_get(config, "hidden_size", 0, 1, HEL_MAX_WIDTH, &hyper->hidden));
    HEL_TRY(hel_hyper_get(config, "vocab_size", 0, 1, HEL_MAX_VOCABULARY, &hyper->vocabulary));
    hyper->ssm.dt_high = FLT_MAX;
    return HEL_OK;
}

static hel_status parse_inner(const json_t *config, const char *expand_key, hel_hyper *hyper) {
    double expand;
    HEL_TRY(hel_json_get_f64(config, expand_key, 2.0, &expand));
    double inner = expand * hyper->hidden;
    if (!(inner >= 1.0 && inner <= HEL_MAX_WIDTH)) return hel_fail(HEL_ERROR_FORMAT, "%s is %g", expand_key, expand);
    hyper->ssm.inner = (uint32_t)inner;
    return HEL_OK;
}

static hel_status parse_norm(const json_t *config, const char *key, bool tied, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get_positive(config, key, 1e-5, &hyper->norm_epsilon));
    hyper->ssm.norm_epsilon = hyper->norm_epsilon;
    return hel_json_get_bool(config, "tie_word_embeddings", tied, &hyper->tied);
}

static hel_status expect_activation(const json_t *config, const char *name) {
    const char *activation;
    HEL_TRY(hel_json_get_string(config, "hidden_act", name, &activation));
    return strcmp(activation, name) == 0 ? HEL_OK : hel_fail(HEL_ERROR_UNSUPPORTED, "hidden_act \"%s\"", activation);
}

static hel_status check_state(const hel_ssm_hyper *ssm) {
    if ((uint64_t)ssm->state * ssm->inner <= MAX_KEPT) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%u channels with a state of %u", ssm->inner, ssm->state);
}

// Heads divide the channels, groups the heads.
static hel_status check_heads(const hel_ssm_hyper *ssm) {
    if (ssm->inner % ssm->heads || ssm->heads % ssm->groups)
        return hel_fail(HEL_ERROR_FORMAT, "%u channels, %u heads and %u groups do not divide", ssm->inner, ssm->heads, ssm->groups);
    if ((uint64_t)ssm->groups * ssm->state > HEL_MAX_WIDTH)
        return hel_fail(HEL_ERROR_FORMAT, "%u groups with a state of %u", ssm->groups, ssm->state);
    return check_state(ssm);
}

// ---------------------------------------------------------------- Mamba

static hel_status parse_rank(const json_t *config, hel_hyper *hyper) {
    const char *word = json_string_value(json_object_get(config, "time_step_rank"));
    uint32_t usual = (uint32_t)hel_ceil_div(hyper->hidden, 16);
    hyper->ssm.rank = usual;
    if (word && strcmp(word, "auto") == 0) return HEL_OK;
    return hel_hyper_get(config, "time_step_rank", usual, 1, HEL_MAX_WIDTH, &hyper->ssm.rank);
}

hel_status hel_mamba_parse(const json_t *config, hel_hyper *out) {
    HEL_TRY(parse_sizes(config, out));
    HEL_TRY(parse_inner(config, "expand", out));
    HEL_TRY(hel_hyper_get(config, "intermediate_size", out->ssm.inner, 1, HEL_MAX_WIDTH, &out->ssm.inner));
    HEL_TRY(hel_hyper_get(config, "state_size", 16, 1, MAX_STATE, &out->ssm.state));
    HEL_TRY(hel_hyper_get(config, "conv_kernel", 4, 2, HEL_CONV1D_MAX_WIDTH, &out->ssm.width));
    HEL_TRY(parse_rank(config, out));
    HEL_TRY(parse_norm(config, "layer_norm_epsilon", true, out));
    HEL_TRY(check_state(&out->ssm));
    if (strcmp(out->architecture, "falcon_mamba") == 0)
        HEL_TRY(hel_hyper_get_positive(config, "mixer_rms_eps", 1e-6, &out->ssm.selection_epsilon));
    return expect_activation(config, "silu");
}

// The same with labels, LayerNorms and what the time step has on top.
hel_status hel_mamba_labels_parse(const json_t *config, hel_hyper *out) {
    double extra;
    HEL_TRY(hel_mamba_parse(config, out));
    HEL_TRY(hel_hyper_get(config, "num_labels", 0, 1, HEL_MAX_VOCABULARY, &out->labels));
    HEL_TRY(hel_json_get_f64(config, "time_step_offset", 0.0, &extra));
    out->ssm.dt_extra = (float)extra;
    out->tied = false;
    return HEL_OK;
}

// ---------------------------------------------------------------- Mamba-2

// [low, high], where high may be infinite.
static hel_status parse_limits(const json_t *config, hel_ssm_hyper *ssm) {
    const json_t *limits = json_object_get(config, "time_step_limit");
    if (!limits || json_is_null(limits)) return HEL_OK;
    const json_t *low = json_array_get(limits, 0), *high = json_array_get(limits, 1);
    if (!json_is_number(low) || !json_is_number(high) || json_number_value(low) > json_number_value(high))
        return hel_fail(HEL_ERROR_FORMAT, "time_step_limit must be two numbers, the lower one first");
    ssm->dt_low = (float)HEL_MIN(HEL_MAX(json_number_value(low), 0.0), FLT_MAX);
    ssm->dt_high = (float)HEL_MIN(HEL_MAX(json_number_value(high), 0.0), FLT_MAX);
    return HEL_OK;
}

hel_status hel_mamba2_parse(const json_t *config, hel_hyper *out) {
    uint32_t head_dim;
    HEL_TRY(parse_sizes(config, out));
    HEL_TRY(parse_inner(config, "expand", out));
    HEL_TRY(hel_hyper_get(config, "intermediate_size", out->ssm.inner, 1, HEL_MAX_WIDTH, &out->ssm.inner));
    HEL_TRY(hel_hyper_get(config, "state_size", 128, 1, MAX_STATE, &out->ssm.state));
    HEL_TRY(hel_hyper_get(config, "conv_kernel", 4, 2, HEL_CONV1D_MAX_WIDTH, &out->ssm.width));
    HEL_TRY(hel_hyper_get(config, "num_heads", 128, 1, out->ssm.inner, &out->ssm.heads));
    HEL_TRY(hel_hyper_get(config, "head_dim", 64, 1, out->ssm.inner, &head_dim));
    HEL_TRY(hel_hyper_get(config, "n_groups", 8, 1, out->ssm.heads, &out->ssm.groups));
    if ((uint64_t)out->ssm.heads * head_dim != out->ssm.inner)
        return hel_fail(HEL_ERROR_FORMAT, "%u heads of %u are not %u channels", out->ssm.heads, head_dim, out->ssm.inner);
    HEL_TRY(parse_norm(config, "layer_norm_epsilon", false, out));
    // transformers know no groups of this norm; a GGUF file has as many as the authors' code
    HEL_TRY(hel_hyper_get(config, "norm_groups", 1, 1, out->ssm.groups, &out->ssm.norm_groups));
    HEL_TRY(parse_limits(config, &out->ssm));
    HEL_TRY(check_heads(&out->ssm));
    if (out->ssm.inner % out->ssm.norm_groups) return hel_fail(HEL_ERROR_FORMAT, "norm_groups does not divide the channels");
    return expect_activation(config, "silu");
}

// ---------------------------------------------------------------- Zamba2

// "mamba" or "hybrid" for each layer.
static hel_status parse_layers(const json_t *config, hel_hyper *hyper) {
    const json_t *types = json_object_get(config, "layers_block_type");
    if (json_array_size(types) != hyper->layers)
        return hel_fail(HEL_ERROR_FORMAT, "layers_block_type has %zu entries for %u layers", json_array_size(types), hyper->layers);
    for (uint32_t l = 0; l < hyper->layers; l++) {
        const char *type = json_string_value(json_array_get(types, l));
        bool hybrid = type && strcmp(type, "hybrid") == 0;
        if (!hybrid && (!type || strcmp(type, "mamba") != 0))
            return hel_fail(HEL_ERROR_FORMAT, "layers_block_type[%u] is neither \"mamba\" nor \"hybrid\"", l);
        if (hybrid) hel_hybrid_let_attend(&hyper->hybrid, l);
    }
    return HEL_OK;
}

// Attention over the stream and the embedding, side by side.
static hel_status parse_attention(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get(config, "num_attention_heads", 32, 1, hyper->hidden, &hyper->heads));
    HEL_TRY(hel_hyper_get(config, "num_key_value_heads", hyper->heads, 1, hyper->heads, &hyper->kv_heads));
    HEL_TRY(hel_hyper_get(config, "attention_head_dim", 2 * hyper->hidden / hyper->heads, 2, HEL_ATTENTION_MAX_HEAD_DIM,
                          &hyper->head_dim));
    if (hyper->head_dim % 2 || hyper->heads % hyper->kv_heads || hyper->heads * hyper->head_dim != 2 * hyper->hidden)
        return hel_fail(HEL_ERROR_FORMAT, "%u heads of %u, %u of them with keys, do not make %u columns", hyper->heads,
                        hyper->head_dim, hyper->kv_heads, 2 * hyper->hidden);
    bool rotates, longer;
    HEL_TRY(hel_json_get_bool(config, "use_mem_rope", false, &rotates));
    HEL_TRY(hel_json_get_bool(config, "use_long_context", false, &longer));
    if (rotates) HEL_TRY(hel_hyper_get_rope(config, hyper));
    if (rotates && longer) hyper->rope_theta *= pow(8.0, hyper->head_dim / (hyper->head_dim - 2.0));
    if (longer) hyper->context_length = LONG_CONTEXT;
    return HEL_OK;
}

static hel_status parse_blocks(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get(config, "num_mem_blocks", 1, 1, HEL_MAX_LAYERS, &hyper->hybrid.blocks));
    HEL_TRY(hel_hyper_get(config, "adapter_rank", 128, 1, HEL_MAX_WIDTH, &hyper->hybrid.adapter_rank));
    return hel_json_get_bool(config, "use_shared_attention_adapter", false, &hyper->hybrid.adapts_attention);
}

hel_status hel_zamba2_parse(const json_t *config, hel_hyper *out) {
    HEL_TRY(parse_sizes(config, out));
    HEL_TRY(hel_hyper_get(config, "max_position_embeddings", 4096, 1, HEL_MAX_POSITIONS, &out->context_length));
    HEL_TRY(hel_hyper_get(config, "intermediate_size", 4 * out->hidden, 1, HEL_MAX_WIDTH, &out->ffn));
    HEL_TRY(parse_inner(config, "mamba_expand", out));
    HEL_TRY(hel_hyper_get(config, "mamba_d_state", 64, 1, MAX_STATE, &out->ssm.state));
    HEL_TRY(hel_hyper_get(config, "mamba_d_conv", 4, 2, HEL_CONV1D_MAX_WIDTH, &out->ssm.width));
    HEL_TRY(hel_hyper_get(config, "n_mamba_heads", 8, 1, out->ssm.inner, &out->ssm.heads));
    HEL_TRY(hel_hyper_get(config, "mamba_ngroups", 1, 1, out->ssm.heads, &out->ssm.groups));
    HEL_TRY(check_heads(&out->ssm));
    HEL_TRY(parse_norm(config, "rms_norm_eps", true, out));
    out->ssm.norm_epsilon = 1e-5f; // whatever the other norms have
    out->ssm.norm_groups = out->ssm.groups;
    HEL_TRY(hel_hyper_get_positive(config, "time_step_min", 0.001, &out->ssm.dt_low));
    HEL_TRY(parse_layers(config, out));
    HEL_TRY(parse_attention(config, out));
    HEL_TRY(parse_blocks(config, out));
    return expect_activation(config, "gelu");
}
