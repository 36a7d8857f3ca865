// SPDX-License-Identifier: Apache-2.0
// The Vulkan device: Vulkan 1.1, subgroups of a known size where the driver can say it, one compute queue, one transfer queue
// where the device has a family for it. Commands are recorded into batches, barriers come from the access that kernels declare,
// and fences say when a batch is done.
#ifndef BACKENDS_VULKAN_VULKAN_H
#define BACKENDS_VULKAN_VULKAN_H

#include <vulkan/vulkan_core.h>

#include "device/backend.h"
#include "device/binary_cache.h"
#include "device/hazard.h"
#include "device/suballoc.h"

#define VULKAN_SYMBOLS(X)                                                                                             \
    X(vkAllocateCommandBuffers) X(vkAllocateDescriptorSets) X(vkAllocateMemory) X(vkBeginCommandBuffer)               \
    X(vkBindBufferMemory) X(vkCmdBindDescriptorSets) X(vkCmdBindPipeline) X(vkCmdCopyBuffer) X(vkCmdDispatch)         \
    X(vkCmdExecuteCommands) X(vkCmdFillBuffer) X(vkCmdPipelineBarrier) X(vkCmdPushConstants) X(vkCmdResetQueryPool)   \
    X(vkCmdWriteTimestamp) X(vkCreateBuffer) X(vkCreateCommandPool) X(vkCreateComputePipelines)                       \
    X(vkCreateDescriptorPool) X(vkCreateDescriptorSetLayout) X(vkCreateDevice) X(vkCreateFence) X(vkCreateInstance)   \
    X(vkCreatePipelineCache) X(vkCreatePipelineLayout) X(vkCreateQueryPool) X(vkCreateSemaphore)                      \
    X(vkCreateShaderModule) X(vkDestroyBuffer) X(vkDestroyCommandPool) X(vkDestroyDescriptorPool)                     \
    X(vkDestroyDescriptorSetLayout) X(vkDestroyDevice) X(vkDestroyFence) X(vkDestroyInstance) X(vkDestroyPipeline)    \
    X(vkDestroyPipelineCache) X(vkDestroyPipelineLayout) X(vkDestroyQueryPool) X(vkDestroySemaphore)                  \
    X(vkDestroyShaderModule) X(vkDeviceWaitIdle) X(vkEndCommandBuffer) X(vkEnumerateDeviceExtensionProperties)        \
    X(vkEnumerateInstanceVersion) X(vkEnumeratePhysicalDevices) X(vkFreeMemory) X(vkGetBufferMemoryRequirements)      \
    X(vkGetDeviceQueue) X(vkGetFenceStatus) X(vkGetPhysicalDeviceFeatures2) X(vkGetPhysicalDeviceMemoryProperties)    \
    X(vkGetPhysicalDeviceMemoryProperties2) X(vkGetPhysicalDeviceProperties2)                                         \
    X(vkGetPhysicalDeviceQueueFamilyProperties) X(vkGetPipelineCacheData) X(vkGetQueryPoolResults) X(vkMapMemory)     \
    X(vkQueueSubmit) X(vkResetCommandPool) X(vkResetDescriptorPool)                                                   \
    X(vkResetFences) X(vkUpdateDescriptorSets) X(vkWaitForFences)

#define VULKAN_MEMBER(name) __typeof__(name) *name;
typedef struct vulkan_functions {
    VULKAN_SYMBOLS(VULKAN_MEMBER)
} vulkan_functions;

// The one table of symbols, filled by vulkan_load. Tests put their own functions between it and the driver.
extern vulkan_functions vulkan;

// A call of the driver as a status.
#define VULKAN(name, ...) vulkan_check(vulkan.name(__VA_ARGS__), #name)

