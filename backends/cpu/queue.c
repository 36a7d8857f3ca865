// SPDX-License-Identifier: Apache-2.0
// A dispatch runs at once, on the threads of the pool.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "cpu.h"

typedef struct dispatch_state {
    cpu_device *device;
    const cpu_kernel *kernel;
    cpu_launch launch;
    uint32_t threads;
} dispatch_state;

static void run_c_form(const dispatch_state *state, uint32_t first, uint32_t count, uint32_t thread) {
    hel_c_group group = {.buffers = state->launch.buffers,
                         .params = state->launch.params,
                         .constants = state->launch.constants,
                         .size = 1,
                         .shared = state->device->shared[thread]};
    for (uint32_t i = 0; i < count; i++) {
        group.group = first + i;
        state->kernel->base.source->c_form(&group);
    }
}

static void run_groups(void *user, uint64_t item, uint32_t thread) {
    dispatch_state *state = user;
    for (uint32_t first, count; cpu_shares_take(state->device->shares, state->threads, (uint32_t)item, &first, &count);) {
        if (state->kernel->vector) state->kernel->vector->run(&state->launch, first, count);
        else run_c_form(state, first, count, thread);
    }
}

hel_status cpu_scratch_reserve(cpu_device *device, size_t size) {
    if (size <= device->scratch_size) return HEL_OK;
    hel_free_aligned(device->scratch);
    device->scratch_size = 0;
    device->scratch = hel_alloc_aligned(size);
    if (!device->scratch) return hel_fail_memory(size);
    device->scratch_size = size;
    return HEL_OK;
}

static void prepare_item(void *user, uint64_t item, uint32_t thread) {
    (void)thread;
    const dispatch_state *state = user;
    state->kernel->vector->prepare(&state->launch, (uint32_t)item);
}

static hel_status prepare(dispatch_state *state) {
    const cpu_kernel_entry *vector = state->kernel->vector;
    if (!vector || !vector->scratch) return HEL_OK;
    cpu_scratch scratch = vector->scratch(&state->launch);
    if (!scratch.size) return HEL_OK;
    HEL_TRY(cpu_scratch_reserve(state->device, scratch.size));
    state->launch.scratch = state->device->scratch;
    hel_threads_run(state->device->threads, scratch.items, prepare_item, state);
    return HEL_OK;
}

hel_status cpu_dispatch(const hel_device *data, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                        uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    (void)groups_x, (void)groups_y;
    cpu_device *device = cpu_device_of(data);
    uint64_t start = timer ? hel_os_time_ns() : 0;
    void *buffers[HEL_MAX_BINDINGS];
    for (uint32_t i = 0; i < kernel->source->n_bindings; i++)
        buffers[i] = cpu_bytes(bindings[i].buffer) + bindings[i].offset;
    dispatch_state state = {.device = device,
                            .kernel = (const cpu_kernel *)kernel,
                            .launch = {buffers, params, kernel->constants, 0, NULL, device->precision}};
    memcpy(&state.launch.groups, params, sizeof state.launch.groups);
    HEL_TRY(prepare(&state));
    state.threads = HEL_MIN(hel_threads_count(device->threads), state.launch.groups);
    cpu_shares_deal(device->shares, state.threads, state.launch.groups);
    hel_threads_run(device->threads, state.threads, run_groups, &state);
    if (timer) device->timers[timer - 1] = hel_os_time_ns() - start;
    return HEL_OK;
}

hel_status cpu_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket) {
    (void)queue;
    *out_ticket = ++cpu_device_of(device)->ticket;
    return HEL_OK;
}

hel_status cpu_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns) {
    (void)device, (void)ticket, (void)timeout_ns; // work is done when dispatch returns
    return HEL_OK;
}

hel_status cpu_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns) {
    *out_ns = cpu_device_of(device)->timers[slot];
    return HEL_OK;
}
