// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_device.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/size.h"
#include "kernels.h"

// Kernels count values in 32 bits. A slice holds whole blocks, and a dispatch whole chunks that begin where every device
// lets bindings begin. Partial sums take MOST_PARTIALS bytes unless one block a slice is more already.
enum { FIRST_BLOCK = 1024, MOST_BLOCKS = 1 << 14, PIECE_VALUES = 1 << 18, DISPATCH_POINTS = 1024 };
#define MOST_VALUES (UINT64_C(1) << 30)
#define MOST_PARTIALS (UINT64_C(64) << 20)
#define MOST_BLOCK (UINT32_C(1) << 24)
// Products in the first dispatches: a fraction of a second, so that Ctrl-C is heard. Where they take less, more points go
// into one, as the CPU sorts the book for each.
#define FIRST_WORK (UINT64_C(1) << 32)
#define FIRST_WORK_CPU (UINT64_C(1) << 35)
enum { QUICK_NS = 50000000 };

// ---------------------------------------------------------------- sizes

static hel_status refuse(const hel_device *device, const char *what, uint64_t count, uint32_t d) {
    uint64_t limit = HEL_MIN(device->limits.max_binding, device->limits.max_buffer);
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s %llu x %u are over the %llu bytes that kernels see of a buffer on %s:%u", what,
                    (unsigned long long)count, d, (unsigned long long)limit, device->backend, device->index);
}

static hel_status choose_block(const hel_device *device, uint64_t n, uint32_t d, uint64_t cells, uint32_t *out) {
    uint32_t block = FIRST_BLOCK;
    while (block < MOST_BLOCK && block < n &&
           (hel_ceil_div(n, block) > MOST_BLOCKS || hel_ceil_div(n, block) * cells * sizeof(float) > MOST_PARTIALS))
        block *= 2;
    *out = block;
    uint32_t loops = device->limits.loop_iterations;
    if (!loops || block * (4.0 + d / 64) + (double)cells / 64 <= loops) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u ends loops after %u iterations, sums of %u points need more; exact "
                    "sums do not", device->backend, device->index, loops, block);
}

// Points that one buffer takes, a multiple of the block.
static hel_status choose_slice(const hel_device *device, uint32_t d, uint32_t block, uint64_t *out) {
    uint64_t bytes = HEL_MIN(device->limits.max_binding, device->limits.max_buffer);
    uint64_t values = HEL_MIN(bytes / sizeof(float), MOST_VALUES);
    *out = values / d / block * block;
    return *out ? HEL_OK : refuse(device, "points of", block, d);
}

static hel_status check_book(const hel_device *device, uint32_t k, uint32_t d) {
    uint64_t cells = (uint64_t)k * d, loops = device->limits.loop_iterations;
    if (cells > MOST_VALUES || cells * sizeof(float) > device->limits.max_binding)
        return refuse(device, "centroids of", k, d);
    if (loops && cells > loops / 12 * 11) // docs/kernels.md, "A limit of lavapipe"
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u ends loops after %llu iterations, %u centroids of %u values need "
                        "more", device->backend, device->index, (unsigned long long)loops, k, d);
    return HEL_OK;
}

// ---------------------------------------------------------------- set-up

static hel_status upload(const hel_cluster_device *on, hel_buffer *to, const float *values, uint64_t count) {
    float *piece = hel_alloc_array(HEL_MIN(count, PIECE_VALUES), sizeof *piece);
    if (!piece) return hel_fail_memory(PIECE_VALUES * sizeof *piece);
    hel_status status = HEL_OK;
    for (uint64_t first = 0; first < count && status == HEL_OK; first += PIECE_VALUES) {
        uint64_t here = HEL_MIN(PIECE_VALUES, count - first);
        hel_cluster_scale(on->points, values + first, here, piece);
        status = hel_buffer_write(on->device, HEL_QUEUE_COMPUTE, to, first * sizeof *piece, piece, here * sizeof *piece);
    }
    hel_free(piece);
    return status;
}

