// SPDX-License-Identifier: Apache-2.0
// Models of Hyena operators: HyenaDNA (Nguyen et al. 2023), and language models of its training code ("hyena"), whose tensors
// have the same names without the first part.
#include "models/hyena.h"

#include <float.h>
#include <math.h>

#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "ops/fftconv_decode.h"

// ---------------------------------------------------------------- the operator

hel_tensor hel_hyena_project(hel_exec *exec, const hel_hyper *hyper, const hel_hyena_mixer *mixer, hel_tensor x,
                             hel_binding state) {
    hel_conv1d_filter filter = {.taps = hel_bind(mixer->short_taps),
                                .bias = hel_bind(mixer->short_bias),
                                .width = hyper->hyena.short_width,
                                .activation = HEL_IDENTITY};
    return hel_conv1d(exec, hel_columns_all(hel_linear(exec, x, &mixer->in)), &filter, state);
}

static hel_tensor mix(const hel_hyper *hyper, const hel_hyena_mixer *mixer, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    uint32_t order = hyper->hyena.order;
    hel_tensor p = hel_hyena_project(exec, hyper, mixer, x, hel_layer_state(layer, stage));
    hel_columns v = hel_hyena_part(hyper, p, order);
    for (uint32_t i = order - 1; i > 0; i--) {
        hel_tensor gated = hel_activate_gated(exec, HEL_IDENTITY, hel_hyena_part(hyper, p, i), v);
        v = hel_columns_all(hel_hyena_convolve(pass->histories[layer->index], exec, order - 1 - i, gated, hel_bind(stage->step)));
    }
    return hel_activate_gated(exec, HEL_IDENTITY, hel_hyena_part(hyper, p, 0), v);
}

// ---------------------------------------------------------------- its layer

typedef struct hyena_layer {
    hel_hyena_mixer mixer;
    hel_buffer *norm1, *norm1_bias, *norm2, *norm2_bias; // [hidden]
    hel_weight fc1, fc2;                                 // [ffn, hidden], [hidden, ffn]
} hyena_layer;

// x += hyena(norm1(x)),  x += W2 gelu(W1 norm2(x))
static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const hyena_layer *weights = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_exec *exec = &pass->stages[layer->place].exec;
    uint64_t mark = hel_exec_mark(exec);
    hel_tensor h = hel_layernorm(exec, x, hel_bind(weights->norm1), hel_bind(weights->norm1_bias), hyper->norm_epsilon);
    hel_linear_add(exec, mix(hyper, &weights->mixer, layer, pass, h), &weights->mixer.out, x);
    hel_exec_release(exec, mark);
    h = hel_layernorm(exec, x, hel_bind(weights->norm2), hel_bind(weights->norm2_bias), hyper->norm_epsilon);
    h = hel_activate(exec, HEL_GELU_TANH, hel_columns_all(hel_linear(exec, h, &weights->fc1)));
    hel_linear_add(exec, h, &weights->fc2, x);
}

static hel_tensor leave(const hel_network *network, hel_stage *stage, hel_tensor x) {
    const hel_ends *ends = &network->ends;
    return hel_layernorm(&stage->exec, x, hel_bind(ends->norm), hel_bind(ends->norm_bias), network->hyper.norm_epsilon);
}

static hel_layer_memory memory(const hel_hyper *hyper) {
    return (hel_layer_memory){.state_floats = hel_hyena_short_state(hyper)};
}

// A norm, projections before and behind their filters, gated rows and what becomes of them; or a norm and the feed-forward's.
static uint64_t scratch_floats(const hel_hyper *hyper, uint32_t tokens) {
    uint64_t order = hyper->hyena.order, hidden = hyper->hidden;
    uint64_t mixer = tokens * hidden * (1 + 2 * (order + 1) + 2 * (order - 1) + 1);
    uint64_t convolutions = hel_fftconv_decode_scratch(hyper->hidden, hyper->context_length, tokens);
    return HEL_MAX(mixer + convolutions, tokens * (hidden + 2 * (uint64_t)hyper->ffn));
}

// ---------------------------------------------------------------- its tensors

