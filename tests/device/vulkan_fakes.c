// SPDX-License-Identifier: Apache-2.0
#include "vulkan_fakes.h"


fake_state fake;
static vulkan_functions real;

// ---------------------------------------------------------------- failing and counting

static VkResult fault(void) { return ++fake.calls == fake.fail_at ? fake.fail_with : VK_SUCCESS; }

// X(name, parameters, arguments) for functions that return a VkResult; M for those that also make an object.
#define RESULTS(X)                                                                                                      \
    X(vkAllocateCommandBuffers, (VkDevice a, const VkCommandBufferAllocateInfo *b, VkCommandBuffer *c), (a, b, c))      \
    X(vkAllocateDescriptorSets, (VkDevice a, const VkDescriptorSetAllocateInfo *b, VkDescriptorSet *c), (a, b, c))      \
    X(vkBeginCommandBuffer, (VkCommandBuffer a, const VkCommandBufferBeginInfo *b), (a, b))                             \
    X(vkBindBufferMemory, (VkDevice a, VkBuffer b, VkDeviceMemory c, VkDeviceSize d), (a, b, c, d))                     \
    X(vkDeviceWaitIdle, (VkDevice a), (a))                                                                              \
    X(vkEndCommandBuffer, (VkCommandBuffer a), (a))                                                                     \
    X(vkEnumerateDeviceExtensionProperties,                                                                             \
      (VkPhysicalDevice a, const char *b, uint32_t *c, VkExtensionProperties *d), (a, b, c, d))                         \
    X(vkEnumerateInstanceVersion, (uint32_t *a), (a))                                                                   \
    X(vkEnumeratePhysicalDevices, (VkInstance a, uint32_t *b, VkPhysicalDevice *c), (a, b, c))                          \
    X(vkGetFenceStatus, (VkDevice a, VkFence b), (a, b))                                                                \
    X(vkGetPipelineCacheData, (VkDevice a, VkPipelineCache b, size_t *c, void *d), (a, b, c, d))                        \
    X(vkGetQueryPoolResults,                                                                                            \
      (VkDevice a, VkQueryPool b, uint32_t c, uint32_t d, size_t e, void *f, VkDeviceSize g, VkQueryResultFlags h),     \
      (a, b, c, d, e, f, g, h))                                                                                         \
    X(vkMapMemory, (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e, void **f),        \
      (a, b, c, d, e, f))                                                                                               \
    X(vkResetCommandPool, (VkDevice a, VkCommandPool b, VkCommandPoolResetFlags c), (a, b, c))                          \
    X(vkResetDescriptorPool, (VkDevice a, VkDescriptorPool b, VkDescriptorPoolResetFlags c), (a, b, c))                 \
    X(vkResetFences, (VkDevice a, uint32_t b, const VkFence *c), (a, b, c))                                             \
    X(vkWaitForFences, (VkDevice a, uint32_t b, const VkFence *c, VkBool32 d, uint64_t e), (a, b, c, d, e))

#define CREATES(X)                                                                                                      \
    X(vkCreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool)                                                      \
    X(vkCreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool)                                             \
    X(vkCreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout)                              \
    X(vkCreateFence, VkFenceCreateInfo, VkFence)                                                                        \
    X(vkCreatePipelineCache, VkPipelineCacheCreateInfo, VkPipelineCache)                                                \
    X(vkCreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout)                                             \
    X(vkCreateQueryPool, VkQueryPoolCreateInfo, VkQueryPool)                                                            \
    X(vkCreateSemaphore, VkSemaphoreCreateInfo, VkSemaphore)                                                            \
    X(vkCreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule)

#define DESTROYS(X)                                                                                                     \
    X(vkDestroyBuffer, VkBuffer) X(vkDestroyCommandPool, VkCommandPool) X(vkDestroyDescriptorPool, VkDescriptorPool)    \
    X(vkDestroyDescriptorSetLayout, VkDescriptorSetLayout) X(vkDestroyFence, VkFence) X(vkFreeMemory, VkDeviceMemory)   \
    X(vkDestroyPipeline, VkPipeline) X(vkDestroyPipelineCache, VkPipelineCache)                                         \
    X(vkDestroyPipelineLayout, VkPipelineLayout) X(vkDestroyQueryPool, VkQueryPool)                                     \
    X(vkDestroySemaphore, VkSemaphore) X(vkDestroyShaderModule, VkShaderModule)

