// SPDX-License-Identifier: Apache-2.0
#include "models/placement.h"

#include <string.h>

#include "base/bytes_text.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/size.h"
#include "device/registry.h"

enum { NAME_SIZE = 64 };

static hel_status open_named(const char *names, const hel_device_params *params, hel_placement *placement) {
    while (*names) {
        size_t length = strcspn(names, ",");
        char name[NAME_SIZE];
        if (length >= NAME_SIZE || placement->n_devices == HEL_MAX_PLACES)
            return hel_fail(HEL_ERROR_ARGUMENT, "too many devices, or too long a name: \"%.80s\"", names);
        memcpy(name, names, length);
        name[length] = 0;
        HEL_TRY(hel_device_open(name, params, &placement->devices[placement->n_devices]));
        if (placement->devices[placement->n_devices++]->type == HEL_DEVICE_TYPE_NONE)
            return hel_fail(HEL_ERROR_ARGUMENT, "the null device computes nothing");
        names += length + (names[length] == ',');
    }
    return placement->n_devices ? HEL_OK : hel_fail(HEL_ERROR_ARGUMENT, "no device is named");
}

bool hel_in_host_memory(const hel_device *device) {
    return device->type == HEL_DEVICE_TYPE_CPU || device->type == HEL_DEVICE_TYPE_SOFTWARE;
}

// The smaller of two budgets, where 0 is one that nobody knows.
static uint64_t tighter(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

// What may be used of a GPU: but for a tenth, what its driver says is free, or all where that does not say. 0 where nobody knows.
static uint64_t budget_of(const hel_device *device, uint64_t limit) {
    uint64_t own = tighter(hel_device_memory_free(device), device->limits.memory);
    own -= own / 10;
    if (device->type == HEL_DEVICE_TYPE_INTEGRATED) own = tighter(own, hel_os_memory_free());
    return tighter(own, limit);
}

// The first device gets `gpu_layers` where that is given, the others equal parts.
static void spread(const hel_model_params *params, uint32_t layers, hel_placement *placement) {
    uint32_t devices = placement->n_devices, first = layers;
    if (devices > 1)
        first = params->gpu_layers == UINT32_MAX ? (uint32_t)hel_ceil_div(layers, devices)
                                                 : HEL_MIN(params->gpu_layers, layers);
    uint32_t others = devices > 1 ? (uint32_t)hel_ceil_div(layers - first, devices - 1) : 0;
    for (uint32_t l = 0; l < layers; l++) placement->places[l] = l < first ? 0 : 1 + (l - first) / others;
}

// A single GPU that cannot hold everything keeps the layers that fit; the CPU takes the rest.
static hel_status spill_to_cpu(const hel_model_params *params, const hel_device_params *device_params, const hel_needs *needs,
                               hel_placement *placement) {
    const hel_device *gpu = placement->devices[0];
    if (placement->n_devices != 1 || hel_in_host_memory(gpu)) return HEL_OK;
    uint64_t budget = budget_of(gpu, params->memory_limit);
    if (!budget) return HEL_OK;
    uint32_t staying = hel_needs_spill(needs, budget, placement->places);
    if (staying == needs->layers) return HEL_OK;
    HEL_TRY(hel_device_open_type(HEL_DEVICE_TYPE_CPU, device_params, &placement->devices[1]));
    placement->n_devices = 2;
    hel_log(HEL_LOG_WARNING, "%s has room for %u of %u layers; the CPU runs the rest", gpu->name, staying, needs->layers);
    return HEL_OK;
}

static hel_status check_budget(const hel_device *device, uint64_t weights, uint64_t context, uint64_t budget) {
    char needed[32], allowed[32];
    if (!budget || weights + context <= budget) return HEL_OK;
    hel_bytes_text(allowed, budget);
    if (weights > budget)
        return hel_fail(hel_in_host_memory(device) ? HEL_ERROR_MEMORY : HEL_ERROR_DEVICE_MEMORY,
                        "%s:%u: the weights need %s and %s may be used", device->backend, device->index,
                        hel_bytes_text(needed, weights), allowed);
    hel_log(HEL_LOG_WARNING, "%s:%u: weights and a context of default size need %s and %s may be used", device->backend,
            device->index, hel_bytes_text(needed, weights + context), allowed);
    return HEL_OK;
}

// Each device by itself, then those in host memory together.
static hel_status check_room(const hel_model_params *params, const hel_needs *needs, const hel_placement *placement) {
    uint64_t host_weights = 0, host_context = 0;
    const hel_device *host = NULL;
    for (uint32_t i = 0; i < placement->n_devices; i++) {
        const hel_device *device = placement->devices[i];
        uint64_t weights = hel_needs_weights_on(needs, placement->places, i);
        uint64_t context = hel_needs_context_on(needs, placement->places, i);
        bool shares = hel_in_host_memory(device);
        HEL_TRY(check_budget(device, weights, context, shares ? params->memory_limit : budget_of(device, params->memory_limit)));
        if (!shares) continue;
        host = device;
        host_weights += weights;
        host_context += context;
    }
    return host ? check_budget(host, host_weights, host_context, hel_os_memory_free()) : HEL_OK;
}

static hel_status make(const hel_model_params *params, const hel_needs *needs, hel_placement *placement) {
    hel_device_params device_params = hel_device_params_default();
    device_params.threads = params->threads;
    device_params.memory_limit = params->memory_limit;
    device_params.precision = params->precision;
    device_params.cache_directory = params->cache_directory;
    placement->places = hel_alloc_zero(needs->layers, sizeof *placement->places);
    if (!placement->places) return hel_fail_memory(needs->layers * sizeof *placement->places);
    if (params->devices) HEL_TRY(open_named(params->devices, &device_params, placement));
    else {
        HEL_TRY(hel_device_open_best(&device_params, &placement->devices[0]));
        placement->n_devices = 1;
    }
    spread(params, needs->layers, placement);
    HEL_TRY(spill_to_cpu(params, &device_params, needs, placement));
    return check_room(params, needs, placement);
}

hel_status hel_placement_make(const hel_model_params *params, const hel_needs *needs, hel_placement *out) {
    *out = (hel_placement){0};
    hel_status status = make(params, needs, out);
    if (status != HEL_OK) hel_placement_finish(out);
    return status;
}

void hel_placement_finish(hel_placement *placement) {
    for (uint32_t i = 0; i < placement->n_devices; i++) hel_device_destroy(&placement->devices[i]);
    hel_free(placement->places);
    *placement = (hel_placement){0};
}
