// SPDX-License-Identifier: Apache-2.0
// The layers of RWKV-7 (Goose): x += Wo ((norm of each head(wkv(r, w, k, v, kappa, a)) + bonus) * g), then channels. Decay w, rate
// a, gate g and how far values go back to the first layer's are low-rank: decay0 + W2 tanh(W1 mix_w) and so on.
#include "base/size.h"
#include "models/rwkv.h"

typedef struct rwkv7_layer {
    hel_rwkv_norm norm, heads_norm;
    hel_buffer *mix_r, *mix_w, *mix_k, *mix_v, *mix_a, *mix_g;
    hel_buffer *decay0, *rate0, *value0;  // [hidden]
    hel_weight decay1, rate1, value1, gate1; // [rank, hidden]
    hel_weight decay2, rate2, value2, gate2; // [hidden, rank]
    hel_buffer *removal, *replacement, *bonus; // [hidden]
    hel_weight receptance, key, value, output; // [hidden, hidden]
    hel_rwkv_channels channels;
} rwkv7_layer;

// W2 f(W1 x)
static hel_tensor low_rank(hel_exec *exec, hel_tensor x, const hel_weight *down, hel_activation f, const hel_weight *up) {
    hel_tensor low = hel_linear(exec, x, down);
    if (f != HEL_IDENTITY) low = hel_activate(exec, f, hel_columns_all(low));
    return hel_linear(exec, low, up);
}

// The first layer's values are kept for the others, which go back to them by a share of their own.
static hel_tensor values(const rwkv7_layer *w, const hel_layer *layer, hel_pass *pass, hel_tensor mixed) {
    hel_exec *exec = &pass->stages[layer->place].exec;
    hel_tensor v = hel_linear(exec, mixed, &w->value);
    if (!w->value0) {
        hel_copy(exec, v, pass->side);
        return v;
    }
    hel_share share = {.form = HEL_SHARE_SIGMOID, .mu = hel_bind(w->value0)};
    share.change = low_rank(exec, mixed, &w->value1, HEL_IDENTITY, &w->value2);
    return hel_token_mix(exec, v, pass->side, &share);
}

static void mix_tokens(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv7_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_rwkv_pair pair = hel_rwkv_enter(network, stage, &w->norm, hel_rwkv_kept_token(layer, stage), x);
    hel_wkv7 in = {.heads = hyper->heads};
    in.r = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_r), &w->receptance);
    in.w = low_rank(exec, hel_rwkv_mix(network, stage, &pair, w->mix_w), &w->decay1, HEL_TANH, &w->decay2);
    in.k = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_k), &w->key);
    in.v = values(w, layer, pass, hel_rwkv_mix(network, stage, &pair, w->mix_v));
    in.a = low_rank(exec, hel_rwkv_mix(network, stage, &pair, w->mix_a), &w->rate1, HEL_IDENTITY, &w->rate2);
    hel_tensor g = low_rank(exec, hel_rwkv_mix(network, stage, &pair, w->mix_g), &w->gate1, HEL_SIGMOID, &w->gate2);
    hel_wkv7_vectors vectors = {.decay = hel_bind(w->decay0),
                                .rate_bias = hel_bind(w->rate0),
                                .removal = hel_bind(w->removal),
                                .replacement = hel_bind(w->replacement)};
    in.kappa = hel_wkv7_keys(exec, in.w, in.k, in.a, in.heads, &vectors);
    hel_tensor mixed = hel_wkv7_apply(exec, &in, hel_rwkv_kept_attention(network, layer, stage));
    mixed = hel_rwkv_normalise_heads(network, stage, &w->heads_norm, mixed);
    hel_wkv7_gate(exec, &in, g, hel_bind(w->bonus), mixed);
    hel_linear_add(exec, mixed, &w->output, x);
}

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv7_layer *w = layer->weights;
    hel_rwkv_forward(network, layer, pass, mix_tokens, &w->channels, x);
}

