// SPDX-License-Identifier: Apache-2.0
// Subgroups of a known size, all of whose lanes are there (VK_EXT_subgroup_size_control): without, a driver may choose another
// size for each kernel, and sums another tree. That lanes go to subgroups in order is not in the specification, but what
// drivers do.
#include "base/error.h"
#include "base/size.h"
#include "vulkan.h"

static bool is_usable(const VkPhysicalDeviceSubgroupProperties *subgroups,
                      const VkPhysicalDeviceSubgroupSizeControlPropertiesEXT *sizes,
                      const VkPhysicalDeviceSubgroupSizeControlFeaturesEXT *features) {
    return subgroups->supportedStages & sizes->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT &&
           subgroups->supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT && features->subgroupSizeControl &&
           features->computeFullSubgroups;
}

hel_status vulkan_subgroups_find(VkPhysicalDevice physical, vulkan_subgroups *out) {
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroups = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                    .pNext = &sizes};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroups};
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &control};
    bool known;
    *out = (vulkan_subgroups){0};
    HEL_TRY(vulkan_physical_has_extension(physical, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, &known));
    if (!known) return HEL_OK;
    vulkan.vkGetPhysicalDeviceProperties2(physical, &properties);
    vulkan.vkGetPhysicalDeviceFeatures2(physical, &features);
    if (!is_usable(&subgroups, &sizes, &control)) return HEL_OK;
    uint32_t usual = HEL_MAX(sizes.minSubgroupSize, HEL_MIN(subgroups.subgroupSize, sizes.maxSubgroupSize));
    *out = (vulkan_subgroups){.least = sizes.minSubgroupSize, .usual = usual, .most_of_group = sizes.maxComputeWorkgroupSubgroups};
    return HEL_OK;
}

uint32_t vulkan_subgroup_lanes(const vulkan_subgroups *subgroups, uint32_t workgroup) {
    uint32_t lanes = HEL_MIN(subgroups->usual, workgroup);
    return lanes && lanes >= subgroups->least && workgroup / lanes <= subgroups->most_of_group ? lanes : 0;
}
