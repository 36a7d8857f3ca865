// SPDX-License-Identifier: Apache-2.0
// Device memory in blocks: drivers allow few allocations (often 4096) and make them slowly, so small buffers share.
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

enum {
    LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    SHARED = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
};

static bool find_with(const vulkan_device *device, uint32_t allowed, VkMemoryPropertyFlags flags, uint32_t *out) {
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++)
        if (allowed & 1u << i && (device->memory.memoryTypes[i].propertyFlags & flags) == flags) {
            *out = i;
            return true;
        }
    return false;
}

// The first kind in the order of preference that the device has.
static hel_status find_type(const vulkan_device *device, uint32_t allowed, bool host, uint32_t *out) {
    static const VkMemoryPropertyFlags for_host[] = {SHARED | CACHED, SHARED},
                                       mapped[] = {LOCAL | SHARED | CACHED, LOCAL | SHARED, LOCAL, 0},
                                       local[] = {LOCAL, 0};
    bool maps = device->base.data.features.mapped;
    const VkMemoryPropertyFlags *kinds = host ? for_host : maps ? mapped : local;
    size_t count = host ? HEL_COUNT(for_host) : maps ? HEL_COUNT(mapped) : HEL_COUNT(local);
    for (size_t i = 0; i < count; i++)
        if (find_with(device, allowed, kinds[i], out)) return HEL_OK;
    return hel_fail(HEL_ERROR_DEVICE, "vulkan: no memory type suits a %s buffer", host ? "staging" : "storage");
}

static void free_block(vulkan_device *device, vulkan_block *block) {
    if (block->memory) vulkan.vkFreeMemory(device->device, block->memory, NULL); // unmaps as well
    hel_suballoc_destroy(&block->places);
    hel_free(block);
}

static hel_status fill_block(vulkan_device *device, vulkan_block *block) {
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = block->size, .memoryTypeIndex = block->type};
    void *mapped = NULL;
    HEL_TRY(hel_suballoc_create(block->size, &block->places));
    HEL_TRY(VULKAN(vkAllocateMemory, device->device, &info, NULL, &block->memory));
    if ((device->memory.memoryTypes[block->type].propertyFlags & SHARED) == SHARED)
        HEL_TRY(VULKAN(vkMapMemory, device->device, block->memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    block->mapped = mapped;
    return HEL_OK;
}

static hel_status add_block(vulkan_device *device, uint64_t size, uint32_t type, vulkan_block **out) {
    vulkan_block *block = hel_alloc_zero(1, sizeof *block);
    if (!block) return hel_fail_memory(sizeof *block);
    block->size = size;
    block->type = type;
    hel_status status = fill_block(device, block);
    if (status != HEL_OK) {
        free_block(device, block);
        return status;
    }
    block->next = device->blocks;
    device->blocks = *out = block;
    return HEL_OK;
}

// A small device is not filled by its first block.
static uint64_t block_size(const vulkan_device *device, uint32_t type) {
    uint64_t heap = device->memory.memoryHeaps[device->memory.memoryTypes[type].heapIndex].size;
    return HEL_MIN((uint64_t)VULKAN_BLOCK_SIZE, HEL_MIN(heap / 16, device->base.data.limits.max_buffer));
}

static hel_status take_place(vulkan_device *device, const VkMemoryRequirements *needs, uint32_t type,
                             vulkan_block **out_block, uint64_t *out_offset) {
    uint64_t common = block_size(device, type);
    if (needs->size > common / 2) {
        HEL_TRY(add_block(device, needs->size, type, out_block));
        return hel_suballoc_take((*out_block)->places, needs->size, needs->alignment, out_offset);
    }
    for (vulkan_block *block = device->blocks; block; block = block->next) {
        if (block->type != type || block->size != common) continue;
        hel_status status = hel_suballoc_take(block->places, needs->size, needs->alignment, out_offset);
        *out_block = block;
        if (status != HEL_ERROR_DEVICE_MEMORY) return status;
    }
    HEL_TRY(add_block(device, common, type, out_block));
    return hel_suballoc_take((*out_block)->places, needs->size, needs->alignment, out_offset);
}

hel_status vulkan_memory_take(vulkan_device *device, bool host, vulkan_buffer *buffer) {
    VkMemoryRequirements needs;
    vulkan_block *block;
    uint32_t type = 0;
    uint64_t offset;
    vulkan.vkGetBufferMemoryRequirements(device->device, buffer->buffer, &needs);
    HEL_TRY(find_type(device, needs.memoryTypeBits, host, &type));
    HEL_TRY(take_place(device, &needs, type, &block, &offset));
    buffer->block = block;
    buffer->offset = offset;
    buffer->size = needs.size;
    buffer->mapped = block->mapped ? block->mapped + offset : NULL;
    return VULKAN(vkBindBufferMemory, device->device, buffer->buffer, block->memory, offset);
}

// One empty block of the common size stays, so that a buffer that comes and goes does not cost an allocation each time.
static bool is_spare(const vulkan_device *device, const vulkan_block *block) {
    if (block->size != block_size(device, block->type)) return false;
    for (const vulkan_block *other = device->blocks; other; other = other->next)
        if (other != block && other->type == block->type && !hel_suballoc_used(other->places)) return false;
    return true;
}

void vulkan_memory_give(vulkan_device *device, vulkan_buffer *buffer) {
    vulkan_block *block = buffer->block;
    if (!block) return;
    hel_suballoc_give(block->places, buffer->offset, buffer->size);
    buffer->block = NULL;
    if (hel_suballoc_used(block->places) || is_spare(device, block)) return;
    vulkan_block **link = &device->blocks;
    while (*link != block) link = &(*link)->next;
    *link = block->next;
    free_block(device, block);
}

void vulkan_memory_close(vulkan_device *device) {
    while (device->blocks) {
        vulkan_block *block = device->blocks;
        device->blocks = block->next;
        free_block(device, block);
    }
}
