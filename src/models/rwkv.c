// SPDX-License-Identifier: Apache-2.0
// What all versions of RWKV share: ends, channel mixing, states, hyper-parameters.
#include "models/rwkv.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "models/rwkv_source.h"

// ---------------------------------------------------------------- the model

hel_rwkv_pair hel_rwkv_enter(const hel_network *network, hel_stage *stage, const hel_rwkv_norm *norm, hel_kept last, hel_tensor x) {
    hel_tensor h = hel_layernorm(&stage->exec, x, hel_bind(norm->gain), hel_bind(norm->bias), network->hyper.norm_epsilon);
    return (hel_rwkv_pair){h, hel_token_shift(&stage->exec, h, last)};
}

hel_tensor hel_rwkv_mix(const hel_network *network, hel_stage *stage, const hel_rwkv_pair *pair, hel_buffer *mu) {
    hel_share share = {.form = network->hyper.rwkv.version < 6 ? HEL_SHARE_OF_X : HEL_SHARE_OF_OTHER, .mu = hel_bind(mu)};
    return hel_token_mix(&stage->exec, pair->x, pair->before, &share);
}

hel_tensor hel_rwkv_normalise_heads(const hel_network *network, hel_stage *stage, const hel_rwkv_norm *norm, hel_tensor mixed) {
    const hel_hyper *hyper = &network->hyper;
    return hel_groupnorm(&stage->exec, mixed, hyper->heads, hel_bind(norm->gain), hel_bind(norm->bias), hyper->rwkv.group_epsilon);
}

static void mix_channels(const hel_network *network, const hel_layer *layer, const hel_rwkv_channels *channels, hel_stage *stage,
                         hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_kept last = {hel_layer_state(layer, stage), network->hyper.hidden};
    hel_rwkv_pair pair = hel_rwkv_enter(network, stage, &channels->norm, last, x);
    hel_tensor k = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, channels->mix_k), &channels->key);
    hel_tensor squared = hel_activate(exec, HEL_RELU_SQUARED, hel_columns_all(k));
    if (!channels->mix_r) {
        hel_linear_add(exec, squared, &channels->value, x);
        return;
    }
    hel_tensor r = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, channels->mix_r), &channels->receptance);
    hel_gate_add(exec, r, hel_linear(exec, squared, &channels->value), x);
}

void hel_rwkv_forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_rwkv_mix_tokens *mix_tokens,
                      const hel_rwkv_channels *channels, hel_tensor x) {
    hel_stage *stage = &pass->stages[layer->place];
    uint64_t mark = hel_exec_mark(&stage->exec);
    mix_tokens(network, layer, pass, x);
    hel_exec_release(&stage->exec, mark);
    mix_channels(network, layer, channels, stage, x);
}

static void enter(const hel_network *network, hel_pass *pass, hel_stage *stage, hel_tensor x) {
    (void)pass;
    const hel_ends *ends = &network->ends;
    uint64_t mark = hel_exec_mark(&stage->exec);
    hel_tensor normalised = hel_layernorm(&stage->exec, x, hel_bind(ends->entry_norm), hel_bind(ends->entry_norm_bias),
                                          network->hyper.norm_epsilon);
    hel_copy(&stage->exec, normalised, x);
    hel_exec_release(&stage->exec, mark);
}

static hel_tensor leave(const hel_network *network, hel_stage *stage, hel_tensor x) {
    const hel_ends *ends = &network->ends;
    return hel_layernorm(&stage->exec, x, hel_bind(ends->norm), hel_bind(ends->norm_bias), network->hyper.norm_epsilon);
}

// ---------------------------------------------------------------- what is kept

hel_kept hel_rwkv_kept_token(const hel_layer *layer, hel_stage *stage) {
    return (hel_kept){hel_layer_state(layer, stage), 0};
}

