// SPDX-License-Identifier: Apache-2.0
// Devices: one abstraction over the CPU, Vulkan, OpenCL and CUDA. A device owns buffers and kernels and runs
// dispatches in order; results are visible after a wait or a read.
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
    uint64_t max_binding;      // bytes of the largest range a kernel can see
    uint32_t offset_alignment; // binding offsets are multiples of this many bytes
    uint32_t max_workgroup;    // invocations in a work-group
    uint32_t shared_memory;    // bytes a work-group can share
    uint32_t subgroup;         // invocations that run in lockstep, 1 where unknown
    uint32_t compute_units;    // cores, SMs; 0 unknown
} hel_device_limits;

typedef struct hel_device_features {
    bool mapped;         // buffers can be mapped into the host
    bool timers;         // dispatches can be timed on the device
    bool transfer_queue; // HEL_QUEUE_TRANSFER runs beside the compute queue
} hel_device_features;

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
} hel_device;

// What a machine offers. `status` is HEL_OK for a usable device; otherwise `reason` says why not, and `device`
// holds what is known (at least backend and index).
typedef struct hel_device_entry {
    hel_device device;
    hel_status status;
    char reason[256];
} hel_device_entry;

// Lists every device of every backend in this build, and one entry with a reason for each backend that fails.
// *out is freed with hel_device_list_free. Opens and closes drivers; takes milliseconds to a second.
HEL_API hel_status hel_device_list(hel_device_entry **out, size_t *out_count);
HEL_API void hel_device_list_free(hel_device_entry **list);

typedef struct hel_device_params {
    size_t struct_size;          // sizeof(hel_device_params), set by hel_device_params_default
    uint32_t threads;            // CPU: threads in all, 0 one per processor. Ignored elsewhere
    uint64_t memory_limit;       // bytes of buffers this handle may own, 0 no limit
    const char *cache_directory; // compiled kernels; NULL the user's cache directory, "" no cache
    bool scalar;                 // CPU: only the C forms of the kernels, no vector code
} hel_device_params;

HEL_API void hel_device_params_init(hel_device_params *params, size_t struct_size);
HEL_DEFAULT(hel_device_params)

// Opens "backend" or "backend:index", for example "cpu", "vulkan:0", "cuda". `params` may be NULL.
// Statuses: ARGUMENT for an unknown name, UNAVAILABLE where there is no such driver or device, DEVICE, MEMORY.
HEL_API hel_status hel_device_open(const char *name, const hel_device_params *params, const hel_device **out);

// Opens the best device: a discrete GPU, then an integrated one, then the CPU; never a software device.
// One GPU seen through several drivers counts once: CUDA, then Vulkan, then OpenCL. Never fails for lack of a GPU.
HEL_API hel_status hel_device_open_best(const hel_device_params *params, const hel_device **out);

// Waits for all work and frees the device; its buffers and kernels must be gone. Nulls the handle, accepts NULL.
HEL_API void hel_device_destroy(const hel_device **device);

// Bytes of buffers alive and the most there ever were on this handle.
HEL_API void hel_device_memory(const hel_device *device, uint64_t *out_used, uint64_t *out_peak);

// ---------------------------------------------------------------- buffers

typedef struct hel_buffer hel_buffer;

typedef enum hel_queue {
    HEL_QUEUE_COMPUTE = 0,
    HEL_QUEUE_TRANSFER = 1, // the compute queue again where the device has no transfer queue
} hel_queue;

// `size` bytes, not 0 and at most limits.max_buffer, zero-filled. Statuses: ARGUMENT, DEVICE_MEMORY, DEVICE, MEMORY.
HEL_API hel_status hel_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);
// May be called while work that uses the buffer is pending: the memory goes when that is done.
HEL_API void hel_buffer_destroy(const hel_device *device, hel_buffer **buffer);
HEL_API uint64_t hel_buffer_size(const hel_buffer *buffer);
// Address of the buffer's bytes for the host where features.mapped, else UNSUPPORTED. The caller waits for pending work.
HEL_API hel_status hel_buffer_map(const hel_device *device, hel_buffer *buffer, void **out);
// Copies from the host; `bytes` may be reused on return. Ordered with the queue's other work. Offset and size are
// multiples of 4.
HEL_API hel_status hel_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                                    const void *bytes, uint64_t size);
// Waits for the queue's earlier work and copies to the host. Offset and size are multiples of 4.
HEL_API hel_status hel_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                                   void *bytes, uint64_t size);
// Device to device on one handle; ranges must not overlap; multiples of 4.
HEL_API hel_status hel_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                                   hel_buffer *from, uint64_t from_offset, uint64_t size);
// Fills with a 32-bit word; multiples of 4.
HEL_API hel_status hel_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size,
                                   uint32_t word);

// ---------------------------------------------------------------- kernels

typedef struct hel_kernel hel_kernel;

// A built-in kernel by name ("rmsnorm"; docs/kernels.md lists them with bindings and parameters), compiled at first
// use and shared by all callers on the device. `constants` sets its MODE and TUNE values by id; where `count` is
// smaller the rest keep their defaults. The kernel belongs to the device. Statuses: NOT_FOUND, DEVICE, MEMORY.
HEL_API hel_status hel_kernel_get(const hel_device *device, const char *name, const uint32_t *constants, uint32_t count,
                                  hel_kernel **out);

typedef struct hel_binding {
    hel_buffer *buffer;
    uint64_t offset; // bytes, a multiple of limits.offset_alignment
    uint64_t size;   // bytes, at most limits.max_binding; 0 means to the buffer's end
} hel_binding;

enum { HEL_MAX_BINDINGS = 8, HEL_MAX_PARAMS = 128, HEL_MAX_CONSTANTS = 12, HEL_TIMER_SLOTS = 64 };

// Runs `groups` work-groups on the compute queue. `params` is the kernel's parameter struct, whose first member, the
// number of groups, is filled in here. Ranges that the kernel writes must not overlap other ranges of the call.
// `timer` is 0, or 1 + a slot (below HEL_TIMER_SLOTS) that will hold the time this dispatch took.
HEL_API hel_status hel_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, uint32_t count,
                                const void *params, uint32_t params_size, uint64_t groups, uint32_t timer);

// ---------------------------------------------------------------- order and time

// Hands pending work to the device without waiting.
HEL_API hel_status hel_device_flush(const hel_device *device);
// A ticket for everything submitted to `queue` so far; tickets grow.
HEL_API hel_status hel_device_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);
// Blocks until the ticket's work is done: TIMEOUT after `timeout_ns` (UINT64_MAX waits for ever), DEVICE_LOST.
HEL_API hel_status hel_device_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);
// Work submitted to `queue` from now on starts after the ticket's.
HEL_API hel_status hel_device_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket);
// Nanoseconds of the last dispatch with timer slot `slot`; waits for it. UNSUPPORTED without features.timers.
HEL_API hel_status hel_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);

#ifdef __cplusplus
}
#endif

#endif
