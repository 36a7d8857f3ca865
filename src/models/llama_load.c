// SPDX-License-Identifier: Apache-2.0
// The tensors of the table in llama_roles.c: where they go, and how they leave again.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "models/llama.h"
#include "models/placement.h"
#include "models/roles.h"

typedef struct llama_loader {
    hel_archive *archive;
    const hel_device *const *devices;
    hel_llama *model;
    hel_llama_progress progress;
    void *user;
    uint64_t bytes;
} llama_loader;

// One tensor of the family's table at its place in the model.
typedef struct llama_slot {
    const hel_role *role;
    uint32_t layer;
    const hel_device *device;
    void *member; // hel_weight or hel_buffer *
} llama_slot;

typedef hel_status llama_visit(void *user, const llama_slot *slot);

static llama_slot slot_of(const hel_llama *model, const hel_role *role, uint32_t layer) {
    const hel_llama_layer *beside = &model->layers[role->section == HEL_SECTION_LAST ? model->hyper.layers - 1 : layer];
    uintptr_t owner = role->section == HEL_SECTION_LAYER ? (uintptr_t)beside : (uintptr_t)model;
    return (llama_slot){role, layer, model->devices[beside->place], (void *)(owner + role->member)};
}

// The tensors of the two ends, or of one layer.
static hel_status visit_part(const hel_llama *model, bool ends, uint32_t layer, llama_visit *visit, void *user) {
    for (size_t i = 0; i < hel_llama_family.n_roles; i++) {
        const hel_role *role = &hel_llama_family.roles[i];
        if (role->kind == HEL_ROLE_BIAS || ends == (role->section == HEL_SECTION_LAYER)) continue;
        llama_slot slot = slot_of(model, role, layer);
        HEL_TRY(visit(user, &slot));
    }
    return HEL_OK;
}

static hel_status visit_all(const hel_llama *model, llama_visit *visit, void *user) {
    if (!model->layers) return HEL_OK;
    HEL_TRY(visit_part(model, true, 0, visit, user));
    for (uint32_t l = 0; l < model->hyper.layers; l++) HEL_TRY(visit_part(model, false, l, visit, user));
    return HEL_OK;
}

// ---------------------------------------------------------------- loading

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

// A tied head is the embedding, and is a copy of it where another device needs one.
static bool is_tied(const llama_loader *loader, const hel_role *role) {
    return role->class == HEL_CLASS_LM_HEAD && loader->model->hyper.tied;
}

static hel_status load_slot(void *user, const llama_slot *slot) {
    llama_loader *loader = user;
    const hel_hyper *hyper = &loader->model->hyper;
    uint32_t rows = hel_hyper_dimension(hyper, slot->role->rows), cols = hel_hyper_dimension(hyper, slot->role->cols);
    char name[HEL_ROLE_NAME];
    hel_role_name(slot->role, slot->layer, name);
    if (slot->role->kind == HEL_ROLE_VECTOR)
        return hel_vector_prepare(slot->device, loader->archive, name, rows, slot->member);
    name[strlen(name) - strlen(".weight")] = 0;
    if (is_tied(loader, slot->role)) {
        if (slot->device == loader->model->devices[loader->model->layers[0].place]) return HEL_OK;
        snprintf(name, sizeof name, "model.embed_tokens");
    }
    HEL_TRY(load_weight(loader, slot->device, name, rows, cols, slot->member));
    const hel_weight *weight = slot->member;
    if (slot->role->class == HEL_CLASS_EMBEDDING && (weight->svd_us || weight->channel_scales.size))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: embeddings with SVD factors or channel scales are not read", name);
    return HEL_OK;
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
    return visit_all(model, load_slot, loader);
}

hel_status hel_llama_load(hel_archive *archive, const hel_hyper *hyper, const hel_device *const *devices,
                          const uint32_t *places, hel_llama_progress progress, void *user, hel_llama *out) {
    *out = (hel_llama){.hyper = *hyper, .devices = devices};
    llama_loader loader = {archive, devices, out, progress, user, 0};
    hel_status status = load(&loader, places);
    if (status != HEL_OK) hel_llama_finish(out);
    return status;
}

static hel_status finish_slot(void *user, const llama_slot *slot) {
    (void)user;
    if (slot->role->kind == HEL_ROLE_VECTOR) hel_buffer_destroy(slot->device, slot->member);
    else hel_weight_finish(slot->member);
    return HEL_OK;
}

void hel_llama_finish(hel_llama *model) {
    visit_all(model, finish_slot, NULL);
    hel_free(model->layers);
    *model = (hel_llama){0};
}

// ---------------------------------------------------------------- tuning

typedef struct llama_products {
    const hel_llama *model;
    const hel_device *device;
    const hel_weight **weights;
    size_t count;
} llama_products;

// An embedding multiplies nothing unless it is the head too.
static hel_status list_slot(void *user, const llama_slot *slot) {
    llama_products *products = user;
    const hel_weight *weight = slot->member;
    if (slot->role->kind == HEL_ROLE_VECTOR || slot->device != products->device || !weight->rows) return HEL_OK;
    if (weight == &products->model->embedding && products->model->head.rows) return HEL_OK;
    products->weights[products->count++] = weight;
    return HEL_OK;
}

hel_status hel_llama_tune(const hel_llama *model, const hel_tune_request *request) {
    size_t most = hel_llama_family.n_roles * (model->hyper.layers + (size_t)1);
    llama_products products = {model, request->device, hel_alloc_array(most, sizeof *products.weights), 0};
    if (!products.weights) return hel_fail_memory(most * sizeof *products.weights);
    visit_all(model, list_slot, &products);
    hel_tune_request whole = *request;
    whole.weights = products.weights;
    whole.n_weights = products.count;
    hel_status status = hel_tune_weights(&whole, &hel_tune_standard);
    hel_free(products.weights);
    return status;
}

// ---------------------------------------------------------------- sums over all tensors

typedef struct llama_sums {
    const hel_hyper *hyper;
    uint64_t bytes;
    uint32_t compressed;
} llama_sums;

static hel_status add_slot(void *user, const llama_slot *slot) {
    llama_sums *sums = user;
    const hel_weight *weight = slot->member;
    if (slot->role->kind == HEL_ROLE_VECTOR) {
        sums->bytes += hel_hyper_dimension(sums->hyper, slot->role->rows) * sizeof(float);
        return HEL_OK;
    }
    sums->bytes += hel_weight_bytes(weight);
    sums->compressed += weight->rows && weight->format == HEL_FORMAT_CODEBOOK; // a tied head has no rows
    return HEL_OK;
}

static llama_sums sum(const hel_llama *model) {
    llama_sums sums = {.hyper = &model->hyper};
    visit_all(model, add_slot, &sums);
    return sums;
}

uint64_t hel_llama_bytes(const hel_llama *model) { return sum(model).bytes; }
uint32_t hel_llama_compressed(const hel_llama *model) { return sum(model).compressed; }
