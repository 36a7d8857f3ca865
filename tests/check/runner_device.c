// SPDX-License-Identifier: Apache-2.0
// Kernels on a device of the library. Each binding is a buffer of its own that holds the canaries too.
#include <stdlib.h>
#include <string.h>

#include <helicoid/helicoid.h>

#include "base/os.h"
#include "device/backend.h"
#include "harness.h"

typedef struct device_runner {
    check_runner base;
    const hel_device *device;
    // Where the work-group size is forced: the kernel in hand, compiled past the device's list.
    hel_kernel_source source;
    hel_kernel *kernel;
} device_runner;

static void forget_kernel(device_runner *runner) {
    if (!runner->kernel) return;
    hel_device_base *base = hel_device_base_of(runner->device);
    hel_os_mutex_lock(base->lock);
    base->functions->kernel_destroy(runner->device, runner->kernel);
    hel_os_mutex_unlock(base->lock);
    runner->kernel = NULL;
}

// The backends take any source, so a copy with another work-group size is all it needs.
static hel_status compile_forced(device_runner *runner, const check_call *call, hel_kernel **out) {
    if (runner->kernel && !strcmp(runner->source.name, call->kernel) &&
        !memcmp(runner->kernel->constants, call->constants, call->n_constants * sizeof *call->constants)) {
        *out = runner->kernel;
        return HEL_OK;
    }
    forget_kernel(runner);
    runner->source = *hel_kernel_source_find(call->kernel);
    runner->source.workgroup = runner->base.workgroup_of_one;
    uint32_t constants[HEL_MAX_CONSTANTS];
    memcpy(constants, runner->source.defaults, sizeof constants);
    memcpy(constants, call->constants, call->n_constants * sizeof *constants);
    if (runner->source.lanes_at < runner->source.n_constants)
        constants[runner->source.lanes_at] = runner->base.workgroup_of_one;
    hel_device_base *base = hel_device_base_of(runner->device);
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->kernel_create(runner->device, &runner->source, constants, &runner->kernel);
    hel_os_mutex_unlock(base->lock);
    if (status != HEL_OK) return status;
    runner->kernel->source = &runner->source;
    memcpy(runner->kernel->constants, constants, sizeof constants);
    *out = runner->kernel;
    return HEL_OK;
}

static hel_status find_kernel(device_runner *runner, const check_call *call, hel_kernel **out) {
    if (runner->base.workgroup_of_one) return compile_forced(runner, call, out);
    return hel_kernel_get(runner->device, call->kernel, call->constants, call->n_constants, out);
}

static uint64_t block_bytes(const check_runner *runner, const check_binding *binding, uint64_t *out_inner) {
    *out_inner = check_bound_words(binding) * sizeof(uint32_t);
    return *out_inner + 2 * (uint64_t)runner->margin * sizeof(uint32_t);
}

static hel_status fill_buffers(device_runner *runner, const check_call *call, uint32_t *const *blocks,
                               hel_buffer **buffers, hel_binding *bindings) {
    for (uint32_t b = 0; b < call->n_bindings; b++) {
        uint64_t inner, size = block_bytes(&runner->base, &call->bindings[b], &inner);
        hel_status status = hel_buffer_create(runner->device, size, &buffers[b]);
        if (status == HEL_OK)
            status = hel_buffer_write(runner->device, HEL_QUEUE_COMPUTE, buffers[b], 0, blocks[b], size);
        if (status != HEL_OK) return status;
        bindings[b] = (hel_binding){buffers[b], runner->base.margin * sizeof(uint32_t), inner};
    }
    return HEL_OK;
}

static hel_status run_once(device_runner *runner, hel_kernel *kernel, const check_call *call, const hel_binding *bindings,
                           uint64_t *out_ns) {
    bool timer = out_ns && runner->device->features.timers;
    uint64_t start = hel_os_time_ns();
    hel_status status = hel_dispatch(runner->device, kernel, bindings, call->n_bindings, call->params, call->params_size,
                                     call->groups, timer ? 1 : 0);
    if (status == HEL_OK) status = hel_device_wait_idle(runner->device, HEL_QUEUE_COMPUTE);
    if (status != HEL_OK || !out_ns) return status;
    *out_ns = hel_os_time_ns() - start;
    return timer ? hel_timer_query(runner->device, 0, out_ns) : HEL_OK;
}

static hel_status run_filled(device_runner *runner, const check_call *call, uint32_t *const *blocks, uint32_t repeats,
                             uint64_t *out_ns, hel_buffer **buffers) {
    hel_binding bindings[HEL_MAX_BINDINGS];
    hel_kernel *kernel;
    hel_status status = find_kernel(runner, call, &kernel);
    if (status != HEL_OK || !repeats) return status;
    status = fill_buffers(runner, call, blocks, buffers, bindings);
    for (uint32_t i = 0; i < repeats && status == HEL_OK; i++)
        status = run_once(runner, kernel, call, bindings, out_ns ? out_ns + i : NULL);
    for (uint32_t b = 0; b < call->n_bindings && status == HEL_OK; b++) {
        uint64_t inner, size = block_bytes(&runner->base, &call->bindings[b], &inner);
        status = hel_buffer_read(runner->device, HEL_QUEUE_COMPUTE, buffers[b], 0, blocks[b], size);
    }
    return status;
}

static const char *run(check_runner *base, const check_call *call, uint32_t *const *blocks, uint32_t repeats,
                       uint64_t *out_ns) {
    device_runner *runner = (device_runner *)base;
    hel_buffer *buffers[HEL_MAX_BINDINGS] = {NULL};
    hel_status status = run_filled(runner, call, blocks, repeats, out_ns, buffers);
    for (uint32_t b = 0; b < call->n_bindings; b++)
        if (buffers[b]) hel_buffer_destroy(runner->device, &buffers[b]);
    return status == HEL_OK ? NULL : hel_error_message();
}

static void destroy(check_runner *base) {
    device_runner *runner = (device_runner *)base;
    forget_kernel(runner);
    hel_device_destroy(&runner->device);
    free(runner);
}

const char *check_runner_device(const char *name, const hel_device_params *params, uint32_t workgroup, check_runner **out,
                                bool *out_missing) {
    device_runner *runner = calloc(1, sizeof *runner);
    if (!runner) return "no memory";
    hel_status status = hel_device_open(name, params, &runner->device);
    if (status != HEL_OK) {
        free(runner);
        *out_missing = status == HEL_ERROR_UNAVAILABLE;
        return hel_error_message();
    }
    runner->base = (check_runner){runner->device->name, workgroup, 64, runner->device, run, destroy};
    uint32_t alignment = runner->device->limits.offset_alignment / sizeof(uint32_t);
    if (runner->base.margin < alignment) runner->base.margin = alignment;
    *out = &runner->base;
    return NULL;
}
