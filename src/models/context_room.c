// SPDX-License-Identifier: Apache-2.0
// Whether a context fits, asked before anything is allocated: some systems grant memory that they do not have.
#include "base/bytes_text.h"
#include "base/error.h"
#include "base/os.h"
#include "base/size.h"
#include "models/context.h"

static hel_status refuse(const hel_context *context, hel_status status, const char *what, uint64_t needed, uint64_t allowed) {
    char have[32], want[32];
    return hel_fail(status, "a context of %u positions needs %s of %s, there are %s", context->capacity,
                    hel_bytes_text(want, needed), what, hel_bytes_text(have, allowed));
}

static hel_status check_device(const hel_context *context, const hel_device *device, hel_context_bytes bytes,
                               bool attends, uint64_t all) {
    const hel_hyper *hyper = &context->model->network.hyper;
    uint64_t largest = HEL_MAX(bytes.rope, attends ? bytes.keys : 0);
    uint64_t piece = HEL_MIN(device->limits.max_binding, device->limits.max_buffer);
    uint32_t positions = attends ? hel_attention_positions(device, hyper->head_dim) : UINT32_MAX;
    if (context->capacity > positions)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s computes attention over at most %u positions, not %u", device->name,
                        positions, context->capacity);
    if (largest > piece) return refuse(context, HEL_ERROR_DEVICE_MEMORY, "memory in one piece", largest, piece);
    if (!hel_in_host_memory(device) && device->limits.memory && all > device->limits.memory)
        return refuse(context, HEL_ERROR_DEVICE_MEMORY, "device memory", all, device->limits.memory);
    return HEL_OK;
}

hel_status hel_context_check_room(const hel_context *context) {
    const hel_placement *placement = &context->model->placement;
    const hel_hyper *hyper = &context->model->network.hyper;
    hel_context_bytes bytes = hel_context_measure(hyper, context->capacity, context->batch);
    uint64_t host = 0, available = hel_os_memory_free();
    for (uint32_t i = 0; i < placement->n_devices; i++) {
        uint64_t all = bytes.device;
        for (uint32_t l = 0; l < hyper->layers; l++)
            if (placement->places[l] == i) all += hel_context_layer_bytes(hyper, l, context->capacity);
        bool attends = hel_network_memory(&context->model->network, i).kv_layers > 0;
        HEL_TRY(check_device(context, placement->devices[i], bytes, attends, all));
        if (hel_in_host_memory(placement->devices[i])) host += all;
    }
    if (available && host > available) return refuse(context, HEL_ERROR_MEMORY, "memory", host, available);
    return HEL_OK;
}
