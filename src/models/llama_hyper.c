// SPDX-License-Identifier: Apache-2.0
// Hyper-parameters of the LLaMA family.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "models/hyper.h"

static hel_status parse_sizes(const json_t *config, hel_hyper *hyper) {
    HEL_TRY(hel_hyper_get(config, "num_hidden_layers", 0, 1, HEL_MAX_LAYERS, &hyper->layers));
    HEL_TRY(hel_hyper_get(config, "hidden_size", 0, 1, HEL_MAX_WIDTH, &hyper->hidden));
    HEL_TRY(hel_hyper_get(config, "intermediate_size", 0, 1, HEL_MAX_WIDTH, &hyper->ffn));
    HEL_TRY(hel_hyper_get(config, "vocab_size", 0, 1, HEL_MAX_VOCABULARY, &hyper->vocabulary));
    HEL_TRY(hel_hyper_get(config, "max_position_embeddings", 2048, 1, HEL_MAX_POSITIONS, &hyper->context_length));
    return hel_hyper_get_heads(config, hyper);
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

hel_status hel_transformer_parse(const json_t *config, hel_hyper *out) {
    HEL_TRY(parse_sizes(config, out));
    HEL_TRY(hel_hyper_get_rope(config, out));
    HEL_TRY(hel_hyper_get_positive(config, "rms_norm_eps", 1e-6, &out->norm_epsilon));
    HEL_TRY(hel_json_get_bool(config, "tie_word_embeddings", false, &out->tied));
    return refuse_unsupported(config, out);
}
