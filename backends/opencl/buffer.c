// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "opencl.h"

hel_status opencl_buffer_create(const hel_device *data, uint64_t size, hel_buffer **out) {
    opencl_device *device = opencl_device_of(data);
    opencl_buffer *buffer = hel_alloc_zero(1, sizeof *buffer);
    if (!buffer) return hel_fail_memory(sizeof *buffer);
    uint64_t bytes = hel_round_up(size, 4);
    cl_int code;
    buffer->memory = opencl.clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    hel_status status = opencl_check(code, "clCreateBuffer");
    if (status == HEL_OK) status = opencl_buffer_fill(data, &buffer->base, 0, bytes, 0);
    if (status != HEL_OK) {
        opencl_buffer_destroy(data, &buffer->base);
        return status;
    }
    *out = &buffer->base;
    return HEL_OK;
}

// The driver keeps memory objects alive until the commands that use them are done.
void opencl_buffer_destroy(const hel_device *data, hel_buffer *base) {
    (void)data;
    opencl_buffer *buffer = opencl_buffer_of(base);
    for (uint32_t i = 0; buffer->ranges && i < OPENCL_RANGES; i++)
        if (buffer->ranges[i].memory) opencl.clReleaseMemObject(buffer->ranges[i].memory);
    if (buffer->memory) opencl.clReleaseMemObject(buffer->memory);
    hel_free(buffer->ranges);
    hel_free(buffer);
}

// ---------------------------------------------------------------- sub-buffers

// The range itself, or the one in its set that has been out of use for longest. A dispatch has no more bindings than
// a set has places, so none of its own sub-buffers is ever the one to go.
static opencl_range *find_range(opencl_buffer *buffer, const hel_binding *binding) {
    uint64_t hash = (binding->offset ^ binding->size * 31) * 0x9e3779b97f4a7c15u >> 32;
    opencl_range *set = buffer->ranges + hash % (OPENCL_RANGES / HEL_MAX_BINDINGS) * HEL_MAX_BINDINGS, *oldest = set;
    for (opencl_range *range = set; range < set + HEL_MAX_BINDINGS; range++) {
        if (range->memory && range->offset == binding->offset && range->size == binding->size) return range;
        if (range->used < oldest->used) oldest = range;
    }
    return oldest;
}

static hel_status replace_range(opencl_buffer *buffer, opencl_range *range, const hel_binding *binding) {
    cl_buffer_region region = {binding->offset, binding->size};
    cl_int code;
    cl_mem memory = opencl.clCreateSubBuffer(buffer->memory, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    HEL_TRY(opencl_check(code, "clCreateSubBuffer"));
    if (range->memory) opencl.clReleaseMemObject(range->memory);
    *range = (opencl_range){.offset = binding->offset, .size = binding->size, .memory = memory};
    return HEL_OK;
}

// OpenCL 1.2 binds memory objects only, so a part of a buffer needs one of its own. The same few ranges come back for
// every token, so they are kept.
hel_status opencl_buffer_range(const hel_binding *binding, cl_mem *out) {
    opencl_buffer *buffer = opencl_buffer_of(binding->buffer);
    *out = buffer->memory;
    if (binding->offset == 0 && binding->size == buffer->base.size) return HEL_OK;
    if (!buffer->ranges && !(buffer->ranges = hel_alloc_zero(OPENCL_RANGES, sizeof *buffer->ranges)))
        return hel_fail_memory(OPENCL_RANGES * sizeof *buffer->ranges);
    opencl_range *range = find_range(buffer, binding);
    if (!range->memory || range->offset != binding->offset || range->size != binding->size)
        HEL_TRY(replace_range(buffer, range, binding));
    range->used = ++buffer->clock;
    *out = range->memory;
    return HEL_OK;
}

// ---------------------------------------------------------------- transfers

// Waits until the other half is free, marks the end of this one and changes over.
static hel_status next_half(opencl_device *device) {
    opencl_staging *staging = &device->staging;
    cl_event *other = &staging->done[staging->half ^ 1];
    if (*other) HEL_TRY(opencl_check(opencl.clWaitForEvents(1, other), "clWaitForEvents"));
    opencl_event_release(other);
    HEL_TRY(opencl_check(opencl.clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &staging->done[staging->half]),
                         "clEnqueueMarkerWithWaitList"));
    staging->half ^= 1;
    staging->used = 0;
    return HEL_OK;
}

static hel_status stage(opencl_device *device, const void *bytes, size_t size, const void **out) {
    opencl_staging *staging = &device->staging;
    if (!staging->bytes && !(staging->bytes = hel_alloc_aligned(2 * OPENCL_STAGING_HALF)))
        return hel_fail_memory(2 * OPENCL_STAGING_HALF);
    if (size > OPENCL_STAGING_HALF - staging->used) HEL_TRY(next_half(device));
    unsigned char *place = staging->bytes + staging->half * (size_t)OPENCL_STAGING_HALF + staging->used;
    memcpy(place, bytes, size);
    staging->used += hel_round_up(size, 64);
    *out = place;
    return HEL_OK;
}

void opencl_staging_finish(opencl_staging *staging) {
    for (int i = 0; i < 2; i++) opencl_event_release(&staging->done[i]);
    hel_free_aligned(staging->bytes);
    staging->bytes = NULL;
}

hel_status opencl_buffer_write(const hel_device *data, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                               const void *bytes, uint64_t size) {
    (void)queue;
    opencl_device *device = opencl_device_of(data);
    bool staged = size <= OPENCL_STAGING_HALF / 4;
    if (staged) HEL_TRY(stage(device, bytes, (size_t)size, &bytes));
    return opencl_check(opencl.clEnqueueWriteBuffer(device->queue, opencl_buffer_of(buffer)->memory, staged ? CL_FALSE : CL_TRUE,
                                                    offset, size, bytes, 0, NULL, NULL),
                        "clEnqueueWriteBuffer");
}

hel_status opencl_buffer_read(const hel_device *data, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                              uint64_t size) {
    (void)queue;
    return opencl_check(opencl.clEnqueueReadBuffer(opencl_device_of(data)->queue, opencl_buffer_of(buffer)->memory, CL_TRUE,
                                                   offset, size, bytes, 0, NULL, NULL),
                        "clEnqueueReadBuffer");
}

hel_status opencl_buffer_copy(const hel_device *data, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                              hel_buffer *from, uint64_t from_offset, uint64_t size) {
    (void)queue;
    return opencl_check(opencl.clEnqueueCopyBuffer(opencl_device_of(data)->queue, opencl_buffer_of(from)->memory,
                                                   opencl_buffer_of(to)->memory, from_offset, to_offset, size, 0, NULL, NULL),
                        "clEnqueueCopyBuffer");
}

hel_status opencl_buffer_fill(const hel_device *data, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    return opencl_check(opencl.clEnqueueFillBuffer(opencl_device_of(data)->queue, opencl_buffer_of(buffer)->memory, &word,
                                                   sizeof word, offset, size, 0, NULL, NULL),
                        "clEnqueueFillBuffer");
}
