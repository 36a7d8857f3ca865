// SPDX-License-Identifier: Apache-2.0
#include "ops/exec.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "ops/matrix_units.h"

enum { NOTHING_SIZE = 256 };
// Kernels count elements in 32 bits, and round up to whole chunks of them.
#define MAX_ELEMENTS (UINT32_C(1) << 31)

hel_status hel_buffer_create_from(const hel_device *device, const void *bytes, uint64_t size, hel_buffer **out) {
    HEL_TRY(hel_buffer_create(device, size, out));
    hel_status status = hel_buffer_write(device, HEL_QUEUE_COMPUTE, *out, 0, bytes, size);
    if (status != HEL_OK) hel_buffer_destroy(device, out);
    return status;
}

hel_status hel_exec_init(hel_exec *exec, const hel_device *device) {
    *exec = (hel_exec){.device = device};
    HEL_TRY(hel_matrix_units_check(device, &exec->matrix));
    return hel_buffer_create(device, NOTHING_SIZE, &exec->nothing);
}

void hel_exec_finish(hel_exec *exec) {
    if (!exec->device) return;
    hel_buffer_destroy(exec->device, &exec->nothing);
    hel_buffer_destroy(exec->device, &exec->arena);
    *exec = (hel_exec){0};
}

void hel_exec_plan_begin(hel_exec *exec) {
    hel_exec_reset(exec);
    exec->planning = true;
    exec->peak = 0;
}

hel_status hel_exec_plan_end(hel_exec *exec) {
    exec->planning = false;
    HEL_TRY(exec->status);
    if (exec->peak > exec->device->limits.max_buffer)
        return hel_fail(HEL_ERROR_DEVICE_MEMORY, "a batch needs %llu bytes of scratch, a buffer of this device holds %llu",
                        (unsigned long long)exec->peak, (unsigned long long)exec->device->limits.max_buffer);
    return exec->peak ? hel_buffer_create(exec->device, exec->peak, &exec->arena) : HEL_OK;
}

void hel_exec_reset(hel_exec *exec) {
    exec->status = HEL_OK;
    exec->used = 0;
}

