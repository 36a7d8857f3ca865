// SPDX-License-Identifier: Apache-2.0
#include "device/dispatch.h"

#include <string.h>

#include "base/require.h"
#include "base/size.h"

// Work-groups along x; more are folded into y. Every driver allows this many.
enum { MAX_GROUPS_X = 65535 };

static bool overlap(const hel_binding *a, const hel_binding *b) {
    return a->buffer == b->buffer && a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

// Resolves sizes of 0 and checks ranges, alignment and overlap of what is written.
static hel_status check_bindings(const hel_device *device, const hel_kernel_source *source, const hel_binding *bindings,
                                 hel_binding *out) {
    for (uint32_t i = 0; i < source->n_bindings; i++) {
        hel_binding *binding = &out[i];
        *binding = bindings[i];
        HEL_REQUIRE(binding->buffer && binding->offset < binding->buffer->size);
        if (!binding->size) binding->size = binding->buffer->size - binding->offset;
        HEL_REQUIRE(hel_buffer_has(binding->buffer, binding->offset, binding->size));
        HEL_REQUIRE(binding->offset % device->limits.offset_alignment == 0);
        HEL_REQUIRE(binding->size <= device->limits.max_binding);
        for (uint32_t j = 0; j < i; j++)
            HEL_REQUIRE(!overlap(binding, &out[j]) || ((source->access[i] | source->access[j]) & HEL_ACCESS_OUT) == 0);
    }
    return HEL_OK;
}

hel_status hel_dispatch_check(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, uint32_t count,
                              const void *params, uint32_t params_size, uint64_t groups, hel_checked_dispatch *out) {
    HEL_REQUIRE(device && kernel && bindings && params && count == kernel->source->n_bindings);
    HEL_REQUIRE(params_size == kernel->source->params_size && groups <= (uint64_t)MAX_GROUPS_X * MAX_GROUPS_X);
    out->kernel = kernel;
    out->groups_x = out->groups_y = 0;
    if (!groups) return HEL_OK;
    HEL_TRY(hel_kernel_check_params(kernel->source, kernel->constants, params));
    HEL_TRY(check_bindings(device, kernel->source, bindings, out->bindings));
    memcpy(out->params, params, params_size);
    memcpy(out->params, &(uint32_t){(uint32_t)groups}, sizeof(uint32_t));
    out->groups_y = (uint32_t)hel_ceil_div(groups, MAX_GROUPS_X);
    out->groups_x = (uint32_t)hel_ceil_div(groups, out->groups_y);
    return HEL_OK;
}

hel_status hel_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, uint32_t count,
                        const void *params, uint32_t params_size, uint64_t groups, uint32_t timer) {
    hel_checked_dispatch checked;
    HEL_REQUIRE(timer <= HEL_TIMER_SLOTS);
    HEL_TRY(hel_dispatch_check(device, kernel, bindings, count, params, params_size, groups, &checked));
    if (!groups) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->dispatch(device, kernel, checked.bindings, checked.params, checked.groups_x,
                                                  checked.groups_y, timer);
    hel_os_mutex_unlock(base->lock);
    return status;
}
