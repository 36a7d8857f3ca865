// SPDX-License-Identifier: Apache-2.0
// The tensors of a family's tables: where they go, and how they leave again.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/network.h"
#include "models/placement.h"

typedef struct loader {
    hel_archive *archive;
    hel_network *network;
    hel_network_progress progress;
    void *user;
    uint64_t bytes;
} loader;

// One tensor of the tables at its place in the network.
typedef struct slot {
    const hel_role *role;
    uint32_t layer, use; // by which it is named
    const hel_device *device;
    void *member; // hel_weight or hel_buffer *
    bool copy;    // of what lies on another device too
} slot;

typedef hel_status visit(void *user, const slot *slot);

// A tied head is the embedding, and is a copy of it where another device needs one.
static bool is_tied(const hel_network *network, const hel_role *role) {
    return role->class == HEL_CLASS_LM_HEAD && network->hyper.tied;
}

static slot slot_of(const hel_network *network, const hel_role *role, uint32_t layer) {
    const hel_layer *beside = &network->layers[role->section == HEL_SECTION_LAST ? network->hyper.layers - 1 : layer];
    uintptr_t owner = role->section == HEL_SECTION_SHARED ? (uintptr_t)beside->shared
                      : hel_role_in_layer(role)           ? (uintptr_t)beside->weights
                                                          : (uintptr_t)&network->ends;
    uint32_t named = role->section == HEL_SECTION_LAYER || !hel_role_in_layer(role) ? layer : beside->owner;
    bool copy = role->section == HEL_SECTION_SHARED ? beside->index != beside->owner : is_tied(network, role);
    return (slot){role, named, beside->use, network->devices[beside->place], (void *)(owner + role->member), copy};
}

static hel_status visit_roles(const hel_network *network, const hel_role *roles, size_t n_roles, uint32_t layer, visit *each,
                              void *user) {
    for (size_t i = 0; i < n_roles; i++) {
        if (roles[i].kind == HEL_ROLE_BIAS) continue;
        if (roles[i].section == HEL_SECTION_SHARED && !network->layers[layer].holds_shared) continue;
        slot at = slot_of(network, &roles[i], layer);
        HEL_TRY(each(user, &at));
    }
    return HEL_OK;
}

static bool is_made(const hel_layer *layer) { return layer->weights && (layer->shared || !layer->kind->shared_size); }

