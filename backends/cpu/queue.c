// SPDX-License-Identifier: Apache-2.0
// Threads take runs of a dispatch's work-groups: long ones first, so that each reads far ahead in one piece, then shorter
// and shorter ones, so that all end together (Polychronopoulos and Kuck 1987). Groups never share results, so the number
// of threads changes nothing but time.
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "cpu.h"

// The first run is this part of a thread's share, and the shortest so little of it that taking one costs nothing.
enum { FIRST_RUN = 2, SHORTEST_RUN = 64 };

typedef struct dispatch_state {
    cpu_device *device;
    const cpu_kernel *kernel;
    cpu_launch launch;
    uint32_t threads;
    atomic_uint next; // the first group that nobody has taken
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

// False where nothing is left.
static bool take_run(dispatch_state *state, uint32_t *out_first, uint32_t *out_count) {
    uint32_t groups = state->launch.groups, least = HEL_MAX(groups / (state->threads * SHORTEST_RUN), 1);
    uint32_t first = atomic_load_explicit(&state->next, memory_order_relaxed), count;
    do {
        if (first == groups) return false;
        uint32_t left = groups - first, share = left / (state->threads * FIRST_RUN);
        count = HEL_MIN(HEL_MAX(share, least), left);
    } while (!atomic_compare_exchange_weak_explicit(&state->next, &first, first + count, memory_order_relaxed,
                                                    memory_order_relaxed));
    *out_first = first;
    *out_count = count;
    return true;
}

static void run_groups(void *user, uint64_t item, uint32_t thread) {
    (void)item;
    dispatch_state *state = user;
    for (uint32_t first, count; take_run(state, &first, &count);) {
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
                            .launch = {buffers, params, kernel->constants, 0, NULL, device->precision},
                            .threads = hel_threads_count(device->threads)};
    memcpy(&state.launch.groups, params, sizeof state.launch.groups);
    HEL_TRY(prepare(&state));
    hel_threads_run(device->threads, HEL_MIN(state.threads, state.launch.groups), run_groups, &state);
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
