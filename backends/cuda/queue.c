// SPDX-License-Identifier: Apache-2.0
// Streams keep the order within a queue; events carry tickets, timers and the order between queues. A ticket's lowest
// bit is its queue.
#include "base/error.h"
#include "base/size.h"
#include "cuda.h"

static hel_status record(CUevent *event, unsigned flags, CUstream stream) {
    if (!*event) HEL_TRY(cuda_check(cuda.cuEventCreate(event, flags), "cuEventCreate"));
    return cuda_check(cuda.cuEventRecord(*event, stream), "cuEventRecord");
}

void cuda_event_destroy(CUevent *event) {
    if (*event) cuda.cuEventDestroy_v2(*event);
    *event = NULL;
}

// ---------------------------------------------------------------- dispatch

hel_status cuda_launch(const cuda_device *device, CUstream stream, const hel_kernel *kernel, const hel_binding *bindings,
                       const void *params, uint32_t groups_x, uint32_t groups_y) {
    const hel_kernel_source *source = kernel->source;
    uint32_t workgroup = hel_kernel_workgroup(source, &device->base.data, kernel->constants);
    CUdeviceptr addresses[HEL_MAX_BINDINGS];
    void *arguments[HEL_MAX_BINDINGS + 1];
    for (uint32_t i = 0; i < source->n_bindings; i++) {
        addresses[i] = cuda_address(bindings[i].buffer) + bindings[i].offset;
        arguments[i] = &addresses[i];
    }
    arguments[source->n_bindings] = (void *)(uintptr_t)params;
    CUfunction function = ((const cuda_kernel *)kernel)->function;
    return cuda_check(cuda.cuLaunchKernel(function, groups_x, groups_y, 1, workgroup, 1, 1, 0, stream, arguments, NULL),
                      source->name);
}

static hel_status launch_timed(cuda_device *device, const hel_kernel *kernel, const hel_binding *bindings,
                               const void *params, uint32_t groups_x, uint32_t groups_y, cuda_timer *timer) {
    CUstream stream = device->queues[HEL_QUEUE_COMPUTE].stream;
    timer->recorded = false;
    HEL_TRY(record(&timer->start, CU_EVENT_DEFAULT, stream));
    HEL_TRY(cuda_launch(device, stream, kernel, bindings, params, groups_x, groups_y));
    HEL_TRY(record(&timer->stop, CU_EVENT_DEFAULT, stream));
    timer->recorded = true;
    return HEL_OK;
}

hel_status cuda_dispatch(const hel_device *data, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                         uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    cuda_device *device = cuda_device_of(data);
    CUstream stream = cuda_stream(data, HEL_QUEUE_COMPUTE);
    if (!timer) CUDA_WITHIN(data, cuda_launch(device, stream, kernel, bindings, params, groups_x, groups_y));
    CUDA_WITHIN(data, launch_timed(device, kernel, bindings, params, groups_x, groups_y, &device->timers[timer - 1]));
}

// ---------------------------------------------------------------- tickets

static hel_status mark(cuda_device *device, hel_queue index, uint64_t *out_ticket) {
    cuda_queue *queue = &device->queues[index];
    cuda_ticket *place = &queue->tickets[queue->marks % CUDA_TICKETS];
    HEL_TRY(record(&place->event, CU_EVENT_DISABLE_TIMING, queue->stream));
    queue->marks++;
    place->ticket = ++device->last_ticket << 1 | index;
    *out_ticket = place->ticket;
    return HEL_OK;
}

hel_status cuda_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket) {
    CUDA_WITHIN(device, mark(cuda_device_of(device), queue, out_ticket));
}

// The event of the first remembered ticket of the same queue that is not before `ticket`; NULL where all is done.
static CUevent find_event(const cuda_device *device, uint64_t ticket) {
    const cuda_ticket *tickets = device->queues[ticket & 1].tickets, *found = NULL;
    for (int i = 0; i < CUDA_TICKETS; i++)
        if (tickets[i].ticket >= ticket && (!found || tickets[i].ticket < found->ticket)) found = &tickets[i];
    return found && ticket ? found->event : NULL;
}

static hel_status wait_event(CUevent event, uint64_t timeout_ns) {
    if (timeout_ns == UINT64_MAX) return cuda_check(cuda.cuEventSynchronize(event), "cuEventSynchronize");
    enum { NOT_READY = 600 };
    for (uint64_t start = hel_os_time_ns();;) {
        CUresult code = cuda.cuEventQuery(event);
        if (code != NOT_READY) return cuda_check(code, "cuEventQuery");
        if (hel_os_time_ns() - start >= timeout_ns) return hel_fail(HEL_ERROR_TIMEOUT, "cuda: the work is not done yet");
        hel_os_yield();
    }
}

// Should another mark reuse the event meanwhile, this waits for later work too.
hel_status cuda_wait(const hel_device *data, uint64_t ticket, uint64_t timeout_ns) {
    cuda_device *device = cuda_device_of(data);
    hel_os_mutex_lock(device->base.lock);
    CUevent event = find_event(device, ticket);
    hel_os_mutex_unlock(device->base.lock);
    if (!event) return HEL_OK;
    CUDA_WITHIN(data, wait_event(event, timeout_ns));
}

hel_status cuda_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket) {
    CUevent event = find_event(cuda_device_of(device), ticket);
    if (!event || (ticket & 1) == (uint64_t)queue) return HEL_OK;
    CUDA_WITHIN(device, cuda_check(cuda.cuStreamWaitEvent(cuda_stream(device, queue), event, 0), "cuStreamWaitEvent"));
}

// ---------------------------------------------------------------- timers

static hel_status query(const cuda_timer *timer, uint64_t *out_ns) {
    float milliseconds = 0;
    HEL_TRY(cuda_check(cuda.cuEventSynchronize(timer->stop), "cuEventSynchronize"));
    HEL_TRY(cuda_check(cuda.cuEventElapsedTime(&milliseconds, timer->start, timer->stop), "cuEventElapsedTime"));
    *out_ns = (uint64_t)((double)milliseconds * 1e6);
    return HEL_OK;
}

hel_status cuda_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns) {
    const cuda_timer *timer = &cuda_device_of(device)->timers[slot];
    *out_ns = 0;
    if (!timer->recorded) return HEL_OK;
    CUDA_WITHIN(device, query(timer, out_ns));
}
