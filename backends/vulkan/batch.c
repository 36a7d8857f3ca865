// SPDX-License-Identifier: Apache-2.0
// Batches: command buffers on their way from being recorded to being done. Batches of both queues and tickets share one
// growing serial number, and a queue's batches finish in its order, so "is it done" is one comparison.
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vulkan.h"

// ---------------------------------------------------------------- life of a batch

static void destroy_batch(vulkan_device *device, vulkan_batch *batch) {
    if (batch->wait) vulkan.vkDestroySemaphore(device->device, batch->wait, NULL);
    if (batch->fence) vulkan.vkDestroyFence(device->device, batch->fence, NULL);
    if (batch->descriptors) vulkan.vkDestroyDescriptorPool(device->device, batch->descriptors, NULL);
    if (batch->pool) vulkan.vkDestroyCommandPool(device->device, batch->pool, NULL);
    hel_free(batch);
}

static hel_status fill_batch(vulkan_device *device, const vulkan_queue *queue, vulkan_batch *batch) {
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                    .queueFamilyIndex = queue->family};
    HEL_TRY(VULKAN(vkCreateCommandPool, device->device, &pool, NULL, &batch->pool));
    VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                          .commandPool = batch->pool,
                                          .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                          .commandBufferCount = 1};
    HEL_TRY(VULKAN(vkAllocateCommandBuffers, device->device, &buffer, &batch->commands));
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    HEL_TRY(VULKAN(vkCreateFence, device->device, &fence, NULL, &batch->fence));
    if (!(queue->stages & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT)) return HEL_OK;
    return vulkan_descriptors_create(device, VULKAN_BATCH_DISPATCHES, VULKAN_BATCH_DISPATCHES * HEL_MAX_BINDINGS,
                                     &batch->descriptors);
}

static hel_status create_batch(vulkan_device *device, const vulkan_queue *queue, vulkan_batch **out) {
    vulkan_batch *batch = hel_alloc_zero(1, sizeof *batch);
    if (!batch) return hel_fail_memory(sizeof *batch);
    hel_status status = fill_batch(device, queue, batch);
    if (status != HEL_OK) {
        destroy_batch(device, batch);
        return status;
    }
    *out = batch;
    return HEL_OK;
}

void vulkan_batch_recycle(vulkan_device *device, vulkan_queue *queue, vulkan_batch *batch) {
    if (batch->wait) vulkan.vkDestroySemaphore(device->device, batch->wait, NULL);
    batch->wait = VK_NULL_HANDLE;
    batch->next = queue->idle;
    queue->idle = batch;
}

static hel_status begin(vulkan_device *device, vulkan_batch *batch) {
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    HEL_TRY(VULKAN(vkResetCommandPool, device->device, batch->pool, 0));
    HEL_TRY(VULKAN(vkResetFences, device->device, 1, &batch->fence));
    if (batch->descriptors) HEL_TRY(VULKAN(vkResetDescriptorPool, device->device, batch->descriptors, 0));
    return VULKAN(vkBeginCommandBuffer, batch->commands, &info);
}

static hel_status take_batch(vulkan_device *device, vulkan_queue *queue, vulkan_batch **out) {
    vulkan_batch *batch = queue->idle;
    if (batch) queue->idle = batch->next;
    else HEL_TRY(create_batch(device, queue, &batch));
    hel_status status = begin(device, batch);
    if (status != HEL_OK) {
        vulkan_batch_recycle(device, queue, batch);
        return status;
    }
    *out = batch;
    return HEL_OK;
}

hel_status vulkan_check_whole(const vulkan_device *device) {
    return device->broken ? hel_fail(HEL_ERROR_DEVICE_LOST, "vulkan: the driver has lost commands") : HEL_OK;
}

