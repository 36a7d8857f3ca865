// SPDX-License-Identifier: Apache-2.0
// RWKV, versions 4 (Peng et al. 2023), 5 and 6 (Eagle and Finch, Peng et al. 2024) and 7 (Goose, Peng et al. 2025). A layer
// normalises x and mixes tokens, then channels; both look at the token before through a shift. Tensors are named as in the
// authors' checkpoints, and laid out as rwkv.cpp stores them: matrices [out, in], decays ready for use. Versions differ in
// how tokens are mixed: one file each.
#ifndef HEL_MODELS_RWKV_H
#define HEL_MODELS_RWKV_H

#include "models/network.h"
#include "ops/rwkv.h"

extern const hel_layer_kind hel_rwkv4_layer;
extern const hel_layer_kind hel_rwkv5_layer, hel_rwkv5_ungated_layer; // the second of version 5.0
extern const hel_layer_kind hel_rwkv6_layer;
extern const hel_layer_kind hel_rwkv7_first_layer, hel_rwkv7_layer; // the first gives its values to the others

// A normalised x and the token before each.
typedef struct hel_rwkv_norm {
    hel_buffer *gain, *bias;
} hel_rwkv_norm;
typedef struct hel_rwkv_pair {
    hel_tensor x, before;
} hel_rwkv_pair;
hel_rwkv_pair hel_rwkv_enter(const hel_network *network, hel_stage *stage, const hel_rwkv_norm *norm, hel_kept last, hel_tensor x);
// A mix of the two, `mu` being the share of x itself in versions 4 and 5, of the token before in 6 and 7.
hel_tensor hel_rwkv_mix(const hel_network *network, hel_stage *stage, const hel_rwkv_pair *pair, hel_buffer *mu);

// x += sigmoid(Wr mix_r) * (Wv relu(Wk mix_k)^2); version 7 has no receptance.
typedef struct hel_rwkv_channels {
    hel_rwkv_norm norm;
    hel_buffer *mix_k, *mix_r;
    hel_weight key, value, receptance; // [ffn, hidden], [hidden, ffn], [hidden, hidden]
} hel_rwkv_channels;

// x goes through a layer: its version's mixing of tokens, then the channels.
typedef void hel_rwkv_mix_tokens(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_tensor x);
void hel_rwkv_forward(const hel_network *network, const hel_layer *layer, hel_pass *pass, hel_rwkv_mix_tokens *mix_tokens,
                      const hel_rwkv_channels *channels, hel_tensor x);
// Group norm of what attention gives, a group being a head.
hel_tensor hel_rwkv_normalise_heads(const hel_network *network, hel_stage *stage, const hel_rwkv_norm *norm, hel_tensor mixed);

// A layer's state: the last token of either half, then what its attention keeps.
hel_kept hel_rwkv_kept_token(const hel_layer *layer, hel_stage *stage);
hel_kept hel_rwkv_kept_attention(const hel_network *network, const hel_layer *layer, hel_stage *stage);
hel_layer_memory hel_rwkv4_memory(const hel_hyper *hyper);
hel_layer_memory hel_rwkv_head_memory(const hel_hyper *hyper); // a matrix for each head
uint64_t hel_rwkv_scratch(const hel_hyper *hyper, uint32_t tokens);

// Rows of the tables of roles; `layer` is the struct behind a layer's weights, `gguf` a name in GGUF before ".weight", which has
// versions 6 and 7 only.
#define RWKV_ROLE(layer, kind, name, gguf, rows, cols, class, member, optional)                                      \
    {name, gguf, HEL_SECTION_LAYER, HEL_ROLE_##kind, HEL_DIMENSION_##rows, HEL_DIMENSION_##cols, HEL_CLASS_##class,   \
     HEL_ROWS_PLAIN, offsetof(layer, member), optional}
#define RWKV_OLD_VECTOR(layer, name, member) RWKV_ROLE(layer, VECTOR, name, NULL, HIDDEN, NONE, NORM, member, false)
#define RWKV_VECTOR(layer, name, gguf, member) RWKV_ROLE(layer, VECTOR, name, gguf ".weight", HIDDEN, NONE, NORM, member, false)
#define RWKV_NORM(layer, name, gguf, member)              \
    RWKV_VECTOR(layer, name ".weight", gguf, member.gain), \
    RWKV_ROLE(layer, VECTOR, name ".bias", gguf ".bias", HIDDEN, NONE, NORM, member.bias, false)
#define RWKV_MATRIX(layer, name, gguf, rows, cols, class, member) \
    RWKV_ROLE(layer, MATRIX, name ".weight", gguf ".weight", rows, cols, class, member, false)
#define RWKV_SQUARE(layer, name, gguf, class, member) RWKV_MATRIX(layer, name, gguf, HIDDEN, HIDDEN, class, member)
#define RWKV_LOW_RANK(layer, name, gguf, rows, cols, member) \
    RWKV_ROLE(layer, MATRIX, name, gguf ".weight", rows, cols, UNKNOWN, member, false)
#define RWKV_FEED_FORWARD(layer, channels)                                                             \
    RWKV_NORM(layer, "ln2", "attn_norm_2", channels.norm),                                             \
    RWKV_MATRIX(layer, "ffn.key", "channel_mix_key", FFN, HIDDEN, FFN, channels.key),                  \
    RWKV_MATRIX(layer, "ffn.value", "channel_mix_value", HIDDEN, FFN, FFN, channels.value)

#endif
