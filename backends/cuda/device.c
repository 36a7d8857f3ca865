// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "cuda.h"

// ---------------------------------------------------------------- describing

static hel_status count(uint32_t *out) {
    int found = 0;
    HEL_TRY(cuda_load());
    HEL_TRY(cuda_check(cuda.cuDeviceGetCount(&found), "cuDeviceGetCount"));
    if (found <= 0) return hel_fail(HEL_ERROR_UNAVAILABLE, "cuda: the driver has no device");
    *out = (uint32_t)found;
    return HEL_OK;
}

static hel_status get(CUdevice id, CUdevice_attribute attribute, uint32_t *out) {
    int value = 0;
    HEL_TRY(cuda_check(cuda.cuDeviceGetAttribute(&value, attribute, id), "cuDeviceGetAttribute"));
    *out = (uint32_t)HEL_MAX(value, 0);
    return HEL_OK;
}

static hel_status get_capability(CUdevice id, int *out) {
    uint32_t major, minor;
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor));
    *out = (int)(major * 10 + minor);
    return HEL_OK;
}

static hel_status describe_limits(CUdevice id, hel_device_limits *out) {
    size_t memory;
    HEL_TRY(cuda_check(cuda.cuDeviceTotalMem_v2(&memory, id), "cuDeviceTotalMem"));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &out->max_workgroup));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, &out->shared_memory));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_WARP_SIZE, &out->subgroup));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &out->compute_units));
    out->memory = out->max_buffer = out->max_binding = memory;
    out->offset_alignment = 16; // of the widest vector a kernel loads
    return HEL_OK;
}

// The compiler belongs to the description: another NVRTC makes other binaries.
static hel_status describe_driver(int capability, char *out, size_t size) {
    int driver = 0, major = 0, minor = 0;
    HEL_TRY(cuda_check(cuda.cuDriverGetVersion(&driver), "cuDriverGetVersion"));
    HEL_TRY(nvrtc_check(nvrtc.nvrtcVersion(&major, &minor), "nvrtcVersion"));
    snprintf(out, size, "CUDA %d.%d, NVRTC %d.%d, sm_%d", driver / 1000, driver % 1000 / 10, major, minor, capability);
    return HEL_OK;
}

static hel_status describe_device(CUdevice id, hel_device *out) {
    enum { FIRST_WITH_BF16 = 80 }; // architecture whose tensor cores take bf16
    int capability, architecture;
    uint32_t integrated;
    HEL_TRY(cuda_check(cuda.cuDeviceGetName(out->name, sizeof out->name, id), "cuDeviceGetName"));
    snprintf(out->vendor, sizeof out->vendor, "NVIDIA");
    HEL_TRY(get_capability(id, &capability));
    HEL_TRY(describe_driver(capability, out->driver, sizeof out->driver));
    HEL_TRY(get(id, CU_DEVICE_ATTRIBUTE_INTEGRATED, &integrated));
    out->type = integrated ? HEL_DEVICE_TYPE_INTEGRATED : HEL_DEVICE_TYPE_DISCRETE;
    HEL_TRY(describe_limits(id, &out->limits));
    HEL_TRY(cuda_choose_architecture(capability, &architecture));
    out->features = (hel_device_features){.timers = true,
                                          .transfer_queue = true,
                                          .recording = cuda_graphs_found,
                                          .matrix_bf16 = architecture >= FIRST_WITH_BF16};
    return HEL_OK;
}

static hel_status describe(uint32_t index, hel_device *out) {
    CUdevice id;
    HEL_TRY(cuda_load());
    HEL_TRY(cuda_check(cuda.cuDeviceGet(&id, (int)index), "cuDeviceGet"));
    return describe_device(id, out);
}

// ---------------------------------------------------------------- the context

hel_status cuda_enter(const hel_device *device) {
    return cuda_check(cuda.cuCtxPushCurrent_v2(cuda_device_of(device)->context), "cuCtxPushCurrent");
}

void cuda_leave(void) { cuda.cuCtxPopCurrent_v2(&(CUcontext){NULL}); }

static hel_status ask_memory(uint64_t *out) {
    size_t left, all;
    HEL_TRY(cuda_check(cuda.cuMemGetInfo_v2(&left, &all), "cuMemGetInfo"));
    *out = left;
    return HEL_OK;
}

