// SPDX-License-Identifier: Apache-2.0
// The layer of RWKV-6 (Finch): as version 5 with a gate, but shares of the token before and decays depend on the token, by
// low-rank products. Of the mixes the first is for them: share_m = mu_m + tanh(W1 mix_x) W2_m.
#include "base/size.h"
#include "models/rwkv.h"

typedef struct rwkv6_layer {
    hel_rwkv_norm norm, heads_norm;
    hel_buffer *mix_x, *mix_w, *mix_k, *mix_v, *mix_r, *mix_g;
    hel_weight mixes;    // W1 [5 mix_rank, hidden]
    hel_buffer *factors; // W2 [5, hidden, mix_rank], in the order w, k, v, r, g
    hel_weight decay1, decay2;  // [decay_rank, hidden], [hidden, decay_rank]
    hel_buffer *decay, *bonus;  // [hidden]
    hel_weight key, value, receptance, gate, output; // [hidden, hidden]
    hel_rwkv_channels channels;
} rwkv6_layer;

// What a layer's mixes are made of.
typedef struct mixer {
    hel_exec *exec;
    hel_rwkv_pair pair;
    hel_share share;
} mixer;

static mixer make_mixer(const hel_network *network, hel_stage *stage, const rwkv6_layer *w, hel_kept last, hel_tensor x) {
    hel_exec *exec = &stage->exec;
    hel_rwkv_pair pair = hel_rwkv_enter(network, stage, &w->norm, last, x);
    hel_tensor low = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_x), &w->mixes);
    return (mixer){exec, pair, {.form = HEL_SHARE_LOW_RANK,
                                .change = hel_activate(exec, HEL_TANH, hel_columns_all(low)),
                                .factor = hel_bind(w->factors),
                                .rank = network->hyper.rwkv.mix_rank}};
}

static hel_tensor mix(const mixer *from, uint32_t index, hel_buffer *mu) {
    hel_share share = from->share;
    share.mu = hel_bind(mu);
    share.index = index;
    return hel_token_mix(from->exec, from->pair.x, from->pair.before, &share);
}

static void mix_tokens(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv6_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    mixer from = make_mixer(network, stage, w, hel_rwkv_kept_token(layer, stage), x);
    hel_tensor low = hel_activate(exec, HEL_TANH, hel_columns_all(hel_linear(exec, mix(&from, 0, w->mix_w), &w->decay1)));
    hel_tensor k = hel_linear(exec, mix(&from, 1, w->mix_k), &w->key);
    hel_tensor v = hel_linear(exec, mix(&from, 2, w->mix_v), &w->value);
    hel_tensor r = hel_linear(exec, mix(&from, 3, w->mix_r), &w->receptance);
    hel_tensor g = hel_linear(exec, mix(&from, 4, w->mix_g), &w->gate);
    hel_wkv5 terms = {.heads = hyper->heads,
                      .decay = hel_bind(w->decay),
                      .bonus = hel_bind(w->bonus),
                      .decay_share = 1,
                      .bonus_share = 1,
                      .change = hel_linear(exec, low, &w->decay2)};
    hel_tensor mixed = hel_wkv5_apply(exec, r, k, v, &terms, hel_rwkv_kept_attention(network, layer, stage));
    mixed = hel_rwkv_normalise_heads(network, stage, &w->heads_norm, mixed);
    hel_linear_add(exec, hel_swiglu(exec, g, mixed), &w->output, x);
}

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv6_layer *w = layer->weights;
    hel_rwkv_forward(network, layer, pass, mix_tokens, &w->channels, x);
}

// GGUF has the mixes but the first in one tensor, too (models/rwkv_gguf.h).
static const hel_role roles[] = {
    RWKV_NORM(rwkv6_layer, "ln1", "attn_norm", norm),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_x", "time_mix_lerp_x", mix_x),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_w", "time_mix_lerp_w", mix_w),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_k", "time_mix_lerp_k", mix_k),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_v", "time_mix_lerp_v", mix_v),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_r", "time_mix_lerp_r", mix_r),
    RWKV_VECTOR(rwkv6_layer, "att.time_maa_g", "time_mix_lerp_g", mix_g),
    RWKV_LOW_RANK(rwkv6_layer, "att.time_maa_w1", "time_mix_w1", MIX_RANKS, HIDDEN, mixes),
    RWKV_ROLE(rwkv6_layer, VECTOR, "att.time_maa_w2", "time_mix_w2.weight", HIDDEN, MIX_RANKS, UNKNOWN, factors, false),
    RWKV_LOW_RANK(rwkv6_layer, "att.time_decay_w1", "time_mix_decay_w1", DECAY_RANK, HIDDEN, decay1),
    RWKV_LOW_RANK(rwkv6_layer, "att.time_decay_w2", "time_mix_decay_w2", HIDDEN, DECAY_RANK, decay2),
    RWKV_VECTOR(rwkv6_layer, "att.time_decay", "time_mix_decay", decay),
    RWKV_VECTOR(rwkv6_layer, "att.time_faaaa", "time_mix_first", bonus),
    RWKV_SQUARE(rwkv6_layer, "att.key", "time_mix_key", ATTENTION_QK, key),
    RWKV_SQUARE(rwkv6_layer, "att.value", "time_mix_value", ATTENTION_VO, value),
    RWKV_SQUARE(rwkv6_layer, "att.receptance", "time_mix_receptance", ATTENTION_QK, receptance),
    RWKV_SQUARE(rwkv6_layer, "att.gate", "time_mix_gate", ATTENTION_VO, gate),
    RWKV_SQUARE(rwkv6_layer, "att.output", "time_mix_output", ATTENTION_VO, output),
    RWKV_NORM(rwkv6_layer, "att.ln_x", "time_mix_ln", heads_norm),
    RWKV_FEED_FORWARD(rwkv6_layer, channels),
    RWKV_VECTOR(rwkv6_layer, "ffn.time_maa_k", "channel_mix_lerp_k", channels.mix_k),
    RWKV_VECTOR(rwkv6_layer, "ffn.time_maa_r", "channel_mix_lerp_r", channels.mix_r),
    RWKV_SQUARE(rwkv6_layer, "ffn.receptance", "channel_mix_receptance", FFN, channels.receptance),
};

const hel_layer_kind hel_rwkv6_layer = {.name = "rwkv6",
                                        .gguf = "rwkv6",
                                        .roles = roles,
                                        .n_roles = HEL_COUNT(roles),
                                        .size = sizeof(rwkv6_layer),
                                        .forward = forward,
                                        .memory = hel_rwkv_head_memory,
                                        .scratch_floats = hel_rwkv_scratch};