// The ends, then the layers that there are.
static hel_status visit_all(const hel_network *network, visit *each, void *user) {
    if (!network->layers) return HEL_OK;
    const hel_family *family = network->hyper.family;
    HEL_TRY(visit_roles(network, family->roles, family->n_roles, 0, each, user));
    for (uint32_t l = 0; l < network->hyper.layers && is_made(&network->layers[l]); l++) {
        const hel_layer_kind *kind = network->layers[l].kind;
        HEL_TRY(visit_roles(network, kind->roles, kind->n_roles, l, each, user));
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- loading

static hel_status load_weight(loader *in, const hel_device *device, const char *module, uint32_t rows, uint32_t cols,
                              hel_weight *out) {
    hel_weight_desc desc;
    HEL_TRY(hel_weight_desc_find(in->archive, module, rows, cols, &desc));
    hel_status status = hel_weight_prepare(device, in->archive, &desc, out);
    in->bytes += hel_weight_desc_stored_bytes(&desc);
    hel_weight_desc_finish(&desc);
    if (status == HEL_OK && in->progress && !in->progress(in->user, in->bytes))
        status = hel_fail(HEL_ERROR_CANCELLED, "loading was cancelled");
    return status;
}

static hel_status load_matrix(loader *in, const slot *at, uint32_t rows, uint32_t cols) {
    const hel_family *family = in->network->hyper.family;
    const hel_role *named = is_tied(in->network, at->role) ? hel_family_end(family, HEL_CLASS_EMBEDDING) : at->role;
    if (named != at->role && at->device == in->network->devices[in->network->layers[0].place]) return HEL_OK;
    char name[HEL_ROLE_NAME];
    hel_role_name_of_use(family, named, at->layer, at->use, name);
    if (hel_path_has_suffix(name, ".weight")) name[strlen(name) - strlen(".weight")] = 0;
    HEL_TRY(load_weight(in, at->device, name, rows, cols, at->member));
    const hel_weight *weight = at->member;
    if (at->role->class == HEL_CLASS_EMBEDDING && (weight->svd_us || weight->channel_scales.size))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: embeddings with SVD factors or channel scales are not read", name);
    return HEL_OK;
}

static void rate_of_log(const float *values, uint32_t rows, uint32_t cols, float *out) {
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) out[(size_t)c * rows + r] = -expf(values[(size_t)r * cols + c]);
}

static hel_status make_ones(const slot *at, uint64_t count) {
    const uint32_t one = 0x3f800000;
    HEL_TRY(hel_buffer_create(at->device, count * sizeof(float), at->member));
    return hel_buffer_fill(at->device, *(hel_buffer **)at->member, 0, count * sizeof(float), one);
}

static hel_status load_slot(void *user, const slot *at) {
    loader *in = user;
    const hel_hyper *hyper = &in->network->hyper;
    uint32_t rows = hel_hyper_dimension(hyper, at->role->rows), cols = hel_hyper_dimension(hyper, at->role->cols);
    if (at->role->kind == HEL_ROLE_MATRIX) return load_matrix(in, at, rows, cols);
    if (at->role->kind == HEL_ROLE_ONES) return make_ones(at, (uint64_t)rows * cols);
    char name[HEL_ROLE_NAME];
    hel_role_name(hyper->family, at->role, at->layer, name);
    if (at->role->optional && !hel_archive_find(in->archive, name)) return HEL_OK;
    hel_vector_turn *turn = at->role->kind == HEL_ROLE_RATE ? rate_of_log : NULL;
    return hel_vector_prepare_turned(at->device, in->archive, name, rows, cols, turn, at->member);
}

static hel_status make_layers(hel_network *network, const uint32_t *places) {
    const hel_hyper *hyper = &network->hyper;
    uint32_t kv_used[HEL_MAX_PLACES] = {0};
    uint64_t state_used[HEL_MAX_PLACES] = {0};
    network->layers = hel_alloc_zero(hyper->layers, sizeof *network->layers);
    if (!network->layers) return hel_fail_memory(hyper->layers * sizeof *network->layers);
    for (uint32_t l = 0; l < hyper->layers; l++) {
        const hel_layer_kind *kind = hyper->family->kind_of(hyper, l);
        hel_layer_memory memory = kind->memory(hyper);
        uint32_t place = places[l];
        network->layers[l] = (hel_layer){.kind = kind, .memory = memory, .index = l, .place = place, .kv_slot = kv_used[place],
                                         .state_at = state_used[place], .owner = l};
        if (kind->shared_size) network->layers[l].owner = hyper->family->owner_of(hyper, l, &network->layers[l].use);
        kv_used[place] += memory.attends;
        state_used[place] += hel_round_up(memory.state_floats * sizeof(float), HEL_BINDING_ALIGNMENT);
    }
    return HEL_OK;
}

// Of an earlier layer on the same place that uses the same block; NULL where there is none.
static void *find_shared(const hel_network *network, const hel_layer *layer) {
    for (uint32_t l = layer->owner; l < layer->index; l++) {
        const hel_layer *other = &network->layers[l];
        if (other->shared && other->owner == layer->owner && other->place == layer->place) return other->shared;
    }
    return NULL;
}

static hel_status make_weights(const hel_network *network, hel_layer *layer) {
    layer->weights = hel_alloc_zero(1, layer->kind->size);
    if (!layer->weights) return hel_fail_memory(layer->kind->size);
    if (!layer->kind->shared_size || (layer->shared = find_shared(network, layer))) return HEL_OK;
    layer->shared = hel_alloc_zero(1, layer->kind->shared_size);
    layer->holds_shared = true;
    return layer->shared ? HEL_OK : hel_fail_memory(layer->kind->shared_size);
}

static hel_status load(loader *in, const uint32_t *places) {
    hel_network *network = in->network;
    HEL_TRY(make_layers(network, places));
    for (uint32_t l = 0; l < network->hyper.layers; l++) HEL_TRY(make_weights(network, &network->layers[l]));
    return visit_all(network, load_slot, in);
}

hel_status hel_network_load(hel_archive *archive, const hel_hyper *hyper, const hel_device *const *devices,
                            const uint32_t *places, hel_network_progress progress, void *user, hel_network *out) {
    *out = (hel_network){.hyper = *hyper, .devices = devices};
    loader in = {archive, out, progress, user, 0};
    hel_status status = load(&in, places);
    if (status != HEL_OK) hel_network_finish(out);
    return status;
}

static hel_status finish_slot(void *user, const slot *at) {
    (void)user;
    if (hel_role_is_buffer(at->role)) hel_buffer_destroy(at->device, at->member);
    else hel_weight_finish(at->member);
    return HEL_OK;
}

void hel_network_finish(hel_network *network) {
    visit_all(network, finish_slot, NULL);
    for (uint32_t l = 0; network->layers && l < network->hyper.layers; l++) {
        if (network->layers[l].holds_shared) hel_free(network->layers[l].shared);
        hel_free(network->layers[l].weights);
    }
    hel_free(network->layers);
    *network = (hel_network){0};
}

// ---------------------------------------------------------------- tuning

typedef struct products {
    const hel_network *network;
    const hel_device *device;
    const hel_weight **weights;
    size_t count;
} products;

// An embedding multiplies nothing unless it is the head too.
static hel_status list_slot(void *user, const slot *at) {
    products *list = user;
    const hel_weight *weight = at->member;
    if (hel_role_is_buffer(at->role) || at->device != list->device || !weight->rows) return HEL_OK;
    if (weight == &list->network->ends.embedding && list->network->ends.head.rows) return HEL_OK;
    if (list->weights) list->weights[list->count] = weight;
    list->count++;
    return HEL_OK;
}

hel_status hel_network_tune(const hel_network *network, const hel_tune_request *request) {
    products list = {network, request->device, NULL, 0};
    visit_all(network, list_slot, &list); // counts
    list.weights = hel_alloc_array(list.count + 1, sizeof *list.weights);
    if (!list.weights) return hel_fail_memory(list.count * sizeof *list.weights);
    list.count = 0;
    visit_all(network, list_slot, &list);
    hel_tune_request whole = *request;
    whole.weights = list.weights;
    whole.n_weights = list.count;
    hel_status status = hel_tune_weights(&whole, &hel_tune_standard);
    hel_free(list.weights);
    return status;
}

// ---------------------------------------------------------------- sums over all tensors

typedef struct sums {
    const hel_hyper *hyper;
    uint64_t bytes, parameters;
    uint32_t compressed;
} sums;

static hel_status add_slot(void *user, const slot *at) {
    sums *sum = user;
    if (hel_role_is_buffer(at->role)) {
        uint64_t rows = hel_hyper_dimension(sum->hyper, at->role->rows), cols = hel_hyper_dimension(sum->hyper, at->role->cols);
        if (!*(hel_buffer **)at->member) return HEL_OK;
        sum->bytes += rows * cols * sizeof(float);
        sum->parameters += at->copy || at->role->kind == HEL_ROLE_ONES ? 0 : rows * cols;
        return HEL_OK;
    }
    const hel_weight *weight = at->member;
    sum->parameters += at->copy ? 0 : (uint64_t)weight->rows * (weight->cols + (weight->bias.size > 0));
    sum->bytes += hel_weight_bytes(weight);
    sum->compressed += weight->rows && weight->format == HEL_FORMAT_CODEBOOK; // a tied head has no rows
    return HEL_OK;
}

static sums add_up(const hel_network *network) {
    sums sum = {.hyper = &network->hyper};
    visit_all(network, add_slot, &sum);
    return sum;
}

uint64_t hel_network_bytes(const hel_network *network) { return add_up(network).bytes; }
uint64_t hel_network_parameters(const hel_network *network) { return add_up(network).parameters; }
uint32_t hel_network_compressed(const hel_network *network) { return add_up(network).compressed; }