hel_status vulkan_batch_open(vulkan_device *device, vulkan_queue *queue, vulkan_batch **out) {
    HEL_TRY(vulkan_check_whole(device));
    if (queue->open && queue->open->ended) HEL_TRY(vulkan_queue_submit(device, queue));
    if (!queue->open) {
        vulkan_collect(device);
        if (queue->in_flight >= VULKAN_BATCHES) HEL_TRY(vulkan_queue_wait_oldest(device, queue));
        vulkan_batch *batch;
        HEL_TRY(take_batch(device, queue, &batch));
        batch->serial = ++device->serial;
        batch->staged = queue->staging.head;
        batch->dispatches = 0;
        batch->done = batch->ended = false;
        batch->next = NULL;
        queue->hazards.count = 0;
        queue->open = batch;
    }
    *out = queue->open;
    return HEL_OK;
}

hel_status vulkan_batch_count(vulkan_device *device, vulkan_queue *queue, uint32_t count, vulkan_batch **out) {
    if (queue->open && queue->open->dispatches + count > VULKAN_BATCH_DISPATCHES) HEL_TRY(vulkan_queue_submit(device, queue));
    HEL_TRY(vulkan_batch_open(device, queue, out));
    (*out)->dispatches += count;
    return HEL_OK;
}

// ---------------------------------------------------------------- order within a queue

// Buffers are zeroed on the compute queue; whoever uses one on the transfer queue first waits for that.
static hel_status order_zeroing(vulkan_device *device, vulkan_queue *queue, const hel_hazard_range *ranges,
                                uint32_t count) {
    bool wait = false;
    for (uint32_t i = 0; queue->index && i < count; i++)
        wait |= vulkan_queue_pending(&device->queues[0], ((const vulkan_buffer *)ranges[i].buffer)->zeroed);
    return wait ? vulkan_queue_order(device, queue, &device->queues[0]) : HEL_OK;
}

hel_status vulkan_batch_enter(vulkan_device *device, vulkan_queue *queue, const hel_hazard_range *ranges,
                              uint32_t count) {
    vulkan_batch *batch;
    HEL_TRY(order_zeroing(device, queue, ranges, count));
    HEL_TRY(vulkan_batch_open(device, queue, &batch));
    if (hel_hazards_enter(&queue->hazards, ranges, count)) vulkan_commands_barrier(batch->commands, queue, 0, 0);
    for (uint32_t i = 0; i < count; i++)
        ((vulkan_buffer *)(uintptr_t)ranges[i].buffer)->used[queue->index] = batch->serial;
    return HEL_OK;
}

// ---------------------------------------------------------------- submission

static hel_status submit_commands(const vulkan_queue *queue, const vulkan_batch *batch) {
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .waitSemaphoreCount = batch->wait ? 1 : 0,
                         .pWaitSemaphores = &batch->wait,
                         .pWaitDstStageMask = &queue->stages,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &batch->commands};
    return VULKAN(vkQueueSubmit, queue->queue, 1, &info, batch->fence);
}

// The barrier is also towards the next batch. A command buffer that the driver does not end is gone, with all that earlier calls
// put there; the semaphore is signalled all the same and must come to rest first.
static hel_status end(vulkan_device *device, vulkan_queue *queue, vulkan_batch *batch) {
    vulkan_commands_barrier(batch->commands, queue, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    hel_status status = VULKAN(vkEndCommandBuffer, batch->commands);
    batch->ended = status == HEL_OK;
    if (batch->ended) return HEL_OK;
    queue->open = NULL;
    device->broken = true;
    if (batch->wait) vulkan_idle(device);
    vulkan_batch_recycle(device, queue, batch);
    hel_error_prefix("commands are lost: ");
    return HEL_ERROR_DEVICE_LOST;
}

hel_status vulkan_queue_submit(vulkan_device *device, vulkan_queue *queue) {
    vulkan_batch *batch = queue->open;
    HEL_TRY(vulkan_check_whole(device));
    if (!batch) return HEL_OK;
    if (!batch->ended) HEL_TRY(end(device, queue, batch));
    HEL_TRY(submit_commands(queue, batch)); // else it stays: what earlier calls put there was promised to them
    queue->open = NULL;
    if (queue->last) queue->last->next = batch;
    else queue->first = batch;
    queue->last = batch;
    queue->in_flight++;
    return HEL_OK;
}

// Fences are all that Vulkan 1.1 has for single batches, so the semaphore covers everything `other` has been given.
static hel_status signal(vulkan_device *device, vulkan_queue *other, VkSemaphore *out) {
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    VkSemaphore semaphore;
    HEL_TRY(VULKAN(vkCreateSemaphore, device->device, &info, NULL, &semaphore));
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .signalSemaphoreCount = 1, .pSignalSemaphores = &semaphore};
    hel_status status = VULKAN(vkQueueSubmit, other->queue, 1, &submit, VK_NULL_HANDLE);
    if (status == HEL_OK) *out = semaphore;
    else vulkan.vkDestroySemaphore(device->device, semaphore, NULL);
    return status;
}

