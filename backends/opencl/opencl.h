// SPDX-License-Identifier: Apache-2.0
// The OpenCL device: OpenCL 1.2, one in-order queue, kernels built from their text at first use and kept on disk.
#ifndef BACKENDS_OPENCL_OPENCL_H
#define BACKENDS_OPENCL_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "device/backend.h"
#include "device/binary_cache.h"

#define OPENCL_SYMBOLS(X)                                                                                            \
    X(clBuildProgram) X(clCreateBuffer) X(clCreateCommandQueue) X(clCreateContext) X(clCreateKernel)                 \
    X(clCreateProgramWithBinary) X(clCreateProgramWithSource) X(clCreateSubBuffer) X(clEnqueueCopyBuffer)            \
    X(clEnqueueFillBuffer) X(clEnqueueMarkerWithWaitList) X(clEnqueueNDRangeKernel) X(clEnqueueReadBuffer)           \
    X(clEnqueueWriteBuffer) X(clFinish) X(clFlush) X(clGetDeviceIDs) X(clGetDeviceInfo) X(clGetEventInfo)            \
    X(clGetEventProfilingInfo) X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetProgramBuildInfo) X(clGetProgramInfo) \
    X(clReleaseCommandQueue) X(clReleaseContext) X(clReleaseEvent) X(clReleaseKernel) X(clReleaseMemObject)          \
    X(clReleaseProgram) X(clRetainEvent) X(clSetKernelArg) X(clWaitForEvents)

#define OPENCL_MEMBER(name) __typeof__(name) *name;
typedef struct opencl_functions {
    OPENCL_SYMBOLS(OPENCL_MEMBER)
} opencl_functions;

// The one table of symbols, filled by opencl_load.
extern opencl_functions opencl;

enum {
    OPENCL_TICKETS = 64,          // marks that are remembered one by one; older ones share the next event
    OPENCL_RANGES = 64,           // sub-buffers kept per buffer
    OPENCL_STAGING_HALF = 1 << 20 // bytes; writes up to a quarter of it do not wait
};

// Host memory that small writes are copied to, so that the caller need not wait for the queue. A half is used again
// when the marker behind its last write is done.
typedef struct opencl_staging {
    unsigned char *bytes;
    uint32_t half; // the one being filled
    size_t used;   // bytes of it
    cl_event done[2];
} opencl_staging;

typedef struct opencl_ticket {
    uint64_t ticket;
    cl_event event;
} opencl_ticket;

typedef struct opencl_device {
    hel_device_base base;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    hel_binary_cache cache;
    opencl_staging staging;
    opencl_ticket tickets[OPENCL_TICKETS];
    uint64_t last_ticket;
    cl_event timers[HEL_TIMER_SLOTS];
} opencl_device;

typedef struct opencl_range {
    uint64_t offset, size;
    cl_mem memory; // NULL: free
    uint64_t used; // the buffer's clock at its last use
} opencl_range;

typedef struct opencl_buffer {
    hel_buffer base;
    cl_mem memory;
    opencl_range *ranges; // OPENCL_RANGES of them from the first partial binding on
    uint64_t clock;
} opencl_buffer;

typedef struct opencl_kernel {
    hel_kernel base;
    cl_program program;
    cl_kernel kernel;
    size_t workgroup;
} opencl_kernel;

static inline opencl_device *opencl_device_of(const hel_device *device) { return (opencl_device *)hel_device_base_of(device); }
static inline opencl_buffer *opencl_buffer_of(hel_buffer *buffer) { return (opencl_buffer *)buffer; }

// loader.c
hel_status opencl_load(void); // UNAVAILABLE where there is no OpenCL; thread-safe
// CL_SUCCESS is HEL_OK; all else is a failure with words: what was tried and the code's name.
hel_status opencl_check(cl_int code, const char *what);

// buffer.c
hel_status opencl_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out);
void opencl_buffer_destroy(const hel_device *device, hel_buffer *buffer);
hel_status opencl_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                               const void *bytes, uint64_t size);
hel_status opencl_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                              uint64_t size);
hel_status opencl_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                              hel_buffer *from, uint64_t from_offset, uint64_t size);
hel_status opencl_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word);
// The memory object for a binding: the buffer itself or a sub-buffer that stays with it. The buffer owns it.
hel_status opencl_buffer_range(const hel_binding *binding, cl_mem *out);
void opencl_staging_finish(opencl_staging *staging);

// kernel.c
hel_status opencl_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out);
void opencl_kernel_destroy(const hel_device *device, hel_kernel *kernel);

// queue.c
hel_status opencl_dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer);
hel_status opencl_flush(const hel_device *device);
hel_status opencl_mark(const hel_device *device, hel_queue queue, uint64_t *out_ticket);
hel_status opencl_wait(const hel_device *device, uint64_t ticket, uint64_t timeout_ns);
hel_status opencl_timer_query(const hel_device *device, uint32_t slot, uint64_t *out_ns);
// Releases an event if there is one, and nulls it.
void opencl_event_release(cl_event *event);

// fft.c
uint32_t opencl_transform_least(const hel_device *device);
hel_status opencl_transform_create(const hel_device *device, uint32_t points, hel_transform **out);
hel_status opencl_transform_run(const hel_device *device, hel_transform *transform, const hel_binding *rows, uint32_t count,
                                bool back);
void opencl_transform_destroy(const hel_device *device, hel_transform *transform);

#endif