hel_kept hel_rwkv_kept_attention(const hel_network *network, const hel_layer *layer, hel_stage *stage) {
    return (hel_kept){hel_layer_state(layer, stage), 2 * network->hyper.hidden};
}

hel_layer_memory hel_rwkv4_memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = (2 + 3) * (uint64_t)hyper->hidden};
}

hel_layer_memory hel_rwkv_head_memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = (2 + (uint64_t)hyper->head_dim) * hyper->hidden};
}

// A norm, the token before and what is made of them: up to twelve tensors in version 7, of five mixes in 6, of the
// feed-forward's two in all.
uint64_t hel_rwkv_scratch(const hel_hyper *hyper, uint32_t tokens) {
    const hel_rwkv_hyper *rwkv = &hyper->rwkv;
    uint64_t ranks = 2 * (uint64_t)(5 * rwkv->mix_rank + rwkv->decay_rank + rwkv->rate_rank + rwkv->value_rank + rwkv->gate_rank);
    return tokens * (24 * (uint64_t)hyper->hidden + 2 * (uint64_t)hyper->ffn + ranks);
}

// ---------------------------------------------------------------- hyper-parameters

static hel_status parse_versions_own(const json_t *config, hel_hyper *hyper) {
    hel_rwkv_hyper *rwkv = &hyper->rwkv;
    HEL_TRY(hel_hyper_get(config, "decay_size", hyper->hidden, 1, hyper->hidden, &rwkv->decays));
    HEL_TRY(hel_hyper_get(config, "bonus_size", hyper->hidden, 1, hyper->hidden, &rwkv->bonuses));
    if ((rwkv->decays != hyper->hidden && rwkv->decays != hyper->heads) ||
        (rwkv->bonuses != hyper->hidden && rwkv->bonuses != hyper->heads))
        return hel_fail(HEL_ERROR_FORMAT, "%u decays and %u bonuses are neither one a channel nor one a head", rwkv->decays,
                        rwkv->bonuses);
    const struct { const char *key; uint32_t *rank; bool needed; } ranks[] = {
        {"mix_rank", &rwkv->mix_rank, rwkv->version == 6},   {"decay_rank", &rwkv->decay_rank, rwkv->version >= 6},
        {"rate_rank", &rwkv->rate_rank, rwkv->version == 7}, {"gate_rank", &rwkv->gate_rank, rwkv->version == 7},
        {"value_rank", &rwkv->value_rank, rwkv->version == 7 && hyper->layers > 1},
    };
    for (size_t i = 0; i < HEL_COUNT(ranks); i++)
        HEL_TRY(hel_hyper_get(config, ranks[i].key, 0, ranks[i].needed, HEL_MAX_WIDTH, ranks[i].rank));
    return hel_json_get_bool(config, "gated", rwkv->version > 5, &rwkv->gated);
}

static hel_status parse(const json_t *config, hel_hyper *out) {
    static const char *const names[] = {"rwkv4", "rwkv5", "rwkv6", "rwkv7"};
    for (uint32_t i = 0; i < HEL_COUNT(names); i++)
        if (strcmp(out->architecture, names[i]) == 0) out->rwkv.version = 4 + i;
    bool ready;
    HEL_TRY(hel_json_get_bool(config, HEL_RWKV_READY, false, &ready));
    if (!ready || !out->rwkv.version)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "RWKV under names that are neither the authors' nor, for version 4, transformers': "
                                               "convert the authors' checkpoint to rwkv.cpp's format or to safetensors");
    HEL_TRY(hel_hyper_get(config, "num_hidden_layers", 0, 1, HEL_MAX_LAYERS, &out->layers));
    HEL_TRY(hel_hyper_get(config, "hidden_size", 0, 1, HEL_MAX_WIDTH, &out->hidden));
    HEL_TRY(hel_hyper_get(config, "intermediate_size", 0, 1, HEL_MAX_WIDTH, &out->ffn));
    HEL_TRY(hel_hyper_get(config, "vocab_size", 0, 1, HEL_MAX_VOCABULARY, &out->vocabulary));
    HEL_TRY(hel_hyper_get(config, "num_attention_heads", 1, 1, out->hidden, &out->heads));
    out->kv_heads = out->heads;
    out->head_dim = out->hidden / out->heads;
    if (out->hidden % out->heads) return hel_fail(HEL_ERROR_FORMAT, "%u heads do not divide %u channels", out->heads, out->hidden);
    if (out->rwkv.version > 4 && out->head_dim > HEL_WKV5_MAX_HEAD)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "heads of %u channels, at most %u are run", out->head_dim, HEL_WKV5_MAX_HEAD);
    HEL_TRY(hel_hyper_get_positive(config, "layer_norm_epsilon", 1e-5, &out->norm_epsilon));
    HEL_TRY(hel_hyper_get_positive(config, "group_norm_epsilon", 64e-5, &out->rwkv.group_epsilon));
    HEL_TRY(hel_json_get_bool(config, "tie_word_embeddings", false, &out->tied));
    return parse_versions_own(config, out);
}

