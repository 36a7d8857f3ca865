// SPDX-License-Identifier: Apache-2.0
// Which tensors make a LLaMA, where they go, and how they leave again.
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/llama.h"
#include "models/placement.h"

// The matrices of a layer: name below "model.layers.N.", member, and which hyper-parameters give its shape.
typedef enum shape_width { HIDDEN, FFN, HEADS, KV_HEADS } shape_width;
static const struct matrix {
    const char *name;
    size_t member;
    shape_width rows, cols;
} matrices[] = {
    {"self_attn.q_proj", offsetof(hel_llama_layer, q), HEADS, HIDDEN},
    {"self_attn.k_proj", offsetof(hel_llama_layer, k), KV_HEADS, HIDDEN},
    {"self_attn.v_proj", offsetof(hel_llama_layer, v), KV_HEADS, HIDDEN},
    {"self_attn.o_proj", offsetof(hel_llama_layer, o), HIDDEN, HEADS},
    {"mlp.gate_proj", offsetof(hel_llama_layer, gate), FFN, HIDDEN},
    {"mlp.up_proj", offsetof(hel_llama_layer, up), FFN, HIDDEN},
    {"mlp.down_proj", offsetof(hel_llama_layer, down), HIDDEN, FFN},
};

typedef struct llama_loader {
    hel_archive *archive;
    const hel_device *const *devices;
    hel_llama *model;
    hel_llama_progress progress;
    void *user;
    uint64_t bytes;
} llama_loader;

static uint32_t width_of(const hel_hyper *hyper, shape_width width) {
    switch (width) {
    case HIDDEN: return hyper->hidden;
    case FFN: return hyper->ffn;
    case HEADS: return hyper->heads * hyper->head_dim;
    case KV_HEADS: return hyper->kv_heads * hyper->head_dim;
    }
    return 0;
}

static hel_weight *weight_of(hel_llama_layer *layer, const struct matrix *matrix) {
    return (hel_weight *)(void *)((char *)layer + matrix->member);
}

static hel_status load_weight(llama_loader *loader, const hel_device *device, const char *module, uint32_t rows, uint32_t cols,
                              hel_weight *out) {
    hel_weight_desc desc;
    HEL_TRY(hel_weight_desc_find(loader->archive, module, rows, cols, &desc));
    hel_status status = hel_weight_prepare(device, loader->archive, &desc, out);
    loader->bytes += hel_weight_desc_stored_bytes(&desc);
    hel_weight_desc_finish(&desc);
    if (status == HEL_OK && loader->progress && !loader->progress(loader->user, loader->bytes))
        status = hel_fail(HEL_ERROR_CANCELLED, "loading was cancelled");
    return status;
}

static hel_status load_layer(llama_loader *loader, uint32_t index, hel_llama_layer *layer) {
    const hel_hyper *hyper = &loader->model->hyper;
    const hel_device *device = loader->devices[layer->place];
    char name[96];
    snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", index);
    HEL_TRY(hel_vector_prepare(device, loader->archive, name, hyper->hidden, &layer->attention_norm));
    snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm.weight", index);
    HEL_TRY(hel_vector_prepare(device, loader->archive, name, hyper->hidden, &layer->ffn_norm));
    for (size_t i = 0; i < HEL_COUNT(matrices); i++) {
        snprintf(name, sizeof name, "model.layers.%u.%s", index, matrices[i].name);
        HEL_TRY(load_weight(loader, device, name, width_of(hyper, matrices[i].rows), width_of(hyper, matrices[i].cols),
                            weight_of(layer, &matrices[i])));
    }
    return HEL_OK;
}