#define DEFINE_RESULT(name, parameters, arguments)           \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##name parameters { \
        VkResult code = fault();                             \
        return code ? code : real.name arguments;            \
    }
RESULTS(DEFINE_RESULT)

static VkResult counted(VkResult code) {
    fake.alive += code == VK_SUCCESS;
    return code;
}

#define DEFINE_CREATE(name, info, handle)                                                                  \
    static VKAPI_ATTR VkResult VKAPI_CALL fake_##name(VkDevice a, const info *b, const VkAllocationCallbacks *c, \
                                                      handle *d) {                                         \
        VkResult code = fault();                                                                           \
        return code ? code : counted(real.name(a, b, c, d));                                               \
    }
CREATES(DEFINE_CREATE)

#define DEFINE_DESTROY(name, handle)                                                                            \
    static VKAPI_ATTR void VKAPI_CALL fake_##name(VkDevice a, handle b, const VkAllocationCallbacks *c) {       \
        fake.alive--;                                                                                           \
        real.name(a, b, c);                                                                                     \
    }
DESTROYS(DEFINE_DESTROY)

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateInstance(const VkInstanceCreateInfo *a, const VkAllocationCallbacks *b,
                                                            VkInstance *c) {
    VkResult code = fault();
    return code ? code : counted(real.vkCreateInstance(a, b, c));
}

static VKAPI_ATTR void VKAPI_CALL fake_vkDestroyInstance(VkInstance a, const VkAllocationCallbacks *b) {
    fake.alive--;
    real.vkDestroyInstance(a, b);
}

