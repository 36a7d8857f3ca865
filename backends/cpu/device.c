// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "convolution.h"

static void destroy(hel_device *data) {
    cpu_device *device = cpu_device_of(data);
    uint32_t count = device->threads ? hel_threads_count(device->threads) : 0;
    for (uint32_t i = 0; device->shared && i < count; i++) hel_free_aligned(device->shared[i]);
    hel_free(device->shared);
    hel_free_aligned(device->shares);
    hel_free_aligned(device->scratch);
    hel_threads_destroy(&device->threads);
    hel_free(device);
}

static const hel_device_functions functions = {
    .destroy = destroy,
    .buffer_create = cpu_buffer_create,
    .buffer_destroy = cpu_buffer_destroy,
    .buffer_map = cpu_buffer_map,
    .buffer_write = cpu_buffer_write,
    .buffer_read = cpu_buffer_read,
    .buffer_copy = cpu_buffer_copy,
    .buffer_fill = cpu_buffer_fill,
    .kernel_create = cpu_kernel_create,
    .kernel_destroy = cpu_kernel_destroy,
    .dispatch = cpu_dispatch,
    .mark = cpu_mark,
    .wait = cpu_wait,
    .timer_query = cpu_timer_query,
    .convolution_create = cpu_convolution_create,
    .convolution_run = cpu_convolution_run,
    .convolution_destroy = cpu_convolution_destroy,
};

static hel_status count(uint32_t *out) {
    *out = 1;
    return HEL_OK;
}

static hel_status describe(uint32_t index, hel_device *out) {
    (void)index;
    *out = (hel_device){
        .type = HEL_DEVICE_TYPE_CPU,
        .limits = {.memory = hel_os_memory_total(), .max_buffer = (uint64_t)1 << 40, .max_binding = (uint64_t)1 << 40,
                   .offset_alignment = 4, .max_workgroup = 1, .shared_memory = CPU_SHARED_SIZE, .subgroup = 1,
                   .compute_units = hel_os_cpu_count()},
        .features = {.mapped = true, .timers = true},
    };
    hel_os_cpu_name(out->name, sizeof out->name);
    snprintf(out->driver, sizeof out->driver, "%s", cpu_instruction_sets());
    out->features.scalar = !cpu_has_vectors();
    return HEL_OK;
}

static hel_status prepare_threads(cpu_device *device, uint32_t threads) {
    HEL_TRY(hel_threads_create(threads, &device->threads));
    uint32_t count_of = hel_threads_count(device->threads);
    device->shared = hel_alloc_zero(count_of, sizeof *device->shared);
    device->shares = hel_alloc_aligned(count_of * sizeof *device->shares);
    if (!device->shared || !device->shares) return hel_fail_memory(count_of * sizeof *device->shares);
    for (uint32_t i = 0; i < count_of; i++) {
        device->shared[i] = hel_alloc_aligned(CPU_SHARED_SIZE);
        if (!device->shared[i]) return hel_fail_memory(CPU_SHARED_SIZE);
    }
    return HEL_OK;
}

static hel_status open(uint32_t index, const hel_device_params *params, hel_device_base **out) {
    cpu_device *device = hel_alloc_zero(1, sizeof *device);
    if (!device) return hel_fail_memory(sizeof *device);
    hel_status status = prepare_threads(device, params->threads);
    if (status == HEL_OK) status = describe(index, &device->base.data);
    if (status != HEL_OK) {
        destroy(&device->base.data);
        return status;
    }
    device->base.functions = &functions;
    device->scalar = params->scalar;
    device->precision = params->precision;
    if (device->scalar) {
        snprintf(device->base.data.driver, sizeof device->base.data.driver, "scalar");
        device->base.data.features.scalar = true;
    }
    *out = &device->base;
    return HEL_OK;
}

const hel_backend hel_backend_cpu = {"cpu", count, describe, open};