static hel_status check_tensor(const hel_device *device, uint32_t rows, uint32_t cols) {
    uint64_t elements = (uint64_t)rows * cols;
    if (elements > MAX_ELEMENTS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%u rows of %u values are too many for one pass", rows, cols);
    if (elements * sizeof(float) <= device->limits.max_binding) return HEL_OK;
    return hel_fail(HEL_ERROR_DEVICE_MEMORY, "%u rows of %u values are over the %llu bytes that kernels see of a buffer on %s:%u",
                    rows, cols, (unsigned long long)device->limits.max_binding, device->backend, device->index);
}

void hel_exec_expect_elements(hel_exec *exec, uint32_t rows, uint32_t cols) {
    if (exec->status == HEL_OK) exec->status = check_tensor(exec->device, rows, cols);
}

hel_tensor hel_exec_tensor(hel_exec *exec, uint32_t rows, uint32_t cols) {
    hel_exec_expect_elements(exec, rows, cols);
    if (exec->status != HEL_OK) return (hel_tensor){.rows = rows, .cols = cols};
    uint64_t alignment = HEL_MAX(HEL_BINDING_ALIGNMENT, exec->device->limits.offset_alignment);
    uint64_t size = (uint64_t)rows * cols * sizeof(float);
    hel_tensor tensor = {{exec->arena, exec->used, size}, rows, cols};
    exec->used += hel_round_up(size, alignment);
    if (exec->planning) exec->peak = HEL_MAX(exec->peak, exec->used);
    else if (exec->used > exec->peak)
        hel_exec_fail(exec, hel_fail(HEL_ERROR_INTERNAL, "an operator needs more scratch than was planned"));
    return tensor;
}

uint64_t hel_exec_mark(const hel_exec *exec) { return exec->used; }
void hel_exec_release(hel_exec *exec, uint64_t mark) { exec->used = mark; }

// ---------------------------------------------------------------- the device's work

// Whether something other than a dispatch may be done now.
static bool is_live(hel_exec *exec) {
    if (hel_exec_idle(exec)) return false;
    if (!exec->recording) return true;
    hel_exec_fail(exec, hel_fail(HEL_ERROR_INTERNAL, "a pass that is recorded does more than dispatch"));
    return false;
}

void hel_exec_upload(hel_exec *exec, hel_tensor to, const float *values) {
    if (!is_live(exec)) return;
    hel_exec_fail(exec, hel_buffer_write(exec->device, HEL_QUEUE_COMPUTE, to.where.buffer, to.where.offset, values,
                                         to.where.size));
}

void hel_exec_download(hel_exec *exec, hel_tensor from, float *values) {
    if (!is_live(exec)) return;
    hel_exec_fail(exec, hel_buffer_read(exec->device, HEL_QUEUE_COMPUTE, from.where.buffer, from.where.offset, values,
                                        from.where.size));
}

void hel_exec_transform(hel_exec *exec, hel_transform *transform, hel_tensor rows, bool back) {
    if (is_live(exec)) hel_exec_fail(exec, hel_transform_run(exec->device, transform, &rows.where, rows.rows, back));
}

void hel_exec_copy(hel_exec *exec, hel_binding to, hel_binding from) {
    if (!is_live(exec)) return;
    hel_exec_fail(exec, hel_buffer_copy(exec->device, HEL_QUEUE_COMPUTE, to.buffer, to.offset, from.buffer, from.offset,
                                        from.size));
}

static uint32_t next_timer(hel_exec *exec) {
    uint32_t timer = exec->timer;
    if (timer) exec->timer = timer < HEL_TIMER_SLOTS ? timer + 1 : 0;
    return timer;
}

static hel_status dispatch(hel_exec *exec, hel_kernel *kernel, const hel_call *call) {
    return hel_dispatch(exec->device, kernel, call->bindings, call->n_bindings, call->params, call->params_size,
                        call->groups, next_timer(exec));
}

static hel_status keep(hel_exec *exec, hel_kernel *kernel, const hel_call *call) {
    if (exec->n_calls == exec->room) {
        uint32_t room = exec->room ? 2 * exec->room : 256;
        hel_recorded_dispatch *grown = hel_resize(exec->calls, room * sizeof *grown);
        if (!grown) return hel_fail_memory(room * sizeof *grown);
        exec->calls = grown;
        exec->room = room;
    }
    hel_recorded_dispatch *kept = &exec->calls[exec->n_calls++];
    *kept = (hel_recorded_dispatch){
        .kernel = kernel, .count = call->n_bindings, .params_size = call->params_size, .groups = call->groups};
    memcpy(kept->bindings, call->bindings, call->n_bindings * sizeof *call->bindings);
    memcpy(kept->params, call->params, call->params_size);
    return HEL_OK;
}

void hel_exec_dispatch(hel_exec *exec, const hel_call *call) {
    if (hel_exec_idle(exec)) return;
    hel_kernel *kernel;
    hel_status status = hel_kernel_get(exec->device, call->kernel, call->constants, call->n_constants, &kernel);
    if (status == HEL_OK) status = exec->recording ? keep(exec, kernel, call) : dispatch(exec, kernel, call);
    hel_exec_fail(exec, status);
}

hel_status hel_exec_wait(const hel_exec *exec) {
    return hel_device_wait_idle(exec->device, HEL_QUEUE_COMPUTE);
}

void hel_exec_record_begin(hel_exec *exec) { exec->recording = true; }

hel_status hel_exec_record_end(hel_exec *exec, hel_recording **out) {
    hel_status status = exec->status;
    *out = NULL;
    if (status == HEL_OK) status = hel_recording_create(exec->device, exec->calls, exec->n_calls, out);
    hel_free(exec->calls);
    exec->calls = NULL;
    exec->n_calls = exec->room = 0;
    exec->recording = false;
    return status;
}

// ---------------------------------------------------------------- failures

void hel_exec_expect_loops(hel_exec *exec, const char *kernel, uint64_t iterations) {
    uint32_t most = exec->device->limits.loop_iterations;
    if (exec->status != HEL_OK || !most || iterations <= most) return;
    exec->status = hel_fail(HEL_ERROR_UNSUPPORTED, "kernel \"%s\" needs %llu loop iterations for this weight, %s ends them at %u",
                            kernel, (unsigned long long)iterations, exec->device->name, most);
}

uint32_t hel_exec_steps_at_once(const hel_exec *exec, uint32_t steps, uint64_t fixed, uint64_t each) {
    uint64_t most = exec->device->limits.loop_iterations;
    if (!most) return steps;
    return (uint32_t)(most > fixed + each ? HEL_MIN(steps, (most - fixed) / each) : 1);
}

void hel_exec_fail(hel_exec *exec, hel_status status) {
    if (exec->status == HEL_OK) exec->status = status;
}
