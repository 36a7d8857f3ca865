// SPDX-License-Identifier: Apache-2.0
// The layers of RWKV-5 (Eagle): x += Wo (norm of each head(wkv(r, k, v)) * silu(Wg mix_g)), then channels. Version 5.0 has no
// gate; decay and bonus are one a head in early versions, one a channel from 5.2 on.
#include "base/size.h"
#include "models/rwkv.h"

typedef struct rwkv5_layer {
    hel_rwkv_norm norm, heads_norm;
    hel_buffer *mix_k, *mix_v, *mix_r, *mix_g;
    hel_buffer *decay;               // factors, [decays]
    hel_buffer *first_bonus, *bonus; // [bonuses]; files have it by either name
    hel_weight key, value, receptance, output, gate; // [hidden, hidden]
    hel_rwkv_channels channels;
} rwkv5_layer;

static void mix_tokens(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv5_layer *w = layer->weights;
    const hel_hyper *hyper = &network->hyper;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_rwkv_pair pair = hel_rwkv_enter(network, stage, &w->norm, hel_rwkv_kept_token(layer, stage), x);
    hel_tensor k = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_k), &w->key);
    hel_tensor v = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_v), &w->value);
    hel_tensor r = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_r), &w->receptance);
    hel_wkv5 terms = {.heads = hyper->heads,
                      .decay = hel_bind(w->decay),
                      .bonus = hel_bind(w->bonus ? w->bonus : w->first_bonus),
                      .decay_share = hyper->hidden / hyper->rwkv.decays,
                      .bonus_share = hyper->hidden / hyper->rwkv.bonuses};
    hel_tensor mixed = hel_wkv5_apply(exec, r, k, v, &terms, hel_rwkv_kept_attention(network, layer, stage));
    mixed = hel_rwkv_normalise_heads(network, stage, &w->heads_norm, mixed);
    if (w->mix_g) mixed = hel_swiglu(exec, hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_g), &w->gate), mixed);
    hel_linear_add(exec, mixed, &w->output, x);
}

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv5_layer *w = layer->weights;
    hel_rwkv_forward(network, layer, pass, mix_tokens, &w->channels, x);
}

static const hel_role roles[] = {
    RWKV_NORM(rwkv5_layer, "ln1", "attn_norm", norm),
    RWKV_OLD_VECTOR(rwkv5_layer, "att.time_mix_k", mix_k),
    RWKV_OLD_VECTOR(rwkv5_layer, "att.time_mix_v", mix_v),
    RWKV_OLD_VECTOR(rwkv5_layer, "att.time_mix_r", mix_r),
    RWKV_ROLE(rwkv5_layer, VECTOR, "att.time_decay", NULL, DECAYS, NONE, NORM, decay, false),
    RWKV_ROLE(rwkv5_layer, VECTOR, "att.time_first", NULL, BONUSES, NONE, NORM, first_bonus, true),
    RWKV_ROLE(rwkv5_layer, VECTOR, "att.time_faaaa", NULL, BONUSES, NONE, NORM, bonus, true),
    RWKV_SQUARE(rwkv5_layer, "att.key", "time_mix_key", ATTENTION_QK, key),
    RWKV_SQUARE(rwkv5_layer, "att.value", "time_mix_value", ATTENTION_VO, value),
    RWKV_SQUARE(rwkv5_layer, "att.receptance", "time_mix_receptance", ATTENTION_QK, receptance),
    RWKV_SQUARE(rwkv5_layer, "att.output", "time_mix_output", ATTENTION_VO, output),
    RWKV_NORM(rwkv5_layer, "att.ln_x", "time_mix_ln", heads_norm),
    RWKV_FEED_FORWARD(rwkv5_layer, channels),
    RWKV_OLD_VECTOR(rwkv5_layer, "ffn.time_mix_k", channels.mix_k),
    RWKV_OLD_VECTOR(rwkv5_layer, "ffn.time_mix_r", channels.mix_r),
    RWKV_SQUARE(rwkv5_layer, "ffn.receptance", "channel_mix_receptance", FFN, channels.receptance),
    // From here on only where there is a gate.
    RWKV_OLD_VECTOR(rwkv5_layer, "att.time_mix_g", mix_g),
    RWKV_SQUARE(rwkv5_layer, "att.gate", "time_mix_gate", ATTENTION_VO, gate),
};
enum { GATE_ROLES = 2 };

#define LAYER(layer_name, last)                                                                                                  \
    {.name = layer_name, .roles = roles, .n_roles = HEL_COUNT(roles) - (last), .size = sizeof(rwkv5_layer), .forward = forward, \
     .memory = hel_rwkv_head_memory, .scratch_floats = hel_rwkv_scratch}
const hel_layer_kind hel_rwkv5_layer = LAYER("rwkv5", 0);
const hel_layer_kind hel_rwkv5_ungated_layer = LAYER("rwkv5.0", GATE_ROLES);
