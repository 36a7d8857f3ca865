// SPDX-License-Identifier: Apache-2.0
// StripedHyena (Poli et al. 2023): layers with a Hyena operator of order 2, whose long filters are sums of damped waves, between
// layers that attend.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "models/llama.h"
#include "ops/modal_scan.h"

enum { MAX_MODES = 1024, MAX_SHORT_WIDTH = HEL_CONV1D_MAX_WIDTH };

// ---------------------------------------------------------------- layers

typedef struct modal_layer {
    hel_ffn_block ffn;
    hel_buffer *norm;                    // [hidden]
    hel_weight in, out;                  // [3 hidden, hidden], [hidden, hidden]
    hel_buffer *short_taps, *short_bias; // [3 hidden, short width], [3 hidden]
    hel_buffer *poles, *residues;        // [hidden, modes, 2]
    hel_buffer *direct;                  // [hidden]
} modal_layer;

// The state of the short filters comes first; those of the long ones begin where a binding may.
static uint64_t short_floats(const hel_hyper *hyper) {
    return hel_round_up((uint64_t)(hyper->hyena.short_width - 1) * 3 * hyper->hidden, HEL_BINDING_ALIGNMENT / sizeof(float));
}

static void mix(const hel_hyper *hyper, const modal_layer *weights, const hel_layer *layer, hel_stage *stage, hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_binding short_state = hel_layer_state(layer, stage), long_state = short_state;
    short_state.size = short_floats(hyper) * sizeof(float);
    long_state.offset += short_state.size;
    long_state.size -= short_state.size;
    hel_conv1d_filter taps = {.taps = hel_bind(weights->short_taps),
                              .bias = hel_bind(weights->short_bias),
                              .width = hyper->hyena.short_width,
                              .activation = HEL_IDENTITY};
    hel_modal_filter filter = {.poles = hel_bind(weights->poles),
                               .residues = hel_bind(weights->residues),
                               .direct = hel_bind(weights->direct),
                               .modes = hyper->hyena.modes,
                               .split = hyper->hyena.split};

    hel_tensor h = hel_rmsnorm(exec, x, hel_bind(weights->norm), hyper->norm_epsilon);
    hel_tensor z = hel_conv1d(exec, hel_columns_all(hel_linear(exec, h, &weights->in)), &taps, short_state);
    hel_linear_add(exec, hel_modal_scan(exec, z, &filter, long_state), &weights->out, x);
}

static void modal_forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const modal_layer *weights = layer->weights;
    hel_stage *stage = &pass->stages[layer->place];
    uint64_t mark = hel_exec_mark(&stage->exec);
    mix(&network->hyper, weights, layer, stage, x);
    hel_exec_release(&stage->exec, mark);
    hel_ffn_block_forward(&network->hyper, &weights->ffn, stage, x);
}

static hel_layer_memory modal_memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = short_floats(hyper) + 2 * (uint64_t)hyper->hyena.modes * hyper->hidden};
}

// A norm, projections before and behind their filters, and what becomes of them.
static uint64_t modal_scratch(const hel_hyper *hyper, uint32_t tokens) {
    return tokens * HEL_MAX(8 * (uint64_t)hyper->hidden, hel_ffn_block_scratch(hyper));
}

typedef struct attention_layer {
    hel_ffn_block ffn;
    hel_buffer *norm;    // [hidden]
    hel_weight qkv, out; // [(heads + 2 kv_heads) head_dim, hidden], [hidden, heads head_dim]
} attention_layer;

static hel_tensor columns(hel_exec *exec, hel_tensor x, uint32_t first, uint32_t count) {
    return hel_activate(exec, HEL_IDENTITY, (hel_columns){x, first, count});
}

static void attention_forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const attention_layer *weights = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    uint64_t mark = hel_exec_mark(exec);
    uint32_t queries = hyper->heads * hyper->head_dim, keys = hyper->kv_heads * hyper->head_dim;
    hel_tensor qkv = hel_linear(exec, hel_rmsnorm(exec, x, hel_bind(weights->norm), hyper->norm_epsilon), &weights->qkv);
    hel_tensor mixed = hel_attention_mix(layer, stage, 0.0f, columns(exec, qkv, 0, queries), columns(exec, qkv, queries, keys),
                                         columns(exec, qkv, queries + keys, keys));
    hel_linear_add(exec, mixed, &weights->out, x);
    hel_exec_release(exec, mark);
    hel_ffn_block_forward(hyper, &weights->ffn, stage, x);
}

// Projections together and apart.
static uint64_t attention_scratch(const hel_hyper *hyper, uint32_t tokens) {
    uint64_t projections = (uint64_t)(hyper->heads + 2 * hyper->kv_heads) * hyper->head_dim;
    return tokens * HEL_MAX(hel_attention_block_scratch(hyper) + projections, hel_ffn_block_scratch(hyper));
}

// ---------------------------------------------------------------- tensors

