// SPDX-License-Identifier: Apache-2.0
// Where operators run: one device, one arena for activations, one sticky status. Model code calls operators as plain
// functions and asks for the status once; after a failure the remaining calls do nothing.
//
// The arena is sized by a planning pass: the same model code runs with `planning` set, dispatches nothing and leaves
// the high-water mark behind. Operators never allocate device memory.
#ifndef HEL_OPS_EXEC_H
#define HEL_OPS_EXEC_H

#include <helicoid/device.h>

#include "device/transform.h"

// Bindings may begin at multiples of so many bytes on every device, and such lines suit vector loads even where that rule is laxer.
enum { HEL_BINDING_ALIGNMENT = 256 };

// Activations, f32 [rows, cols], row-major, in the arena.
typedef struct hel_tensor {
    hel_binding where;
    uint32_t rows, cols;
} hel_tensor;

// Some columns of a tensor, as one product leaves several results side by side.
typedef struct hel_columns {
    hel_tensor of;
    uint32_t first, count;
} hel_columns;
static inline hel_columns hel_columns_all(hel_tensor x) { return (hel_columns){x, 0, x.cols}; }

typedef struct hel_exec {
    const hel_device *device;
    hel_status status; // the first failure
    bool planning;
    hel_buffer *arena;
    uint64_t used, peak; // bytes of the arena
    hel_buffer *nothing; // bound where a kernel has an input it will not read
    bool matrix;         // products of many tokens run on the device's matrix units
    bool recording;
    hel_recorded_dispatch *calls; // [n_calls] while recording
    uint32_t n_calls, room;
    // For tuning: constants to run with in place of what was chosen, or NULL; and the timer of the next dispatch as
    // hel_dispatch takes it, counted on from there, or 0 for none.
    const struct hel_choice *trial;
    uint32_t timer;
} hel_exec;

hel_status hel_exec_init(hel_exec *exec, const hel_device *device);
void hel_exec_finish(hel_exec *exec); // accepts a zeroed exec

// Before and after the planning pass; the second makes the arena.
void hel_exec_plan_begin(hel_exec *exec);
hel_status hel_exec_plan_end(hel_exec *exec);

// Begins a pass: clears the status, empties the arena.
void hel_exec_reset(hel_exec *exec);

// A tensor with undefined contents, valid until hel_exec_release with a mark taken before it.
hel_tensor hel_exec_tensor(hel_exec *exec, uint32_t rows, uint32_t cols);
uint64_t hel_exec_mark(const hel_exec *exec);
void hel_exec_release(hel_exec *exec, uint64_t mark);

// Host to tensor and back; the second waits.
void hel_exec_upload(hel_exec *exec, hel_tensor to, const float *values);
void hel_exec_download(hel_exec *exec, hel_tensor from, float *values);

// On the device: rows of complex numbers by their transforms (hel_transform_run), `from` to where `to` begins.
void hel_exec_transform(hel_exec *exec, hel_transform *transform, hel_tensor rows, bool back);
void hel_exec_copy(hel_exec *exec, hel_binding to, hel_binding from);

// A new buffer of these bytes, or none. Statuses: as hel_buffer_create and hel_buffer_write.
hel_status hel_buffer_create_from(const hel_device *device, const void *bytes, uint64_t size, hel_buffer **out);

// All of a buffer.
static inline hel_binding hel_bind(hel_buffer *buffer) { return (hel_binding){.buffer = buffer}; }

// The binding itself, or the buffer of nothing where it has no bytes.
static inline hel_binding hel_exec_optional(const hel_exec *exec, hel_binding binding) {
    return binding.size ? binding : hel_bind(exec->nothing);
}

// Fails, when planning too, where a kernel cannot count or see that many values in one binding.
void hel_exec_expect_elements(hel_exec *exec, uint32_t rows, uint32_t cols);

// Waits until the device has done all that was dispatched; for what measures time.
hel_status hel_exec_wait(const hel_exec *exec);

typedef struct hel_call {
    const char *kernel;
    const uint32_t *constants;
    uint32_t n_constants;
    const hel_binding *bindings;
    uint32_t n_bindings;
    const void *params;
    uint32_t params_size;
    uint64_t groups;
} hel_call;
void hel_exec_dispatch(hel_exec *exec, const hel_call *call);

// Fails, when planning too, where the device's driver would end so many loop iterations of a lane before they are done.
void hel_exec_expect_loops(hel_exec *exec, const char *kernel, uint64_t iterations);
// Of so many steps, those that one dispatch may go through: a lane loops `fixed` times, and `each` times for a step. At least 1.
uint32_t hel_exec_steps_at_once(const hel_exec *exec, uint32_t steps, uint64_t fixed, uint64_t each);

// Between these two, dispatches are not made but kept for the recording, which is the caller's. Host and tensors cannot
// meet meanwhile: uploads and downloads fail. The second fails with exec->status, or as hel_recording_create does.
void hel_exec_record_begin(hel_exec *exec);
hel_status hel_exec_record_end(hel_exec *exec, hel_recording **out);

// Notes a failure found outside a dispatch.
void hel_exec_fail(hel_exec *exec, hel_status status);
static inline bool hel_exec_idle(const hel_exec *exec) { return exec->planning || exec->status != HEL_OK; }

#endif
