// SPDX-License-Identifier: Apache-2.0
// Buffers that the host sees are written and read in place where the device does not use them; all else goes through
// the queue's staging ring, in order with its other work.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

// ---------------------------------------------------------------- life

static hel_status fill_buffer(vulkan_device *device, uint64_t size, bool host, vulkan_buffer *buffer) {
    uint32_t families[2] = {device->queues[0].family, device->queues[1].family};
    bool shared = device->n_queues > 1;
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = hel_round_up(size, 4),
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                               .sharingMode = shared ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE,
                               .queueFamilyIndexCount = shared ? 2 : 0,
                               .pQueueFamilyIndices = families};
    HEL_TRY(VULKAN(vkCreateBuffer, device->device, &info, NULL, &buffer->buffer));
    return vulkan_memory_take(device, host, buffer);
}

hel_status vulkan_buffer_create_kind(vulkan_device *device, uint64_t size, bool host, vulkan_buffer **out) {
    vulkan_buffer *buffer = hel_alloc_zero(1, sizeof *buffer);
    if (!buffer) return hel_fail_memory(sizeof *buffer);
    hel_status status = fill_buffer(device, size, host, buffer);
    if (status != HEL_OK) {
        vulkan_buffer_free(device, buffer);
        return status;
    }
    *out = buffer;
    return HEL_OK;
}

void vulkan_buffer_free(vulkan_device *device, vulkan_buffer *buffer) {
    if (buffer->buffer) vulkan.vkDestroyBuffer(device->device, buffer->buffer, NULL);
    vulkan_memory_give(device, buffer);
    hel_free(buffer);
}

bool vulkan_buffer_idle(const vulkan_device *device, const vulkan_buffer *buffer) {
    return !vulkan_queue_pending(&device->queues[0], buffer->used[0]) &&
           !vulkan_queue_pending(&device->queues[1], buffer->used[1]);
}

// Memory of buffers that are destroyed but still in use counts as free: wait for it before giving up.
static hel_status create_after_waiting(vulkan_device *device, uint64_t size, vulkan_buffer **out) {
    hel_status status = vulkan_buffer_create_kind(device, size, false, out);
    if (status != HEL_ERROR_DEVICE_MEMORY || !device->retired) return status;
    for (uint32_t i = 0; i < device->n_queues; i++)
        HEL_TRY(vulkan_queue_finish(device, &device->queues[i], device->serial));
    vulkan_collect(device);
    return vulkan_buffer_create_kind(device, size, false, out);
}

static hel_status zero(vulkan_device *device, vulkan_buffer *buffer, uint64_t size) {
    uint64_t bytes = hel_round_up(size, 4);
    if (buffer->mapped) {
        memset(buffer->mapped, 0, bytes);
        return HEL_OK;
    }
    HEL_TRY(vulkan_buffer_fill(&device->base.data, &buffer->base, 0, bytes, 0));
    buffer->zeroed = buffer->used[0];
    return HEL_OK;
}

hel_status vulkan_buffer_create(const hel_device *data, uint64_t size, hel_buffer **out) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_buffer *buffer;
    vulkan_collect(device);
    HEL_TRY(create_after_waiting(device, size, &buffer));
    hel_status status = zero(device, buffer, size);
    if (status != HEL_OK) {
        vulkan_buffer_destroy(data, &buffer->base);
        return status;
    }
    *out = &buffer->base;
    return HEL_OK;
}

void vulkan_buffer_destroy(const hel_device *data, hel_buffer *base) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_buffer *buffer = vulkan_buffer_of(base);
    buffer->next = device->retired;
    device->retired = buffer;
    vulkan_collect(device);
}

hel_status vulkan_buffer_map(const hel_device *data, hel_buffer *buffer, void **out) {
    *out = vulkan_buffer_of(buffer)->mapped;
    return *out ? HEL_OK
                : hel_fail(HEL_ERROR_UNSUPPORTED, "vulkan: \"%s\" keeps this buffer where the host cannot see it",
                           data->name);
}

// ---------------------------------------------------------------- on the device

static hel_hazard_range range_of(const vulkan_buffer *buffer, uint64_t offset, uint64_t size, bool write) {
    return (hel_hazard_range){buffer, offset, offset + size, write};
}

hel_status vulkan_buffer_copy(const hel_device *data, hel_queue which, hel_buffer *to, uint64_t to_offset,
                              hel_buffer *from, uint64_t from_offset, uint64_t size) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = vulkan_queue_of(device, which);
    const vulkan_buffer *target = vulkan_buffer_of(to), *source = vulkan_buffer_of(from);
    hel_hazard_range ranges[2] = {range_of(target, to_offset, size, true), range_of(source, from_offset, size, false)};
    VkBufferCopy region = {from_offset, to_offset, size};
    HEL_TRY(vulkan_batch_enter(device, queue, ranges, 2));
    vulkan.vkCmdCopyBuffer(queue->open->commands, source->buffer, target->buffer, 1, &region);
    return HEL_OK;
}

