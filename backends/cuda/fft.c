// SPDX-License-Identifier: Apache-2.0
// Transforms by VkFFT. What it calls by name of the toolkit goes to the tables of symbols; failures leave (backends/vkfft/guard.h).
#include "cuda.h"

#include "backends/vkfft/guard.h"
#include "vkfft/cuda.h"

static cuda_device *device_now(void) { return cuda_device_of(vkfft_now->device); }

// ---------------------------------------------------------------- what stands in for the driver

static void give_memory(const hel_device *device, uint64_t object) {
    (void)device;
    cuda.cuMemFree_v2((CUdeviceptr)object);
}

static void give_module(const hel_device *device, uint64_t object) {
    (void)device;
    cuda.cuModuleUnload((CUmodule)(uintptr_t)object);
}

static CUresult must(CUresult code, const char *what) {
    if (code != CUDA_SUCCESS) vkfft_leave(cuda_check(code, what));
    return code;
}

// Images and functions that the driver does not take.
static CUresult must_take(CUresult code, const char *what) {
    enum { INVALID_IMAGE = 200, NO_BINARY = 209, INVALID_PTX = 218, NOT_FOUND = 500 };
    if (code == INVALID_IMAGE || code == NO_BINARY || code == INVALID_PTX || code == NOT_FOUND)
        vkfft_leave(hel_fail(HEL_ERROR_UNSUPPORTED, "cuda: the driver does not take VkFFT's kernels: %s: %d", what, code));
    return must(code, what);
}

static CUresult allocate(void **out, size_t size) {
    CUdeviceptr address;
    must(cuda.cuMemAlloc_v2(&address, size), "cuMemAlloc");
    vkfft_keep(give_memory, address);
    *out = (void *)(uintptr_t)address;
    return CUDA_SUCCESS;
}

static CUresult release(void *memory) {
    vkfft_forget(give_memory, (uintptr_t)memory);
    return CUDA_SUCCESS;
}

// VkFFT only fills its tables.
static CUresult upload(void *to, const void *from, size_t size) {
    CUstream stream = device_now()->queues[HEL_QUEUE_COMPUTE].stream;
    must(cuda.cuMemcpyHtoDAsync_v2((uintptr_t)to, from, size, stream), "cuMemcpyHtoDAsync");
    return must(cuda.cuStreamSynchronize(stream), "cuStreamSynchronize");
}

static CUresult load(CUmodule *out, const void *image) {
    must_take(cuda.cuModuleLoadData(out, image), "cuModuleLoadData");
    vkfft_keep(give_module, (uintptr_t)*out);
    return CUDA_SUCCESS;
}

static CUresult unload(CUmodule module) {
    vkfft_forget(give_module, (uintptr_t)module);
    return CUDA_SUCCESS;
}

#define cuDeviceGetAttribute(...) must(cuda.cuDeviceGetAttribute(__VA_ARGS__), "cuDeviceGetAttribute")
#define cuFuncSetAttribute(...) must(cuda.cuFuncSetAttribute(__VA_ARGS__), "cuFuncSetAttribute")
#define cuLaunchKernel(...) must(cuda.cuLaunchKernel(__VA_ARGS__), "cuLaunchKernel")
#define cuModuleGetFunction(...) must_take(cuda.cuModuleGetFunction(__VA_ARGS__), "cuModuleGetFunction")
#define cuModuleLoadDataEx(module, image, count, options, values) load(module, image)
#define cuModuleUnload(module) unload(module)
#define cudaMalloc(out, size) allocate((void **)(out), size)
#define cudaFree(memory) release(memory)
#define cudaMemcpy(to, from, size, kind) upload(to, from, size)
// Of several streams, which it is not given.
#define cudaDeviceSynchronize() CUDA_SUCCESS
#define cudaEventCreate(event) CUDA_SUCCESS
#define cudaEventDestroy(event) CUDA_SUCCESS
#define cudaEventRecord(event, stream) CUDA_SUCCESS
#define cudaEventSynchronize(event) CUDA_SUCCESS

// ---------------------------------------------------------------- what stands in for NVRTC

static void give_program(const hel_device *device, uint64_t object) {
    (void)device;
    nvrtcProgram program = (nvrtcProgram)(uintptr_t)object;
    nvrtc.nvrtcDestroyProgram(&program);
}