// ---------------------------------------------------------------- the family

#define END(section, kind, name, gguf, rows, cols, class, member) \
    {name, gguf, HEL_SECTION_##section, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, HEL_CLASS_##class, \
     HEL_ROWS_PLAIN, offsetof(hel_ends, member), false}

static const hel_role ends[] = {
    END(FIRST, MATRIX, "emb.weight", "token_embd.weight", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    END(FIRST, VECTOR, "blocks.0.ln0.weight", "token_embd_norm.weight", HIDDEN, NONE, NORM, entry_norm),
    END(FIRST, VECTOR, "blocks.0.ln0.bias", "token_embd_norm.bias", HIDDEN, NONE, NORM, entry_norm_bias),
    END(LAST, VECTOR, "ln_out.weight", "output_norm.weight", HIDDEN, NONE, NORM, norm),
    END(LAST, VECTOR, "ln_out.bias", "output_norm.bias", HIDDEN, NONE, NORM, norm_bias),
    END(LAST, MATRIX, "head.weight", "output.weight", VOCABULARY, HIDDEN, LM_HEAD, head),
};

static const hel_layer_kind *const kinds[] = {&hel_rwkv4_layer, &hel_rwkv5_layer,       &hel_rwkv5_ungated_layer,
                                              &hel_rwkv6_layer, &hel_rwkv7_first_layer, &hel_rwkv7_layer};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    switch (hyper->rwkv.version) {
    case 4: return &hel_rwkv4_layer;
    case 5: return hyper->rwkv.gated ? &hel_rwkv5_layer : &hel_rwkv5_ungated_layer;
    case 6: return &hel_rwkv6_layer;
    default: return layer ? &hel_rwkv7_layer : &hel_rwkv7_first_layer;
    }
}

// The first layer's values, to which those of the others go back.
static uint32_t side_cols(const hel_hyper *hyper) { return hyper->rwkv.version == 7 ? hyper->hidden : 0; }

static const hel_model_type types[] = {
    {"rwkv", "RwkvForCausalLM", NULL, false}, // transformers' name for version 4; rwkv_view.c turns it into the next
    {"rwkv4", NULL, NULL, false},
    {"rwkv5", NULL, NULL, false},
    {"rwkv6", NULL, "rwkv6", false},
    {"rwkv7", NULL, "rwkv7", false},
};

const hel_family hel_rwkv_family = {.types = types,
                                    .n_types = HEL_COUNT(types),
                                    .layer_prefix = "blocks.",
                                    .roles = ends,
                                    .n_roles = HEL_COUNT(ends),
                                    .kinds = kinds,
                                    .n_kinds = HEL_COUNT(kinds),
                                    .parse = parse,
                                    .kind_of = kind_of,
                                    .side_cols = side_cols,
                                    .enter = enter,
                                    .leave = leave};
