// SPDX-License-Identifier: Apache-2.0
// The front end: every argument is checked here, once, and memory is counted; the work is the backend's.
#include <helicoid/device.h>

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/require.h"
#include "base/size.h"
#include "device/backend.h"
#include "device/dispatch.h"

static hel_status lost_in(const hel_device *device, const char *what, uint64_t wanted, uint64_t limit) {
    return hel_fail(HEL_ERROR_DEVICE_MEMORY, "%s:%u: %s: %llu bytes wanted, %llu allowed", device->backend, device->index,
                    what, (unsigned long long)wanted, (unsigned long long)limit);
}

static void lock(hel_device_base *base) { hel_os_mutex_lock(base->lock); }
static void unlock(hel_device_base *base) { hel_os_mutex_unlock(base->lock); }

// Runs one call of the table under the device's lock.
#define LOCKED(base, call)            \
    do {                              \
        lock(base);                   \
        hel_status locked_ = (call);  \
        unlock(base);                 \
        return locked_;               \
    } while (0)

void hel_device_destroy(const hel_device **handle) {
    if (!handle || !*handle) return;
    hel_device_base *base = hel_device_base_of(*handle);
    while (base->kernels) {
        hel_kernel *kernel = base->kernels;
        base->kernels = kernel->next;
        base->functions->kernel_destroy(&base->data, kernel);
    }
    while (base->transforms) {
        hel_transform *transform = base->transforms;
        base->transforms = transform->next;
        base->functions->transform_destroy(&base->data, transform);
    }
    hel_choices_finish(&base->choices);
    hel_os_mutex_destroy(&base->lock);
    base->functions->destroy(&base->data);
    *handle = NULL;
}

void hel_device_memory(const hel_device *device, uint64_t *out_used, uint64_t *out_peak) {
    if (out_used) *out_used = 0;
    if (out_peak) *out_peak = 0;
    HEL_REQUIRE_OR(device, );
    hel_device_base *base = hel_device_base_of(device);
    lock(base);
    if (out_used) *out_used = base->memory_used;
    if (out_peak) *out_peak = base->memory_peak;
    unlock(base);
}

uint64_t hel_device_memory_free(const hel_device *device) {
    HEL_REQUIRE_OR(device, 0);
    hel_device_base *base = hel_device_base_of(device);
    uint64_t bytes = 0;
    if (!base->functions->memory_free) return 0;
    lock(base);
    hel_status status = base->functions->memory_free(device, &bytes);
    unlock(base);
    return status == HEL_OK ? bytes : 0;
}

// ---------------------------------------------------------------- buffers

static hel_status create_counted(hel_device_base *base, uint64_t size, hel_buffer **out) {
    uint64_t used;
    if (!hel_size_add(base->memory_used, size, &used)) return lost_in(&base->data, "memory limit", size, UINT64_MAX);
    if (base->memory_limit && used > base->memory_limit)
        return lost_in(&base->data, "memory limit", used, base->memory_limit);
    HEL_TRY(base->functions->buffer_create(&base->data, size, out));
    (*out)->size = size;
    base->memory_used = used;
    base->memory_peak = HEL_MAX(base->memory_peak, used);
    return HEL_OK;
}

hel_status hel_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out) {
    HEL_REQUIRE(device && out && size > 0);
    *out = NULL;
    if (size > device->limits.max_buffer) return lost_in(device, "largest buffer", size, device->limits.max_buffer);
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, create_counted(base, size, out));
}

void hel_buffer_destroy(const hel_device *device, hel_buffer **buffer) {
    if (!buffer || !*buffer) return;
    HEL_REQUIRE_OR(device, );
    hel_device_base *base = hel_device_base_of(device);
    lock(base);
    base->memory_used -= (*buffer)->size;
    hel_recordings_forget(base, *buffer);
    base->functions->buffer_destroy(device, *buffer);
    unlock(base);
    *buffer = NULL;
}

uint64_t hel_buffer_size(const hel_buffer *buffer) {
    HEL_REQUIRE_OR(buffer, 0);
    return buffer->size;
}

hel_status hel_buffer_map(const hel_device *device, hel_buffer *buffer, void **out) {
    HEL_REQUIRE(device && buffer && out);
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->buffer_map) return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: buffers cannot be mapped", device->backend);
    LOCKED(base, base->functions->buffer_map(device, buffer, out));
}

