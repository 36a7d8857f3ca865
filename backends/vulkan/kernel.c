// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

// ---------------------------------------------------------------- pipelines

static hel_status create_layouts(vulkan_device *device, const hel_kernel_source *source, vulkan_kernel *kernel) {
    VkDescriptorSetLayoutBinding bindings[HEL_MAX_BINDINGS];
    for (uint32_t i = 0; i < source->n_bindings; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                           .bindingCount = source->n_bindings,
                                           .pBindings = bindings};
    HEL_TRY(VULKAN(vkCreateDescriptorSetLayout, device->device, &set, NULL, &kernel->set_layout));
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, source->params_size};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .setLayoutCount = 1,
                                         .pSetLayouts = &kernel->set_layout,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &push};
    return VULKAN(vkCreatePipelineLayout, device->device, &layout, NULL, &kernel->layout);
}

// What a kernel is compiled for besides its own constants; `subgroup` is 0 where it does not add across one.
typedef struct lane_counts { uint32_t workgroup, subgroup; } lane_counts;

static lane_counts lanes_of(const vulkan_device *device, const hel_kernel_source *source, const uint32_t *constants) {
    uint32_t workgroup = hel_kernel_workgroup(source, &device->base.data, constants);
    bool adds = hel_kernel_text_has(source, "spirv_subgroups");
    return (lane_counts){workgroup, adds ? vulkan_subgroup_lanes(&device->subgroups, workgroup) : 0};
}

static hel_status create_pipeline(vulkan_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                  lane_counts lanes, VkShaderModule module, vulkan_kernel *kernel) {
    enum { MORE = 2 };
    const uint32_t count = source->n_constants, more_ids[MORE] = {HEL_WORKGROUP_ID, HEL_SUBGROUP_ID};
    uint32_t values[HEL_MAX_CONSTANTS + MORE] = {0};
    VkSpecializationMapEntry entries[HEL_MAX_CONSTANTS + MORE];
    memcpy(values, constants, count * sizeof *values);
    values[count] = lanes.workgroup, values[count + 1] = lanes.subgroup;
    for (uint32_t i = 0; i < count + MORE; i++)
        entries[i] = (VkSpecializationMapEntry){i < count ? i : more_ids[i - count], i * (uint32_t)sizeof *values, sizeof *values};
    VkSpecializationInfo special = {count + MORE, entries, (count + MORE) * sizeof *values, values};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = lanes.subgroup};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &special},
        .layout = kernel->layout,
    };
    if (lanes.subgroup) {
        info.stage.pNext = &size;
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
    }
    return VULKAN(vkCreateComputePipelines, device->device, device->pipeline_cache, 1, &info, NULL, &kernel->pipeline);
}

static hel_status fill_kernel(vulkan_device *device, const hel_kernel_source *source, const uint32_t *constants,
                              vulkan_kernel *kernel) {
    const lane_counts lanes = lanes_of(device, source, constants);
    hel_kernel_text text;
    HEL_TRY(hel_kernel_text_find(source, lanes.subgroup ? "spirv_subgroups" : "spirv", &text));
    HEL_TRY(create_layouts(device, source, kernel));
    VkShaderModuleCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = text.size, .pCode = text.bytes};
    VkShaderModule module;
    HEL_TRY(VULKAN(vkCreateShaderModule, device->device, &info, NULL, &module));
    hel_status status = create_pipeline(device, source, constants, lanes, module, kernel);
    vulkan.vkDestroyShaderModule(device->device, module, NULL);
    return status;
}

static void free_kernel(vulkan_device *device, vulkan_kernel *kernel) {
    if (kernel->pipeline) vulkan.vkDestroyPipeline(device->device, kernel->pipeline, NULL);
    if (kernel->layout) vulkan.vkDestroyPipelineLayout(device->device, kernel->layout, NULL);
    if (kernel->set_layout) vulkan.vkDestroyDescriptorSetLayout(device->device, kernel->set_layout, NULL);
    hel_free(kernel);
}

hel_status vulkan_kernel_create(const hel_device *data, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_kernel *kernel = hel_alloc_zero(1, sizeof *kernel);
    if (!kernel) return hel_fail_memory(sizeof *kernel);
    hel_status status = fill_kernel(device, source, constants, kernel);
    if (status != HEL_OK) {
        free_kernel(device, kernel);
        return status;
    }
    device->cache_changed = true;
    *out = &kernel->base;
    return HEL_OK;
}

// Kernels go when the device is closed; work that uses them ends first.
void vulkan_kernel_destroy(const hel_device *data, hel_kernel *kernel) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_finish_all(device);
    free_kernel(device, (vulkan_kernel *)kernel);
}

// ---------------------------------------------------------------- pipelines of earlier runs

static hel_status find_key(vulkan_device *device) {
    static const char purpose[] = "helicoid vulkan pipelines";
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
    vulkan.vkGetPhysicalDeviceProperties2(device->physical, &properties);
    const VkPhysicalDeviceProperties *core = &properties.properties;
    uint32_t numbers[4] = {core->vendorID, core->deviceID, core->driverVersion, core->apiVersion};
    hel_binary_part parts[] = {{purpose, sizeof purpose},
                               {numbers, sizeof numbers},
                               {core->pipelineCacheUUID, VK_UUID_SIZE},
                               {id.deviceUUID, VK_UUID_SIZE},
                               {id.driverUUID, VK_UUID_SIZE}};
    return hel_binary_cache_key(parts, HEL_COUNT(parts), &device->cache_key);
}

static hel_status create_cache(vulkan_device *device, const void *bytes, size_t size) {
    VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = bytes};
    return VULKAN(vkCreatePipelineCache, device->device, &info, NULL, &device->pipeline_cache);
}

hel_status vulkan_pipelines_load(vulkan_device *device, const char *directory) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    HEL_TRY(hel_binary_cache_init(directory, &device->cache));
    HEL_TRY(find_key(device));
    bool found = hel_binary_cache_load(&device->cache, &device->cache_key, &bytes, &size);
    hel_status status = create_cache(device, bytes, size);
    if (status != HEL_OK && found) status = create_cache(device, NULL, 0);
    hel_free(bytes);
    return status;
}

void vulkan_pipelines_store(vulkan_device *device) {
    size_t size = 0;
    if (!device->cache_changed || !device->cache.folder) return;
    if (VULKAN(vkGetPipelineCacheData, device->device, device->pipeline_cache, &size, NULL) != HEL_OK || !size) return;
    unsigned char *bytes = hel_alloc(size);
    if (bytes && vulkan.vkGetPipelineCacheData(device->device, device->pipeline_cache, &size, bytes) == VK_SUCCESS)
        hel_binary_cache_store(&device->cache, &device->cache_key, bytes, size);
    hel_free(bytes);
}