enum {
    VULKAN_BATCH_DISPATCHES = 128,        // submitted at the latest after so many, or replays
    VULKAN_BATCHES = 8,                   // in flight on one queue
    VULKAN_STAGING_SIZE = 8 << 20,        // ring of each queue
    VULKAN_STAGING_PIECE = 2 << 20,       // longest single copy through it
    VULKAN_BLOCK_SIZE = 32 << 20,         // small buffers share blocks of this size
};

// One allocation of the driver. Buffers of more than half a block have one of their own.
typedef struct vulkan_block {
    VkDeviceMemory memory;
    uint64_t size;
    uint32_t type;
    unsigned char *mapped; // NULL where the host cannot see it
    hel_suballoc *places;
    struct vulkan_block *next;
} vulkan_block;

typedef struct vulkan_buffer {
    hel_buffer base;
    VkBuffer buffer;
    vulkan_block *block;
    uint64_t offset, size;      // in the block
    unsigned char *mapped;      // NULL where the host cannot see it
    uint64_t used[2];           // serial of the last batch of each queue that uses it, 0 none
    uint64_t zeroed;            // serial of the compute batch that zeroes it, 0 where the host did
    struct vulkan_buffer *next; // in the list of those to be freed when idle
} vulkan_buffer;

typedef struct vulkan_kernel {
    hel_kernel base;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
} vulkan_kernel;

// One command buffer with what it needs until the device is done with it.
typedef struct vulkan_batch {
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkDescriptorPool descriptors; // none on the transfer queue
    VkFence fence;
    VkSemaphore wait;             // of the other queue; null for most batches
    uint64_t serial;
    uint64_t staged;              // the ring's head after this batch
    uint32_t dispatches;
    bool ended;                   // the driver has refused it once: nothing more goes in, and it is submitted before what follows
    uint32_t waiters;             // threads that sleep on the fence without the lock
    bool done;                    // out of the queue's list; whoever is the last waiter recycles it
    struct vulkan_batch *next;
} vulkan_batch;

// A secondary command buffer, executed by the batch that replays it.
typedef struct vulkan_recording {
    hel_recording base;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkDescriptorPool descriptors;
    hel_hazards hazards;           // at its end
    uint64_t used;                 // serial of the last batch that executes it, 0 none
    struct vulkan_recording *next; // in the list of those to be freed when idle
} vulkan_recording;

// Host memory that writes pass through. Positions grow for ever; modulo the size they are offsets.
typedef struct vulkan_staging {
    vulkan_buffer *buffer; // NULL until it is needed
    uint64_t head, tail;
} vulkan_staging;

typedef struct vulkan_queue {
    uint32_t index; // in vulkan_device.queues and vulkan_buffer.used
    uint32_t family;
    VkQueue queue;
    VkPipelineStageFlags stages; // all that its commands can use
    VkAccessFlags accesses;
    vulkan_batch *open;          // being recorded, or to be submitted again; NULL none
    vulkan_batch *first, *last;  // in flight, oldest first
    uint32_t in_flight;
    vulkan_batch *idle;
    hel_hazards hazards;         // of the open batch
    vulkan_staging staging;
} vulkan_queue;

// A timer's two timestamps are queries 2 * slot and 2 * slot + 1.
typedef struct vulkan_timers {
    VkQueryPool pool;
    double period; // ns of one tick
    uint64_t mask; // valid bits
    uint64_t serials[HEL_TIMER_SLOTS]; // batch of the last dispatch, 0 none
} vulkan_timers;

// Lanes of a subgroup in kernels that add across them; `usual` is 0 where those use shared memory alone.
typedef struct vulkan_subgroups {
    uint32_t least, usual;
    uint32_t most_of_group; // subgroups of a work-group
} vulkan_subgroups;