static bool is_queue(hel_queue queue) { return queue == HEL_QUEUE_COMPUTE || queue == HEL_QUEUE_TRANSFER; }

hel_status hel_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                            const void *bytes, uint64_t size) {
    HEL_REQUIRE(device && buffer && (bytes || !size) && is_queue(queue) && hel_buffer_has(buffer, offset, size));
    if (!size) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, base->functions->buffer_write(device, queue, buffer, offset, bytes, size));
}

hel_status hel_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                           uint64_t size) {
    HEL_REQUIRE(device && buffer && (bytes || !size) && is_queue(queue) && hel_buffer_has(buffer, offset, size));
    if (!size) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, base->functions->buffer_read(device, queue, buffer, offset, bytes, size));
}

hel_status hel_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset, hel_buffer *from,
                           uint64_t from_offset, uint64_t size) {
    HEL_REQUIRE(device && to && from && is_queue(queue));
    HEL_REQUIRE(hel_buffer_has(to, to_offset, size) && hel_buffer_has(from, from_offset, size));
    HEL_REQUIRE(to != from || to_offset + size <= from_offset || from_offset + size <= to_offset);
    if (!size) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, base->functions->buffer_copy(device, queue, to, to_offset, from, from_offset, size));
}

hel_status hel_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    HEL_REQUIRE(device && buffer && hel_buffer_has(buffer, offset, size));
    if (!size) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, base->functions->buffer_fill(device, buffer, offset, size, word));
}

// ---------------------------------------------------------------- kernels

static hel_status get_kernel(hel_device_base *base, const hel_kernel_source *source, const uint32_t *constants, hel_kernel **out) {
    size_t bytes = source->n_constants * sizeof *constants;
    for (hel_kernel *kernel = base->kernels; kernel; kernel = kernel->next)
        if (kernel->source == source && memcmp(kernel->constants, constants, bytes) == 0) {
            *out = kernel;
            return HEL_OK;
        }
    HEL_TRY(base->functions->kernel_create(&base->data, source, constants, out));
    (*out)->source = source;
    memcpy((*out)->constants, constants, bytes);
    (*out)->next = base->kernels;
    base->kernels = *out;
    return HEL_OK;
}

hel_status hel_kernel_get(const hel_device *device, const char *name, const uint32_t *constants, uint32_t count, hel_kernel **out) {
    HEL_REQUIRE(device && name && out && (constants || !count));
    *out = NULL;
    const hel_kernel_source *source = hel_kernel_source_find(name);
    if (!source) return hel_fail(HEL_ERROR_NOT_FOUND, "no kernel is called \"%s\"", name);
    HEL_REQUIRE(count <= source->n_constants);
    uint32_t values[HEL_MAX_CONSTANTS];
    memcpy(values, source->defaults, sizeof values);
    if (count) memcpy(values, constants, count * sizeof *constants);
    HEL_TRY(hel_kernel_check_constants(source, device, values));
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, get_kernel(base, source, values, out));
}

// ---------------------------------------------------------------- order and time

hel_status hel_device_flush(const hel_device *device) {
    HEL_REQUIRE(device);
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->flush) return HEL_OK;
    LOCKED(base, base->functions->flush(device));
}

hel_status hel_device_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket) {
    HEL_REQUIRE(device && out_ticket && is_queue(queue));
    hel_device_base *base = hel_device_base_of(device);
    LOCKED(base, base->functions->mark(device, queue, out_ticket));
}

// Without the lock: other threads go on submitting while this one sleeps.
hel_status hel_device_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns) {
    HEL_REQUIRE(device);
    return hel_device_base_of(device)->functions->wait(device, ticket, timeout_ns);
}

hel_status hel_device_wait_idle(const hel_device *device, hel_queue queue) {
    uint64_t ticket;
    HEL_TRY(hel_device_mark(device, queue, &ticket));
    return hel_device_wait(device, ticket, UINT64_MAX);
}

hel_status hel_device_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket) {
    HEL_REQUIRE(device && is_queue(queue));
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->wait_on) return HEL_OK;
    LOCKED(base, base->functions->wait_on(device, queue, ticket));
}

hel_status hel_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns) {
    HEL_REQUIRE(device && out_ns && slot < HEL_TIMER_SLOTS);
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->timer_query) return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: no timers", device->backend);
    LOCKED(base, base->functions->timer_query(device, slot, out_ns));
}
