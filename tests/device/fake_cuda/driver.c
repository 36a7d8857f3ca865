// SPDX-License-Identifier: Apache-2.0
// The fake driver: one device, lazy streams.
#define _POSIX_C_SOURCE 200809L // clock_gettime
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/cuda/vkfft/cuda.h"
#include "driver.h"
#include "fake.h"

#define CUDA_DECLARE(name, parameters) FAKE_EXPORT CUresult name parameters;
CUDA_SYMBOLS(CUDA_DECLARE)
FAKE_EXPORT CUresult cuGetExportTable(const void **out, const void *id);
FAKE_EXPORT fake_cuda_fail_at_function fake_cuda_fail_at;
FAKE_EXPORT fake_cuda_calls_function fake_cuda_calls;
FAKE_EXPORT fake_cuda_live_function fake_cuda_live;
FAKE_EXPORT fake_cuda_violations_function fake_cuda_violations;

// ---------------------------------------------------------------- calls

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t calls, fail_at, violations;
uint64_t live;
_Thread_local int contexts;

void fake_cuda_fail_at(uint64_t n) { fail_at = n ? calls + n : 0; }
uint64_t fake_cuda_calls(void) { return calls; }
uint64_t fake_cuda_live(void) { return live; }
uint64_t fake_cuda_violations(void) { return violations; }

bool enter(void) {
    pthread_mutex_lock(&mutex);
    return ++calls == fail_at;
}

CUresult leave(CUresult result) {
    pthread_mutex_unlock(&mutex);
    return result;
}

CUresult violation(CUresult result) {
    violations++;
    return result;
}

// ---------------------------------------------------------------- streams

static CUstream streams;

void operations_init(operations *list) {
    list->first = NULL;
    list->last = &list->first;
}

CUresult operations_add(operations *list, operation what) {
    operation *made = malloc(sizeof *made);
    if (!made) return OUT_OF_MEMORY;
    *made = what;
    made->next = NULL;
    *list->last = made;
    list->last = &made->next;
    return CUDA_SUCCESS;
}

static CUresult submit(CUstream stream, operation what) {
    return stream->capturing ? capture(stream->capturing, what) : operations_add(&stream->pending, what);
}

static void run_launch(const operation *launch) {
    const hel_kernel_source *source = launch->module->source;
    static _Alignas(64) unsigned char shared[65536];
    uint32_t groups;
    memcpy(&groups, launch->params, sizeof groups);
    for (uint32_t i = 0; i < launch->size && i < groups; i++) {
        hel_c_group group = {.buffers = launch->buffers, .params = launch->params, .constants = launch->module->constants,
                             .group = i, .size = 1, .shared = shared};
        memset(shared, POISON, SHARED_MEMORY);
        source->c_form(&group);
    }
}

static void run_until(CUevent event, uint64_t number);

static void run_operation(const operation *what) {
    struct timespec now;
    switch (what->kind) {
    case COPY: memcpy(what->to, what->from, what->size); break;
    case FILL:
        for (size_t i = 0; i < what->size; i++) memcpy(what->to + i * 4, &what->word, 4);
        break;
    case LAUNCH: run_launch(what); break;
    case WAIT: run_until(what->event, what->number); break;
    case RECORD:
        clock_gettime(CLOCK_MONOTONIC, &now);
        what->event->time = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
        what->event->done = what->number;
        break;
    case LAUNCHED: launch_done(what->graph); break;
    }
}

static bool run_one(CUstream stream) {
    operation *what = stream->pending.first;
    if (!what) return false;
    stream->pending.first = what->next;
    if (!what->next) stream->pending.last = &stream->pending.first;
    run_operation(what);
    free(what);
    return true;
}

static void run_all(CUstream stream) {
    while (run_one(stream)) {}
}

static void run_until(CUevent event, uint64_t number) {
    while (event->done < number && run_one(event->stream)) {}
}

static bool anything_pending(void) {
    for (CUstream stream = streams; stream; stream = stream->next)
        if (stream->pending.first) return true;
    return false;
}

