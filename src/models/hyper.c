// SPDX-License-Identifier: Apache-2.0
#include "models/hyper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "kernels.h"

// Far above any model; a product of two may not fit 32 bits, and hel_exec_tensor refuses such a pass.
enum { MAX_LAYERS = 4096, MAX_WIDTH = 1 << 20, MAX_HEAD_DIM = HEL_ATTENTION_MAX_HEAD_DIM };

static hel_status require_range(const char *key, uint32_t value, uint32_t low, uint32_t high) {
    if (value >= low && value <= high) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s is %u, allowed are %u to %u", key, value, low, high);
}

static hel_status parse_sizes(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_json_get_u32(config, "num_hidden_layers", 0, &hyper->layers));
    HEL_TRY(hel_json_get_u32(config, "hidden_size", 0, &hyper->hidden));
    HEL_TRY(hel_json_get_u32(config, "intermediate_size", 0, &hyper->ffn));
    HEL_TRY(hel_json_get_u32(config, "num_attention_heads", 0, &hyper->heads));
    HEL_TRY(hel_json_get_u32(config, "num_key_value_heads", hyper->heads, &hyper->kv_heads));
    HEL_TRY(hel_json_get_u32(config, "vocab_size", 0, &hyper->vocabulary));
    HEL_TRY(hel_json_get_u32(config, "max_position_embeddings", 2048, &hyper->context_length));
    HEL_TRY(require_range("num_hidden_layers", hyper->layers, 1, MAX_LAYERS));
    HEL_TRY(require_range("hidden_size", hyper->hidden, 1, MAX_WIDTH));
    HEL_TRY(require_range("intermediate_size", hyper->ffn, 1, MAX_WIDTH));
    HEL_TRY(require_range("num_attention_heads", hyper->heads, 1, hyper->hidden));
    HEL_TRY(require_range("num_key_value_heads", hyper->kv_heads, 1, hyper->heads));
    HEL_TRY(require_range("vocab_size", hyper->vocabulary, 1, 1 << 24));
    HEL_TRY(require_range("max_position_embeddings", hyper->context_length, 1, 1 << 24));
    HEL_TRY(hel_json_get_u32(config, "head_dim", hyper->hidden / hyper->heads, &hyper->head_dim));
    HEL_TRY(require_range("head_dim", hyper->head_dim, 2, MAX_HEAD_DIM));
    if (hyper->head_dim % 2) return hel_fail(HEL_ERROR_UNSUPPORTED, "head_dim %u is odd", hyper->head_dim);
    if (hyper->heads % hyper->kv_heads)
        return hel_fail(HEL_ERROR_FORMAT, "%u heads do not divide over %u kv heads", hyper->heads, hyper->kv_heads);
    return HEL_OK;
}

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

static hel_status parse_rope(const json_t *config, hel_hyper *hyper) {
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

static hel_status refuse_unsupported(const json_t *config, hel_hyper *hyper) {
    const char *activation;
    HEL_TRY(hel_json_get_string(config, "hidden_act", "silu", &activation));
    if (strcmp(activation, "silu") != 0) return hel_fail(HEL_ERROR_UNSUPPORTED, "hidden_act \"%s\"", activation);
    bool windowed;
    uint32_t window;
    HEL_TRY(hel_json_get_u32(config, "sliding_window", 0, &window));
    HEL_TRY(hel_json_get_bool(config, "use_sliding_window", strcmp(hyper->architecture, "mistral") == 0, &windowed));
    if (windowed && window && window < hyper->context_length) hyper->context_length = window; // within it, nothing slides
    return HEL_OK;
}

static hel_status parse(const json_t *config, hel_hyper *hyper) {
    const char *type;
    HEL_TRY(hel_json_get_string(config, "model_type", "", &type));
    snprintf(hyper->architecture, sizeof hyper->architecture, "%s", type);
    HEL_TRY(parse_sizes(config, hyper));
    HEL_TRY(parse_rope(config, hyper));
    double epsilon;
    HEL_TRY(hel_json_get_f64(config, "rms_norm_eps", 1e-6, &epsilon));
    hyper->norm_epsilon = (float)epsilon;
    HEL_TRY(hel_json_get_bool(config, "tie_word_embeddings", false, &hyper->tied));
    return refuse_unsupported(config, hyper);
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
    }
    return 1;
}

// ---------------------------------------------------------------- rotary frequencies

static double frequency(const hel_hyper *hyper, uint32_t i) {
    double plain = pow(hyper->rope_theta, -2.0 * i / hyper->head_dim);
    if (hyper->rope_scaling == HEL_ROPE_UNSCALED) return plain;
    if (hyper->rope_scaling == HEL_ROPE_LINEAR) return plain / hyper->rope_factor;
    double turns = hyper->rope_original_length * plain / (2.0 * 3.14159265358979323846);
    double share = (turns - hyper->rope_low_factor) / (hyper->rope_high_factor - hyper->rope_low_factor);
    share = fmin(1.0, fmax(0.0, share));
    return plain * (share + (1.0 - share) / hyper->rope_factor);
}

void hel_hyper_rope_table(const hel_hyper *hyper, uint32_t positions, float *out) {
    uint32_t half = hyper->head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        double angle = frequency(hyper, i);
        for (uint32_t position = 0; position < positions; position++) {
            float *pair = out + 2 * ((size_t)position * half + i);
            pair[0] = (float)cos(position * angle);
            pair[1] = (float)sin(position * angle);
        }
    }
}
