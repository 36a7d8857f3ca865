// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "cuda.h"

// ---------------------------------------------------------------- creating

// Zero-fills on the compute stream and lets the transfer stream wait for it.
static hel_status zero(cuda_device *device, const cuda_buffer *buffer, uint64_t bytes) {
    CUstream compute = device->queues[HEL_QUEUE_COMPUTE].stream, transfer = device->queues[HEL_QUEUE_TRANSFER].stream;
    HEL_TRY(cuda_check(cuda.cuMemsetD32Async(buffer->address, 0, bytes / 4, compute), "cuMemsetD32Async"));
    HEL_TRY(cuda_check(cuda.cuEventRecord(device->zeroed, compute), "cuEventRecord"));
    return cuda_check(cuda.cuStreamWaitEvent(transfer, device->zeroed, 0), "cuStreamWaitEvent");
}

// Waits first: pending work may still use the memory.
static void release(cuda_device *device, cuda_buffer *buffer) {
    for (int i = 0; i < 2; i++) cuda.cuStreamSynchronize(device->queues[i].stream);
    if (buffer->address) cuda.cuMemFree_v2(buffer->address);
    hel_free(buffer);
}

static hel_status create(cuda_device *device, uint64_t size, hel_buffer **out) {
    cuda_buffer *buffer = hel_alloc_zero(1, sizeof *buffer);
    if (!buffer) return hel_fail_memory(sizeof *buffer);
    uint64_t bytes = hel_round_up(size, 4);
    hel_status status = cuda_check(cuda.cuMemAlloc_v2(&buffer->address, bytes), "cuMemAlloc");
    if (status == HEL_OK) status = zero(device, buffer, bytes);
    if (status == HEL_OK) *out = &buffer->base;
    else release(device, buffer);
    return status;
}

hel_status cuda_buffer_create(const hel_device *device, uint64_t size, hel_buffer **out) {
    CUDA_WITHIN(device, create(cuda_device_of(device), size, out));
}

void cuda_buffer_destroy(const hel_device *device, hel_buffer *buffer) {
    bool entered = cuda_enter(device) == HEL_OK;
    release(cuda_device_of(device), (cuda_buffer *)buffer);
    if (entered) cuda_leave();
}

// ---------------------------------------------------------------- staging

static hel_status prepare_staging(cuda_staging *staging) {
    for (int i = 0; i < CUDA_STAGING_PARTS; i++)
        if (!staging->done[i])
            HEL_TRY(cuda_check(cuda.cuEventCreate(&staging->done[i], CU_EVENT_DISABLE_TIMING), "cuEventCreate"));
    void *bytes;
    HEL_TRY(cuda_check(cuda.cuMemHostAlloc(&bytes, CUDA_STAGING_PARTS * CUDA_STAGING_PART, 0), "cuMemHostAlloc"));
    staging->bytes = bytes;
    return HEL_OK;
}

void cuda_staging_finish(cuda_staging *staging) {
    for (int i = 0; i < CUDA_STAGING_PARTS; i++) cuda_event_destroy(&staging->done[i]);
    if (staging->bytes) cuda.cuMemFreeHost(staging->bytes);
    staging->bytes = NULL;
}

// Waits until the next part is free, marks the end of this one and changes over.
static hel_status next_part(cuda_queue *queue) {
    cuda_staging *staging = &queue->staging;
    uint32_t next = (staging->part + 1) % CUDA_STAGING_PARTS;
    HEL_TRY(cuda_check(cuda.cuEventSynchronize(staging->done[next]), "cuEventSynchronize"));
    HEL_TRY(cuda_check(cuda.cuEventRecord(staging->done[staging->part], queue->stream), "cuEventRecord"));
    staging->part = next;
    staging->used = 0;
    return HEL_OK;
}

static hel_status write_piece(cuda_queue *queue, CUdeviceptr to, const void *bytes, size_t size) {
    cuda_staging *staging = &queue->staging;
    if (size > CUDA_STAGING_PART - staging->used) HEL_TRY(next_part(queue));
    unsigned char *place = staging->bytes + (size_t)staging->part * CUDA_STAGING_PART + staging->used;
    memcpy(place, bytes, size);
    staging->used += hel_round_up(size, 64);
    return cuda_check(cuda.cuMemcpyHtoDAsync_v2(to, place, size, queue->stream), "cuMemcpyHtoDAsync");
}

static hel_status write_all(cuda_queue *queue, CUdeviceptr to, const unsigned char *bytes, uint64_t size) {
    if (!queue->staging.bytes) HEL_TRY(prepare_staging(&queue->staging));
    for (uint64_t done = 0; done < size;) {
        size_t piece = (size_t)HEL_MIN(size - done, CUDA_STAGING_PART);
        HEL_TRY(write_piece(queue, to + done, bytes + done, piece));
        done += piece;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- transfers

hel_status cuda_buffer_write(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset,
                             const void *bytes, uint64_t size) {
    CUDA_WITHIN(device, write_all(&cuda_device_of(device)->queues[queue], cuda_address(buffer) + offset, bytes, size));
}

static hel_status read_all(CUstream stream, CUdeviceptr from, void *bytes, uint64_t size) {
    hel_status status = cuda_check(cuda.cuMemcpyDtoHAsync_v2(bytes, from, size, stream), "cuMemcpyDtoHAsync");
    // Also after a failure: no copy may reach the caller's memory later.
    hel_status waited = cuda_check(cuda.cuStreamSynchronize(stream), "cuStreamSynchronize");
    return status != HEL_OK ? status : waited;
}

hel_status cuda_buffer_read(const hel_device *device, hel_queue queue, hel_buffer *buffer, uint64_t offset, void *bytes,
                            uint64_t size) {
    CUDA_WITHIN(device, read_all(cuda_stream(device, queue), cuda_address(buffer) + offset, bytes, size));
}

hel_status cuda_buffer_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset,
                            hel_buffer *from, uint64_t from_offset, uint64_t size) {
    CUDA_WITHIN(device, cuda_check(cuda.cuMemcpyDtoDAsync_v2(cuda_address(to) + to_offset, cuda_address(from) + from_offset,
                                                             size, cuda_stream(device, queue)),
                                   "cuMemcpyDtoDAsync"));
}

hel_status cuda_buffer_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    CUDA_WITHIN(device, cuda_check(cuda.cuMemsetD32Async(cuda_address(buffer) + offset, word, size / 4,
                                                         cuda_stream(device, HEL_QUEUE_COMPUTE)),
                                   "cuMemsetD32Async"));
}
