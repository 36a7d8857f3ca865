// SPDX-License-Identifier: Apache-2.0
// Transforms by VkFFT. What it calls by name goes to the table of symbols; failures leave (backends/vkfft/guard.h). It records into
// the open batch. It has one descriptor set for a pass, which batches in flight may be using, so each launch gets sets of its own.
#include "glsl/glsl.h"
#include "vulkan.h"

#include "backends/vkfft/guard.h"
#include "vkfft/glslang_c_interface.h"

typedef struct vkfft_binding {
    VkCommandPool pool; // while the transform is made
    VkFence fence;
    uint64_t size;      // of two rows
    hel_binding rows;   // of the launch
    VkBuffer buffer;
    vulkan_batch *batch;
} vkfft_binding;

static vulkan_device *device_now(void) { return vulkan_device_of(vkfft_now->device); }

// ---------------------------------------------------------------- what stands in for the driver

// What was submitted ends before anything is given back.
static VkResult must(VkResult code, const char *what) {
    if (code == VK_SUCCESS) return code;
    vulkan_idle(device_now());
    vkfft_leave(code < 0 ? vulkan_check(code, what) : hel_fail(HEL_ERROR_TIMEOUT, "vulkan: %s: %d", what, (int)code));
}

#define GIVE(name, type, call)                                         \
    static void name(const hel_device *device, uint64_t object) {     \
        vulkan.call(vulkan_device_of(device)->device, (type)object, NULL); \
    }
GIVE(give_buffer, VkBuffer, vkDestroyBuffer)
GIVE(give_memory, VkDeviceMemory, vkFreeMemory)
GIVE(give_pool, VkDescriptorPool, vkDestroyDescriptorPool)
GIVE(give_set_layout, VkDescriptorSetLayout, vkDestroyDescriptorSetLayout)
GIVE(give_layout, VkPipelineLayout, vkDestroyPipelineLayout)
GIVE(give_module, VkShaderModule, vkDestroyShaderModule)
GIVE(give_pipeline, VkPipeline, vkDestroyPipeline)

// A new object where the call's last argument points.
#define KEPT(give, out, name, ...) \
    (must(vulkan.name(__VA_ARGS__, out), #name), vkfft_keep(give, (uint64_t)*(out)), VK_SUCCESS)

static void get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *out) {
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vulkan.vkGetPhysicalDeviceProperties2(physical, &properties);
    *out = properties.properties;
}

// Ours names all that commands may touch; its own, between passes, reads only.
static void put_barrier(VkCommandBuffer commands) { vulkan_commands_barrier(commands, &device_now()->queues[0], 0, 0); }

// A try that failed may have left the fence signalled.
static VkResult submit(VkQueue queue, const VkSubmitInfo *info, VkFence fence) {
    must(vulkan.vkResetFences(device_now()->device, 1, &fence), "vkResetFences");
    return must(vulkan.vkQueueSubmit(queue, 1, info, fence), "vkQueueSubmit");
}

// A pass reads rows, writes them, and has a table of sines.
static void bind_pass(const vkfft_binding *binding, VkPipeline pipeline, VkPipelineLayout layout, VkDescriptorSetLayout set_layout,
                      VkBuffer sines) {
    VkCommandBuffer commands = binding->batch->commands;
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = binding->batch->descriptors,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &set_layout};
    VkDescriptorSet set;
    must(vulkan.vkAllocateDescriptorSets(device_now()->device, &info, &set), "vkAllocateDescriptorSets");
    VkDescriptorBufferInfo rows = {binding->buffer, binding->rows.offset, binding->rows.size};
    VkDescriptorBufferInfo ranges[] = {rows, rows, {sines, 0, VK_WHOLE_SIZE}};
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = set,
                                  .descriptorCount = HEL_COUNT(ranges),
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                  .pBufferInfo = ranges};
    vulkan.vkUpdateDescriptorSets(device_now()->device, 1, &write, 0, NULL); // goes on from binding 0 to the following ones
    vulkan.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vulkan.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
}

