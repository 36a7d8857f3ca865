// SPDX-License-Identifier: Apache-2.0
// Transforms by VkFFT. What it calls by name goes to the table of symbols; failures leave (backends/vkfft/guard.h).
#include "opencl.h"

#include "backends/vkfft/guard.h"

// ---------------------------------------------------------------- what stands in for the driver

static void give_buffer(const hel_device *device, uint64_t object) {
    (void)device;
    opencl.clReleaseMemObject((cl_mem)(uintptr_t)object);
}

static void give_queue(const hel_device *device, uint64_t object) {
    (void)device;
    opencl.clReleaseCommandQueue((cl_command_queue)(uintptr_t)object);
}

static void give_program(const hel_device *device, uint64_t object) {
    (void)device;
    opencl.clReleaseProgram((cl_program)(uintptr_t)object);
}

static void give_kernel(const hel_device *device, uint64_t object) {
    (void)device;
    opencl.clReleaseKernel((cl_kernel)(uintptr_t)object);
}

static cl_int must(cl_int code, const char *what) {
    if (code != CL_SUCCESS) vkfft_leave(opencl_check(code, what));
    return code;
}

static void *kept(void *object, const cl_int *code, const char *what, vkfft_give_back *give_back) {
    must(*code, what);
    vkfft_keep(give_back, (uintptr_t)object);
    return object;
}

static cl_int given_back(void *object, vkfft_give_back *give_back) {
    vkfft_forget(give_back, (uintptr_t)object);
    return CL_SUCCESS;
}

static cl_int built(cl_int code) {
    const hel_device *device = vkfft_now->device;
    if (code == CL_BUILD_PROGRAM_FAILURE)
        vkfft_leave(hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u does not compile VkFFT's kernels", device->backend, device->index));
    return must(code, "clBuildProgram");
}

// Software devices call a second-level cache local memory, and have work-groups of thousands of lanes. VkFFT takes them at their
// word: then it is several times slower, and its kernels overflow their stacks. Of the limits tried on PoCL, these are its best.
enum { SOFTWARE_LOCAL = 32768, SOFTWARE_LANES = 256 };

static cl_int device_info(cl_device_id id, cl_device_info what, size_t room, void *value, size_t *size) {
    must(opencl.clGetDeviceInfo(id, what, room, value, size), "clGetDeviceInfo");
    if (vkfft_now->device->type != HEL_DEVICE_TYPE_SOFTWARE || !value) return CL_SUCCESS;
    if (what == CL_DEVICE_LOCAL_MEM_SIZE) *(cl_ulong *)value = HEL_MIN(*(cl_ulong *)value, SOFTWARE_LOCAL);
    if (what == CL_DEVICE_MAX_WORK_GROUP_SIZE) *(size_t *)value = HEL_MIN(*(size_t *)value, SOFTWARE_LANES);
    return CL_SUCCESS;
}

#define clGetDeviceInfo device_info
#define clSetKernelArg(...) must(opencl.clSetKernelArg(__VA_ARGS__), "clSetKernelArg")
#define clEnqueueNDRangeKernel(...) must(opencl.clEnqueueNDRangeKernel(__VA_ARGS__), "clEnqueueNDRangeKernel")
#define clEnqueueReadBuffer(...) must(opencl.clEnqueueReadBuffer(__VA_ARGS__), "clEnqueueReadBuffer")
#define clEnqueueWriteBuffer(...) must(opencl.clEnqueueWriteBuffer(__VA_ARGS__), "clEnqueueWriteBuffer")
#define clFinish(queue) must(opencl.clFinish(queue), "clFinish")
#define clGetProgramInfo(...) must(opencl.clGetProgramInfo(__VA_ARGS__), "clGetProgramInfo")
#define clGetProgramBuildInfo(...) must(opencl.clGetProgramBuildInfo(__VA_ARGS__), "clGetProgramBuildInfo")
#define clBuildProgram(...) built(opencl.clBuildProgram(__VA_ARGS__))
#define clCreateBuffer(context, flags, size, host, code) \
    ((cl_mem)kept(opencl.clCreateBuffer(context, flags, size, host, code), code, "clCreateBuffer", give_buffer))
#define clCreateCommandQueue(context, id, flags, code) \
    ((cl_command_queue)kept(opencl.clCreateCommandQueue(context, id, flags, code), code, "clCreateCommandQueue", give_queue))
#define clCreateProgramWithSource(context, count, texts, sizes, code)                                                       \
    ((cl_program)kept(opencl.clCreateProgramWithSource(context, count, texts, sizes, code), code, "clCreateProgramWithSource", \
                      give_program))
#define clCreateProgramWithBinary(context, count, ids, sizes, binaries, each, code)                                          \
    ((cl_program)kept(opencl.clCreateProgramWithBinary(context, count, ids, sizes, binaries, each, code), code,               \
                      "clCreateProgramWithBinary", give_program))
#define clCreateKernel(program, name, code) \
    ((cl_kernel)kept(opencl.clCreateKernel(program, name, code), code, "clCreateKernel", give_kernel))
#define clReleaseMemObject(object) given_back(object, give_buffer)
#define clReleaseCommandQueue(object) given_back(object, give_queue)
#define clReleaseProgram(object) given_back(object, give_program)
#define clReleaseKernel(object) given_back(object, give_kernel)

#define VKFFT_BACKEND 3
#include <vkFFT.h>

// ---------------------------------------------------------------- transforms

typedef struct vkfft_binding {
    cl_mem rows;
} vkfft_binding;

#include "backends/vkfft/transform.inc.c"

static void vkfft_configure(const hel_device *data, vkfft_binding *binding, VkFFTConfiguration *configuration) {
    (void)binding;
    opencl_device *device = opencl_device_of(data);
    configuration->device = &device->id;
    configuration->context = &device->context;
}

// On PoCL kernels took 0.42 and 0.78 times as long at 2^13 and 2^14 steps, 1.31, 1.15, 0.87 and 1.19 times from 2^15 to 2^20
// (docs/fftconv.md). No GPU was measured.
uint32_t opencl_transform_least(const hel_device *device) { return device->type == HEL_DEVICE_TYPE_SOFTWARE ? 1u << 15 : 0; }

// VkFFT sets the kernel's arguments itself.
static void vkfft_bind(vkfft_transform *transform, const VkFFTAxis *pass) {
    (void)transform;
    (void)pass;
}

hel_status opencl_transform_create(const hel_device *device, uint32_t points, hel_transform **out) {
    return vkfft_transform_make(device, &(vkfft_binding){0}, &opencl_device_of(device)->cache, points, out);
}

// VkFFT is given the place of the memory object and looks there at each launch.
hel_status opencl_transform_run(const hel_device *device, hel_transform *base, const hel_binding *rows, uint32_t count,
                                bool back) {
    vkfft_transform *transform = (vkfft_transform *)base;
    HEL_TRY(opencl_buffer_range(rows, &transform->binding.rows));
    transform->application.configuration.commandQueue = &opencl_device_of(device)->queue;
    return vkfft_transform_launch(&(vkfft_launch){transform, {.buffer = &transform->binding.rows}, count, back});
}

// The driver keeps kernels and tables alive until the commands that use them are done.
void opencl_transform_destroy(const hel_device *device, hel_transform *transform) {
    (void)device;
    vkfft_transform_free(transform);
}