static VKAPI_ATTR void VKAPI_CALL fake_vkDestroyDevice(VkDevice a, const VkAllocationCallbacks *b) {
    fake.alive--;
    real.vkDestroyDevice(a, b);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateComputePipelines(VkDevice a, VkPipelineCache b, uint32_t c,
                                                                    const VkComputePipelineCreateInfo *d,
                                                                    const VkAllocationCallbacks *e, VkPipeline *f) {
    VkResult code = fault();
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT *size = d->stage.pNext;
    bool full = d->stage.flags & VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
    fake.subgroup = size && full ? size->requiredSubgroupSize : 0;
    return code ? code : counted(real.vkCreateComputePipelines(a, b, c, d, e, f));
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkQueueSubmit(VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d) {
    VkResult code = fault();
    fake.submits++;
    return code ? code : real.vkQueueSubmit(a, b, c, d);
}

static VKAPI_ATTR void VKAPI_CALL fake_vkCmdPipelineBarrier(VkCommandBuffer a, VkPipelineStageFlags b, VkPipelineStageFlags c,
                                                            VkDependencyFlags d, uint32_t e, const VkMemoryBarrier *f,
                                                            uint32_t g, const VkBufferMemoryBarrier *h, uint32_t i,
                                                            const VkImageMemoryBarrier *j) {
    fake.barriers++;
    real.vkCmdPipelineBarrier(a, b, c, d, e, f, g, h, i, j);
}

// ---------------------------------------------------------------- another machine

static bool discrete, without_subgroups;

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceFeatures2(VkPhysicalDevice a, VkPhysicalDeviceFeatures2 *out) {
    real.vkGetPhysicalDeviceFeatures2(a, out);
    if (without_subgroups) ((VkPhysicalDeviceSubgroupSizeControlFeaturesEXT *)out->pNext)->computeFullSubgroups = VK_FALSE;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceProperties2(VkPhysicalDevice a, VkPhysicalDeviceProperties2 *out) {
    real.vkGetPhysicalDeviceProperties2(a, out);
    if (discrete) out->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceMemoryProperties(VkPhysicalDevice a,
                                                                           VkPhysicalDeviceMemoryProperties *out) {
    real.vkGetPhysicalDeviceMemoryProperties(a, out);
    if (!discrete) return;
    out->memoryTypeCount = 2;
    out->memoryTypes[0] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0};
    out->memoryTypes[1] = (VkMemoryType){VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, 0};
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetBufferMemoryRequirements(VkDevice a, VkBuffer b, VkMemoryRequirements *out) {
    real.vkGetBufferMemoryRequirements(a, b, out);
    if (discrete) out->memoryTypeBits = 3;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkAllocateMemory(VkDevice a, const VkMemoryAllocateInfo *b,
                                                            const VkAllocationCallbacks *c, VkDeviceMemory *d) {
    VkResult code = fault();
    VkMemoryAllocateInfo info = *b;
    if (discrete) info.memoryTypeIndex = 0;
    return code ? code : counted(real.vkAllocateMemory(a, &info, c, d));
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateBuffer(VkDevice a, const VkBufferCreateInfo *b,
                                                          const VkAllocationCallbacks *c, VkBuffer *d) {
    VkResult code = fault();
    VkBufferCreateInfo info = *b;
    if (discrete) {
        info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
        info.queueFamilyIndexCount = 0;
    }
    return code ? code : counted(real.vkCreateBuffer(a, &info, c, d));
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice a, uint32_t *count,
                                                                                VkQueueFamilyProperties *out) {
    real.vkGetPhysicalDeviceQueueFamilyProperties(a, count, out);
    if (discrete) out[(*count)++] = (VkQueueFamilyProperties){.queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1};
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_vkCreateDevice(VkPhysicalDevice a, const VkDeviceCreateInfo *b,
                                                          const VkAllocationCallbacks *c, VkDevice *d) {
    VkResult code = fault();
    VkDeviceCreateInfo info = *b;
    if (discrete) info.queueCreateInfoCount = 1;
    return code ? code : counted(real.vkCreateDevice(a, &info, c, d));
}

static VKAPI_ATTR void VKAPI_CALL fake_vkGetDeviceQueue(VkDevice a, uint32_t b, uint32_t c, VkQueue *d) {
    real.vkGetDeviceQueue(a, discrete ? 0 : b, c, d);
}

static VKAPI_ATTR VkResult VKAPI_CALL family_vkCreateCommandPool(VkDevice a, const VkCommandPoolCreateInfo *b,
                                                                 const VkAllocationCallbacks *c, VkCommandPool *d) {
    VkCommandPoolCreateInfo info = *b;
    if (discrete) info.queueFamilyIndex = 0;
    return fake_vkCreateCommandPool(a, &info, c, d);
}

void fake_discrete(bool on) { discrete = on; }
void fake_no_subgroups(bool on) { without_subgroups = on; }

void fake_install(void) {
    real = vulkan;
#define INSTALL(name) vulkan.name = fake_##name;
#define INSTALL_ROW(name, ...) INSTALL(name)
    RESULTS(INSTALL_ROW)
    CREATES(INSTALL_ROW)
    DESTROYS(INSTALL_ROW)
    INSTALL(vkCreateInstance)
    INSTALL(vkDestroyInstance)
    INSTALL(vkCreateDevice)
    INSTALL(vkDestroyDevice)
    INSTALL(vkCreateComputePipelines)
    INSTALL(vkQueueSubmit)
    INSTALL(vkCmdPipelineBarrier)
    INSTALL(vkGetPhysicalDeviceProperties2)
    INSTALL(vkGetPhysicalDeviceFeatures2)
    INSTALL(vkGetPhysicalDeviceMemoryProperties)
    INSTALL(vkGetBufferMemoryRequirements)
    INSTALL(vkAllocateMemory)
    INSTALL(vkCreateBuffer)
    INSTALL(vkGetPhysicalDeviceQueueFamilyProperties)
    INSTALL(vkGetDeviceQueue)
    vulkan.vkCreateCommandPool = family_vkCreateCommandPool;
}

// ---------------------------------------------------------------- defects that a checker must see

static VKAPI_ATTR void VKAPI_CALL no_barrier(VkCommandBuffer a, VkPipelineStageFlags b, VkPipelineStageFlags c,
                                             VkDependencyFlags d, uint32_t e, const VkMemoryBarrier *f, uint32_t g,
                                             const VkBufferMemoryBarrier *h, uint32_t i, const VkImageMemoryBarrier *j) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h, (void)i, (void)j;
}

void fake_no_barriers(void) { vulkan.vkCmdPipelineBarrier = no_barrier; }
