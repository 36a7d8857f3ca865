// SPDX-License-Identifier: Apache-2.0
// What the machine's Vulkan devices are and can do.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

enum { MAX_DEVICES = 16, MAX_FAMILIES = 16 };

hel_status vulkan_instance_create(VkInstance *out) {
    *out = VK_NULL_HANDLE;
    HEL_TRY(vulkan_load());
    uint32_t version = VK_API_VERSION_1_0;
    HEL_TRY(VULKAN(vkEnumerateInstanceVersion, &version));
    if (version < VK_API_VERSION_1_1)
        return hel_fail(HEL_ERROR_UNAVAILABLE, "vulkan: the loader knows Vulkan 1.0 only");
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "helicoid",
                                     .pEngineName = "helicoid",
                                     .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    return VULKAN(vkCreateInstance, &info, NULL, out);
}

static hel_status list_devices(VkInstance instance, VkPhysicalDevice out[MAX_DEVICES], uint32_t *out_count) {
    *out_count = MAX_DEVICES;
    HEL_TRY(VULKAN(vkEnumeratePhysicalDevices, instance, out_count, out));
    return *out_count ? HEL_OK : hel_fail(HEL_ERROR_UNAVAILABLE, "vulkan: no driver has a device");
}

hel_status vulkan_physical_count(VkInstance instance, uint32_t *out) {
    VkPhysicalDevice devices[MAX_DEVICES];
    return list_devices(instance, devices, out);
}

hel_status vulkan_physical_get(VkInstance instance, uint32_t index, VkPhysicalDevice *out) {
    VkPhysicalDevice devices[MAX_DEVICES];
    uint32_t count;
    HEL_TRY(list_devices(instance, devices, &count));
    if (index >= count) return hel_fail(HEL_ERROR_UNAVAILABLE, "vulkan:%u: no such device; their number is %u", index, count);
    *out = devices[index];
    return HEL_OK;
}

hel_status vulkan_families_find(VkPhysicalDevice physical, vulkan_families *out) {
    const VkQueueFlags only_transfer = VK_QUEUE_TRANSFER_BIT | VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    VkQueueFamilyProperties families[MAX_FAMILIES];
    uint32_t count = MAX_FAMILIES;
    vulkan.vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    *out = (vulkan_families){.compute = count};
    for (uint32_t i = 0; i < count && out->compute == count; i++)
        if (families[i].queueCount && families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) out->compute = i;
    if (out->compute == count) return hel_fail(HEL_ERROR_UNSUPPORTED, "vulkan: the device has no compute queue");
    out->transfer = out->compute;
    out->timestamp_bits = families[out->compute].timestampValidBits;
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueCount && families[i].queueFlags & VK_QUEUE_TRANSFER_BIT &&
            !(families[i].queueFlags & ~only_transfer))
            out->transfer = i;
    return HEL_OK;
}

// ---------------------------------------------------------------- properties

hel_status vulkan_physical_has_extension(VkPhysicalDevice physical, const char *name, bool *out) {
    *out = false;
    uint32_t count = 0;
    HEL_TRY(VULKAN(vkEnumerateDeviceExtensionProperties, physical, NULL, &count, NULL));
    VkExtensionProperties *extensions = hel_alloc_array(count, sizeof *extensions);
    if (!extensions) return hel_fail_memory(count * sizeof *extensions);
    hel_status status = VULKAN(vkEnumerateDeviceExtensionProperties, physical, NULL, &count, extensions);
    for (uint32_t i = 0; status == HEL_OK && i < count && !*out; i++)
        *out = strcmp(extensions[i].extensionName, name) == 0;
    hel_free(extensions);
    return status;
}

static void describe_vendor(uint32_t id, char *out, size_t size) {
    static const struct {
        uint32_t id;
        const char *name;
    } vendors[] = {
        {0x1002, "AMD"},   {0x1010, "Imagination"},     {0x106b, "Apple"},    {0x10de, "NVIDIA"},
        {0x13b5, "Arm"},   {0x144d, "Samsung"},         {0x14e4, "Broadcom"}, {0x5143, "Qualcomm"},
        {0x8086, "Intel"}, {VK_VENDOR_ID_MESA, "Mesa"},
    };
    snprintf(out, size, "0x%04x", id);
    for (size_t i = 0; i < HEL_COUNT(vendors); i++)
        if (vendors[i].id == id) snprintf(out, size, "%s", vendors[i].name);
}