static hel_status memory_free(const hel_device *device, uint64_t *out) { CUDA_WITHIN(device, ask_memory(out)); }

static void release_queue(cuda_queue *queue) {
    if (queue->stream) cuda.cuStreamSynchronize(queue->stream);
    cuda_staging_finish(&queue->staging);
    for (int i = 0; i < CUDA_TICKETS; i++) cuda_event_destroy(&queue->tickets[i].event);
    if (queue->stream) cuda.cuStreamDestroy_v2(queue->stream);
}

static void release_all(cuda_device *device) {
    for (int i = 0; i < 2; i++) release_queue(&device->queues[i]);
    for (int i = 0; i < HEL_TIMER_SLOTS; i++) {
        cuda_event_destroy(&device->timers[i].start);
        cuda_event_destroy(&device->timers[i].stop);
    }
    cuda_event_destroy(&device->zeroed);
}

static void destroy(hel_device *data) {
    cuda_device *device = cuda_device_of(data);
    if (device->context) {
        bool entered = cuda_enter(data) == HEL_OK;
        release_all(device);
        if (entered) cuda_leave();
        cuda.cuDevicePrimaryCtxRelease_v2(device->id);
    }
    hel_binary_cache_finish(&device->cache);
    hel_free(device);
}

static const hel_device_functions functions = {
    .destroy = destroy,
    .buffer_create = cuda_buffer_create,
    .buffer_destroy = cuda_buffer_destroy,
    .buffer_write = cuda_buffer_write,
    .buffer_read = cuda_buffer_read,
    .buffer_copy = cuda_buffer_copy,
    .buffer_fill = cuda_buffer_fill,
    .kernel_create = cuda_kernel_create,
    .kernel_destroy = cuda_kernel_destroy,
    .dispatch = cuda_dispatch,
    .mark = cuda_mark,
    .wait = cuda_wait,
    .wait_on = cuda_wait_on,
    .timer_query = cuda_timer_query,
    .memory_free = memory_free,
    .recording_create = cuda_recording_create,
    .recording_replay = cuda_recording_replay,
    .recording_destroy = cuda_recording_destroy,
#ifdef HEL_HAVE_CUDA_TRANSFORM
    .transform_least = cuda_transform_least,
    .transform_create = cuda_transform_create,
    .transform_run = cuda_transform_run,
    .transform_destroy = cuda_transform_destroy,
#endif
};

// ---------------------------------------------------------------- opening

static hel_status make_queues(cuda_device *device) {
    for (int i = 0; i < 2; i++)
        HEL_TRY(cuda_check(cuda.cuStreamCreate(&device->queues[i].stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate"));
    return cuda_check(cuda.cuEventCreate(&device->zeroed, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
}

static hel_status make_queues_within(cuda_device *device) { CUDA_WITHIN(&device->base.data, make_queues(device)); }

static hel_status prepare(cuda_device *device, uint32_t index, const char *cache_directory) {
    HEL_TRY(cuda_check(cuda.cuDeviceGet(&device->id, (int)index), "cuDeviceGet"));
    HEL_TRY(describe_device(device->id, &device->base.data));
    HEL_TRY(get_capability(device->id, &device->capability));
    HEL_TRY(cuda_choose_architecture(device->capability, &device->architecture));
    HEL_TRY(cuda_check(cuda.cuDevicePrimaryCtxRetain(&device->context, device->id), "cuDevicePrimaryCtxRetain"));
    HEL_TRY(make_queues_within(device));
    return hel_binary_cache_init(cache_directory, &device->cache);
}

static hel_status open(uint32_t index, const hel_device_params *params, hel_device_base **out) {
    HEL_TRY(cuda_load());
    cuda_device *device = hel_alloc_zero(1, sizeof *device);
    if (!device) return hel_fail_memory(sizeof *device);
    device->base.functions = &functions;
    hel_status status = prepare(device, index, params->cache_directory);
    if (status == HEL_OK) *out = &device->base;
    else destroy(&device->base.data);
    return status;
}

const hel_backend hel_backend_cuda = {"cuda", count, describe, open};