hel_status vulkan_queue_order(vulkan_device *device, vulkan_queue *queue, vulkan_queue *other) {
    vulkan_batch *batch;
    HEL_TRY(vulkan_queue_submit(device, queue));
    HEL_TRY(vulkan_queue_submit(device, other));
    HEL_TRY(vulkan_batch_open(device, queue, &batch));
    return signal(device, other, &batch->wait);
}

// ---------------------------------------------------------------- completion

bool vulkan_queue_pending(const vulkan_queue *queue, uint64_t serial) {
    const vulkan_batch *oldest = queue->first ? queue->first : queue->open;
    return oldest && oldest->serial <= serial;
}

static void retire_first(vulkan_device *device, vulkan_queue *queue) {
    vulkan_batch *batch = queue->first;
    queue->first = batch->next;
    if (!queue->first) queue->last = NULL;
    queue->in_flight--;
    queue->staging.tail = batch->staged;
    batch->done = true;
    if (!batch->waiters) vulkan_batch_recycle(device, queue, batch);
}

static void free_retired_buffers(vulkan_device *device) {
    for (vulkan_buffer **link = &device->retired; *link;) {
        vulkan_buffer *buffer = *link;
        if (vulkan_buffer_idle(device, buffer)) {
            *link = buffer->next;
            vulkan_buffer_free(device, buffer);
        } else {
            link = &buffer->next;
        }
    }
}

static void free_retired_recordings(vulkan_device *device) {
    for (vulkan_recording **link = &device->retired_recordings; *link;) {
        vulkan_recording *recording = *link;
        if (vulkan_queue_pending(&device->queues[0], recording->used)) {
            link = &recording->next;
        } else {
            *link = recording->next;
            vulkan_recording_free(device, recording);
        }
    }
}

void vulkan_collect(vulkan_device *device) {
    for (uint32_t i = 0; i < device->n_queues; i++) {
        vulkan_queue *queue = &device->queues[i];
        while (queue->first && vulkan.vkGetFenceStatus(device->device, queue->first->fence) == VK_SUCCESS)
            retire_first(device, queue);
    }
    free_retired_buffers(device);
    free_retired_recordings(device);
}

hel_status vulkan_queue_wait_oldest(vulkan_device *device, vulkan_queue *queue) {
    HEL_TRY(VULKAN(vkWaitForFences, device->device, 1, &queue->first->fence, VK_TRUE, UINT64_MAX));
    retire_first(device, queue);
    return HEL_OK;
}

hel_status vulkan_queue_finish(vulkan_device *device, vulkan_queue *queue, uint64_t serial) {
    HEL_TRY(vulkan_check_whole(device));
    if (queue->open && queue->open->serial <= serial) HEL_TRY(vulkan_queue_submit(device, queue));
    while (queue->first && queue->first->serial <= serial) HEL_TRY(vulkan_queue_wait_oldest(device, queue));
    return HEL_OK;
}

static void destroy_list(vulkan_device *device, vulkan_batch *batch) {
    while (batch) {
        vulkan_batch *next = batch->next;
        destroy_batch(device, batch);
        batch = next;
    }
}

void vulkan_queue_close(vulkan_device *device, vulkan_queue *queue) {
    destroy_list(device, queue->open);
    destroy_list(device, queue->first);
    destroy_list(device, queue->idle);
    if (queue->staging.buffer) vulkan_buffer_free(device, queue->staging.buffer);
}