typedef struct vulkan_device {
    hel_device_base base;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkPhysicalDeviceMemoryProperties memory;
    vulkan_subgroups subgroups;
    vulkan_queue queues[2];
    uint32_t n_queues;
    uint64_t serial; // the last one given to a batch or a ticket
    bool broken;     // the driver has lost commands that callers count on
    vulkan_block *blocks;
    vulkan_buffer *retired;  // destroyed by the caller while in use
    vulkan_recording *retired_recordings; // likewise
    vulkan_buffer *readback; // NULL until it is needed
    vulkan_timers timers;
    hel_binary_cache cache;
    hel_binary_key cache_key;
    VkPipelineCache pipeline_cache;
    bool cache_changed;
} vulkan_device;

static inline vulkan_device *vulkan_device_of(const hel_device *device) {
    return (vulkan_device *)hel_device_base_of(device);
}

static inline vulkan_buffer *vulkan_buffer_of(hel_buffer *buffer) { return (vulkan_buffer *)buffer; }

static inline vulkan_queue *vulkan_queue_of(vulkan_device *device, hel_queue queue) {
    return &device->queues[queue == HEL_QUEUE_TRANSFER && device->n_queues > 1];
}

// loader.c
hel_status vulkan_load(void); // UNAVAILABLE where there is no Vulkan 1.1 loader; thread-safe
// Codes from 0 up are HEL_OK; all else is a failure with words: what was tried and the code's name.
hel_status vulkan_check(VkResult code, const char *what);

// device.c
// Ends all work; what a lost device still holds counts as ended.
void vulkan_finish_all(vulkan_device *device);
void vulkan_idle(vulkan_device *device); // nothing runs afterwards

// describe.c
typedef struct vulkan_families {
    uint32_t compute, transfer; // the same where the device has no family for transfers alone
    uint32_t timestamp_bits;    // of the compute family
} vulkan_families;

hel_status vulkan_instance_create(VkInstance *out);
hel_status vulkan_physical_count(VkInstance instance, uint32_t *out);
hel_status vulkan_physical_get(VkInstance instance, uint32_t index, VkPhysicalDevice *out);
hel_status vulkan_families_find(VkPhysicalDevice physical, vulkan_families *out);
hel_status vulkan_physical_describe(VkPhysicalDevice physical, hel_device *out);
hel_status vulkan_physical_has_extension(VkPhysicalDevice physical, const char *name, bool *out);
// What the driver says is left of the largest heap of the device's own; 0 where it does not.
hel_status vulkan_physical_memory_free(VkPhysicalDevice physical, uint64_t *out);

// subgroup.c
hel_status vulkan_subgroups_find(VkPhysicalDevice physical, vulkan_subgroups *out);
uint32_t vulkan_subgroup_lanes(const vulkan_subgroups *subgroups, uint32_t workgroup); // 0: shared memory alone

// memory.c
// Memory for `buffer` of the right kind, bound to it; sets block, offset, size and mapped.
hel_status vulkan_memory_take(vulkan_device *device, bool host, vulkan_buffer *buffer);
void vulkan_memory_give(vulkan_device *device, vulkan_buffer *buffer);
void vulkan_memory_close(vulkan_device *device); // no buffer is left

// commands.c
// Orders all that comes behind it, and what `more` names, behind all that is before it.
void vulkan_commands_barrier(VkCommandBuffer commands, const vulkan_queue *queue, VkPipelineStageFlags more_stages,
                             VkAccessFlags more_accesses);
hel_status vulkan_descriptors_create(vulkan_device *device, uint32_t sets, uint32_t bindings, VkDescriptorPool *out);
hel_status vulkan_set_create(vulkan_device *device, VkDescriptorPool pool, const vulkan_kernel *kernel,
                             const hel_binding *bindings, VkDescriptorSet *out);
// What a dispatch touches; as many as the kernel has bindings.
void vulkan_ranges_of(const vulkan_kernel *kernel, const hel_binding *bindings,
                      hel_hazard_range ranges[HEL_MAX_BINDINGS]);
void vulkan_commands_dispatch(VkCommandBuffer commands, const vulkan_kernel *kernel, VkDescriptorSet set,
                              const void *params, uint32_t groups_x, uint32_t groups_y);

