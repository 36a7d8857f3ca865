// SPDX-License-Identifier: Apache-2.0
// Keys as in ggml's docs/gguf.md, "LLM"; "%s" below stands for general.architecture.
#include "models/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/gguf.h"
#include "models/family.h"
#include "models/rwkv_source.h"

enum { KEY_SIZE = 128 };

typedef struct reader {
    hel_archive *archive;
    const hel_model_type *type;
    json_t *config;
} reader;

// ---------------------------------------------------------------- single keys

static void key_of(const reader *in, const char *key, char full[KEY_SIZE]) {
    snprintf(full, KEY_SIZE, "%s.%s", in->type->gguf, key);
}

static hel_status optional(hel_status status, bool *out_present) {
    *out_present = status == HEL_OK;
    return status == HEL_ERROR_NOT_FOUND ? HEL_OK : status;
}

static hel_status get_u32(const reader *in, const char *key, uint32_t otherwise, uint32_t *out) {
    char full[KEY_SIZE];
    uint64_t value;
    bool present;
    key_of(in, key, full);
    HEL_TRY(optional(hel_gguf_get_u64(in->archive, full, &value), &present));
    if (!present) value = otherwise;
    if (value >= 1 && value <= INT32_MAX) return *out = (uint32_t)value, HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s: key %s is missing, zero or too large", in->archive->path, full);
}

static hel_status get_f64(const reader *in, const char *key, double otherwise, double *out) {
    char full[KEY_SIZE];
    bool present;
    key_of(in, key, full);
    HEL_TRY(optional(hel_gguf_get_f64(in->archive, full, out), &present));
    if (!present) *out = otherwise;
    if (isfinite(*out)) return HEL_OK;
    return hel_fail(HEL_ERROR_FORMAT, "%s: key %s is not a finite number", in->archive->path, full);
}

// Floats were decimal once: 1e-05, not 9.99999974737875e-06.
static json_t *decimal(double value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if ((float)strtod(text, NULL) == (float)value) return json_real(strtod(text, NULL));
    }
    return json_real(value);
}

static hel_status set(const reader *in, const char *key, json_t *value) {
    return json_object_set_new(in->config, key, value) == 0 ? HEL_OK : hel_fail_memory(strlen(key));
}

static hel_status set_token(const reader *in, const char *key, const char *gguf_key) {
    uint64_t id;
    bool present;
    HEL_TRY(optional(hel_gguf_get_u64(in->archive, gguf_key, &id), &present));
    return present && id <= INT32_MAX ? set(in, key, json_integer((json_int_t)id)) : HEL_OK;
}

// ---------------------------------------------------------------- RoPE

// Llama 3's scaling is stored as one divisor per frequency; its four parameters are the published ones but for the
// factor, which is the largest divisor. Whether they give these divisors is checked (transformers, modeling_rope_utils).
static bool is_llama3(const float *divisors, uint64_t count, double theta, double factor) {
    const double low = 1, high = 4, length = 8192, two_pi = 6.283185307179586;
    for (uint64_t i = 0; i < count; i++) {
        double turns = length * pow(theta, -(double)i / (double)count) / two_pi, share = (turns - low) / (high - low);
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        if (!(fabs(1 / (share + (1 - share) / factor) / divisors[i] - 1) <= 1e-3)) return false;
    }
    return true;
}

static hel_status set_divisors(const reader *in, const hel_tensor_info *tensor, double theta) {
    if (tensor->elements > 4096)
        return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "rope_freqs.weight has %llu elements",
                             (unsigned long long)tensor->elements);
    float divisors[4096], factor = 1;
    HEL_TRY(hel_archive_read_f32(in->archive, tensor, 0, tensor->elements, divisors));
    for (uint64_t i = 0; i < tensor->elements; i++) factor = HEL_MAX(factor, divisors[i]);
    if (is_llama3(divisors, tensor->elements, theta, factor))
        return set(in, "rope_scaling",
                   json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", (double)factor,
                             "low_freq_factor", 1.0, "high_freq_factor", 4.0, "original_max_position_embeddings",
                             8192));
    return set(in, "rope_scaling", json_pack("{s:s}", "rope_type", "longrope"));
}