#define END(section, kind, hf, rows, cols, class, member) \
    {hf, NULL, HEL_SECTION_##section, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_PLAIN, offsetof(hel_ends, member), false}
#define LAYER(owner, kind, hf, rows, cols, class, member) \
    {hf, NULL, HEL_SECTION_LAYER, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_PLAIN, offsetof(owner, member), false}
#define MATRIX(owner, hf, rows, cols, class, member) \
    LAYER(owner, MATRIX, hf ".weight", rows, cols, class, member), LAYER(owner, BIAS, hf ".bias", rows, NONE, UNKNOWN, member)
#define BOTH(owner) \
    LAYER(owner, VECTOR, "pre_norm.scale", HIDDEN, NONE, NORM, norm), \
    LAYER(owner, VECTOR, "post_norm.scale", HIDDEN, NONE, NORM, ffn.norm), \
    MATRIX(owner, "mlp.l1", FFN, HIDDEN, FFN, ffn.gate), \
    MATRIX(owner, "mlp.l2", FFN, HIDDEN, FFN, ffn.up), \
    MATRIX(owner, "mlp.l3", HIDDEN, FFN, FFN, ffn.down)

static const hel_role ends[] = {
    END(FIRST, MATRIX, "backbone.embedding_layer.weight", VOCABULARY, HIDDEN, EMBEDDING, embedding),
    END(LAST, VECTOR, "backbone.norm.scale", HIDDEN, NONE, NORM, norm),
    END(LAST, MATRIX, "backbone.unembed.weight", VOCABULARY, HIDDEN, LM_HEAD, head),
};

static const hel_role modal_roles[] = {
    BOTH(modal_layer),
    MATRIX(modal_layer, "projections", PROJECTIONS, HIDDEN, FFN, in),
    MATRIX(modal_layer, "out_filter_dense", HIDDEN, HIDDEN, FFN, out),
    LAYER(modal_layer, VECTOR, "filter.short_filter_weight", PROJECTIONS, SHORT, FILTER, short_taps),
    LAYER(modal_layer, VECTOR, "filter.short_filter_bias", PROJECTIONS, NONE, FILTER, short_bias),
    LAYER(modal_layer, VECTOR, "filter.poles", HIDDEN, MODES_TWICE, FILTER, poles),
    LAYER(modal_layer, VECTOR, "filter.residues", HIDDEN, MODES_TWICE, FILTER, residues),
    LAYER(modal_layer, VECTOR, "filter.D", HIDDEN, NONE, FILTER, direct),
};

static const hel_role attention_roles[] = {
    BOTH(attention_layer),
    MATRIX(attention_layer, "inner_mha_cls.Wqkv", QUERY_KEY_VALUE, HIDDEN, ATTENTION_QK, qkv),
    MATRIX(attention_layer, "inner_mha_cls.out_proj", HIDDEN, QUERY, ATTENTION_VO, out),
};

static const hel_layer_kind modal = {.name = "modal",
                                     .roles = modal_roles,
                                     .n_roles = HEL_COUNT(modal_roles),
                                     .size = sizeof(modal_layer),
                                     .forward = modal_forward,
                                     .memory = modal_memory,
                                     .scratch_floats = modal_scratch};
static const hel_layer_kind attention = {.name = "attention",
                                         .roles = attention_roles,
                                         .n_roles = HEL_COUNT(attention_roles),
                                         .size = sizeof(attention_layer),
                                         .forward = attention_forward,
                                         .memory = hel_attention_block_memory,
                                         .scratch_floats = attention_scratch};
static const hel_layer_kind *const kinds[] = {&modal, &attention};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    return hel_hybrid_attends(&hyper->hybrid, layer) ? &attention : &modal;
}

// ---------------------------------------------------------------- hyper-parameters

// Numbers of layers; those beyond the last are heeded nowhere (published configs have some).
static hel_status parse_attending(const json_t *config, hel_hyper *out) {
    const json_t *list = json_object_get(config, "attn_layer_idxs"), *item;
    size_t i;
    if (list && !json_is_array(list)) return hel_fail(HEL_ERROR_FORMAT, "key \"attn_layer_idxs\" must be a list");
    json_array_foreach(list, i, item) {
        json_int_t layer = json_integer_value(item);
        if (!json_is_integer(item) || layer < 0) return hel_fail(HEL_ERROR_FORMAT, "\"attn_layer_idxs\" must be numbers of layers");
        if (layer < out->layers) hel_hybrid_let_attend(&out->hybrid, (uint32_t)layer);
    }
    return HEL_OK;
}

