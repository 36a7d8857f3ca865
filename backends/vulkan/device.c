// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

// ---------------------------------------------------------------- closing

// A call that fails for lack of memory says nothing about the work: ask once more before taking the device for lost.
void vulkan_idle(vulkan_device *device) {
    if (vulkan.vkDeviceWaitIdle(device->device) != VK_SUCCESS) vulkan.vkDeviceWaitIdle(device->device);
}

void vulkan_finish_all(vulkan_device *device) {
    bool lost = false;
    for (uint32_t i = 0; i < device->n_queues; i++)
        lost |= vulkan_queue_finish(device, &device->queues[i], device->serial) != HEL_OK;
    if (lost) vulkan_idle(device);
}

static void close_device(vulkan_device *device) {
    vulkan_finish_all(device);
    vulkan_pipelines_store(device);
    while (device->retired_recordings) {
        vulkan_recording *recording = device->retired_recordings;
        device->retired_recordings = recording->next;
        vulkan_recording_free(device, recording);
    }
    while (device->retired) {
        vulkan_buffer *buffer = device->retired;
        device->retired = buffer->next;
        vulkan_buffer_free(device, buffer);
    }
    if (device->readback) vulkan_buffer_free(device, device->readback);
    for (uint32_t i = 0; i < device->n_queues; i++) vulkan_queue_close(device, &device->queues[i]);
    vulkan_memory_close(device);
    if (device->timers.pool) vulkan.vkDestroyQueryPool(device->device, device->timers.pool, NULL);
    if (device->pipeline_cache) vulkan.vkDestroyPipelineCache(device->device, device->pipeline_cache, NULL);
    vulkan.vkDestroyDevice(device->device, NULL);
}

static void destroy(hel_device *data) {
    vulkan_device *device = vulkan_device_of(data);
    if (device->device) close_device(device);
    if (device->instance) vulkan.vkDestroyInstance(device->instance, NULL);
    hel_binary_cache_finish(&device->cache);
    hel_free(device);
}

// ---------------------------------------------------------------- table

static hel_status memory_free(const hel_device *device, uint64_t *out) {
    return vulkan_physical_memory_free(vulkan_device_of(device)->physical, out);
}

static const hel_device_functions functions = {
    .destroy = destroy,
    .buffer_create = vulkan_buffer_create,
    .buffer_destroy = vulkan_buffer_destroy,
    .buffer_map = vulkan_buffer_map,
    .buffer_write = vulkan_buffer_write,
    .buffer_read = vulkan_buffer_read,
    .buffer_copy = vulkan_buffer_copy,
    .buffer_fill = vulkan_buffer_fill,
    .kernel_create = vulkan_kernel_create,
    .kernel_destroy = vulkan_kernel_destroy,
    .dispatch = vulkan_dispatch,
    .flush = vulkan_flush,
    .mark = vulkan_mark,
    .wait = vulkan_wait,
    .wait_on = vulkan_wait_on,
    .timer_query = vulkan_timer_query,
    .memory_free = memory_free,
    .recording_create = vulkan_recording_create,
    .recording_replay = vulkan_recording_replay,
    .recording_destroy = vulkan_recording_destroy,
#ifdef HEL_HAVE_VULKAN_TRANSFORM
    .transform_least = vulkan_transform_least,
    .transform_create = vulkan_transform_create,
    .transform_run = vulkan_transform_run,
    .transform_destroy = vulkan_transform_destroy,
#endif
};

static hel_status count(uint32_t *out) {
    VkInstance instance;
    HEL_TRY(vulkan_instance_create(&instance));
    hel_status status = vulkan_physical_count(instance, out);
    vulkan.vkDestroyInstance(instance, NULL);
    return status;
}

static hel_status describe(uint32_t index, hel_device *out) {
    VkInstance instance;
    VkPhysicalDevice physical;
    HEL_TRY(vulkan_instance_create(&instance));
    hel_status status = vulkan_physical_get(instance, index, &physical);
    if (status == HEL_OK) status = vulkan_physical_describe(physical, out);
    vulkan.vkDestroyInstance(instance, NULL);
    return status;
}

// ---------------------------------------------------------------- opening

static hel_status create_device(vulkan_device *device, const vulkan_families *families) {
    float priority = 1.0f;
    uint32_t count_of = families->transfer == families->compute ? 1 : 2;
    VkDeviceQueueCreateInfo queues[2] = {
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = families->compute,
         .queueCount = 1,
         .pQueuePriorities = &priority},
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = families->transfer,
         .queueCount = 1,
         .pQueuePriorities = &priority},
    };
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
        .subgroupSizeControl = VK_TRUE,
        .computeFullSubgroups = VK_TRUE};
    const char *extension = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = count_of, .pQueueCreateInfos = queues};
    if (device->subgroups.usual) info.pNext = &sizes, info.enabledExtensionCount = 1, info.ppEnabledExtensionNames = &extension;
    HEL_TRY(VULKAN(vkCreateDevice, device->physical, &info, NULL, &device->device));
    device->n_queues = count_of;
    return HEL_OK;
}

static void get_queues(vulkan_device *device, const vulkan_families *families) {
    const VkAccessFlags transfer = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    device->queues[0] = (vulkan_queue){
        .family = families->compute,
        .stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
        .accesses = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | transfer,
    };
    device->queues[1] = (vulkan_queue){
        .index = 1, .family = families->transfer, .stages = VK_PIPELINE_STAGE_TRANSFER_BIT, .accesses = transfer};
    for (uint32_t i = 0; i < device->n_queues; i++)
        vulkan.vkGetDeviceQueue(device->device, device->queues[i].family, 0, &device->queues[i].queue);
}

static hel_status create_timers(vulkan_device *device, uint32_t bits) {
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2 * HEL_TIMER_SLOTS};
    if (!bits) return HEL_OK;
    vulkan.vkGetPhysicalDeviceProperties2(device->physical, &properties);
    device->timers.period = (double)properties.properties.limits.timestampPeriod;
    device->timers.mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    return VULKAN(vkCreateQueryPool, device->device, &info, NULL, &device->timers.pool);
}

static hel_status fill_device(uint32_t index, const hel_device_params *params, vulkan_device *device) {
    vulkan_families families;
    HEL_TRY(vulkan_instance_create(&device->instance));
    HEL_TRY(vulkan_physical_get(device->instance, index, &device->physical));
    HEL_TRY(vulkan_physical_describe(device->physical, &device->base.data));
    HEL_TRY(vulkan_families_find(device->physical, &families));
    HEL_TRY(vulkan_subgroups_find(device->physical, &device->subgroups));
    vulkan.vkGetPhysicalDeviceMemoryProperties(device->physical, &device->memory);
    HEL_TRY(create_device(device, &families));
    get_queues(device, &families);
    HEL_TRY(create_timers(device, families.timestamp_bits));
    return vulkan_pipelines_load(device, params->cache_directory);
}

static hel_status open(uint32_t index, const hel_device_params *params, hel_device_base **out) {
    vulkan_device *device = hel_alloc_zero(1, sizeof *device);
    if (!device) return hel_fail_memory(sizeof *device);
    hel_status status = fill_device(index, params, device);
    if (status != HEL_OK) {
        destroy(&device->base.data);
        return status;
    }
    device->base.functions = &functions;
    *out = &device->base;
    return HEL_OK;
}

const hel_backend hel_backend_vulkan = {"vulkan", count, describe, open};
