// SPDX-License-Identifier: Apache-2.0
// The CUDA device: the primary context, a compute and a transfer stream, kernels compiled by NVRTC at first use and
// kept on disk.
#ifndef BACKENDS_CUDA_CUDA_H
#define BACKENDS_CUDA_CUDA_H

#include "device/backend.h"
#include "device/binary_cache.h"
#include "loader.h"

enum {
    CUDA_TICKETS = 64,           // marks a queue remembers one by one; older ones share the next event
    CUDA_STAGING_PARTS = 4,      // of a queue's ring
    CUDA_STAGING_PART = 1 << 20, // bytes
};

// Pinned host memory that writes go through, so that the caller need not wait for the stream. A part is used again
// when the event behind its last copy is done.
typedef struct cuda_staging {
    unsigned char *bytes; // NULL until the first write
    uint32_t part;        // the one being filled
    size_t used;          // bytes of it
    CUevent done[CUDA_STAGING_PARTS];
} cuda_staging;

typedef struct cuda_ticket {
    uint64_t ticket; // 0 none yet
    CUevent event;
} cuda_ticket;

typedef struct cuda_queue {
    CUstream stream;
    cuda_staging staging;
    cuda_ticket tickets[CUDA_TICKETS];
    uint64_t marks;
} cuda_queue;

typedef struct cuda_timer {
    CUevent start, stop; // NULL until first used
    bool recorded;
} cuda_timer;

typedef struct cuda_device {
    hel_device_base base;
    CUdevice id;
    CUcontext context;
    int capability;   // 90 for compute capability 9.0
    int architecture; // that kernels are compiled for: the same, or the nearest that NVRTC knows
    cuda_queue queues[2]; // by hel_queue
    CUevent zeroed; // behind the zero-fill of the newest buffer
    uint64_t last_ticket;
    hel_binary_cache cache;
    cuda_timer timers[HEL_TIMER_SLOTS];
} cuda_device;

typedef struct cuda_buffer {
    hel_buffer base;
    CUdeviceptr address;
} cuda_buffer;

typedef struct cuda_kernel {
    hel_kernel base;
    CUmodule module;
    CUfunction function;
} cuda_kernel;

typedef struct cuda_recording {
    hel_recording base;
    CUgraphExec graph;
} cuda_recording;

static inline cuda_device *cuda_device_of(const hel_device *device) { return (cuda_device *)hel_device_base_of(device); }
static inline CUdeviceptr cuda_address(hel_buffer *buffer) { return ((cuda_buffer *)buffer)->address; }
static inline CUstream cuda_stream(const hel_device *device, hel_queue queue) {
    return cuda_device_of(device)->queues[queue].stream;
}

// device.c: makes the device's context current for the calling thread, and restores what was.
hel_status cuda_enter(const hel_device *device);
void cuda_leave(void);

// The body of a function of the table: runs `call` inside the context.
#define CUDA_WITHIN(device, call)           \
    do {                                    \
        HEL_TRY(cuda_enter(device));        \
        hel_status within_status = (call);  \
        cuda_leave();                       \
        return within_status;               \
    } while (0)

// buffer.c
hel_status cuda_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);
void cuda_buffer_destroy(const hel_device *device, hel_buffer *buffer);
hel_status cuda_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                             const void *bytes, uint64_t size);
hel_status cuda_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                            uint64_t size);
hel_status cuda_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                            hel_buffer *from, uint64_t from_offset, uint64_t size);
hel_status cuda_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word);
void cuda_staging_finish(cuda_staging *staging); // inside the context

// kernel.c
// The device's own architecture, or the nearest older one that NVRTC knows.
hel_status cuda_choose_architecture(int capability, int *out);
hel_status cuda_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                              hel_kernel **out);
void cuda_kernel_destroy(const hel_device *device, hel_kernel *kernel);

// "--gpu-architecture=...", as NVRTC takes it.
void cuda_architecture_option(const cuda_device *device, char *out, size_t size);

// fft.c
uint32_t cuda_transform_least(const hel_device *device);
hel_status cuda_transform_create(const hel_device *device, uint32_t points, hel_transform **out);
hel_status cuda_transform_run(const hel_device *device, hel_transform *transform, const hel_binding *rows, uint32_t count,
                              bool back);
void cuda_transform_destroy(const hel_device *device, hel_transform *transform);

// recording.c
hel_status cuda_recording_create(const hel_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                                 hel_recording **out);
hel_status cuda_recording_replay(const hel_device *device, hel_recording *recording);
void cuda_recording_destroy(const hel_device *device, hel_recording *recording);

// queue.c
// Inside the context.
hel_status cuda_launch(const cuda_device *device, CUstream stream, const hel_kernel *kernel, const hel_binding *bindings,
                       const void *params, uint32_t groups_x, uint32_t groups_y);
hel_status cuda_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                         uint32_t groups_x, uint32_t groups_y, uint32_t timer);
hel_status cuda_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);
hel_status cuda_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);
hel_status cuda_wait_on(const hel_device *device, hel_queue queue, uint64_t ticket);
hel_status cuda_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);
void cuda_event_destroy(CUevent *event); // accepts and leaves NULL; inside the context

#endif
