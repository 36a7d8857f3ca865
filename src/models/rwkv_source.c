// SPDX-License-Identifier: Apache-2.0
#include "models/rwkv_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "models/hyper.h"

static const hel_tensor_info *first_layers(const hel_archive *archive, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "blocks.0.%s", name);
    return hel_archive_find(archive, full);
}

bool hel_rwkv_is(const hel_archive *archive) {
    return hel_archive_find(archive, "emb.weight") && first_layers(archive, "ln0.weight") &&
           first_layers(archive, "att.key.weight");
}

// ---------------------------------------------------------------- sizes

typedef struct measure {
    const hel_archive *archive;
    json_t *config;
    uint32_t version;
    double epsilon_of_5;
} measure;

static hel_status set(const measure *in, const char *key, json_t *value) {
    return json_object_set_new(in->config, key, value) == 0 ? HEL_OK : hel_fail_memory(strlen(key));
}

static hel_status set_size(const measure *in, const char *key, uint64_t value) {
    return set(in, key, json_integer((json_int_t)value));
}

// One side of a tensor in the first layer, or another.
static hel_status side_of(const measure *in, const char *name, uint32_t side, uint64_t *out) {
    const hel_tensor_info *tensor = hel_archive_find(in->archive, name);
    if (!tensor) return hel_fail(HEL_ERROR_FORMAT, "%s: no tensor \"%s\"", in->archive->path, name);
    if (side < tensor->rank && tensor->shape[side] && tensor->shape[side] <= HEL_MAX_VOCABULARY) {
        *out = tensor->shape[side];
        return HEL_OK;
    }
    return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%s\" has no side %u of 1 to %u", name, side,
                         HEL_MAX_VOCABULARY);
}

// key = one side / divisor
static hel_status set_side(const measure *in, const char *key, const char *name, uint32_t side, uint64_t divisor) {
    uint64_t value = 0;
    HEL_TRY(side_of(in, name, side, &value));
    if (value % divisor) return hel_fail(HEL_ERROR_FORMAT, "%s: %llu rows of \"%s\" are not %llu parts", in->archive->path,
                                         (unsigned long long)value, name, (unsigned long long)divisor);
    return set_size(in, key, value / divisor);
}

static uint64_t count_layers(const hel_archive *archive) {
    uint64_t layers = 0;
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const char *name = archive->tensors[i].name;
        if (strncmp(name, "blocks.", 7) == 0) layers = HEL_MAX(layers, strtoull(name + 7, NULL, 10) + 1);
    }
    return layers;
}

uint32_t hel_rwkv_version(const hel_archive *archive) {
    if (first_layers(archive, "att.r_k")) return 7;
    if (first_layers(archive, "att.time_maa_x")) return 6;
    return first_layers(archive, "att.ln_x.weight") ? 5 : 4;
}

// Early models have one decay and one bonus for a head, which is what tells the number of heads.
static hel_status set_version_5(const measure *in) {
    const hel_tensor_info *decay = first_layers(in->archive, "att.time_decay");
    const hel_tensor_info *bonus = first_layers(in->archive, "att.time_faaaa");
    if (!bonus) bonus = first_layers(in->archive, "att.time_first");
    if (!decay || !bonus || !decay->rank)
        return hel_fail(HEL_ERROR_FORMAT, "%s: version 5 without time_decay, time_faaaa or time_first", in->archive->path);
    HEL_TRY(set_size(in, "num_attention_heads", decay->shape[0]));
    HEL_TRY(set_size(in, "decay_size", decay->elements));
    HEL_TRY(set_size(in, "bonus_size", bonus->elements));
    return set(in, "gated", json_boolean(first_layers(in->archive, "att.gate.weight") != NULL));
}

static hel_status set_version_6(const measure *in) {
    HEL_TRY(set_side(in, "num_attention_heads", "blocks.0.att.time_faaaa", 0, 1));
    HEL_TRY(set_side(in, "mix_rank", "blocks.0.att.time_maa_w1", 0, 5));
    return set_side(in, "decay_rank", "blocks.0.att.time_decay_w1", 0, 1);
}

static hel_status set_version_7(const measure *in) {
    HEL_TRY(set_side(in, "num_attention_heads", "blocks.0.att.r_k", 0, 1));
    HEL_TRY(set_side(in, "decay_rank", "blocks.0.att.w1", 0, 1));
    HEL_TRY(set_side(in, "rate_rank", "blocks.0.att.a1", 0, 1));
    HEL_TRY(set_side(in, "gate_rank", "blocks.0.att.g1", 0, 1));
    return hel_archive_find(in->archive, "blocks.1.att.v1") ? set_side(in, "value_rank", "blocks.1.att.v1", 0, 1) : HEL_OK;
}

static hel_status measure_all(measure *in) {
    static const char *const types[] = {"rwkv4", "rwkv5", "rwkv6", "rwkv7"}; // transformers has no class for them
    uint64_t hidden = 0;
    in->version = hel_rwkv_version(in->archive);
    HEL_TRY(side_of(in, "emb.weight", 1, &hidden));
    HEL_TRY(set(in, "model_type", json_string(types[in->version - 4])));
    HEL_TRY(set(in, HEL_RWKV_READY, json_true()));
    HEL_TRY(set_size(in, "hidden_size", hidden));
    HEL_TRY(set_side(in, "vocab_size", "emb.weight", 0, 1));
    HEL_TRY(set_side(in, "intermediate_size", "blocks.0.ffn.key.weight", 0, 1));
    HEL_TRY(set_size(in, "num_hidden_layers", count_layers(in->archive)));
    HEL_TRY(set(in, "tie_word_embeddings", json_boolean(!hel_archive_find(in->archive, "head.weight"))));
    if (in->version == 5) HEL_TRY(set_version_5(in));
    if (in->version == 6) HEL_TRY(set_version_6(in));
    if (in->version == 7) HEL_TRY(set_version_7(in));
    if (in->version == 4) return HEL_OK;
    return set(in, "group_norm_epsilon", json_real(in->version == 5 ? in->epsilon_of_5 : HEL_RWKV_AUTHORS_EPSILON));
}

hel_status hel_rwkv_config(const hel_archive *archive, double epsilon_of_5, json_t **out) {
    measure in = {.archive = archive, .config = json_object(), .epsilon_of_5 = epsilon_of_5};
    if (!in.config) return hel_fail_memory(1);
    hel_status status = measure_all(&in);
    if (status == HEL_OK) *out = in.config;
    else json_decref(in.config);
    return status;
}