#define vkAllocateCommandBuffers(...) must(vulkan.vkAllocateCommandBuffers(__VA_ARGS__), "vkAllocateCommandBuffers")
#define vkAllocateDescriptorSets(...) must(vulkan.vkAllocateDescriptorSets(__VA_ARGS__), "vkAllocateDescriptorSets")
#define vkAllocateMemory(device, info, hooks, out) KEPT(give_memory, out, vkAllocateMemory, device, info, NULL)
#define vkBeginCommandBuffer(...) must(vulkan.vkBeginCommandBuffer(__VA_ARGS__), "vkBeginCommandBuffer")
#define vkBindBufferMemory(...) must(vulkan.vkBindBufferMemory(__VA_ARGS__), "vkBindBufferMemory")
#define vkCmdBindDescriptorSets(...) ((void)0) // vkfft_bind does
#define vkCmdBindPipeline(...) ((void)0)
#define vkCmdCopyBuffer(...) vulkan.vkCmdCopyBuffer(__VA_ARGS__)
#define vkCmdDispatch(...) vulkan.vkCmdDispatch(__VA_ARGS__)
#define vkCmdPipelineBarrier(commands, ...) put_barrier(commands)
#define vkCmdPushConstants(...) vulkan.vkCmdPushConstants(__VA_ARGS__)
#define vkCreateBuffer(device, info, hooks, out) KEPT(give_buffer, out, vkCreateBuffer, device, info, NULL)
#define vkCreateComputePipelines(device, cache, count, info, hooks, out) \
    KEPT(give_pipeline, out, vkCreateComputePipelines, device, cache, count, info, NULL)
#define vkCreateDescriptorPool(device, info, hooks, out) KEPT(give_pool, out, vkCreateDescriptorPool, device, info, NULL)
#define vkCreateDescriptorSetLayout(device, info, hooks, out) \
    KEPT(give_set_layout, out, vkCreateDescriptorSetLayout, device, info, NULL)
#define vkCreatePipelineLayout(device, info, hooks, out) KEPT(give_layout, out, vkCreatePipelineLayout, device, info, NULL)
#define vkCreateShaderModule(device, info, hooks, out) KEPT(give_module, out, vkCreateShaderModule, device, info, NULL)
#define vkDestroyBuffer(device, object, hooks) vkfft_forget(give_buffer, (uint64_t)(object))
#define vkDestroyDescriptorPool(device, object, hooks) vkfft_forget(give_pool, (uint64_t)(object))
#define vkDestroyDescriptorSetLayout(device, object, hooks) vkfft_forget(give_set_layout, (uint64_t)(object))
#define vkDestroyPipeline(device, object, hooks) vkfft_forget(give_pipeline, (uint64_t)(object))
#define vkDestroyPipelineLayout(device, object, hooks) vkfft_forget(give_layout, (uint64_t)(object))
#define vkDestroyShaderModule(device, object, hooks) vkfft_forget(give_module, (uint64_t)(object))
#define vkEndCommandBuffer(...) must(vulkan.vkEndCommandBuffer(__VA_ARGS__), "vkEndCommandBuffer")
#define vkFreeCommandBuffers(...) ((void)0) // go with their pool
#define vkFreeMemory(device, object, hooks) vkfft_forget(give_memory, (uint64_t)(object))
#define vkGetBufferMemoryRequirements(...) vulkan.vkGetBufferMemoryRequirements(__VA_ARGS__)
#define vkGetPhysicalDeviceMemoryProperties(...) vulkan.vkGetPhysicalDeviceMemoryProperties(__VA_ARGS__)
#define vkGetPhysicalDeviceProperties(physical, out) get_properties(physical, out)
#define vkMapMemory(...) must(vulkan.vkMapMemory(__VA_ARGS__), "vkMapMemory")
#define vkQueueSubmit(queue, count, info, fence) submit(queue, info, fence)
#define vkResetFences(...) VK_SUCCESS // submit does
#define vkUnmapMemory(...) ((void)0) // is coherent, and goes when it is freed
#define vkUpdateDescriptorSets(...) ((void)0) // of sets that nothing uses
#define vkWaitForFences(...) must(vulkan.vkWaitForFences(__VA_ARGS__), "vkWaitForFences")

// ---------------------------------------------------------------- what stands in for glslang

struct glslang_program_t {
    hel_glsl *shader;
    const uint32_t *words;
    size_t size;
};

static void give_shader(const hel_device *device, uint64_t object) {
    (void)device;
    hel_glsl_free((hel_glsl *)(uintptr_t)object);
}

// A shader is its text, and compiled where a program is made of it.
static void compile_shader(glslang_program_t *program, const glslang_shader_t *shader) {
    program->shader = hel_glsl_compile((const char *)shader);
    if (!program->shader) vkfft_leave(hel_fail(HEL_ERROR_MEMORY, "vulkan: no memory to compile VkFFT's kernels"));
    vkfft_keep(give_shader, (uintptr_t)program->shader);
    program->words = hel_glsl_words(program->shader, &program->size);
    if (!program->words)
        vkfft_leave(hel_fail(HEL_ERROR_UNSUPPORTED, "vulkan: VkFFT's kernel does not compile: %s",
                             hel_glsl_message(program->shader)));
}