CUresult cuStreamCreate(CUstream *out, unsigned int flags) {
    BEGIN_IN_CONTEXT;
    if (flags != CU_STREAM_NON_BLOCKING) return leave(INVALID_VALUE);
    CUstream stream = calloc(1, sizeof *stream);
    if (!stream) return leave(OUT_OF_MEMORY);
    operations_init(&stream->pending);
    stream->next = streams;
    streams = *out = stream;
    live++;
    return leave(CUDA_SUCCESS);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    BEGIN_RELEASE;
    run_all(stream);
    if (stream->capturing) violations++;
    CUstream *place = &streams;
    while (*place != stream) place = &(*place)->next;
    *place = stream->next;
    free(stream);
    live--;
    return leave(result);
}

CUresult cuStreamSynchronize(CUstream stream) {
    BEGIN_RELEASE; // even a failing wait must leave nothing pending, or freeing the memory would be at fault
    if (stream->capturing) return leave(capture(stream->capturing, (operation){.kind = WAIT}));
    run_all(stream);
    return leave(result);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
    BEGIN_IN_CONTEXT;
    if (flags) return leave(INVALID_VALUE);
    if (event->done == event->recorded) return leave(CUDA_SUCCESS);
    return leave(submit(stream, (operation){.kind = WAIT, .event = event, .number = event->recorded}));
}

// ---------------------------------------------------------------- events

CUresult cuEventCreate(CUevent *out, unsigned int flags) {
    (void)flags;
    BEGIN_IN_CONTEXT;
    CUevent event = calloc(1, sizeof *event);
    if (!event) return leave(OUT_OF_MEMORY);
    *out = event;
    live++;
    return leave(CUDA_SUCCESS);
}

CUresult cuEventDestroy_v2(CUevent event) {
    BEGIN_RELEASE;
    for (CUstream stream = streams; stream; stream = stream->next) run_all(stream); // nobody keeps the event after this
    free(event);
    live--;
    return leave(result);
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    BEGIN_IN_CONTEXT;
    if (event->done < event->recorded) run_until(event, event->recorded); // the fake keeps the newest record only
    event->stream = stream;
    return leave(submit(stream, (operation){.kind = RECORD, .event = event, .number = ++event->recorded}));
}

// Each question moves the stream on by one operation, so that polling ends.
CUresult cuEventQuery(CUevent event) {
    BEGIN_IN_CONTEXT;
    if (event->done == event->recorded) return leave(CUDA_SUCCESS);
    run_one(event->stream);
    return leave(NOT_READY);
}

CUresult cuEventSynchronize(CUevent event) {
    BEGIN_IN_CONTEXT;
    run_until(event, event->recorded);
    return leave(CUDA_SUCCESS);
}

CUresult cuEventElapsedTime(float *out, CUevent start, CUevent stop) {
    BEGIN_IN_CONTEXT;
    if (start->done < start->recorded || stop->done < stop->recorded) return leave(NOT_READY);
    *out = (float)(stop->time - start->time);
    return leave(CUDA_SUCCESS);
}

// ---------------------------------------------------------------- memory

typedef struct block {
    unsigned char *bytes;
    size_t size;
    struct block *next;
} block;

static block *pinned_blocks, *device_blocks;

static bool is_pinned(const unsigned char *bytes, size_t size) {
    for (const block *one = pinned_blocks; one; one = one->next)
        if (bytes >= one->bytes && bytes + size <= one->bytes + one->size) return true;
    return false;
}

static void add_block(block **list, unsigned char *bytes, size_t size) {
    block *made = malloc(sizeof *made);
    if (!made) abort();
    *made = (block){bytes, size, *list};
    *list = made;
    live++;
}

static void free_block(block **list, const void *bytes) {
    if (anything_pending()) violations++;
    while ((*list)->bytes != bytes) list = &(*list)->next;
    block *gone = *list;
    *list = gone->next;
    forget_in_graphs(gone->bytes, gone->size);
    free(gone->bytes);
    free(gone);
    live--;
}