static hel_status parse_attention(const json_t *config, hel_hyper *out) {
    uint32_t groups;
    HEL_TRY(hel_hyper_get(config, "num_attention_heads", 0, 1, out->hidden, &out->heads));
    HEL_TRY(hel_hyper_get(config, "proj_groups", 1, 1, out->heads, &groups));
    out->kv_heads = out->heads / groups;
    out->head_dim = out->rotary = out->hidden / out->heads;
    out->rope_interleaved = false;
    HEL_TRY(hel_json_get_f64(config, "rotary_emb_base", 10000.0, &out->rope_theta));
    if (out->heads % groups || out->hidden % out->heads || out->head_dim % 2 || out->head_dim > HEL_ATTENTION_MAX_HEAD_DIM)
        return hel_fail(HEL_ERROR_FORMAT, "%u channels of %u heads in %u groups", out->hidden, out->heads, groups);
    return out->rope_theta > 0 ? parse_attending(config, out) : hel_fail(HEL_ERROR_FORMAT, "rotary_emb_base is not positive");
}

// As Evo's long contexts have it: positions divided by a factor.
static hel_status parse_interpolation(const json_t *config, hel_hyper *out) {
    bool interpolated;
    HEL_TRY(hel_json_get_bool(config, "use_interpolated_rotary_pos_emb", false, &interpolated));
    if (!interpolated) return HEL_OK;
    out->rope_scaling = HEL_ROPE_LINEAR;
    HEL_TRY(hel_json_get_f64(config, "rotary_emb_scaling_factor", 1.0, &out->rope_factor));
    return out->rope_factor > 0 ? HEL_OK : hel_fail(HEL_ERROR_FORMAT, "rotary_emb_scaling_factor is not positive");
}

static hel_status parse_filters(const json_t *config, hel_hyper *out) {
    uint32_t groups, filters;
    bool columns_split;
    out->hyena.order = 2;
    HEL_TRY(hel_hyper_get(config, "short_filter_length", 3, 1, MAX_SHORT_WIDTH, &out->hyena.short_width));
    HEL_TRY(hel_hyper_get(config, "state_size", 0, 1, MAX_MODES, &out->hyena.modes));
    HEL_TRY(hel_json_get_u32(config, "hyena_filter_groups", 1, &groups));
    HEL_TRY(hel_json_get_u32(config, "num_filters", out->hidden, &filters));
    HEL_TRY(hel_json_get_bool(config, "column_split_hyena", true, &columns_split));
    out->hyena.split = columns_split ? out->head_dim : out->hidden;
    if (groups == 1 && filters == out->hidden) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%u filters in %u groups for %u channels", filters, groups, out->hidden);
}

static hel_status refuse_unsupported(const json_t *config) {
    static const struct { const char *key; bool expected; } flags[] = {
        {"smeared_gqa", false}, {"final_norm", true}, {"short_filter_bias", true}};
    const char *activation;
    HEL_TRY(hel_json_get_string(config, "mlp_activation", "silu", &activation));
    if (strcmp(activation, "silu") != 0) return hel_fail(HEL_ERROR_UNSUPPORTED, "mlp_activation \"%s\"", activation);
    for (size_t i = 0; i < HEL_COUNT(flags); i++) {
        bool value;
        HEL_TRY(hel_json_get_bool(config, flags[i].key, flags[i].expected, &value));
        if (value != flags[i].expected) return hel_fail(HEL_ERROR_UNSUPPORTED, "%s %s", flags[i].key, value ? "true" : "false");
    }
    return HEL_OK;
}

static hel_status parse(const json_t *config, hel_hyper *out) {
    HEL_TRY(hel_hyper_get(config, "num_layers", 0, 1, HEL_MAX_LAYERS, &out->layers));
    HEL_TRY(hel_hyper_get(config, "hidden_size", 0, 1, HEL_MAX_WIDTH / 4, &out->hidden));
    uint32_t ffn = (uint32_t)hel_round_up(8 * (uint64_t)out->hidden / 3, 64);
    HEL_TRY(hel_hyper_get(config, "inner_mlp_size", ffn, 1, HEL_MAX_WIDTH, &out->ffn));
    HEL_TRY(hel_hyper_get(config, "vocab_size", 0, 1, HEL_MAX_VOCABULARY, &out->vocabulary));
    HEL_TRY(hel_hyper_get(config, "max_seqlen", 8192, 1, HEL_MAX_POSITIONS, &out->context_length));
    HEL_TRY(hel_hyper_get_positive(config, "eps", 1e-5, &out->norm_epsilon));
    HEL_TRY(hel_json_get_bool(config, "tie_embeddings", false, &out->tied));
    HEL_TRY(refuse_unsupported(config));
    HEL_TRY(parse_attention(config, out));
    HEL_TRY(parse_interpolation(config, out));
    return parse_filters(config, out);
}

static const hel_model_type types[] = {{"stripedhyena", "StripedHyenaModelForCausalLM", NULL, false}};

const hel_family hel_striped_family = {.types = types,
                                       .n_types = HEL_COUNT(types),
                                       .layer_prefix = "backbone.blocks.",
                                       .roles = ends,
                                       .n_roles = HEL_COUNT(ends),
                                       .kinds = kinds,
                                       .n_kinds = HEL_COUNT(kinds),
                                       .parse = parse,
                                       .kind_of = kind_of,
                                       .leave = hel_leave_by_rmsnorm};
