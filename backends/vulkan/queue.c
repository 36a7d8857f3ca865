// SPDX-License-Identifier: Apache-2.0
// What callers give the queues: dispatches, and questions of order and time.
#include "base/error.h"
#include "base/size.h"
#include "vulkan.h"

// ---------------------------------------------------------------- dispatch

static void stamp(const vulkan_device *device, const vulkan_batch *batch, uint32_t query) {
    vulkan.vkCmdWriteTimestamp(batch->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, device->timers.pool, query);
}

hel_status vulkan_dispatch(const hel_device *data, hel_kernel *base, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = &device->queues[0];
    const vulkan_kernel *kernel = (const vulkan_kernel *)base;
    vulkan_batch *batch;
    VkDescriptorSet set;
    hel_hazard_range ranges[HEL_MAX_BINDINGS];
    timer = data->features.timers ? timer : 0;
    HEL_TRY(vulkan_batch_count(device, queue, 1, &batch));
    HEL_TRY(vulkan_set_create(device, batch->descriptors, kernel, bindings, &set));
    vulkan_ranges_of(kernel, bindings, ranges);
    HEL_TRY(vulkan_batch_enter(device, queue, ranges, base->source->n_bindings));
    if (timer) {
        vulkan.vkCmdResetQueryPool(batch->commands, device->timers.pool, 2 * (timer - 1), 2);
        stamp(device, batch, 2 * (timer - 1));
        device->timers.serials[timer - 1] = batch->serial;
    }
    vulkan_commands_dispatch(batch->commands, kernel, set, params, groups_x, groups_y);
    if (timer) stamp(device, batch, 2 * (timer - 1) + 1);
    return HEL_OK;
}

// ---------------------------------------------------------------- order

hel_status vulkan_flush(const hel_device *data) {
    vulkan_device *device = vulkan_device_of(data);
    for (uint32_t i = 0; i < device->n_queues; i++) HEL_TRY(vulkan_queue_submit(device, &device->queues[i]));
    return HEL_OK;
}

// A ticket is a serial of its own, above those of all batches it stands for, and the queue in the lowest bit.
hel_status vulkan_mark(const hel_device *data, hel_queue which, uint64_t *out_ticket) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = vulkan_queue_of(device, which);
    HEL_TRY(vulkan_queue_submit(device, queue)); // a waiter must not be the one to start the work
    *out_ticket = ++device->serial << 1 | queue->index;
    return HEL_OK;
}

static vulkan_batch *last_before(const vulkan_queue *queue, uint64_t serial) {
    vulkan_batch *found = NULL;
    for (vulkan_batch *batch = queue->first; batch && batch->serial < serial; batch = batch->next) found = batch;
    return found;
}

static hel_status wait_batch(vulkan_device *device, vulkan_queue *queue, vulkan_batch *batch, uint64_t timeout_ns) {
    hel_os_mutex_unlock(device->base.lock);
    VkResult code = vulkan.vkWaitForFences(device->device, 1, &batch->fence, VK_TRUE, timeout_ns);
    hel_os_mutex_lock(device->base.lock);
    batch->waiters--;
    if (batch->done && !batch->waiters) vulkan_batch_recycle(device, queue, batch);
    vulkan_collect(device);
    return code == VK_TIMEOUT ? hel_fail(HEL_ERROR_TIMEOUT, "vulkan: the work is not done yet")
                              : vulkan_check(code, "vkWaitForFences");
}

hel_status vulkan_wait(const hel_device *data, uint64_t ticket, uint64_t timeout_ns) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = &device->queues[ticket & 1];
    hel_os_mutex_lock(device->base.lock);
    vulkan_batch *batch = last_before(queue, ticket >> 1);
    hel_status status = HEL_OK;
    if (batch) {
        batch->waiters++;
        status = wait_batch(device, queue, batch, timeout_ns);
    }
    hel_os_mutex_unlock(device->base.lock);
    return status;
}

hel_status vulkan_wait_on(const hel_device *data, hel_queue which, uint64_t ticket) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_queue *queue = vulkan_queue_of(device, which), *other = &device->queues[ticket & 1];
    if (queue == other || !last_before(other, ticket >> 1)) return HEL_OK; // in order anyway, or done
    return vulkan_queue_order(device, queue, other);
}

// ---------------------------------------------------------------- timers

hel_status vulkan_timer_query(const hel_device *data, uint32_t slot, uint64_t *out_ns) {
    vulkan_device *device = vulkan_device_of(data);
    vulkan_timers *timers = &device->timers;
    uint64_t stamps[2];
    *out_ns = 0;
    if (!timers->serials[slot]) return HEL_OK;
    HEL_TRY(vulkan_queue_finish(device, &device->queues[0], timers->serials[slot]));
    VkResult code = vulkan.vkGetQueryPoolResults(device->device, timers->pool, 2 * slot, 2, sizeof stamps, stamps,
                                                 sizeof *stamps, VK_QUERY_RESULT_64_BIT);
    if (code == VK_NOT_READY) return hel_fail(HEL_ERROR_DEVICE, "vulkan: the timed dispatch was never run");
    HEL_TRY(vulkan_check(code, "vkGetQueryPoolResults"));
    *out_ns = (uint64_t)((double)((stamps[1] - stamps[0]) & timers->mask) * timers->period);
    return HEL_OK;
}