hel_status vulkan_buffer_fill(const hel_device *data, hel_buffer *base, uint64_t offset, uint64_t size, uint32_t word) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_buffer *buffer = vulkan_buffer_of(base);
    hel_hazard_range range = range_of(buffer, offset, size, true);
    HEL_TRY(vulkan_batch_enter(device, &device->queues[0], &range, 1));
    vulkan.vkCmdFillBuffer(device->queues[0].open->commands, buffer->buffer, offset, size, word);
    return HEL_OK;
}

// ---------------------------------------------------------------- staging

static bool find_room(vulkan_staging *staging, uint64_t size, uint64_t *out) {
    uint64_t start = staging->head;
    if (start % VULKAN_STAGING_SIZE + size > VULKAN_STAGING_SIZE) start = hel_round_up(start, VULKAN_STAGING_SIZE);
    if (start + size - staging->tail > VULKAN_STAGING_SIZE) return false;
    staging->head = start + hel_round_up(size, 16);
    *out = start % VULKAN_STAGING_SIZE;
    return true;
}

// Waits for the oldest batch until there is room; the open batch goes too when it is what holds the ring.
static hel_status stage(vulkan_device *device, vulkan_queue *queue, uint64_t size, uint64_t *out_offset) {
    vulkan_staging *staging = &queue->staging;
    if (!staging->buffer) HEL_TRY(vulkan_buffer_create_kind(device, VULKAN_STAGING_SIZE, true, &staging->buffer));
    if (!queue->first && !queue->open) staging->tail = staging->head;
    while (!find_room(staging, size, out_offset)) {
        if (!queue->first) HEL_TRY(vulkan_queue_submit(device, queue));
        HEL_TRY(vulkan_queue_wait_oldest(device, queue));
    }
    return HEL_OK;
}

static hel_status write_piece(vulkan_device *device, vulkan_queue *queue, vulkan_buffer *buffer, uint64_t offset,
                              const unsigned char *bytes, uint64_t size) {
    VkBufferCopy region = {0, offset, size};
    hel_hazard_range range = range_of(buffer, offset, size, true);
    HEL_TRY(stage(device, queue, size, &region.srcOffset));
    memcpy(queue->staging.buffer->mapped + region.srcOffset, bytes, size);
    HEL_TRY(vulkan_batch_enter(device, queue, &range, 1));
    vulkan.vkCmdCopyBuffer(queue->open->commands, queue->staging.buffer->buffer, buffer->buffer, 1, &region);
    queue->open->staged = queue->staging.head;
    return HEL_OK;
}

hel_status vulkan_buffer_write(const hel_device *data, hel_queue which, hel_buffer *base, uint64_t offset,
                               const void *bytes, uint64_t size) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_buffer *buffer = vulkan_buffer_of(base);
    vulkan_collect(device);
    if (buffer->mapped && vulkan_buffer_idle(device, buffer)) {
        memcpy(buffer->mapped + offset, bytes, size);
        return HEL_OK;
    }
    for (uint64_t at = 0; at < size; at += VULKAN_STAGING_PIECE)
        HEL_TRY(write_piece(device, vulkan_queue_of(device, which), buffer, offset + at,
                            (const unsigned char *)bytes + at, HEL_MIN(size - at, (uint64_t)VULKAN_STAGING_PIECE)));
    return HEL_OK;
}

static hel_status read_piece(vulkan_device *device, vulkan_queue *queue, vulkan_buffer *buffer, uint64_t offset,
                             unsigned char *bytes, uint64_t size) {
    VkBufferCopy region = {offset, 0, size};
    hel_hazard_range range = range_of(buffer, offset, size, false);
    HEL_TRY(vulkan_batch_enter(device, queue, &range, 1));
    vulkan.vkCmdCopyBuffer(queue->open->commands, buffer->buffer, device->readback->buffer, 1, &region);
    HEL_TRY(vulkan_queue_finish(device, queue, device->serial));
    memcpy(bytes, device->readback->mapped, size);
    return HEL_OK;
}

hel_status vulkan_buffer_read(const hel_device *data, hel_queue which, hel_buffer *base, uint64_t offset, void *bytes,
                              uint64_t size) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = vulkan_queue_of(device, which);
    vulkan_buffer *buffer = vulkan_buffer_of(base);
    if (buffer->mapped) {
        HEL_TRY(vulkan_queue_finish(device, queue, device->serial));
        memcpy(bytes, buffer->mapped + offset, size);
        return HEL_OK;
    }
    if (!device->readback) HEL_TRY(vulkan_buffer_create_kind(device, VULKAN_STAGING_PIECE, true, &device->readback));
    for (uint64_t at = 0; at < size; at += VULKAN_STAGING_PIECE)
        HEL_TRY(read_piece(device, queue, buffer, offset + at, (unsigned char *)bytes + at,
                           HEL_MIN(size - at, (uint64_t)VULKAN_STAGING_PIECE)));
    return HEL_OK;
}