static hel_device_type type_of(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return HEL_DEVICE_TYPE_SOFTWARE;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return HEL_DEVICE_TYPE_DISCRETE;
    default: return HEL_DEVICE_TYPE_INTEGRATED;
    }
}

// Where host and device share their memory, buffers need no second copy.
static bool shares_memory(const VkPhysicalDeviceMemoryProperties *memory, hel_device_type type) {
    const VkMemoryPropertyFlags shared = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    if (type == HEL_DEVICE_TYPE_DISCRETE) return false;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
        if ((memory->memoryTypes[i].propertyFlags & shared) == shared) return true;
    return false;
}

// The largest heap of the device's own; its size is 0 where there is none.
static uint32_t own_heap(const VkPhysicalDeviceMemoryProperties *memory, uint64_t *out_size) {
    uint32_t largest = 0;
    *out_size = 0;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &memory->memoryHeaps[i];
        if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap->size <= *out_size) continue;
        largest = i;
        *out_size = heap->size;
    }
    return largest;
}

hel_status vulkan_physical_memory_free(VkPhysicalDevice physical, uint64_t *out) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
    bool tells;
    uint64_t size;
    *out = 0;
    HEL_TRY(vulkan_physical_has_extension(physical, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, &tells));
    if (!tells) return HEL_OK;
    vulkan.vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
    uint32_t heap = own_heap(&memory.memoryProperties, &size);
    if (size) *out = budget.heapBudget[heap] - HEL_MIN(budget.heapUsage[heap], budget.heapBudget[heap]);
    return HEL_OK;
}

static void describe_limits(const VkPhysicalDeviceLimits *limits, uint64_t memory, uint64_t allocation,
                            uint32_t subgroup, hel_device_limits *out) {
    *out = (hel_device_limits){
        .memory = memory,
        .max_buffer = HEL_MIN(memory, allocation),
        .max_binding = limits->maxStorageBufferRange & ~3u,
        .offset_alignment = (uint32_t)HEL_MAX(limits->minStorageBufferOffsetAlignment, 4u),
        .max_workgroup = HEL_MIN(limits->maxComputeWorkGroupInvocations, limits->maxComputeWorkGroupSize[0]),
        .shared_memory = limits->maxComputeSharedMemorySize,
        .subgroup = HEL_MAX(subgroup, 1u),
    };
}

hel_status vulkan_physical_describe(VkPhysicalDevice physical, hel_device *out) {
    VkPhysicalDeviceDriverPropertiesKHR driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties allocation = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &subgroup};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    const VkPhysicalDeviceProperties *core = &properties.properties;
    VkPhysicalDeviceMemoryProperties memory;
    vulkan_families families;
    uint64_t own_memory;
    bool names_driver;
    *out = (hel_device){0};
    vulkan.vkGetPhysicalDeviceProperties2(physical, &properties);
    snprintf(out->name, sizeof out->name, "%.127s", core->deviceName);
    describe_vendor(core->vendorID, out->vendor, sizeof out->vendor);
    out->type = type_of(core->deviceType);
    if (core->apiVersion < VK_API_VERSION_1_1)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "vulkan: \"%s\" has Vulkan 1.0 only, 1.1 is needed", out->name);
    HEL_TRY(vulkan_families_find(physical, &families));
    HEL_TRY(vulkan_physical_has_extension(physical, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME, &names_driver));
    properties.pNext = &allocation;
    if (names_driver) subgroup.pNext = &driver;
    vulkan.vkGetPhysicalDeviceProperties2(physical, &properties);
    vulkan.vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    snprintf(out->driver, sizeof out->driver, "%.40s %.60s 0x%x", driver.driverName, driver.driverInfo,
             core->driverVersion);
    own_heap(&memory, &own_memory);
    describe_limits(&core->limits, own_memory, allocation.maxMemoryAllocationSize, subgroup.subgroupSize,
                    &out->limits);
    if (driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE) out->limits.loop_iterations = 65535; // LP_MAX_TGSI_LOOP_ITERATIONS
    out->features = (hel_device_features){
        .mapped = shares_memory(&memory, out->type),
        .timers = families.timestamp_bits > 0,
        .transfer_queue = families.transfer != families.compute,
        .recording = true,
    };
    return HEL_OK;
}
