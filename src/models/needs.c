// SPDX-License-Identifier: Apache-2.0
#include "models/needs.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/context.h"
#include "models/family.h"

// Where the weights of a tensor are counted; NULL for what is not loaded.
static uint64_t *place_of(hel_needs *needs, const hel_family *family, const char *name) {
    unsigned layer;
    const hel_role *role = hel_role_of_end(family, name); // before layers: it may stand below one's prefix
    if (!role && (!hel_name_layer(family, name, &layer) || layer >= needs->layers)) return NULL;
    if (!role) return hel_role_of_shared(family, name) ? &needs->shared_bytes[layer] : &needs->layer_bytes[layer];
    if (role->class == HEL_CLASS_EMBEDDING) return &needs->embedding_bytes;
    if (role->class == HEL_CLASS_LM_HEAD) return needs->tied ? NULL : &needs->head_bytes;
    return &needs->layer_bytes[role->section == HEL_SECTION_LAST ? needs->layers - 1 : 0];
}

static hel_status allocate(hel_needs *needs) {
    needs->layer_bytes = hel_alloc_zero(3 * (size_t)needs->layers, sizeof *needs->layer_bytes);
    needs->owners = hel_alloc_zero(needs->layers, sizeof *needs->owners);
    if (!needs->layer_bytes || !needs->owners) {
        hel_needs_finish(needs);
        return hel_fail_memory(3 * needs->layers * sizeof *needs->layer_bytes);
    }
    needs->shared_bytes = needs->layer_bytes + needs->layers;
    needs->cache_bytes = needs->shared_bytes + needs->layers;
    return HEL_OK;
}

hel_status hel_needs_measure(const hel_archive *archive, const hel_hyper *hyper, hel_needs *out) {
    *out = (hel_needs){.layers = hyper->layers, .tied = hyper->tied};
    HEL_TRY(allocate(out));
    for (size_t i = 0; i < archive->n_tensors; i++) {
        uint64_t *bytes = place_of(out, hyper->family, archive->tensors[i].name);
        if (bytes) *bytes += archive->tensors[i].bytes;
    }
    if (hyper->tied) out->head_bytes = out->embedding_bytes;
    for (uint32_t l = 0; l < hyper->layers; l++) {
        uint32_t use;
        out->owners[l] = hyper->family->owner_of ? hyper->family->owner_of(hyper, l, &use) : l;
        out->cache_bytes[l] = hel_context_layer_bytes(hyper, l, 0);
    }
    out->scratch_bytes = hel_context_measure(hyper, 0, 0).device;
    return HEL_OK;
}

void hel_needs_finish(hel_needs *needs) {
    hel_free(needs->layer_bytes);
    hel_free(needs->owners);
    *needs = (hel_needs){0};
}

uint64_t hel_needs_total(const hel_needs *needs) {
    uint64_t bytes = needs->embedding_bytes + (needs->tied ? 0 : needs->head_bytes);
    for (uint32_t l = 0; l < needs->layers; l++) bytes += needs->layer_bytes[l] + needs->shared_bytes[l];
    return bytes;
}

// Of the block that a layer uses, where no layer before it on the same place does.
static uint64_t shared_with(const hel_needs *needs, const uint32_t *places, uint32_t layer) {
    uint32_t owner = needs->owners[layer];
    for (uint32_t l = owner; l < layer; l++)
        if (needs->owners[l] == owner && places[l] == places[layer]) return 0;
    return needs->shared_bytes[owner];
}

uint64_t hel_needs_weights_on(const hel_needs *needs, const uint32_t *places, uint32_t place) {
    uint32_t first = places[0], last = places[needs->layers - 1];
    uint64_t bytes = 0;
    for (uint32_t l = 0; l < needs->layers; l++)
        if (places[l] == place) bytes += needs->layer_bytes[l] + shared_with(needs, places, l);
    if (place == first) bytes += needs->embedding_bytes;
    if (place == last && !(needs->tied && first == last)) bytes += needs->head_bytes;
    return bytes;
}

uint64_t hel_needs_context_on(const hel_needs *needs, const uint32_t *places, uint32_t place) {
    uint64_t bytes = 0;
    bool used = false;
    for (uint32_t l = 0; l < needs->layers; l++) {
        if (places[l] != place) continue;
        bytes += needs->cache_bytes[l];
        used = true;
    }
    return used ? bytes + needs->scratch_bytes : 0;
}

uint32_t hel_needs_spill(const hel_needs *needs, uint64_t budget, uint32_t *places) {
    uint32_t staying = needs->layers;
    while (staying && hel_needs_weights_on(needs, places, 0) + hel_needs_context_on(needs, places, 0) > budget)
        places[--staying] = 1;
    return staying;
}