static hel_status set_rope(const reader *in, uint32_t head_dim) {
    double theta, factor;
    uint32_t rotated = 0;
    char key[KEY_SIZE];
    bool present;
    hel_gguf_string type = {NULL, 0};
    HEL_TRY(get_f64(in, "rope.freq_base", 10000, &theta));
    HEL_TRY(set(in, "rope_theta", decimal(theta)));
    HEL_TRY(get_u32(in, "rope.dimension_count", head_dim, &rotated));
    if (rotated != head_dim) HEL_TRY(set(in, "partial_rotary_factor", json_real((double)rotated / head_dim)));
    const hel_tensor_info *divisors = hel_archive_find(in->archive, "rope_freqs.weight");
    if (divisors) return set_divisors(in, divisors, theta);
    key_of(in, "rope.scaling.type", key);
    HEL_TRY(optional(hel_gguf_get_string(in->archive, key, &type), &present));
    if (!present || (type.size == 4 && memcmp(type.bytes, "none", 4) == 0)) return HEL_OK;
    HEL_TRY(get_f64(in, "rope.scaling.factor", 1, &factor));
    return set(
        in, "rope_scaling",
        json_pack("{s:s#, s:o}", "rope_type", type.bytes, (int)HEL_MIN(type.size, 64), "factor", decimal(factor)));
}

// ---------------------------------------------------------------- the whole

static const hel_model_type *type_of(const hel_archive *archive, const hel_family **out_family) {
    hel_gguf_string name;
    if (hel_gguf_get_string(archive, "general.architecture", &name) != HEL_OK) return NULL;
    return hel_model_type_of_gguf(name.bytes, (size_t)name.size, out_family);
}

static hel_status set_names(const reader *in) {
    if (in->type->class_name) HEL_TRY(set(in, "architectures", json_pack("[s]", in->type->class_name)));
    HEL_TRY(set(in, "model_type", json_string(in->type->name)));
    HEL_TRY(set(in, "hidden_act", json_string("silu")));
    HEL_TRY(set(in, "torch_dtype", json_string("float16")));
    HEL_TRY(set(in, "tie_word_embeddings", json_boolean(!hel_archive_find(in->archive, "output.weight"))));
    HEL_TRY(set_token(in, "bos_token_id", "tokenizer.ggml.bos_token_id"));
    HEL_TRY(set_token(in, "eos_token_id", "tokenizer.ggml.eos_token_id"));
    return set_token(in, "pad_token_id", "tokenizer.ggml.padding_token_id");
}

// A key of the config and the GGUF key whose number it gets.
typedef struct size_key {
    const char *config, *gguf;
} size_key;

static hel_status set_keys(const reader *in, const size_key *keys, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        HEL_TRY(get_u32(in, keys[i].gguf, 0, &value));
        HEL_TRY(set(in, keys[i].config, json_integer(value)));
    }
    return HEL_OK;
}

static hel_status set_epsilon(const reader *in, const char *key, const char *gguf) {
    double epsilon;
    HEL_TRY(get_f64(in, gguf, 1e-5, &epsilon));
    return set(in, key, decimal(epsilon));
}
#define RMS_EPSILON "attention.layer_norm_rms_epsilon"

static hel_status set_transformer(const reader *in, hel_gguf_model *model) {
    static const size_key keys[] = {
        {"hidden_size", "embedding_length"}, {"intermediate_size", "feed_forward_length"}, {"num_hidden_layers", "block_count"},
        {"max_position_embeddings", "context_length"},
    };
    uint32_t hidden = 0, head_dim = 0;
    HEL_TRY(set_keys(in, keys, HEL_COUNT(keys)));
    HEL_TRY(get_u32(in, "embedding_length", 0, &hidden));
    HEL_TRY(get_u32(in, "attention.head_count", 0, &model->heads));
    HEL_TRY(get_u32(in, "attention.head_count_kv", model->heads, &model->kv_heads));
    HEL_TRY(get_u32(in, "attention.key_length", hidden / model->heads, &head_dim));
    HEL_TRY(set(in, "num_attention_heads", json_integer(model->heads)));
    HEL_TRY(set(in, "num_key_value_heads", json_integer(model->kv_heads)));
    HEL_TRY(set(in, "head_dim", json_integer(head_dim)));
    HEL_TRY(set_epsilon(in, "rms_norm_eps", RMS_EPSILON));
    return set_rope(in, head_dim);
}

// What Mamba calls the rank of its time step is the number of heads in Mamba-2.
static hel_status set_state_space(const reader *in, bool second) {
    static const size_key both[] = {
        {"hidden_size", "embedding_length"}, {"num_hidden_layers", "block_count"}, {"conv_kernel", "ssm.conv_kernel"},
        {"intermediate_size", "ssm.inner_size"}, {"state_size", "ssm.state_size"},
    };
    static const size_key first_only[] = {{"time_step_rank", "ssm.time_step_rank"}};
    static const size_key second_only[] = {
        {"num_heads", "ssm.time_step_rank"}, {"n_groups", "ssm.group_count"}, {"norm_groups", "ssm.group_count"}};
    uint32_t inner = 0, heads = 1;
    char key[KEY_SIZE];
    uint64_t normed = 0;
    bool present;
    key_of(in, "ssm.dt_b_c_rms", key);
    HEL_TRY(optional(hel_gguf_get_u64(in->archive, key, &normed), &present));
    if (present && normed) { // Falcon Mamba goes by Mamba's name
        HEL_TRY(set(in, "model_type", json_string("falcon_mamba")));
        HEL_TRY(set_epsilon(in, "mixer_rms_eps", RMS_EPSILON));
    }
    HEL_TRY(set_keys(in, both, HEL_COUNT(both)));
    HEL_TRY(set_epsilon(in, "layer_norm_epsilon", RMS_EPSILON));
    if (!second) return set_keys(in, first_only, HEL_COUNT(first_only));
    HEL_TRY(get_u32(in, "ssm.inner_size", 0, &inner));
    HEL_TRY(get_u32(in, "ssm.time_step_rank", 0, &heads));
    HEL_TRY(set(in, "head_dim", json_integer(inner / heads)));
    return set_keys(in, second_only, HEL_COUNT(second_only));
}

