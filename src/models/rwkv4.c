// SPDX-License-Identifier: Apache-2.0
// The layer of RWKV-4: x += Wo (sigmoid(Wr mix_r) * wkv(Wk mix_k, Wv mix_v)), then channels.
#include "base/size.h"
#include "models/rwkv.h"

typedef struct rwkv4_layer {
    hel_rwkv_norm norm;
    hel_buffer *mix_k, *mix_v, *mix_r;
    hel_buffer *decay, *bonus; // [hidden]; the first negative
    hel_weight key, value, receptance, output; // [hidden, hidden]
    hel_rwkv_channels channels;
} rwkv4_layer;

static void mix_tokens(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv4_layer *w = layer->weights;
    hel_stage *stage = &pass->stages[layer->place];
    hel_exec *exec = &stage->exec;
    hel_rwkv_pair pair = hel_rwkv_enter(network, stage, &w->norm, hel_rwkv_kept_token(layer, stage), x);
    hel_tensor k = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_k), &w->key);
    hel_tensor v = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_v), &w->value);
    hel_tensor r = hel_linear(exec, hel_rwkv_mix(network, stage, &pair, w->mix_r), &w->receptance);
    hel_kept kept = hel_rwkv_kept_attention(network, layer, stage);
    hel_tensor mixed = hel_wkv4(exec, r, k, v, hel_bind(w->decay), hel_bind(w->bonus), kept);
    hel_linear_add(exec, mixed, &w->output, x);
}

static void forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x) {
    const rwkv4_layer *w = layer->weights;
    hel_rwkv_forward(network, layer, pass, mix_tokens, &w->channels, x);
}

static const hel_role roles[] = {
    RWKV_NORM(rwkv4_layer, "ln1", "attn_norm", norm),
    RWKV_OLD_VECTOR(rwkv4_layer, "att.time_mix_k", mix_k),
    RWKV_OLD_VECTOR(rwkv4_layer, "att.time_mix_v", mix_v),
    RWKV_OLD_VECTOR(rwkv4_layer, "att.time_mix_r", mix_r),
    RWKV_OLD_VECTOR(rwkv4_layer, "att.time_decay", decay),
    RWKV_OLD_VECTOR(rwkv4_layer, "att.time_first", bonus),
    RWKV_SQUARE(rwkv4_layer, "att.key", "time_mix_key", ATTENTION_QK, key),
    RWKV_SQUARE(rwkv4_layer, "att.value", "time_mix_value", ATTENTION_VO, value),
    RWKV_SQUARE(rwkv4_layer, "att.receptance", "time_mix_receptance", ATTENTION_QK, receptance),
    RWKV_SQUARE(rwkv4_layer, "att.output", "time_mix_output", ATTENTION_VO, output),
    RWKV_FEED_FORWARD(rwkv4_layer, channels),
    RWKV_OLD_VECTOR(rwkv4_layer, "ffn.time_mix_k", channels.mix_k),
    RWKV_OLD_VECTOR(rwkv4_layer, "ffn.time_mix_r", channels.mix_r),
    RWKV_SQUARE(rwkv4_layer, "ffn.receptance", "channel_mix_receptance", FFN, channels.receptance),
};

const hel_layer_kind hel_rwkv4_layer = {.name = "rwkv4",
                                        .roles = roles,
                                        .n_roles = HEL_COUNT(roles),
                                        .size = sizeof(rwkv4_layer),
                                        .forward = forward,
                                        .memory = hel_rwkv4_memory,
                                        .scratch_floats = hel_rwkv_scratch};