static hel_status upload_slices(hel_cluster_device *on, uint64_t slice_points) {
    const hel_cluster_points *points = on->points;
    uint64_t slices = hel_ceil_div(points->n, slice_points);
    on->slices = hel_alloc_zero(slices, sizeof *on->slices);
    if (!on->slices) return hel_fail_memory(slices * sizeof *on->slices);
    for (uint64_t s = 0; s < slices; s++) {
        hel_cluster_slice *slice = &on->slices[on->n_slices++];
        slice->first = s * slice_points;
        slice->count = (uint32_t)HEL_MIN(slice_points, points->n - slice->first);
        uint64_t values = (uint64_t)slice->count * points->d;
        HEL_TRY(hel_buffer_create(on->device, values * sizeof(float), &slice->points));
        HEL_TRY(upload(on, slice->points, points->values + slice->first * points->d, values));
    }
    return HEL_OK;
}

hel_status hel_cluster_device_create(const hel_device *device, const hel_cluster_points *points, uint32_t k, bool sums,
                                     hel_cluster_device *out) {
    *out = (hel_cluster_device){.device = device, .points = points, .k = k, .block = FIRST_BLOCK};
    uint64_t cells = (uint64_t)k * points->d, slice_points;
    HEL_TRY(check_book(device, k, points->d));
    if (sums) HEL_TRY(choose_block(device, points->n, points->d, cells, &out->block));
    HEL_TRY(choose_slice(device, points->d, out->block, &slice_points));
    HEL_TRY(upload_slices(out, slice_points));
    HEL_TRY(hel_buffer_create(device, cells * sizeof(float), &out->centroids));
    HEL_TRY(hel_buffer_create(device, out->slices[0].count * sizeof(uint32_t), &out->labels));
    out->blocks = hel_ceil_div(points->n, out->block);
    out->piece = hel_round_up((device->type == HEL_DEVICE_TYPE_CPU ? FIRST_WORK_CPU : FIRST_WORK) / cells + 1, DISPATCH_POINTS);
    if (!sums) return HEL_OK;
    uint64_t bytes = out->blocks * cells * sizeof(float);
    if (bytes > device->limits.max_binding || bytes / sizeof(float) > UINT32_MAX)
        return refuse(device, "sums of", out->blocks * k, points->d);
    HEL_TRY(hel_buffer_create(device, bytes, &out->partials));
    return hel_buffer_create(device, out->blocks * k * sizeof(uint32_t), &out->counts);
}

void hel_cluster_device_finish(hel_cluster_device *on) {
    for (uint32_t s = 0; s < on->n_slices; s++) hel_buffer_destroy(on->device, &on->slices[s].points);
    hel_free(on->slices);
    hel_buffer_destroy(on->device, &on->centroids);
    hel_buffer_destroy(on->device, &on->labels);
    hel_buffer_destroy(on->device, &on->partials);
    hel_buffer_destroy(on->device, &on->counts);
    *on = (hel_cluster_device){0};
}

// ---------------------------------------------------------------- the kernels

hel_status hel_cluster_advance(hel_cluster_progress *progress, uint64_t points) {
    progress->done = HEL_MIN(progress->done + points, progress->total);
    if (!progress->report || progress->report(progress->user, progress->stage, progress->done, progress->total)) return HEL_OK;
    return hel_fail(HEL_ERROR_CANCELLED, "cancelled after %llu of %llu points", (unsigned long long)progress->done,
                    (unsigned long long)progress->total);
}

static hel_status dispatch(const hel_cluster_device *on, const char *name, uint32_t constant, const hel_binding *bindings,
                           uint32_t count, const void *params, uint32_t params_size, uint64_t groups) {
    hel_kernel *kernel;
    HEL_TRY(hel_kernel_get(on->device, name, &constant, constant ? 1 : 0, &kernel));
    return hel_dispatch(on->device, kernel, bindings, count, params, params_size, groups, 0);
}

static hel_status label_piece(const hel_cluster_device *on, const hel_cluster_slice *slice, uint32_t first, uint32_t count) {
    uint32_t d = on->points->d, known = d <= 4 ? d : 0; // a text for each of the narrowest
    hel_kmeans_assign_params params = {.n = count, .k = on->k, .d = d};
    hel_binding bindings[] = {
        {slice->points, (uint64_t)first * d * sizeof(float), (uint64_t)count * d * sizeof(float)},
        {.buffer = on->centroids},
        {on->labels, first * sizeof(uint32_t), count * sizeof(uint32_t)},
    };
    return dispatch(on, "kmeans_assign", known, bindings, HEL_COUNT(bindings), &params, sizeof params,
                    hel_ceil_div(count, HEL_KMEANS_ASSIGN_CHUNK));
}