static hel_status set_heads(const reader *in) {
    uint32_t hidden = 0, head = 1;
    HEL_TRY(get_u32(in, "embedding_length", 0, &hidden));
    HEL_TRY(get_u32(in, "wkv.head_size", 0, &head));
    if (hidden % head)
        return hel_fail(HEL_ERROR_FORMAT, "%s: heads of %u do not divide %u channels", in->archive->path, head, hidden);
    return set(in, "num_attention_heads", json_integer(hidden / head));
}

static hel_status get_rescale(const reader *in, uint32_t *out) {
    char key[KEY_SIZE];
    uint64_t layers = 0;
    bool present;
    key_of(in, "rescale_every_n_layers", key);
    HEL_TRY(optional(hel_gguf_get_u64(in->archive, key, &layers), &present));
    if (present && layers > INT32_MAX) return hel_fail(HEL_ERROR_FORMAT, "%s: key %s is too large", in->archive->path, key);
    *out = present ? (uint32_t)layers : 0;
    return HEL_OK;
}

// Versions 6 and 7, which differ in their low-rank parts. Tensors lie as models/rwkv.h wants them.
static hel_status set_rwkv(const reader *in, hel_gguf_model *model) {
    static const size_key both[] = {
        {"hidden_size", "embedding_length"}, {"num_hidden_layers", "block_count"}, {"intermediate_size", "feed_forward_length"}};
    static const size_key sixth[] = {{"mix_rank", "time_mix_extra_dim"}, {"decay_rank", "time_decay_extra_dim"}};
    static const size_key seventh[] = {
        {"decay_rank", "attention.decay_lora_rank"}, {"rate_rank", "attention.iclr_lora_rank"},
        {"value_rank", "attention.value_residual_mix_lora_rank"}, {"gate_rank", "attention.gate_lora_rank"}};
    HEL_TRY(set(in, HEL_RWKV_READY, json_true()));
    HEL_TRY(set_keys(in, both, HEL_COUNT(both)));
    HEL_TRY(set_heads(in));
    HEL_TRY(set_epsilon(in, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
    HEL_TRY(set(in, "group_norm_epsilon", json_real(HEL_RWKV_AUTHORS_EPSILON)));
    HEL_TRY(get_rescale(in, &model->rescale));
    return strcmp(in->type->gguf, "rwkv6") == 0 ? set_keys(in, sixth, HEL_COUNT(sixth)) : set_keys(in, seventh, HEL_COUNT(seventh));
}

static hel_status set_sizes(const reader *in, hel_gguf_model *model) {
    if (model->family == &hel_rwkv_family) return set_rwkv(in, model);
    bool first = model->family == &hel_mamba_family, second = model->family == &hel_mamba2_family;
    return first || second ? set_state_space(in, second) : set_transformer(in, model);
}

static hel_status set_rest(const reader *in) {
    const hel_tensor_info *embedding = hel_archive_find(in->archive, "token_embd.weight");
    if (!embedding || embedding->rank != 2)
        return hel_fail(HEL_ERROR_FORMAT, "%s: no matrix token_embd.weight", in->archive->path);
    return set(in, "vocab_size", json_integer((json_int_t)embedding->shape[0]));
}

hel_status hel_gguf_model_read(hel_archive *archive, hel_gguf_model *out) {
    *out = (hel_gguf_model){0};
    reader in = {archive, type_of(archive, &out->family), NULL};
    // Vocabulary-only files and mixtures of experts stay what they are.
    if (!in.type || !archive->n_tensors || hel_archive_find(archive, "blk.0.ffn_gate_inp.weight")) return HEL_OK;
    in.config = json_object();
    if (!in.config) return hel_fail_memory(1);
    hel_status status;
    HEL_TRY_DONE(set_names(&in));
    HEL_TRY_DONE(set_sizes(&in, out));
    HEL_TRY_DONE(set_rest(&in));
    out->architecture = in.type->gguf;
    out->interleaved = in.type->gguf_interleaved;
    out->config = in.config;
    return HEL_OK;
done:
    json_decref(in.config);
    return status;
}
