// SPDX-License-Identifier: Apache-2.0
// What the command buffers of batches and of recordings are filled with.
#include "base/error.h"
#include "vulkan.h"

void vulkan_commands_barrier(VkCommandBuffer commands, const vulkan_queue *queue, VkPipelineStageFlags more_stages,
                             VkAccessFlags more_accesses) {
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = queue->accesses,
                              .dstAccessMask = queue->accesses | more_accesses};
    vulkan.vkCmdPipelineBarrier(commands, queue->stages, queue->stages | more_stages, 0, 1, &memory, 0, NULL, 0, NULL);
}

hel_status vulkan_descriptors_create(vulkan_device *device, uint32_t sets, uint32_t bindings, VkDescriptorPool *out) {
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, bindings};
    VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = sets,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &size};
    return VULKAN(vkCreateDescriptorPool, device->device, &info, NULL, out);
}

hel_status vulkan_set_create(vulkan_device *device, VkDescriptorPool pool, const vulkan_kernel *kernel,
                             const hel_binding *bindings, VkDescriptorSet *out) {
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = pool,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &kernel->set_layout};
    HEL_TRY(VULKAN(vkAllocateDescriptorSets, device->device, &info, out));
    VkDescriptorBufferInfo ranges[HEL_MAX_BINDINGS];
    uint32_t count = kernel->base.source->n_bindings;
    for (uint32_t i = 0; i < count; i++)
        ranges[i] = (VkDescriptorBufferInfo){vulkan_buffer_of(bindings[i].buffer)->buffer, bindings[i].offset,
                                             bindings[i].size};
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = *out,
                                  .descriptorCount = count,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                  .pBufferInfo = ranges};
    vulkan.vkUpdateDescriptorSets(device->device, 1, &write, 0, NULL); // goes on from binding 0 to the following ones
    return HEL_OK;
}

void vulkan_ranges_of(const vulkan_kernel *kernel, const hel_binding *bindings,
                      hel_hazard_range ranges[HEL_MAX_BINDINGS]) {
    const hel_kernel_source *source = kernel->base.source;
    for (uint32_t i = 0; i < source->n_bindings; i++)
        ranges[i] = (hel_hazard_range){bindings[i].buffer, bindings[i].offset, bindings[i].offset + bindings[i].size,
                                       (source->access[i] & HEL_ACCESS_OUT) != 0};
}

void vulkan_commands_dispatch(VkCommandBuffer commands, const vulkan_kernel *kernel, VkDescriptorSet set,
                              const void *params, uint32_t groups_x, uint32_t groups_y) {
    vulkan.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
    vulkan.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->layout, 0, 1, &set, 0, NULL);
    vulkan.vkCmdPushConstants(commands, kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              kernel->base.source->params_size, params);
    vulkan.vkCmdDispatch(commands, groups_x, groups_y, 1);
}
