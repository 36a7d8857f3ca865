// SPDX-License-Identifier: Apache-2.0
#include "models/hyper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "kernels.h"
#include "models/family.h"

// ---------------------------------------------------------------- for families' parsers

hel_status hel_hyper_get(const json_t *config, const char *key, uint32_t otherwise, uint32_t low, uint32_t high, uint32_t *out) {
    HEL_TRY(hel_json_get_u32(config, key, otherwise, out));
    if (*out >= low && *out <= high) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s is %u, allowed are %u to %u", key, *out, low, high);
}

hel_status hel_hyper_get_heads(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get(config, "num_attention_heads", 0, 1, hyper->hidden, &hyper->heads));
    HEL_TRY(hel_hyper_get(config, "num_key_value_heads", hyper->heads, 1, hyper->heads, &hyper->kv_heads));
    HEL_TRY(hel_hyper_get(config, "head_dim", hyper->hidden / hyper->heads, 2, HEL_ATTENTION_MAX_HEAD_DIM, &hyper->head_dim));
    if (hyper->head_dim % 2) return hel_fail(HEL_ERROR_UNSUPPORTED, "head_dim %u is odd", hyper->head_dim);
    if (hyper->heads % hyper->kv_heads)
        return hel_fail(HEL_ERROR_FORMAT, "%u heads do not divide over %u kv heads", hyper->heads, hyper->kv_heads);
    return HEL_OK;
}

hel_status hel_hyper_get_positive(const json_t *config, const char *key, double otherwise, float *out) {
    double value;
    HEL_TRY(hel_json_get_f64(config, key, otherwise, &value));
    *out = (float)value;
    if (*out > 0.0f && isfinite(*out)) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s is %g, which is no positive float", key, value);
}

// ---------------------------------------------------------------- RoPE

// No default: a model with a guessed scaling goes wrong, and only far into a text.
static hel_status require_f64(const json_t *rope, const char *key, double *out) {
    const json_t *value = json_object_get(rope, key);
    if (!value || json_is_null(value)) return hel_fail(HEL_ERROR_FORMAT, "RoPE scaling without \"%s\"", key);
    return hel_json_get_f64(rope, key, 0, out);
}

static hel_status parse_llama3_scaling(const json_t *rope, hel_hyper *hyper) {
    hyper->rope_scaling = HEL_ROPE_LLAMA3;
    HEL_TRY(require_f64(rope, "low_freq_factor", &hyper->rope_low_factor));
    HEL_TRY(require_f64(rope, "high_freq_factor", &hyper->rope_high_factor));
    HEL_TRY(require_f64(rope, "original_max_position_embeddings", &hyper->rope_original_length));
    if (hyper->rope_high_factor > hyper->rope_low_factor && hyper->rope_original_length > 0) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "RoPE scaling factors contradict each other");
}

static hel_status parse_rope_scaling(const json_t *rope, hel_hyper *hyper) {
    const char *type;
    HEL_TRY(hel_json_get_string(rope, "type", NULL, &type));
    HEL_TRY(hel_json_get_string(rope, "rope_type", type, &type));
    if (!type && json_object_get(rope, "factor"))
        return hel_fail(HEL_ERROR_FORMAT, "RoPE scaling has a factor and no \"rope_type\"");
    if (!type || strcmp(type, "default") == 0) return HEL_OK;
    if (strcmp(type, "linear") == 0) hyper->rope_scaling = HEL_ROPE_LINEAR;
    else if (strcmp(type, "llama3") == 0) HEL_TRY(parse_llama3_scaling(rope, hyper));
    else return hel_fail(HEL_ERROR_UNSUPPORTED, "RoPE scaling \"%s\"", type);
    HEL_TRY(require_f64(rope, "factor", &hyper->rope_factor));
    return hyper->rope_factor > 0 ? HEL_OK : hel_fail(HEL_ERROR_FORMAT, "RoPE scaling factor %g", hyper->rope_factor);
}

hel_status hel_hyper_get_rope(const json_t *config, hel_hyper *hyper) {
    hyper->rotary = hyper->head_dim; // models that turn a part of a head are refused
    HEL_TRY(hel_json_get_f64(config, "rope_theta", 10000.0, &hyper->rope_theta));
    HEL_TRY(hel_json_get_bool(config, "rope_interleave", false, &hyper->rope_interleaved));
    static const char *const places[] = {"rope_scaling", "rope_parameters"}; // transformers 4 and 5
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(config, places[i]);
        if (!rope || json_is_null(rope)) continue;
        if (!json_is_object(rope)) return hel_fail(HEL_ERROR_FORMAT, "key \"%s\" must be an object", places[i]);
        HEL_TRY(hel_json_get_f64(rope, "rope_theta", hyper->rope_theta, &hyper->rope_theta));
        HEL_TRY(parse_rope_scaling(rope, hyper));
    }
    double partial;
    HEL_TRY(hel_json_get_f64(config, "partial_rotary_factor", 1.0, &partial));
    if (partial != 1.0) return hel_fail(HEL_ERROR_UNSUPPORTED, "partial_rotary_factor %g", partial);
    return hyper->rope_theta > 0 ? HEL_OK : hel_fail(HEL_ERROR_FORMAT, "rope_theta is not positive");
}

// ---------------------------------------------------------------- any family

