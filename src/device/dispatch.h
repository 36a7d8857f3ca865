// SPDX-License-Identifier: Apache-2.0
// What dispatching and recording share: the rules for their arguments, checked once before a backend gets them.
#ifndef HEL_DEVICE_DISPATCH_H
#define HEL_DEVICE_DISPATCH_H

#include "device/backend.h"

// Whether these bytes are words of the buffer.
static inline bool hel_buffer_has(const hel_buffer *buffer, uint64_t offset, uint64_t size) {
    return offset % 4 == 0 && size % 4 == 0 && offset <= buffer->size && size <= buffer->size - offset;
}

// The arguments of hel_dispatch; 0 groups leave `out` without any. ARGUMENT, UNSUPPORTED.
hel_status hel_dispatch_check(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, uint32_t count,
                              const void *params, uint32_t params_size, uint64_t groups, hel_checked_dispatch *out);

// The buffer is about to go: what was recorded with it is stale. Under the device's lock.
void hel_recordings_forget(hel_device_base *base, const hel_buffer *buffer);

#endif
