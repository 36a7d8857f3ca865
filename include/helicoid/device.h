// SPDX-License-Identifier: Apache-2.0
// Devices: one abstraction over the CPU, Vulkan, OpenCL and CUDA. A device owns buffers and kernels and runs
// dispatches in order; results are visible after a wait or a read.
//
// Holds for every function with a status here. A NULL where something is needed and a range outside its buffer are
// ARGUMENT and change nothing. DEVICE is a failed driver call, DEVICE_LOST a device that is gone: from then on every call
// but destroying fails. Host memory that is short is MEMORY. After any failure buffers that a call was to write have
// undefined contents in the range it named; a handle that the call was to give is NULL. Work that earlier calls
// have accepted is done all the same.
// Offsets and sizes are bytes. Thread-safety: safe on one device from any number of threads unless said otherwise.
#ifndef HELICOID_DEVICE_H
#define HELICOID_DEVICE_H

#include <helicoid/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hel_device_type {
    HEL_DEVICE_TYPE_NONE = 0,       // the null device: accepts everything, computes nothing
    HEL_DEVICE_TYPE_CPU = 1,
    HEL_DEVICE_TYPE_INTEGRATED = 2, // GPU that shares the host's memory
    HEL_DEVICE_TYPE_DISCRETE = 3,
    HEL_DEVICE_TYPE_SOFTWARE = 4,   // a GPU interface executed by the CPU (lavapipe, PoCL)
} hel_device_type;

typedef struct hel_device_limits {
    uint64_t memory;           // bytes of memory the device has, 0 unknown
    uint64_t max_buffer;       // bytes of the largest buffer
    uint64_t max_binding;      // bytes of the largest range a kernel can see, at most 16 GiB
    uint32_t offset_alignment; // binding offsets are multiples of this many bytes
    uint32_t max_workgroup;    // invocations in a work-group
    uint32_t shared_memory;    // bytes a work-group can share
    uint32_t subgroup;         // invocations that run in lockstep, 1 where unknown
    uint32_t compute_units;    // cores, SMs; 0 unknown
    uint32_t loop_iterations;  // of all loops of an invocation, after which the driver ends them silently; 0 no such limit
} hel_device_limits;

typedef struct hel_device_features {
    bool mapped;         // buffers can be mapped into the host
    bool timers;         // dispatches can be timed on the device
    bool transfer_queue; // HEL_QUEUE_TRANSFER runs beside the compute queue
    bool recording;      // sequences of dispatches can be recorded and replayed
    bool matrix_bf16;    // matrix units multiply bf16 and sum floats, and there are kernels for them
    bool scalar;         // kernels compute one value at a time: plain C
} hel_device_features;

// How far operands of the matrix products may be rounded. A device without faster rounded products uses floats.
typedef enum hel_precision {
    HEL_PRECISION_F32 = 0,  // about as floats: see docs/kernels.md
    HEL_PRECISION_BF16 = 1, // to 8 bits of significand, or to 16 bits that share an exponent; sums stay floats
    HEL_PRECISION_EXACT = 2, // not at all: floats are multiplied and added
} hel_precision;

// Constant after the device is opened. Thread-safety: safe; submissions are serialised inside.
typedef struct hel_device {
    const char *backend; // "cpu", "vulkan", "opencl", "cuda", "null"
    uint32_t index;      // of the device within its backend: "vulkan:1" has 1
    hel_device_type type;
    char name[128];
    char vendor[64];
    char driver[128];
    hel_device_limits limits;
    hel_device_features features;
    hel_precision precision; // it was opened with, as
    uint32_t threads;        // of the host, 0 one per processor
} hel_device;

// What a machine offers. `status` is HEL_OK for a usable device; otherwise `reason` says why not, and `device`
// holds what is known (at least backend and index).
typedef struct hel_device_entry {
    hel_device device;
    hel_status status;
    char reason[256];
    uint32_t tuned; // uses of matrix products that tuning has settled, as the user's cache directory has them
} hel_device_entry;