static hel_status sum_slice(const hel_cluster_device *on, const hel_cluster_slice *slice) {
    hel_kmeans_partial_params params = {.n = slice->count, .k = on->k, .d = on->points->d, .block = on->block,
                                        .first_block = (uint32_t)(slice->first / on->block)};
    hel_binding bindings[] = {{.buffer = slice->points},
                              {on->labels, 0, slice->count * sizeof(uint32_t)},
                              {.buffer = on->partials},
                              {.buffer = on->counts}};
    return dispatch(on, "kmeans_partial", 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                    hel_ceil_div(slice->count, on->block));
}

static hel_status label_slice(hel_cluster_device *on, const hel_cluster_slice *slice, hel_cluster_progress *progress,
                              uint32_t *labels) {
    for (uint32_t first = 0, count; first < slice->count; first += count) {
        uint64_t start = hel_os_time_ns();
        count = (uint32_t)HEL_MIN(on->piece, slice->count - first);
        HEL_TRY(label_piece(on, slice, first, count));
        HEL_TRY(hel_device_wait_idle(on->device, HEL_QUEUE_COMPUTE));
        if (count == on->piece && hel_os_time_ns() - start < QUICK_NS) on->piece *= 2;
        HEL_TRY(hel_cluster_advance(progress, count));
    }
    if (on->partials) HEL_TRY(sum_slice(on, slice));
    HEL_TRY(hel_buffer_read(on->device, HEL_QUEUE_COMPUTE, on->labels, 0, labels, slice->count * sizeof *labels));
    for (uint32_t i = 0; i < slice->count; i++)
        if (labels[i] >= on->k)
            return hel_fail(HEL_ERROR_DEVICE, "%s:%u: label %u of %u", on->device->backend, on->device->index, labels[i], on->k);
    return HEL_OK;
}

hel_status hel_cluster_label(hel_cluster_device *on, const float *centroids, hel_cluster_progress *progress,
                             uint32_t *labels) {
    HEL_TRY(upload(on, on->centroids, centroids, (uint64_t)on->k * on->points->d));
    for (uint32_t s = 0; s < on->n_slices; s++)
        HEL_TRY(label_slice(on, &on->slices[s], progress, labels + on->slices[s].first));
    return HEL_OK;
}

static hel_status count_slices(const hel_cluster_device *on, uint32_t shift, hel_buffer *counts) {
    for (uint32_t s = 0; s < on->n_slices; s++) {
        hel_histogram_params params = {.n = on->slices[s].count, .shift = shift};
        hel_binding bindings[] = {{.buffer = on->slices[s].points}, {.buffer = counts}};
        HEL_TRY(dispatch(on, "histogram", 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                         hel_ceil_div(params.n, HEL_HISTOGRAM_CHUNK)));
    }
    return HEL_OK;
}

hel_status hel_cluster_histogram(const hel_cluster_device *on, uint32_t shift, uint32_t *cells) {
    uint64_t bytes = sizeof *cells << (32 - shift);
    hel_buffer *counts;
    HEL_TRY(hel_buffer_create(on->device, bytes, &counts)); // zeros
    hel_status status = count_slices(on, shift, counts);
    if (status == HEL_OK) status = hel_buffer_read(on->device, HEL_QUEUE_COMPUTE, counts, 0, cells, bytes);
    hel_buffer_destroy(on->device, &counts);
    return status;
}

hel_status hel_cluster_update(hel_cluster_device *on, float *centroids) {
    uint64_t cells = (uint64_t)on->k * on->points->d;
    hel_kmeans_update_params params = {.blocks = (uint32_t)on->blocks, .k = on->k, .d = on->points->d};
    hel_binding bindings[] = {{.buffer = on->partials}, {.buffer = on->counts}, {.buffer = on->centroids}};
    HEL_TRY(dispatch(on, "kmeans_update", 0, bindings, HEL_COUNT(bindings), &params, sizeof params,
                     hel_ceil_div(cells, HEL_KMEANS_UPDATE_CHUNK)));
    HEL_TRY(hel_buffer_read(on->device, HEL_QUEUE_COMPUTE, on->centroids, 0, centroids, cells * sizeof *centroids));
    hel_cluster_unscale(on->points, centroids, cells);
    return HEL_OK;
}
