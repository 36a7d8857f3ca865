// SPDX-License-Identifier: Apache-2.0
// A recording is a graph, captured from a stream made for that: whatever fails on the way, the device's own streams
// never capture. The mode is relaxed, since a driver that loads kernels at their first launch may do then what stricter
// modes refuse, and since other threads go on using the device.
#include "base/error.h"
#include "base/memory.h"
#include "cuda.h"

static hel_status launch_all(const cuda_device *device, CUstream stream, const hel_checked_dispatch *dispatches,
                             uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const hel_checked_dispatch *d = &dispatches[i];
        HEL_TRY(cuda_launch(device, stream, d->kernel, d->bindings, d->params, d->groups_x, d->groups_y));
    }
    return HEL_OK;
}

// A capture that has begun is ended, whatever came of it; what it gave is then the caller's.
static hel_status capture(const cuda_device *device, CUstream stream, const hel_checked_dispatch *dispatches,
                          uint32_t count, CUgraph *out) {
    HEL_TRY(cuda_check(cuda_graphs.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED),
                       "cuStreamBeginCapture"));
    hel_status status = launch_all(device, stream, dispatches, count);
    hel_status ended = cuda_check(cuda_graphs.cuStreamEndCapture(stream, out), "cuStreamEndCapture");
    return status != HEL_OK ? status : ended;
}

static hel_status capture_apart(const cuda_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                                CUgraph *out) {
    CUstream stream;
    HEL_TRY(cuda_check(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate"));
    hel_status status = capture(device, stream, dispatches, count, out);
    cuda.cuStreamDestroy_v2(stream);
    return status;
}

static hel_status fill(const cuda_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                       cuda_recording *recording) {
    CUgraph graph = NULL;
    hel_status status = capture_apart(device, dispatches, count, &graph);
    if (status == HEL_OK)
        status = cuda_check(cuda_graphs.cuGraphInstantiateWithFlags(&recording->graph, graph, 0), "cuGraphInstantiate");
    if (graph) cuda_graphs.cuGraphDestroy(graph);
    return status;
}

static hel_status create(const cuda_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                         hel_recording **out) {
    cuda_recording *recording = hel_alloc_zero(1, sizeof *recording);
    if (!recording) return hel_fail_memory(sizeof *recording);
    hel_status status = fill(device, dispatches, count, recording);
    if (status == HEL_OK) *out = &recording->base;
    else hel_free(recording);
    return status;
}

hel_status cuda_recording_create(const hel_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                                 hel_recording **out) {
    CUDA_WITHIN(device, create(cuda_device_of(device), dispatches, count, out));
}

hel_status cuda_recording_replay(const hel_device *device, hel_recording *recording) {
    CUDA_WITHIN(device, cuda_check(cuda_graphs.cuGraphLaunch(((const cuda_recording *)recording)->graph,
                                                             cuda_stream(device, HEL_QUEUE_COMPUTE)),
                                   "cuGraphLaunch"));
}

// Waits first: replays may be pending.
void cuda_recording_destroy(const hel_device *device, hel_recording *base) {
    bool entered = cuda_enter(device) == HEL_OK;
    cuda.cuStreamSynchronize(cuda_stream(device, HEL_QUEUE_COMPUTE));
    cuda_graphs.cuGraphExecDestroy(((const cuda_recording *)base)->graph);
    hel_free(base);
    if (entered) cuda_leave();
}