static nvrtcResult must_compile(nvrtcResult code, const char *what) {
    if (code != NVRTC_SUCCESS) vkfft_leave(nvrtc_check(code, what));
    return code;
}

static nvrtcResult create_program(nvrtcProgram *out, const char *text) {
    must_compile(nvrtc.nvrtcCreateProgram(out, text, "vkfft", 0, NULL, NULL), "nvrtcCreateProgram");
    vkfft_keep(give_program, (uintptr_t)*out);
    return NVRTC_SUCCESS;
}

// For the architecture that kernels are compiled for.
static nvrtcResult compile_program(nvrtcProgram program) {
    char option[40];
    cuda_architecture_option(device_now(), option, sizeof option);
    const char *options[] = {option};
    if (nvrtc.nvrtcCompileProgram(program, 1, options) != NVRTC_SUCCESS)
        vkfft_leave(hel_fail(HEL_ERROR_UNSUPPORTED, "cuda: VkFFT's kernel does not compile for %s", option));
    return NVRTC_SUCCESS;
}

static bool is_binary(void) { return device_now()->architecture == device_now()->capability; }

static nvrtcResult image_size(nvrtcProgram program, uint64_t *out) {
    size_t size;
    must_compile(is_binary() ? nvrtc.nvrtcGetCUBINSize(program, &size) : nvrtc.nvrtcGetPTXSize(program, &size), "image size");
    *out = size;
    return NVRTC_SUCCESS;
}

static nvrtcResult image_of(nvrtcProgram program, char *out) {
    return must_compile(is_binary() ? nvrtc.nvrtcGetCUBIN(program, out) : nvrtc.nvrtcGetPTX(program, out), "image");
}

static nvrtcResult destroy_program(const nvrtcProgram *program) {
    vkfft_forget(give_program, (uintptr_t)*program);
    return NVRTC_SUCCESS;
}

#define nvrtcCreateProgram(out, text, name, count, headers, names) create_program(out, text)
#define nvrtcCompileProgram(program, count, options) compile_program(program)
#define nvrtcGetCUBINSize(program, out) image_size(program, out)
#define nvrtcGetCUBIN(program, out) image_of(program, out)
#define nvrtcDestroyProgram(program) destroy_program(program)
#define nvrtcGetProgramLog(program, out) ((void)0)
#define nvrtcGetErrorString(code) ""

#define VKFFT_BACKEND 1
#include <vkFFT.h>

// ---------------------------------------------------------------- transforms

typedef struct vkfft_binding {
    void *rows; // the address of a launch's
} vkfft_binding;

#include "backends/vkfft/transform.inc.c"

static void vkfft_configure(const hel_device *data, vkfft_binding *binding, VkFFTConfiguration *configuration) {
    (void)binding;
    cuda_device *device = cuda_device_of(data);
    configuration->device = &device->id;
    configuration->stream = &device->queues[HEL_QUEUE_COMPUTE].stream;
    configuration->num_streams = 1;
}

// No GPU was measured.
uint32_t cuda_transform_least(const hel_device *device) {
    (void)device;
    return 0;
}

// VkFFT gives the kernel's arguments itself.
static void vkfft_bind(vkfft_transform *transform, const VkFFTAxis *pass) {
    (void)transform;
    (void)pass;
}

hel_status cuda_transform_create(const hel_device *device, uint32_t points, hel_transform **out) {
    CUDA_WITHIN(device, vkfft_transform_make(device, &(vkfft_binding){0}, &cuda_device_of(device)->cache, points, out));
}

hel_status cuda_transform_run(const hel_device *device, hel_transform *base, const hel_binding *rows, uint32_t count,
                              bool back) {
    vkfft_transform *transform = (vkfft_transform *)base;
    transform->binding.rows = (void *)(uintptr_t)(cuda_address(rows->buffer) + rows->offset);
    vkfft_launch launch = {transform, {.buffer = &transform->binding.rows}, count, back};
    CUDA_WITHIN(device, vkfft_transform_launch(&launch));
}

void cuda_transform_destroy(const hel_device *device, hel_transform *transform) {
    bool entered = cuda_enter(device) == HEL_OK;
    vkfft_transform_free(transform);
    if (entered) cuda_leave();
}