CUresult cuMemGetInfo_v2(size_t *out_free, size_t *out_total) {
    BEGIN_IN_CONTEXT;
    const char *text = getenv("FAKE_CUDA_FREE");
    *out_free = *out_total = TOTAL_MEMORY;
    for (const block *b = device_blocks; b; b = b->next) *out_free -= b->size;
    if (text) *out_free = strtoull(text, NULL, 10);
    return leave(CUDA_SUCCESS);
}

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t size) {
    BEGIN_IN_CONTEXT;
    unsigned char *bytes = size && size <= TOTAL_MEMORY ? aligned_alloc(256, (size + 255) / 256 * 256) : NULL;
    if (!bytes) return leave(size ? OUT_OF_MEMORY : INVALID_VALUE);
    memset(bytes, POISON, size);
    *out = (CUdeviceptr)(uintptr_t)bytes;
    add_block(&device_blocks, bytes, size);
    return leave(CUDA_SUCCESS);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    BEGIN_RELEASE;
    free_block(&device_blocks, (const void *)(uintptr_t)address);
    return leave(result);
}

CUresult cuMemHostAlloc(void **out, size_t size, unsigned int flags) {
    (void)flags;
    BEGIN_IN_CONTEXT;
    unsigned char *bytes = malloc(size);
    if (!bytes) abort();
    *out = bytes;
    add_block(&pinned_blocks, bytes, size);
    return leave(CUDA_SUCCESS);
}

CUresult cuMemFreeHost(void *bytes) {
    BEGIN_RELEASE;
    free_block(&pinned_blocks, bytes);
    return leave(result);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    BEGIN_IN_CONTEXT;
    if (!is_pinned(from, size)) violations++;
    return leave(submit(stream, (operation){.kind = COPY, .to = (unsigned char *)(uintptr_t)to, .from = from, .size = size}));
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    BEGIN_IN_CONTEXT;
    return leave(submit(stream, (operation){.kind = COPY, .to = to, .from = (unsigned char *)(uintptr_t)from, .size = size}));
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    BEGIN_IN_CONTEXT;
    return leave(submit(stream, (operation){.kind = COPY, .to = (unsigned char *)(uintptr_t)to,
                                            .from = (unsigned char *)(uintptr_t)from, .size = size}));
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int word, size_t count, CUstream stream) {
    BEGIN_IN_CONTEXT;
    return leave(submit(stream, (operation){.kind = FILL, .to = (unsigned char *)(uintptr_t)to, .word = word, .size = count}));
}

// ---------------------------------------------------------------- modules

// Our own images say everything; what the real NVRTC makes is taken as it is and runs with the default constants.
static bool read_image(const char *image, CUmodule out) {
    char name[64];
    int used = 0;
    *out = (struct CUmod_st){0};
    if (memcmp(image, "\177ELF", 4) == 0) return true;
    if (sscanf(image, FAKE_IMAGE " %63s %u%n", name, &out->workgroup, &used) != 2) return false;
    const char *text = image + used;
    for (int i = 0; i < HEL_MAX_CONSTANTS && sscanf(text, " %u%n", &out->constants[i], &used) == 1; i++) text += used;
    return (out->source = hel_kernel_source_find(name)) != NULL;
}

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
    BEGIN_IN_CONTEXT;
    struct CUmod_st module;
    if (!read_image(image, &module)) return leave(INVALID_IMAGE);
    *out = malloc(sizeof module);
    if (!*out) return leave(OUT_OF_MEMORY);
    **out = module;
    live++;
    return leave(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule module) {
    BEGIN_RELEASE;
    for (CUstream stream = streams; stream; stream = stream->next) run_all(stream);
    free(module);
    live--;
    return leave(result);
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name) {
    BEGIN_IN_CONTEXT;
    if (!module->source && (module->source = hel_kernel_source_find(name)))
        memcpy(module->constants, module->source->defaults, sizeof module->constants);
    if (!module->source || strcmp(module->source->name, name) != 0) return leave(NOT_FOUND);
    *out = (CUfunction)module; // a module has one function
    return leave(CUDA_SUCCESS);
}