// Lists every device of every backend in this build, and one entry with a reason for each backend that fails:
// *out [*out_count], freed with hel_device_list_free. Opens and closes drivers; blocks for milliseconds to a second.
// Statuses: ARGUMENT, MEMORY; a backend's failure is its entry's.
HEL_API hel_status hel_device_list(hel_device_entry **out, size_t *out_count);

// Frees and nulls the list; accepts NULL and a pointer to NULL.
HEL_API void hel_device_list_free(hel_device_entry **list);

// Whether variants of the matrix products are timed before a device runs them, and the fastest used from then on
// (docs/kernels.md). All variants of a product give the same bits.
typedef enum hel_tuning {
    HEL_TUNING_NEVER = 0,
    HEL_TUNING_AUTO = 1,   // on GPUs
    HEL_TUNING_ALWAYS = 2, // on software devices too; the CPU has no variants
} hel_tuning;

typedef struct hel_device_params {
    size_t struct_size;          // sizeof(hel_device_params), set by hel_device_params_default
    uint32_t threads;            // CPU: threads in all, 0 one per processor; one of them is the caller's own, which
                                 // needs half a megabyte of stack. Elsewhere those that make what the host makes for the
                                 // device (filters of Hyena)
    uint64_t memory_limit;       // bytes of buffers this handle may own, 0 no limit
    const char *cache_directory; // compiled kernels, what tuning chose; NULL the user's cache directory, "" no cache
    bool scalar;                 // CPU: only the C forms of the kernels, no vector code
    hel_precision precision;     // of matrix products
} hel_device_params;

// One thread per processor, no memory limit, the user's cache directory, vector code, HEL_PRECISION_F32.
HEL_API void hel_device_params_init(hel_device_params *params, size_t struct_size);
HEL_DEFAULT(hel_device_params)

// Opens "backend" or "backend:index", for example "cpu", "vulkan:0", "cuda". `params` may be NULL; nothing of it is kept
// after the call. Each call gives a device of its own, freed with hel_device_destroy. Blocks, with drivers for up to
// a second. Statuses: ARGUMENT for an unknown name, UNAVAILABLE where there is no such driver or device, UNSUPPORTED for
// a device that lacks what the kernels need, DEVICE, MEMORY.
HEL_API hel_status hel_device_open(const char *name, const hel_device_params *params, const hel_device **out);

// Opens the best device: a discrete GPU, then an integrated one, then the CPU; never a software device.
// One GPU seen through several drivers counts once: CUDA, then Vulkan, then OpenCL. Never fails for lack of a GPU: one
// that does not open is logged and passed over. Otherwise as hel_device_open.
HEL_API hel_status hel_device_open_best(const hel_device_params *params, const hel_device **out);

// Waits for all work and frees the device and its kernels; its buffers and recordings must be gone. Nulls the handle,
// accepts NULL and a pointer to NULL. Thread-safety: no other call on the device may run or follow.
HEL_API void hel_device_destroy(const hel_device **device);

// Bytes of buffers alive and the most there ever were on this handle. Either pointer may be NULL.
HEL_API void hel_device_memory(const hel_device *device, uint64_t *out_used, uint64_t *out_peak);

// Bytes that could still be had of the device's memory now, whoever has the rest, as its driver says; 0 where it does not (the CPU,
// OpenCL, Vulkan without VK_EXT_memory_budget).
HEL_API uint64_t hel_device_memory_free(const hel_device *device);

// ---------------------------------------------------------------- buffers

typedef struct hel_buffer hel_buffer;

typedef enum hel_queue {
    HEL_QUEUE_COMPUTE = 0,
    HEL_QUEUE_TRANSFER = 1, // the compute queue again where the device has no transfer queue
} hel_queue;