static void delete_program(glslang_program_t *program) {
    vkfft_forget(give_shader, (uintptr_t)program->shader);
    vkfft_free(program);
}

#define glslang_initialize_process() 1
#define glslang_finalize_process() ((void)0)
#define glslang_shader_create(input) ((glslang_shader_t *)(uintptr_t)(input)->code)
#define glslang_shader_preprocess(shader, input) 1
#define glslang_shader_parse(shader, input) 1
#define glslang_shader_get_info_log(shader) ""
#define glslang_shader_delete(shader) ((void)0)
#define glslang_program_create() ((glslang_program_t *)vkfft_alloc(sizeof(glslang_program_t), true))
#define glslang_program_add_shader(program, shader) compile_shader(program, shader)
#define glslang_program_link(program, messages) 1
#define glslang_program_get_info_log(program) ""
#define glslang_program_SPIRV_generate(program, stage) ((void)0)
#define glslang_program_SPIRV_get_messages(program) ((const char *)NULL)
#define glslang_program_SPIRV_get_ptr(program) ((uint32_t *)(uintptr_t)(program)->words)
#define glslang_program_SPIRV_get_size(program) ((program)->size / sizeof(uint32_t))
#define glslang_program_delete(program) delete_program(program)

#define VKFFT_BACKEND 0
#include <vkFFT.h>

// ---------------------------------------------------------------- transforms

#include "backends/vkfft/transform.inc.c"

static void vkfft_bind(vkfft_transform *transform, const VkFFTAxis *pass) {
    bind_pass(&transform->binding, pass->pipeline, pass->pipelineLayout, pass->descriptorSetLayout, pass->bufferLUT);
}

static void vkfft_configure(const hel_device *data, vkfft_binding *binding, VkFFTConfiguration *configuration) {
    vulkan_device *device = vulkan_device_of(data);
    binding->size = 2 * 2 * sizeof(float) * configuration->size[0];
    configuration->physicalDevice = &device->physical;
    configuration->device = &device->device;
    configuration->queue = &device->queues[0].queue;
    configuration->commandPool = &binding->pool;
    configuration->fence = &binding->fence;
    configuration->pipelineCache = &device->pipeline_cache;
    configuration->bufferSize = &binding->size;
}

static hel_status make_transform(vulkan_device *device, vkfft_binding *binding, uint32_t points, hel_transform **out) {
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = device->queues[0].family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    HEL_TRY(VULKAN(vkCreateCommandPool, device->device, &pool, NULL, &binding->pool));
    HEL_TRY(VULKAN(vkCreateFence, device->device, &fence, NULL, &binding->fence));
    return vkfft_transform_make(&device->base.data, binding, &device->cache, points, out);
}

// On lavapipe kernels took 1.34, 1.72, 1.72 and 1.89 times as long at 2^13, 2^14, 2^16 and 2^18 steps (docs/fftconv.md). No GPU was
// measured.
uint32_t vulkan_transform_least(const hel_device *device) {
    (void)device;
    return 0;
}

hel_status vulkan_transform_create(const hel_device *data, uint32_t points, hel_transform **out) {
    vulkan_device *device = vulkan_device_of(data);
    vkfft_binding binding = {0};
    hel_status status = make_transform(device, &binding, points, out);
    if (binding.fence) vulkan.vkDestroyFence(device->device, binding.fence, NULL);
    if (binding.pool) vulkan.vkDestroyCommandPool(device->device, binding.pool, NULL);
    if (status == HEL_OK) device->cache_changed = true;
    return status;
}

hel_status vulkan_transform_run(const hel_device *data, hel_transform *base, const hel_binding *rows, uint32_t count, bool back) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = &device->queues[0];
    vkfft_transform *transform = (vkfft_transform *)base;
    hel_hazard_range range = {rows->buffer, rows->offset, rows->offset + rows->size, true};
    uint32_t passes = (uint32_t)transform->application.localFFTPlan->numAxisUploads[0];
    HEL_TRY(vulkan_batch_count(device, queue, passes, &transform->binding.batch));
    HEL_TRY(vulkan_batch_enter(device, queue, &range, 1));
    transform->binding.rows = *rows;
    transform->binding.buffer = vulkan_buffer_of(rows->buffer)->buffer;
    transform->application.configuration.commandBuffer = &transform->binding.batch->commands;
    return vkfft_transform_launch(&(vkfft_launch){transform, {.buffer = &transform->binding.buffer}, count, back});
}

// Transforms go when the device is closed; work that uses them ends first.
void vulkan_transform_destroy(const hel_device *device, hel_transform *transform) {
    vulkan_finish_all(vulkan_device_of(device));
    vkfft_transform_free(transform);
}