// GGUF has the mixes of tokens in one tensor (models/rwkv_gguf.h), and parts of values in the first layer, too, which nothing
// reads.
static const hel_role roles[] = {
    RWKV_NORM(rwkv7_layer, "ln1", "attn_norm", norm),
    RWKV_VECTOR(rwkv7_layer, "att.x_r", "time_mix_lerp_r", mix_r),
    RWKV_VECTOR(rwkv7_layer, "att.x_w", "time_mix_lerp_w", mix_w),
    RWKV_VECTOR(rwkv7_layer, "att.x_k", "time_mix_lerp_k", mix_k),
    RWKV_VECTOR(rwkv7_layer, "att.x_v", "time_mix_lerp_v", mix_v),
    RWKV_VECTOR(rwkv7_layer, "att.x_a", "time_mix_lerp_a", mix_a),
    RWKV_VECTOR(rwkv7_layer, "att.x_g", "time_mix_lerp_g", mix_g),
    RWKV_VECTOR(rwkv7_layer, "att.w0", "time_mix_w0", decay0),
    RWKV_LOW_RANK(rwkv7_layer, "att.w1", "time_mix_w1", DECAY_RANK, HIDDEN, decay1),
    RWKV_LOW_RANK(rwkv7_layer, "att.w2", "time_mix_w2", HIDDEN, DECAY_RANK, decay2),
    RWKV_VECTOR(rwkv7_layer, "att.a0", "time_mix_a0", rate0),
    RWKV_LOW_RANK(rwkv7_layer, "att.a1", "time_mix_a1", RATE_RANK, HIDDEN, rate1),
    RWKV_LOW_RANK(rwkv7_layer, "att.a2", "time_mix_a2", HIDDEN, RATE_RANK, rate2),
    RWKV_LOW_RANK(rwkv7_layer, "att.g1", "time_mix_g1", GATE_RANK, HIDDEN, gate1),
    RWKV_LOW_RANK(rwkv7_layer, "att.g2", "time_mix_g2", HIDDEN, GATE_RANK, gate2),
    RWKV_VECTOR(rwkv7_layer, "att.k_k", "time_mix_k_k", removal),
    RWKV_VECTOR(rwkv7_layer, "att.k_a", "time_mix_k_a", replacement),
    RWKV_VECTOR(rwkv7_layer, "att.r_k", "time_mix_r_k", bonus),
    RWKV_SQUARE(rwkv7_layer, "att.receptance", "time_mix_receptance", ATTENTION_QK, receptance),
    RWKV_SQUARE(rwkv7_layer, "att.key", "time_mix_key", ATTENTION_QK, key),
    RWKV_SQUARE(rwkv7_layer, "att.value", "time_mix_value", ATTENTION_VO, value),
    RWKV_SQUARE(rwkv7_layer, "att.output", "time_mix_output", ATTENTION_VO, output),
    RWKV_NORM(rwkv7_layer, "att.ln_x", "time_mix_ln", heads_norm),
    RWKV_FEED_FORWARD(rwkv7_layer, channels),
    RWKV_VECTOR(rwkv7_layer, "ffn.x_k", "channel_mix_lerp_k", channels.mix_k),
    // From here on not in the first layer.
    RWKV_VECTOR(rwkv7_layer, "att.v0", "time_mix_v0", value0),
    RWKV_LOW_RANK(rwkv7_layer, "att.v1", "time_mix_v1", VALUE_RANK, HIDDEN, value1),
    RWKV_LOW_RANK(rwkv7_layer, "att.v2", "time_mix_v2", HIDDEN, VALUE_RANK, value2),
};
enum { VALUE_ROLES = 3 };

#define LAYER(layer_name, last)                                                                                                  \
    {.name = layer_name, .gguf = "rwkv7", .roles = roles, .n_roles = HEL_COUNT(roles) - (last), .size = sizeof(rwkv7_layer), \
     .forward = forward, .memory = hel_rwkv_head_memory, .scratch_floats = hel_rwkv_scratch}
const hel_layer_kind hel_rwkv7_layer = LAYER("rwkv7", 0);
const hel_layer_kind hel_rwkv7_first_layer = LAYER("rwkv7 first", VALUE_ROLES);