// A tied head needs a copy of its own only on another device than the embedding's.
static hel_status load_ends(llama_loader *loader) {
    hel_llama *model = loader->model;
    const hel_hyper *hyper = &model->hyper;
    const hel_device *first = loader->devices[model->layers[0].place];
    const hel_device *last = loader->devices[model->layers[hyper->layers - 1].place];
    HEL_TRY(load_weight(loader, first, "model.embed_tokens", hyper->vocabulary, hyper->hidden, &model->embedding));
    if (model->embedding.svd_us || model->embedding.channel_scales.size)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "model.embed_tokens: embeddings with SVD factors or channel scales are not read");
    HEL_TRY(hel_vector_prepare(last, loader->archive, "model.norm.weight", hyper->hidden, &model->norm));
    if (hyper->tied && first == last) return HEL_OK;
    return load_weight(loader, last, hyper->tied ? "model.embed_tokens" : "lm_head", hyper->vocabulary, hyper->hidden,
                       &model->head);
}

static hel_status load(llama_loader *loader, const uint32_t *places) {
    hel_llama *model = loader->model;
    uint32_t layers = model->hyper.layers, used[HEL_MAX_PLACES] = {0};
    model->layers = hel_alloc_zero(layers, sizeof *model->layers);
    if (!model->layers) return hel_fail_memory(layers * sizeof *model->layers);
    for (uint32_t l = 0; l < layers; l++) {
        model->layers[l].place = places[l];
        model->layers[l].slot = used[places[l]]++;
    }
    HEL_TRY(load_ends(loader));
    for (uint32_t l = 0; l < layers; l++) HEL_TRY(load_layer(loader, l, &model->layers[l]));
    return HEL_OK;
}

hel_status hel_llama_load(hel_archive *archive, const hel_hyper *hyper, const hel_device *const *devices,
                          const uint32_t *places, hel_llama_progress progress, void *user, hel_llama *out) {
    *out = (hel_llama){.hyper = *hyper, .devices = devices};
    llama_loader loader = {archive, devices, out, progress, user, 0};
    hel_status status = load(&loader, places);
    if (status != HEL_OK) hel_llama_finish(out);
    return status;
}

static void finish_layer(const hel_device *device, hel_llama_layer *layer) {
    hel_buffer_destroy(device, &layer->attention_norm);
    hel_buffer_destroy(device, &layer->ffn_norm);
    for (size_t i = 0; i < HEL_COUNT(matrices); i++) hel_weight_finish(weight_of(layer, &matrices[i]));
}

void hel_llama_finish(hel_llama *model) {
    uint32_t layers = model->layers ? model->hyper.layers : 0;
    for (uint32_t l = 0; l < layers; l++) finish_layer(model->devices[model->layers[l].place], &model->layers[l]);
    if (layers) hel_buffer_destroy(model->devices[model->layers[layers - 1].place], &model->norm);
    hel_weight_finish(&model->embedding);
    hel_weight_finish(&model->head);
    hel_free(model->layers);
    *model = (hel_llama){0};
}

// ---------------------------------------------------------------- sums over all weights

uint64_t hel_llama_bytes(const hel_llama *model) {
    uint64_t bytes = hel_weight_bytes(&model->embedding) + hel_weight_bytes(&model->head);
    bytes += (2 * (uint64_t)model->hyper.layers + 1) * model->hyper.hidden * sizeof(float);
    for (uint32_t l = 0; l < model->hyper.layers; l++)
        for (size_t i = 0; i < HEL_COUNT(matrices); i++) bytes += hel_weight_bytes(weight_of(&model->layers[l], &matrices[i]));
    return bytes;
}

uint32_t hel_llama_compressed(const hel_llama *model) {
    uint32_t count = (model->embedding.format == HEL_WEIGHT_CODEBOOK) +
                     (model->head.rows && model->head.format == HEL_WEIGHT_CODEBOOK);
    for (uint32_t l = 0; l < model->hyper.layers; l++)
        for (size_t i = 0; i < HEL_COUNT(matrices); i++)
            count += weight_of(&model->layers[l], &matrices[i])->format == HEL_WEIGHT_CODEBOOK;
    return count;
}