// `size` bytes, not 0, zero-filled; the caller's, freed with hel_buffer_destroy before the device. Statuses: ARGUMENT,
// DEVICE_MEMORY (over limits.max_buffer, over params.memory_limit, or the device is full), DEVICE, MEMORY.
HEL_API hel_status hel_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);

// Frees and nulls the buffer; accepts NULL and a pointer to NULL. May be called while work that uses the buffer is
// pending: the memory goes when that is done. Thread-safety: no other call with this buffer may run or follow.
HEL_API void hel_buffer_destroy(const hel_device *device, hel_buffer **buffer);

// Bytes it was created with; 0 for NULL.
HEL_API uint64_t hel_buffer_size(const hel_buffer *buffer);

// Address of the buffer's bytes for the host, valid until the buffer is destroyed; it belongs to the buffer. Does not
// wait: reading or writing there while work on the buffer is pending is the caller's race. Statuses: ARGUMENT,
// UNSUPPORTED without features.mapped, DEVICE.
HEL_API hel_status hel_buffer_map(const hel_device *device, hel_buffer *buffer, void **out);

// Copies `size` bytes from the host; `bytes` may be reused on return. Ordered with the queue's other work; blocks only
// while staging memory is busy. Offset and size are multiples of 4; size 0 does nothing.
// Statuses: ARGUMENT, DEVICE, DEVICE_LOST, DEVICE_MEMORY, MEMORY.
HEL_API hel_status hel_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                                    const void *bytes, uint64_t size);

// Waits for the queue's earlier work and copies `size` bytes to the host. Blocking. Otherwise as hel_buffer_write.
HEL_API hel_status hel_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                                   void *bytes, uint64_t size);

// Device to device on one handle; ranges must not overlap (ARGUMENT). Does not block. Otherwise as hel_buffer_write.
HEL_API hel_status hel_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                                   hel_buffer *from, uint64_t from_offset, uint64_t size);

// Fills with a 32-bit word, on the compute queue. Does not block. Otherwise as hel_buffer_write.
HEL_API hel_status hel_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size,
                                   uint32_t word);

// ---------------------------------------------------------------- kernels

typedef struct hel_kernel hel_kernel;

// A built-in kernel by name ("rmsnorm"; docs/kernels.md lists them with bindings and parameters), compiled at first
// use and shared by all callers on the device. `constants` [count] are its MODE and TUNE values, by id; the rest keep
// their defaults. One called LANES is the work-group size, a power of two, halved where the device allows less. The CPU
// device takes the MODE values and always runs with the default TUNE values, so grids for it are cut by those. The kernel
// belongs to the device and lives as long. Blocks while a driver compiles, up to seconds.
// Statuses: ARGUMENT (also more constants than the kernel has), NOT_FOUND, UNSUPPORTED (also constants above the kernel's
// limits, LANES that is no power of two, and more shared memory than the device has), DEVICE, MEMORY.
HEL_API hel_status hel_kernel_get(const hel_device *device, const char *name, const uint32_t *constants, uint32_t count,
                                  hel_kernel **out);

typedef struct hel_binding {
    hel_buffer *buffer;
    uint64_t offset; // bytes, a multiple of limits.offset_alignment
    uint64_t size;   // bytes, at most limits.max_binding; 0 means to the buffer's end
} hel_binding;

enum { HEL_MAX_BINDINGS = 8, HEL_MAX_PARAMS = 128, HEL_MAX_CONSTANTS = 12, HEL_TIMER_SLOTS = 64 };

