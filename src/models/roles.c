// SPDX-License-Identifier: Apache-2.0
#include "models/roles.h"

#include <stdlib.h>
#include <string.h>

const hel_role hel_roles[] = {
    {"model.embed_tokens.weight", "token_embd.weight", false, HEL_ROWS_PLAIN},
    {"model.norm.weight", "output_norm.weight", false, HEL_ROWS_PLAIN},
    {"lm_head.weight", "output.weight", false, HEL_ROWS_PLAIN},
    {"input_layernorm.weight", "attn_norm.weight", true, HEL_ROWS_PLAIN},
    {"post_attention_layernorm.weight", "ffn_norm.weight", true, HEL_ROWS_PLAIN},
    {"self_attn.q_proj.weight", "attn_q.weight", true, HEL_ROWS_QUERY},
    {"self_attn.k_proj.weight", "attn_k.weight", true, HEL_ROWS_KEY},
    {"self_attn.v_proj.weight", "attn_v.weight", true, HEL_ROWS_PLAIN},
    {"self_attn.o_proj.weight", "attn_output.weight", true, HEL_ROWS_PLAIN},
    {"self_attn.q_proj.bias", "attn_q.bias", true, HEL_ROWS_QUERY},
    {"self_attn.k_proj.bias", "attn_k.bias", true, HEL_ROWS_KEY},
    {"self_attn.v_proj.bias", "attn_v.bias", true, HEL_ROWS_PLAIN},
    {"mlp.gate_proj.weight", "ffn_gate.weight", true, HEL_ROWS_PLAIN},
    {"mlp.up_proj.weight", "ffn_up.weight", true, HEL_ROWS_PLAIN},
    {"mlp.down_proj.weight", "ffn_down.weight", true, HEL_ROWS_PLAIN},
};
const size_t hel_role_count = sizeof hel_roles / sizeof *hel_roles;

// "<prefix>N.rest" -> rest and N; NULL where the name is not of that form.
static const char *below_layer(const char *name, const char *prefix, unsigned *out_layer) {
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0) return NULL;
    char *end;
    unsigned long layer = strtoul(name + length, &end, 10);
    if (end == name + length || *end != '.' || layer > 65535) return NULL;
    *out_layer = (unsigned)layer;
    return end + 1;
}

static const hel_role *find(const char *name, const char *prefix, bool gguf, unsigned *out_layer) {
    *out_layer = 0;
    const char *rest = below_layer(name, prefix, out_layer);
    for (size_t i = 0; i < hel_role_count; i++) {
        const char *candidate = gguf ? hel_roles[i].gguf : hel_roles[i].hugging_face;
        if (hel_roles[i].per_layer == (rest != NULL) && strcmp(candidate, rest ? rest : name) == 0) return &hel_roles[i];
    }
    return NULL;
}

const hel_role *hel_role_of_hugging_face(const char *name, unsigned *out_layer) {
    return find(name, "model.layers.", false, out_layer);
}
const hel_role *hel_role_of_gguf(const char *name, unsigned *out_layer) { return find(name, "blk.", true, out_layer); }
