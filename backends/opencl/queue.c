// SPDX-License-Identifier: Apache-2.0
// One in-order queue, so commands need no events; tickets and timers have theirs.
#include "base/error.h"
#include "base/size.h"
#include "opencl.h"

void opencl_event_release(cl_event *event) {
    if (*event) opencl.clReleaseEvent(*event);
    *event = NULL;
}

static hel_status set_arguments(const opencl_kernel *kernel, const hel_binding *bindings, const void *params) {
    const hel_kernel_source *source = kernel->base.source;
    for (uint32_t i = 0; i < source->n_bindings; i++) {
        cl_mem memory;
        HEL_TRY(opencl_buffer_range(&bindings[i], &memory));
        HEL_TRY(opencl_check(opencl.clSetKernelArg(kernel->kernel, i, sizeof memory, &memory), "clSetKernelArg"));
    }
    return opencl_check(opencl.clSetKernelArg(kernel->kernel, source->n_bindings, source->params_size, params), "clSetKernelArg");
}

hel_status opencl_dispatch(const hel_device *data, hel_kernel *base, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    opencl_device *device = opencl_device_of(data);
    opencl_kernel *kernel = (opencl_kernel *)base;
    HEL_TRY(set_arguments(kernel, bindings, params));
    size_t local[2] = {kernel->workgroup, 1}, global[2] = {groups_x * kernel->workgroup, groups_y};
    cl_event event = NULL;
    cl_int code = opencl.clEnqueueNDRangeKernel(device->queue, kernel->kernel, 2, NULL, global, local, 0, NULL,
                                                timer ? &event : NULL);
    HEL_TRY(opencl_check(code, base->source->name));
    if (!timer) return HEL_OK;
    opencl_event_release(&device->timers[timer - 1]);
    device->timers[timer - 1] = event;
    return HEL_OK;
}

hel_status opencl_flush(const hel_device *data) { return opencl_check(opencl.clFlush(opencl_device_of(data)->queue), "clFlush"); }

// ---------------------------------------------------------------- tickets

hel_status opencl_mark(const hel_device *data, hel_queue queue, uint64_t *out_ticket) {
    (void)queue;
    opencl_device *device = opencl_device_of(data);
    cl_event event;
    HEL_TRY(opencl_check(opencl.clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event), "clEnqueueMarkerWithWaitList"));
    uint64_t ticket = ++device->last_ticket;
    opencl_ticket *place = &device->tickets[ticket % OPENCL_TICKETS];
    opencl_event_release(&place->event);
    *place = (opencl_ticket){ticket, event};
    *out_ticket = ticket;
    return opencl_flush(data); // a waiter must not be the one to start the work
}

// A reference to the event of the first remembered ticket that is not before `ticket`; NULL where all is done.
static hel_status find_event(opencl_device *device, uint64_t ticket, cl_event *out) {
    const opencl_ticket *found = NULL;
    for (const opencl_ticket *place = device->tickets; place < device->tickets + OPENCL_TICKETS; place++)
        if (place->event && place->ticket >= ticket && (!found || place->ticket < found->ticket)) found = place;
    *out = NULL;
    if (!found) return HEL_OK;
    HEL_TRY(opencl_check(opencl.clRetainEvent(found->event), "clRetainEvent"));
    *out = found->event;
    return HEL_OK;
}

static hel_status wait_event(cl_event event, uint64_t timeout_ns) {
    if (timeout_ns == UINT64_MAX) return opencl_check(opencl.clWaitForEvents(1, &event), "clWaitForEvents");
    uint64_t start = hel_os_time_ns();
    for (;;) {
        cl_int state;
        HEL_TRY(opencl_check(opencl.clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
                             "clGetEventInfo"));
        if (state < 0) return opencl_check(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "wait");
        if (state == CL_COMPLETE) return HEL_OK;
        if (hel_os_time_ns() - start >= timeout_ns) return hel_fail(HEL_ERROR_TIMEOUT, "opencl: the work is not done yet");
        hel_os_yield();
    }
}

hel_status opencl_wait(const hel_device *data, uint64_t ticket, uint64_t timeout_ns) {
    opencl_device *device = opencl_device_of(data);
    hel_os_mutex_lock(device->base.lock);
    cl_event event;
    hel_status status = find_event(device, ticket, &event);
    hel_os_mutex_unlock(device->base.lock);
    if (status != HEL_OK || !event) return status;
    status = wait_event(event, timeout_ns);
    opencl_event_release(&event);
    return status;
}

// ---------------------------------------------------------------- timers

hel_status opencl_timer_query(const hel_device *data, uint32_t slot, uint64_t *out_ns) {
    cl_event *event = &opencl_device_of(data)->timers[slot];
    cl_ulong start = 0, end = 0;
    *out_ns = 0;
    if (!*event) return HEL_OK;
    HEL_TRY(opencl_check(opencl.clWaitForEvents(1, event), "clWaitForEvents"));
    HEL_TRY(opencl_check(opencl.clGetEventProfilingInfo(*event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL),
                         "clGetEventProfilingInfo"));
    HEL_TRY(opencl_check(opencl.clGetEventProfilingInfo(*event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL),
                         "clGetEventProfilingInfo"));
    *out_ns = end - start;
    return HEL_OK;
}