// batch.c
// DEVICE_LOST once commands were lost.
hel_status vulkan_check_whole(const vulkan_device *device);
// The queue's open batch; begins one where there is none, and waits for the oldest where too many are in flight.
hel_status vulkan_batch_open(vulkan_device *device, vulkan_queue *queue, vulkan_batch **out);
// The same for `count` more dispatches, or a replay; a batch with too many is submitted first.
hel_status vulkan_batch_count(vulkan_device *device, vulkan_queue *queue, uint32_t count, vulkan_batch **out);
// Before a command that touches `ranges` (buffers are vulkan_buffers): orders it and marks the buffers as used.
hel_status vulkan_batch_enter(vulkan_device *device, vulkan_queue *queue, const hel_hazard_range *ranges, uint32_t count);
hel_status vulkan_queue_submit(vulkan_device *device, vulkan_queue *queue);
// Work of `queue` from now on starts after all that `other` has been given so far.
hel_status vulkan_queue_order(vulkan_device *device, vulkan_queue *queue, vulkan_queue *other);
// Recycles the batches that are done and frees retired buffers and recordings.
void vulkan_collect(vulkan_device *device);
bool vulkan_queue_pending(const vulkan_queue *queue, uint64_t serial); // is this batch of the queue still to be done?
// Waits for the oldest batch in flight; for all up to `serial`, submitting them where needed.
hel_status vulkan_queue_wait_oldest(vulkan_device *device, vulkan_queue *queue);
hel_status vulkan_queue_finish(vulkan_device *device, vulkan_queue *queue, uint64_t serial);
void vulkan_batch_recycle(vulkan_device *device, vulkan_queue *queue, vulkan_batch *batch);
void vulkan_queue_close(vulkan_device *device, vulkan_queue *queue); // the device is idle

// buffer.c
hel_status vulkan_buffer_create_kind(vulkan_device *device, uint64_t size, bool host, vulkan_buffer **out);
void vulkan_buffer_free(vulkan_device *device, vulkan_buffer *buffer); // the device does not use it
bool vulkan_buffer_idle(const vulkan_device *device, const vulkan_buffer *buffer);
hel_status vulkan_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);
void vulkan_buffer_destroy(const hel_device *device, hel_buffer *buffer);
hel_status vulkan_buffer_map(const hel_device *device, hel_buffer *buffer, void **out);
hel_status vulkan_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                               const void *bytes, uint64_t size);
hel_status vulkan_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                              uint64_t size);
hel_status vulkan_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                              hel_buffer *from, uint64_t from_offset, uint64_t size);
hel_status vulkan_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word);

// recording.c
hel_status vulkan_recording_create(const hel_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                                   hel_recording **out);
hel_status vulkan_recording_replay(const hel_device *device, hel_recording *recording);
void vulkan_recording_destroy(const hel_device *device, hel_recording *recording);
void vulkan_recording_free(vulkan_device *device, vulkan_recording *recording); // no batch executes it

// kernel.c
hel_status vulkan_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out);
void vulkan_kernel_destroy(const hel_device *device, hel_kernel *kernel);
// Pipelines of earlier runs: read when the device is opened, written when it is closed and there are new ones.
hel_status vulkan_pipelines_load(vulkan_device *device, const char *directory);
void vulkan_pipelines_store(vulkan_device *device);

// fft.c
uint32_t vulkan_transform_least(const hel_device *device);
hel_status vulkan_transform_create(const hel_device *device, uint32_t points, hel_transform **out);
hel_status vulkan_transform_run(const hel_device *device, hel_transform *transform, const hel_binding *rows, uint32_t count,
                                bool back);
void vulkan_transform_destroy(const hel_device *device, hel_transform *transform);

// queue.c
hel_status vulkan_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer);
hel_status vulkan_flush(const hel_device *device);
hel_status vulkan_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);
hel_status vulkan_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);
hel_status vulkan_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket);
hel_status vulkan_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);

#endif