// Nothing of ours asks for more shared memory than every function has.
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    BEGIN_IN_CONTEXT;
    return leave(function && attribute >= 0 && value >= 0 ? CUDA_SUCCESS : INVALID_VALUE);
}

static unsigned workgroup_of(const struct CUmod_st *module) {
    const hel_kernel_source *source = module->source;
    return source->lanes_at < source->n_constants ? module->constants[source->lanes_at] : source->workgroup;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                        unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared,
                        CUstream stream, void **arguments, void **extra) {
    BEGIN_IN_CONTEXT;
    const struct CUmod_st *module = (const struct CUmod_st *)function;
    const hel_kernel_source *source = module->source;
    if (module->workgroup && module->workgroup != block_x) return leave(INVALID_VALUE);
    if (!grid_x || !grid_y || grid_y > 65535 || grid_z != 1 || block_x != workgroup_of(module) || block_y != 1 || block_z != 1 ||
        shared || extra)
        return leave(INVALID_VALUE);
    operation launch = {.kind = LAUNCH, .module = module, .size = (size_t)grid_x * grid_y};
    for (uint32_t i = 0; i < source->n_bindings; i++)
        launch.buffers[i] = (void *)(uintptr_t) * (const CUdeviceptr *)arguments[i];
    memcpy(launch.params, arguments[source->n_bindings], source->params_size);
    return leave(submit(stream, launch));
}

// ---------------------------------------------------------------- devices and contexts

CUresult cuInit(unsigned int flags) {
    BEGIN_CALL;
    return leave(flags ? INVALID_VALUE : CUDA_SUCCESS);
}

CUresult cuGetErrorName(CUresult code, const char **out) {
    *out = code == UNKNOWN ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *out ? CUDA_SUCCESS : INVALID_VALUE;
}

// The real NVRTC looks for a driver too, and asks it for this without looking whether it is there.
CUresult cuGetExportTable(const void **out, const void *id) {
    (void)id;
    *out = NULL;
    return NOT_FOUND;
}

CUresult cuDriverGetVersion(int *out) {
    BEGIN_CALL;
    *out = 13000;
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceGetCount(int *out) {
    BEGIN_CALL;
    *out = 1;
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceGet(CUdevice *out, int index) {
    BEGIN_CALL;
    *out = index;
    return leave(index == 0 ? CUDA_SUCCESS : INVALID_DEVICE);
}

CUresult cuDeviceGetName(char *out, int size, CUdevice device) {
    (void)device;
    BEGIN_CALL;
    snprintf(out, (size_t)size, "Fake Hopper");
    return leave(CUDA_SUCCESS);
}

static int capability(void) {
    const char *text = getenv("FAKE_CUDA_CAPABILITY");
    return text ? atoi(text) : 90;
}

CUresult cuDeviceGetAttribute(int *out, CUdevice_attribute attribute, CUdevice device) {
    (void)device;
    BEGIN_CALL;
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *out = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *out = SHARED_MEMORY; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *out = 232448; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *out = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *out = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *out = INT_MAX; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *out = 65535; break;
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO: *out = 2; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *out = 32; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *out = 132; break;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED: *out = 0; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *out = capability() / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *out = capability() % 10; break;
    default: return leave(INVALID_VALUE);
    }
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceTotalMem_v2(size_t *out, CUdevice device) {
    (void)device;
    BEGIN_CALL;
    *out = TOTAL_MEMORY;
    return leave(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
    (void)device;
    BEGIN_CALL;
    *out = (CUcontext)(uintptr_t)1;
    live++;
    return leave(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    (void)device;
    BEGIN_RELEASE;
    live--;
    return leave(result);
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    BEGIN_CALL;
    if (!context) return leave(INVALID_CONTEXT);
    contexts++;
    return leave(CUDA_SUCCESS);
}

CUresult cuCtxPopCurrent_v2(CUcontext *out) {
    BEGIN_RELEASE;
    *out = (CUcontext)(uintptr_t)1;
    if (!contexts) return leave(violation(INVALID_CONTEXT));
    contexts--;
    return leave(result);
}
