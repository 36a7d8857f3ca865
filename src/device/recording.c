// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "device/dispatch.h"

// ---------------------------------------------------------------- buffers

static int by_address(const void *a, const void *b) {
    uintptr_t left = (uintptr_t) * (hel_buffer *const *)a, right = (uintptr_t) * (hel_buffer *const *)b;
    return (left > right) - (left < right);
}

// Every buffer of the dispatches once.
static hel_status list_buffers(const hel_checked_dispatch *dispatches, uint32_t count, hel_buffer ***out,
                               uint32_t *out_count) {
    size_t all = 0, distinct = 0;
    hel_buffer **buffers = hel_alloc_array((size_t)count * HEL_MAX_BINDINGS, sizeof *buffers);
    if (!buffers) return hel_fail_memory((size_t)count * HEL_MAX_BINDINGS * sizeof *buffers);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < dispatches[i].kernel->source->n_bindings; j++)
            buffers[all++] = dispatches[i].bindings[j].buffer;
    qsort(buffers, all, sizeof *buffers, by_address);
    for (size_t i = 0; i < all; i++)
        if (!i || buffers[i] != buffers[i - 1]) buffers[distinct++] = buffers[i];
    *out = buffers;
    *out_count = (uint32_t)distinct;
    return HEL_OK;
}

void hel_recordings_forget(hel_device_base *base, const hel_buffer *buffer) {
    for (hel_recording *recording = base->recordings; recording; recording = recording->next)
        for (uint32_t i = 0; i < recording->n_buffers; i++)
            if (recording->buffers[i] == buffer) recording->stale = true;
}

// ---------------------------------------------------------------- life

// `checked` [*out_count] are those that have anything to run.
static hel_status check_all(const hel_device *device, const hel_recorded_dispatch *dispatches, uint32_t count,
                            hel_checked_dispatch *checked, uint32_t *out_count) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        const hel_recorded_dispatch *given = &dispatches[i];
        HEL_TRY(hel_dispatch_check(device, given->kernel, given->bindings, given->count, given->params,
                                   given->params_size, given->groups, &checked[used]));
        used += given->groups > 0;
    }
    HEL_REQUIRE(used > 0);
    *out_count = used;
    return HEL_OK;
}

static hel_status record(const hel_device *device, const hel_checked_dispatch *checked, uint32_t count,
                         hel_recording **out) {
    hel_device_base *base = hel_device_base_of(device);
    hel_buffer **buffers = NULL;
    uint32_t n_buffers = 0;
    HEL_TRY(list_buffers(checked, count, &buffers, &n_buffers));
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->recording_create(device, checked, count, out);
    if (status == HEL_OK) {
        **out = (hel_recording){.buffers = buffers, .n_buffers = n_buffers, .next = base->recordings};
        base->recordings = *out;
    }
    hel_os_mutex_unlock(base->lock);
    if (status != HEL_OK) hel_free(buffers);
    return status;
}

hel_status hel_recording_create(const hel_device *device, const hel_recorded_dispatch *dispatches, uint32_t count,
                                hel_recording **out) {
    HEL_REQUIRE(device && dispatches && count && out);
    *out = NULL;
    if (!device->features.recording)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: dispatches cannot be recorded", device->backend);
    hel_checked_dispatch *checked = hel_alloc_array(count, sizeof *checked);
    if (!checked) return hel_fail_memory(count * sizeof *checked);
    uint32_t used = 0;
    hel_status status = check_all(device, dispatches, count, checked, &used);
    if (status == HEL_OK) status = record(device, checked, used, out);
    hel_free(checked);
    return status;
}

hel_status hel_recording_replay(const hel_device *device, hel_recording *recording) {
    HEL_REQUIRE(device && recording);
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    bool stale = recording->stale;
    hel_status status = stale ? HEL_OK : base->functions->recording_replay(device, recording);
    hel_os_mutex_unlock(base->lock);
    HEL_REQUIRE(!stale);
    return status;
}

void hel_recording_destroy(const hel_device *device, hel_recording **recording) {
    if (!recording || !*recording) return;
    HEL_REQUIRE_OR(device, );
    hel_device_base *base = hel_device_base_of(device);
    hel_recording *gone = *recording;
    hel_os_mutex_lock(base->lock);
    hel_recording **link = &base->recordings;
    while (*link != gone) link = &(*link)->next;
    *link = gone->next;
    hel_free(gone->buffers);
    base->functions->recording_destroy(device, gone);
    hel_os_mutex_unlock(base->lock);
    *recording = NULL;
}
