// SPDX-License-Identifier: Apache-2.0
// The null device: a skeleton to copy, and the front end's test. It keeps bytes and runs nothing.
// docs/adding-a-backend.md walks through this file.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "device/backend.h"

typedef struct null_device {
    hel_device_base base;
    uint64_t ticket;
} null_device;

typedef struct null_buffer {
    hel_buffer base;
    unsigned char bytes[];
} null_buffer;

static unsigned char *bytes_of(hel_buffer *buffer) { return ((null_buffer *)buffer)->bytes; }

static void destroy(hel_device *device) { hel_free(device); }

static hel_status buffer_create(const hel_device *device, uint64_t size, hel_buffer **out) {
    (void)device;
    null_buffer *buffer = hel_alloc_zero(1, sizeof *buffer + size);
    if (!buffer) return hel_fail_memory(size);
    *out = &buffer->base;
    return HEL_OK;
}

static void buffer_destroy(const hel_device *device, hel_buffer *buffer) {
    (void)device;
    hel_free(buffer);
}

static hel_status buffer_map(const hel_device *device, hel_buffer *buffer, void **out) {
    (void)device;
    *out = bytes_of(buffer);
    return HEL_OK;
}

static hel_status buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                               const void *bytes, uint64_t size) {
    (void)device, (void)queue;
    memcpy(bytes_of(buffer) + offset, bytes, size);
    return HEL_OK;
}

static hel_status buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                              uint64_t size) {
    (void)device, (void)queue;
    memcpy(bytes, bytes_of(buffer) + offset, size);
    return HEL_OK;
}

static hel_status buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset, hel_buffer *from,
                              uint64_t from_offset, uint64_t size) {
    (void)device, (void)queue;
    memcpy(bytes_of(to) + to_offset, bytes_of(from) + from_offset, size);
    return HEL_OK;
}

static hel_status buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    (void)device;
    for (uint64_t at = 0; at < size; at += sizeof word) memcpy(bytes_of(buffer) + offset + at, &word, sizeof word);
    return HEL_OK;
}

static hel_status kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out) {
    (void)device, (void)source, (void)constants;
    *out = hel_alloc_zero(1, sizeof **out);
    return *out ? HEL_OK : hel_fail_memory(sizeof **out);
}

static void kernel_destroy(const hel_device *device, hel_kernel *kernel) {
    (void)device;
    hel_free(kernel);
}

static hel_status dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    (void)device, (void)kernel, (void)bindings, (void)params, (void)groups_x, (void)groups_y, (void)timer;
    return HEL_OK;
}

static hel_status mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket) {
    (void)queue;
    *out_ticket = ++((null_device *)hel_device_base_of(device))->ticket;
    return HEL_OK;
}

static hel_status wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns) {
    (void)device, (void)ticket, (void)timeout_ns;
    return HEL_OK;
}

static const hel_device_functions functions = {
    .destroy = destroy,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_map = buffer_map,
    .buffer_write = buffer_write,
    .buffer_read = buffer_read,
    .buffer_copy = buffer_copy,
    .buffer_fill = buffer_fill,
    .kernel_create = kernel_create,
    .kernel_destroy = kernel_destroy,
    .dispatch = dispatch,
    .mark = mark,
    .wait = wait,
};

static hel_status count(uint32_t *out) {
    *out = 1;
    return HEL_OK;
}

static hel_status describe(uint32_t index, hel_device *out) {
    (void)index;
    *out = (hel_device){
        .type = HEL_DEVICE_TYPE_NONE,
        .name = "null",
        .vendor = "Helicoid",
        .driver = "computes nothing",
        .limits = {.max_buffer = (uint64_t)1 << 32, .max_binding = (uint64_t)1 << 32, .offset_alignment = 4,
                   .max_workgroup = 1, .shared_memory = 16384, .subgroup = 1, .compute_units = 1},
        .features = {.mapped = true},
    };
    return HEL_OK;
}

static hel_status open(uint32_t index, const hel_device_params *params, hel_device_base **out) {
    (void)params;
    null_device *device = hel_alloc_zero(1, sizeof *device);
    if (!device) return hel_fail_memory(sizeof *device);
    device->base.functions = &functions;
    *out = &device->base;
    return describe(index, &device->base.data);
}

const hel_backend hel_backend_null = {"null", count, describe, open};
