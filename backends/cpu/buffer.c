// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cpu.h"

hel_status cpu_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out) {
    (void)device;
    cpu_buffer *buffer = hel_alloc(sizeof *buffer);
    if (!buffer) return hel_fail_memory(sizeof *buffer);
    buffer->bytes = hel_os_pages_alloc(size);
    if (!buffer->bytes) {
        hel_free(buffer);
        return hel_fail_memory(size);
    }
    *out = &buffer->base;
    return HEL_OK;
}

void cpu_buffer_destroy(const hel_device *device, hel_buffer *buffer) {
    (void)device;
    hel_os_pages_free(cpu_bytes(buffer), buffer->size);
    hel_free(buffer);
}

hel_status cpu_buffer_map(const hel_device *device, hel_buffer *buffer, void **out) {
    (void)device;
    *out = cpu_bytes(buffer);
    return HEL_OK;
}

hel_status cpu_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                            const void *bytes, uint64_t size) {
    (void)device, (void)queue;
    memcpy(cpu_bytes(buffer) + offset, bytes, size);
    return HEL_OK;
}

hel_status cpu_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                           uint64_t size) {
    (void)device, (void)queue;
    memcpy(bytes, cpu_bytes(buffer) + offset, size);
    return HEL_OK;
}

hel_status cpu_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset, hel_buffer *from,
                           uint64_t from_offset, uint64_t size) {
    (void)device, (void)queue;
    memcpy(cpu_bytes(to) + to_offset, cpu_bytes(from) + from_offset, size);
    return HEL_OK;
}

hel_status cpu_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    (void)device;
    for (uint64_t at = 0; at < size; at += sizeof word) memcpy(cpu_bytes(buffer) + offset + at, &word, sizeof word);
    return HEL_OK;
}