// Runs `groups` work-groups on the compute queue, after all that was submitted there before; 0 does nothing.
// `bindings` [count] are as many as the kernel has; `params` is its parameter struct, whose first member, the number of
// groups, is filled in here. Both are copied. Ranges that the kernel writes must not overlap other ranges of the call.
// `timer` is 0, or 1 + a slot (below HEL_TIMER_SLOTS) that will hold the time this dispatch took.
// Does not block, but the CPU device has done the work when it returns. What shapes mean is the kernel's: sizes that do
// not fit its buffers are not noticed. Statuses: ARGUMENT, UNSUPPORTED for sizes above the kernel's limits, DEVICE,
// DEVICE_LOST, DEVICE_MEMORY, MEMORY.
HEL_API hel_status hel_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, uint32_t count,
                                const void *params, uint32_t params_size, uint64_t groups, uint32_t timer);

// ---------------------------------------------------------------- recordings

// The arguments of a hel_dispatch, untimed.
typedef struct hel_recorded_dispatch {
    hel_kernel *kernel;
    hel_binding bindings[HEL_MAX_BINDINGS];
    uint32_t count; // of bindings
    uint32_t params_size;
    unsigned char params[HEL_MAX_PARAMS];
    uint64_t groups;
} hel_recorded_dispatch;

// A fixed sequence of dispatches in the device's own form (a CUDA graph, a Vulkan command buffer): replaying it costs the
// host about as much as one dispatch. Bindings and parameters are fixed, what lies in the buffers is not.
typedef struct hel_recording hel_recording;

// Checks and keeps dispatches [count], at least one with groups, and runs none of them. They come in one piece, so that
// what other threads dispatch meanwhile cannot get in between. The recording is the caller's, freed with
// hel_recording_destroy before the device, and its buffers must live as long. Does not wait for the device. Statuses:
// ARGUMENT, UNSUPPORTED (no features.recording; sizes above a kernel's limits), DEVICE, DEVICE_LOST, DEVICE_MEMORY, MEMORY.
HEL_API hel_status hel_recording_create(const hel_device *device, const hel_recorded_dispatch *dispatches, uint32_t count,
                                        hel_recording **out);

// Runs the dispatches on the compute queue, each after the one before, all after what was submitted there before. Does not
// block, and may be called again while earlier replays are pending. Statuses: ARGUMENT (also where one of its buffers was
// destroyed), DEVICE, DEVICE_LOST, DEVICE_MEMORY, MEMORY.
HEL_API hel_status hel_recording_replay(const hel_device *device, hel_recording *recording);

// Frees and nulls the recording; accepts NULL and a pointer to NULL. May be called while replays are pending.
// Thread-safety: no other call with this recording may run or follow.
HEL_API void hel_recording_destroy(const hel_device *device, hel_recording **recording);

// ---------------------------------------------------------------- order and time

// Hands pending work to the device without waiting. Statuses: ARGUMENT, DEVICE, DEVICE_LOST.
HEL_API hel_status hel_device_flush(const hel_device *device);

// A ticket for everything submitted to `queue` so far; tickets grow, need no freeing and are this device's alone. Does
// not block. Statuses: ARGUMENT, DEVICE, DEVICE_LOST, MEMORY.
HEL_API hel_status hel_device_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);

// Blocks until the ticket's work is done, or until `timeout_ns` nanoseconds have passed (UINT64_MAX waits for ever).
// Statuses: ARGUMENT, TIMEOUT (the work goes on), DEVICE, DEVICE_LOST.
HEL_API hel_status hel_device_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);

// Blocks until everything submitted to `queue` so far is done. Statuses: as hel_device_mark and hel_device_wait, but for
// TIMEOUT.
HEL_API hel_status hel_device_wait_idle(const hel_device *device, hel_queue queue);

// Work submitted to `queue` from now on starts after the ticket's. Does not block. Statuses: ARGUMENT, DEVICE, DEVICE_LOST.
HEL_API hel_status hel_device_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket);

// Nanoseconds of the last dispatch with timer slot `slot`, 0 where there was none; blocks until it is done.
// Statuses: ARGUMENT, UNSUPPORTED without features.timers, DEVICE, DEVICE_LOST.
HEL_API hel_status hel_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);

#ifdef __cplusplus
}
#endif

#endif
