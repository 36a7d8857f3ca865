// SPDX-License-Identifier: Apache-2.0
// A recording is a secondary command buffer with descriptor sets of its own. A replay is one command of the open batch,
// whose fence and serial stand for it as for any other command. Batches before it may still be executing the recording:
// SIMULTANEOUS_USE allows that, where waiting for them would keep the host from running ahead of the device.
#include "base/error.h"
#include "base/memory.h"
#include "vulkan.h"

// ---------------------------------------------------------------- recording

static hel_status create_pools(vulkan_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                               vulkan_recording *recording) {
    uint32_t bindings = 0;
    for (uint32_t i = 0; i < count; i++) bindings += dispatches[i].kernel->source->n_bindings;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = device->queues[0].family};
    HEL_TRY(VULKAN(vkCreateCommandPool, device->device, &pool, NULL, &recording->pool));
    VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                          .commandPool = recording->pool,
                                          .level = VK_COMMAND_BUFFER_LEVEL_SECONDARY,
                                          .commandBufferCount = 1};
    HEL_TRY(VULKAN(vkAllocateCommandBuffers, device->device, &buffer, &recording->commands));
    return vulkan_descriptors_create(device, count, bindings, &recording->descriptors);
}

// Barriers stand where they would between single dispatches.
static hel_status record(vulkan_device *device, const hel_checked_dispatch *dispatch, vulkan_recording *recording) {
    const vulkan_kernel *kernel = (const vulkan_kernel *)dispatch->kernel;
    VkDescriptorSet set;
    hel_hazard_range ranges[HEL_MAX_BINDINGS];
    HEL_TRY(vulkan_set_create(device, recording->descriptors, kernel, dispatch->bindings, &set));
    vulkan_ranges_of(kernel, dispatch->bindings, ranges);
    if (hel_hazards_enter(&recording->hazards, ranges, kernel->base.source->n_bindings))
        vulkan_commands_barrier(recording->commands, &device->queues[0], 0, 0);
    vulkan_commands_dispatch(recording->commands, kernel, set, dispatch->params, dispatch->groups_x,
                             dispatch->groups_y);
    return HEL_OK;
}

static hel_status fill(vulkan_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                       vulkan_recording *recording) {
    VkCommandBufferInheritanceInfo inheritance = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_INHERITANCE_INFO};
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT,
                                     .pInheritanceInfo = &inheritance};
    HEL_TRY(create_pools(device, dispatches, count, recording));
    HEL_TRY(VULKAN(vkBeginCommandBuffer, recording->commands, &info));
    for (uint32_t i = 0; i < count; i++) HEL_TRY(record(device, &dispatches[i], recording));
    return VULKAN(vkEndCommandBuffer, recording->commands);
}

hel_status vulkan_recording_create(const hel_device *data, const hel_checked_dispatch *dispatches, uint32_t count,
                                   hel_recording **out) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_recording *recording = hel_alloc_zero(1, sizeof *recording);
    if (!recording) return hel_fail_memory(sizeof *recording);
    hel_status status = fill(device, dispatches, count, recording);
    if (status == HEL_OK) *out = &recording->base;
    else vulkan_recording_free(device, recording);
    return status;
}

// ---------------------------------------------------------------- replaying

// One barrier for all that the batch had before; behind it the batch is where the recording ended.
hel_status vulkan_recording_replay(const hel_device *data, hel_recording *base) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = &device->queues[0];
    vulkan_recording *recording = (vulkan_recording *)base;
    vulkan_batch *batch;
    HEL_TRY(vulkan_batch_count(device, queue, 1, &batch));
    if (queue->hazards.count) vulkan_commands_barrier(batch->commands, queue, 0, 0);
    vulkan.vkCmdExecuteCommands(batch->commands, 1, &recording->commands);
    queue->hazards = recording->hazards;
    recording->used = batch->serial;
    for (uint32_t i = 0; i < base->n_buffers; i++) vulkan_buffer_of(base->buffers[i])->used[0] = batch->serial;
    return HEL_OK;
}

// ---------------------------------------------------------------- freeing

void vulkan_recording_free(vulkan_device *device, vulkan_recording *recording) {
    if (recording->descriptors) vulkan.vkDestroyDescriptorPool(device->device, recording->descriptors, NULL);
    if (recording->pool) vulkan.vkDestroyCommandPool(device->device, recording->pool, NULL);
    hel_free(recording);
}

void vulkan_recording_destroy(const hel_device *data, hel_recording *base) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_recording *recording = (vulkan_recording *)base;
    recording->next = device->retired_recordings;
    device->retired_recordings = recording;
    vulkan_collect(device);
}