static hel_status parse(const json_t *config, hel_hyper *hyper) {
    const char *type;
    HEL_TRY(hel_json_get_string(config, "model_type", "", &type));
    if (!hel_model_type_find(type, &hyper->family))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "architecture \"%s\" can be compressed but not run", type);
    snprintf(hyper->architecture, sizeof hyper->architecture, "%s", type);
    return hyper->family->parse(config, hyper);
}

hel_status hel_hyper_parse(const json_t *config, const char *path, hel_hyper *out) {
    *out = (hel_hyper){0};
    hel_status status = parse(config, out);
    if (status != HEL_OK) hel_error_prefix("%s: config: ", path);
    return status;
}

uint32_t hel_hyper_dimension(const hel_hyper *hyper, hel_dimension dimension) {
    switch (dimension) {
    case HEL_DIMENSION_NONE: break;
    case HEL_DIMENSION_HIDDEN: return hyper->hidden;
    case HEL_DIMENSION_FFN: return hyper->ffn;
    case HEL_DIMENSION_QUERY: return hyper->heads * hyper->head_dim;
    case HEL_DIMENSION_KEY: return hyper->kv_heads * hyper->head_dim;
    case HEL_DIMENSION_VOCABULARY: return hyper->vocabulary;
    case HEL_DIMENSION_LABELS: return hyper->labels;
    case HEL_DIMENSION_HIDDEN_TWICE: return 2 * hyper->hidden;
    case HEL_DIMENSION_FFN_TWICE: return 2 * hyper->ffn;
    case HEL_DIMENSION_ADAPTER: return hyper->hybrid.adapter_rank;
    case HEL_DIMENSION_SSM_INNER: return hyper->ssm.inner;
    case HEL_DIMENSION_SSM_INNER_TWICE: return 2 * hyper->ssm.inner;
    case HEL_DIMENSION_SSM_STATE: return hyper->ssm.state;
    case HEL_DIMENSION_SSM_WIDTH: return hyper->ssm.width;
    case HEL_DIMENSION_SSM_RANK: return hyper->ssm.rank;
    case HEL_DIMENSION_SSM_SELECTION: return hyper->ssm.rank + 2 * hyper->ssm.state;
    case HEL_DIMENSION_SSM_HEADS: return hyper->ssm.heads;
    case HEL_DIMENSION_SSM_CONVOLVED: return hyper->ssm.inner + 2 * hyper->ssm.groups * hyper->ssm.state;
    case HEL_DIMENSION_SSM_PROJECTION:
        return 2 * hyper->ssm.inner + 2 * hyper->ssm.groups * hyper->ssm.state + hyper->ssm.heads;
    case HEL_DIMENSION_DECAYS: return hyper->rwkv.decays;
    case HEL_DIMENSION_BONUSES: return hyper->rwkv.bonuses;
    case HEL_DIMENSION_MIX_RANKS: return 5 * hyper->rwkv.mix_rank;
    case HEL_DIMENSION_DECAY_RANK: return hyper->rwkv.decay_rank;
    case HEL_DIMENSION_RATE_RANK: return hyper->rwkv.rate_rank;
    case HEL_DIMENSION_VALUE_RANK: return hyper->rwkv.value_rank;
    case HEL_DIMENSION_GATE_RANK: return hyper->rwkv.gate_rank;
    case HEL_DIMENSION_POSITIONS: return hyper->context_length;
    case HEL_DIMENSION_PROJECTIONS: return (hyper->hyena.order + 1) * hyper->hidden;
    case HEL_DIMENSION_FILTERS: return (hyper->hyena.order - 1) * hyper->hidden;
    case HEL_DIMENSION_MODES_TWICE: return 2 * hyper->hyena.modes;
    case HEL_DIMENSION_QUERY_KEY_VALUE: return (hyper->heads + 2 * hyper->kv_heads) * hyper->head_dim;
    case HEL_DIMENSION_SHORT: return hyper->hyena.short_width;
    case HEL_DIMENSION_FEATURES: return hyper->hyena.features;
    case HEL_DIMENSION_FILTER_HIDDEN: return hyper->hyena.filter_hidden;
    }
    return 1;
}

// ---------------------------------------------------------------- rotary frequencies

static double frequency(const hel_hyper *hyper, uint32_t i) {
    double plain = pow(hyper->rope_theta, -2.0 * i / hyper->rotary);
    if (hyper->rope_scaling == HEL_ROPE_UNSCALED) return plain;
    if (hyper->rope_scaling == HEL_ROPE_LINEAR) return plain / hyper->rope_factor;
    double turns = hyper->rope_original_length * plain / (2.0 * 3.14159265358979323846);
    double share = (turns - hyper->rope_low_factor) / (hyper->rope_high_factor - hyper->rope_low_factor);
    share = fmin(1.0, fmax(0.0, share));
    return plain * (share + (1.0 - share) / hyper->rope_factor);
}

void hel_hyper_rope_table(const hel_hyper *hyper, uint32_t positions, float *out) {
    uint32_t half = hyper->rotary / 2;
    for (uint32_t i = 0; i < half; i++) {
        double angle = frequency(hyper, i);
        for (uint32_t position = 0; position < positions; position++) {
            float *pair = out + 2 * ((size_t)position * half + i);
            pair[0] = (float)cos(position * angle);
            pair[1] = (float)sin(position * angle);
        }
    }
}