#define END(section, kind, hf, rows, cols, class, member) \
    {hf, NULL, HEL_SECTION_##section, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_PLAIN, offsetof(hel_ends, member), false}
#define ENDS(prefix) \
    END(FIRST, MATRIX, prefix "embeddings.word_embeddings.weight", VOCABULARY, HIDDEN, EMBEDDING, embedding), \
    END(LAST, VECTOR, prefix "ln_f.weight", HIDDEN, NONE, NORM, norm), \
    END(LAST, VECTOR, prefix "ln_f.bias", HIDDEN, NONE, NORM, norm_bias), \
    END(LAST, MATRIX, "lm_head.weight", VOCABULARY, HIDDEN, LM_HEAD, head)
#define LAYER(kind, hf, rows, cols, class, member, optional) \
    {hf, NULL, HEL_SECTION_LAYER, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, \
     HEL_CLASS_##class, HEL_ROWS_PLAIN, offsetof(hyena_layer, member), optional}
#define MATRIX(hf, rows, cols, member) \
    LAYER(MATRIX, hf ".weight", rows, cols, FFN, member, false), LAYER(BIAS, hf ".bias", rows, NONE, UNKNOWN, member, false)
#define NORM(hf, member) \
    LAYER(VECTOR, hf ".weight", HIDDEN, NONE, NORM, member, false), \
    LAYER(VECTOR, hf ".bias", HIDDEN, NONE, NORM, member##_bias, false)
#define FILTER(hf, rows, cols, member, optional) LAYER(VECTOR, "mixer." hf, rows, cols, FILTER, mixer.member, optional)
#define SINE(i, place) FILTER("filter_fn.implicit_filter." place ".freq", FILTER_HIDDEN, NONE, sines[i], true)
#define INNER(i, place) \
    FILTER("filter_fn.implicit_filter." place ".weight", FILTER_HIDDEN, FILTER_HIDDEN, inner[i], false), \
    FILTER("filter_fn.implicit_filter." place ".bias", FILTER_HIDDEN, NONE, inner_bias[i], false)

static const hel_role ends[] = {ENDS("backbone.")};
static const hel_role ends_below_hyena[] = {ENDS("hyena.backbone.")};

static const hel_role roles[] = {
    NORM("norm1", norm1),
    NORM("norm2", norm2),
    MATRIX("mixer.in_proj", PROJECTIONS, HIDDEN, mixer.in),
    MATRIX("mixer.out_proj", HIDDEN, HIDDEN, mixer.out),
    MATRIX("mlp.fc1", FFN, HIDDEN, fc1),
    MATRIX("mlp.fc2", HIDDEN, FFN, fc2),
    FILTER("short_filter.weight", PROJECTIONS, SHORT, short_taps, false),
    FILTER("short_filter.bias", PROJECTIONS, NONE, short_bias, false),
    FILTER("filter_fn.bias", FILTERS, NONE, bias, false),
    FILTER("filter_fn.implicit_filter.0.weight", FILTER_HIDDEN, FEATURES, first, false),
    FILTER("filter_fn.implicit_filter.0.bias", FILTER_HIDDEN, NONE, first_bias, false),
    INNER(0, "2"),
    INNER(1, "4"),
    FILTER("filter_fn.implicit_filter.6.weight", FILTERS, FILTER_HIDDEN, last, false),
    SINE(0, "1"),
    SINE(1, "3"),
    SINE(2, "5"),
    FILTER("filter_fn.pos_emb.z", POSITIONS, FEATURES, features, true),
    FILTER("filter_fn.modulation.deltas", FILTERS, NONE, decay, true),
};

const hel_layer_kind hel_hyena_kind = {.name = "hyena",
                                       .roles = roles,
                                       .n_roles = HEL_COUNT(roles),
                                       .size = sizeof(hyena_layer),
                                       .forward = forward,
                                       .memory = memory,
                                       .scratch_floats = scratch_floats,
                                       .history = &hel_hyena_history};
static const hel_layer_kind *const kinds[] = {&hel_hyena_kind};

static const hel_layer_kind *kind_of(const hel_hyper *hyper, uint32_t layer) {
    (void)hyper, (void)layer;
    return &hel_hyena_kind;
}

// ---------------------------------------------------------------- its hyper-parameters

// Rates are the logarithm of the target over these.
hel_status hel_hyena_check_decay(const hel_hyena_hyper *hyena) {
    double depth = -log(hyena->decay_target);
    bool fades = hyena->fast_decay > 0 && hyena->slow_decay > 0 && depth > 0;
    if (fades && depth / hyena->fast_decay <= FLT_MAX && depth / hyena->slow_decay <= FLT_MAX) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "filters cannot fade to %g at %g and %g of the positions", hyena->decay_target,
                    hyena->fast_decay, hyena->slow_decay);
}

static hel_status parse_decay(const json_t *config, hel_hyena_hyper *hyena) {
    HEL_TRY(hel_json_get_f64(config, "activation_freq", 1.0, &hyena->sine));
    HEL_TRY(hel_json_get_f64(config, "fast_decay_pct", 0.3, &hyena->fast_decay));
    HEL_TRY(hel_json_get_f64(config, "slow_decay_pct", 1.5, &hyena->slow_decay));
    HEL_TRY(hel_json_get_f64(config, "target", 1e-2, &hyena->decay_target));
    HEL_TRY(hel_json_get_f64(config, "shift", 0.05, &hyena->shift));
    return hel_hyena_check_decay(hyena);
}

hel_status hel_hyena_parse_mixer(const json_t *config, hel_hyper *out) {
    hel_hyena_hyper *hyena = &out->hyena;
    uint32_t inner;
    HEL_TRY(hel_hyper_get(config, "hyena_order", 2, 2, HEL_HYENA_MAX_ORDER, &hyena->order));
    HEL_TRY(hel_hyper_get(config, "short_filter_order", 3, 1, 8, &hyena->short_width));
    HEL_TRY(hel_hyper_get(config, "emb_dim", 3, 3, 1024, &hyena->features));
    HEL_TRY(hel_hyper_get(config, "filter_order", 64, 1, 1024, &hyena->filter_hidden));
    HEL_TRY(hel_json_get_u32(config, "num_inner_mlps", HEL_HYENA_INNER, &inner));
    if (hyena->features % 2 == 0)
        return hel_fail(HEL_ERROR_FORMAT, "emb_dim %u is even: no time beside sines and cosines", hyena->features);
    // Its training code pads by two whatever the width, so that only this one is causal.
    if (hyena->short_width != 3) return hel_fail(HEL_ERROR_UNSUPPORTED, "short_filter_order %u", hyena->short_width);
    if (inner != HEL_HYENA_INNER) return hel_fail(HEL_ERROR_UNSUPPORTED, "num_inner_mlps %u", inner);
    return parse_decay(config, hyena);
}

// Embeddings have rows up to a multiple.
static hel_status parse_vocabulary(const json_t *config, hel_hyper *out) {
    uint32_t multiple;
    HEL_TRY(hel_hyper_get(config, "vocab_size", 0, 1, HEL_MAX_VOCABULARY, &out->vocabulary));
    HEL_TRY(hel_hyper_get(config, "pad_vocab_size_multiple", 8, 1, 1 << 16, &multiple));
    out->vocabulary = (uint32_t)hel_round_up(out->vocabulary, multiple);
    return hel_json_get_bool(config, "tie_word_embeddings", true, &out->tied);
}

static hel_status parse(const json_t *config, hel_hyper *out) {
    HEL_TRY(hel_hyper_get(config, "n_layer", 0, 1, HEL_MAX_LAYERS, &out->layers));
    HEL_TRY(hel_hyper_get(config, "d_model", 0, 1, HEL_MAX_WIDTH / (HEL_HYENA_MAX_ORDER + 1), &out->hidden));
    HEL_TRY(hel_hyper_get(config, "d_inner", 4 * out->hidden, 1, HEL_MAX_WIDTH, &out->ffn));
    HEL_TRY(hel_hyper_get(config, "max_seq_len", 1024, 1, HEL_CONVOLUTION_MAX_STEPS, &out->context_length));
    HEL_TRY(hel_hyper_get_positive(config, "layer_norm_epsilon", 1e-5, &out->norm_epsilon));
    HEL_TRY(parse_vocabulary(config, out));
    return hel_hyena_parse_mixer(config, out);
}

// ---------------------------------------------------------------- families

static const hel_model_type types[] = {{"hyena", "HyenaForCausalLM", NULL, false}};
static const hel_model_type types_below_hyena[] = {{"hyenadna", "HyenaDNAForCausalLM", NULL, false}};

#define FAMILY(names, prefix, roles_of_ends) \
    {.types = names, .n_types = HEL_COUNT(names), .layer_prefix = prefix "layers.", .roles = roles_of_ends, \
     .n_roles = HEL_COUNT(roles_of_ends), .kinds = kinds, .n_kinds = HEL_COUNT(kinds), .parse = parse, .kind_of = kind_of, \
     .leave = leave}

const hel_family hel_hyena_family = FAMILY(types, "backbone.", ends);
const hel_family hel_hyenadna_family = FAMILY(types_below_hyena, "hyena.backbone.", ends_below_hyena);
