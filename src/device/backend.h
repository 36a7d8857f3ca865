// SPDX-License-Identifier: Apache-2.0
// What a backend is. Arguments are checked in device.c before they get here, so backends trust them.
#ifndef HEL_DEVICE_BACKEND_H
#define HEL_DEVICE_BACKEND_H

#include <helicoid/device.h>

#include "base/os.h"
#include "device/choices.h"
#include "device/convolution.h"
#include "device/kernel_source.h"
#include "device/transform.h"

struct hel_buffer {
    uint64_t size;
};

struct hel_kernel {
    const hel_kernel_source *source;
    uint32_t constants[HEL_MAX_CONSTANTS];
    hel_kernel *next; // in the device's list
};

// Begins a backend's own recording; recording.c sets it, before the first replay.
struct hel_recording {
    hel_buffer **buffers; // of all bindings, each once
    uint32_t n_buffers;
    bool stale;          // one of them was destroyed
    hel_recording *next; // in the device's list
};

// A dispatch whose arguments are checked, as the table's `dispatch` gets them.
typedef struct hel_checked_dispatch {
    hel_kernel *kernel;
    hel_binding bindings[HEL_MAX_BINDINGS];
    unsigned char params[HEL_MAX_PARAMS]; // source->params_size bytes
    uint32_t groups_x, groups_y;
} hel_checked_dispatch;

// Typed from the public prototypes, so that table and interface cannot drift apart.
typedef struct hel_device_functions {
    void (*destroy)(hel_device *device); // waits for all work first
    __typeof__(hel_buffer_create) *buffer_create;
    void (*buffer_destroy)(const hel_device *device, hel_buffer *buffer);
    __typeof__(hel_buffer_map) *buffer_map; // NULL where features.mapped is false
    __typeof__(hel_buffer_write) *buffer_write;
    __typeof__(hel_buffer_read) *buffer_read;
    __typeof__(hel_buffer_copy) *buffer_copy;
    __typeof__(hel_buffer_fill) *buffer_fill;
    // Compiles `source`; `constants` has all n_constants values. Sets nothing but its own fields.
    hel_status (*kernel_create)(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out);
    void (*kernel_destroy)(const hel_device *device, hel_kernel *kernel);
    // `params` has source->params_size bytes; groups are folded: x * y work-groups, of which the first params.groups count.
    hel_status (*dispatch)(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer);
    __typeof__(hel_device_flush) *flush; // NULL where nothing is held back
    __typeof__(hel_device_mark) *mark;
    __typeof__(hel_device_wait) *wait;
    __typeof__(hel_device_wait_on) *wait_on; // NULL without a transfer queue
    __typeof__(hel_timer_query) *timer_query; // NULL where features.timers is false
    hel_status (*memory_free)(const hel_device *device, uint64_t *out); // 0 for unknown; NULL where the driver never tells
    // The three are NULL where features.recording is false. The first runs nothing and sets nothing but its own fields;
    // it keeps copies. The last may be called while replays are pending.
    hel_status (*recording_create)(const hel_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                                   hel_recording **out);
    __typeof__(hel_recording_replay) *recording_replay;
    void (*recording_destroy)(const hel_device *device, hel_recording *recording);
    // The three are NULL where the device has no convolutions of its own.
    __typeof__(hel_convolution_create) *convolution_create; // sets all but `steps` of the base
    __typeof__(hel_convolution_run) *convolution_run;
    void (*convolution_destroy)(const hel_device *device, hel_convolution *plan);
    // The four are NULL where the device has no transforms of its own. The second sets nothing but its own fields.
    __typeof__(hel_transform_least) *transform_least;
    hel_status (*transform_create)(const hel_device *device, uint32_t points, hel_transform **out);
    __typeof__(hel_transform_run) *transform_run; // the binding's size is that of the rows
    void (*transform_destroy)(const hel_device *device, hel_transform *transform);
} hel_device_functions;

typedef enum hel_verdict { HEL_UNTRIED, HEL_USED, HEL_LEFT_ALONE } hel_verdict;

// Every backend's device begins with this. device.c sets all but `functions` and the data before
// hel_device_base.data is filled by the backend.
typedef struct hel_device_base {
    hel_device data;
    const hel_device_functions *functions;
    hel_os_mutex *lock; // held during every call of the table except wait, so backends need no lock of their own
    hel_kernel *kernels;
    hel_recording *recordings;
    hel_transform *transforms;
    uint32_t refused_transforms[16], n_refused_transforms; // points
    hel_choices choices;
    hel_verdict matrix_units; // what the room above found out about them
    uint64_t memory_used, memory_peak, memory_limit;
} hel_device_base;

static inline hel_device_base *hel_device_base_of(const hel_device *device) { return (hel_device_base *)(uintptr_t)device; }

// One line in backends/table.h.
typedef struct hel_backend {
    const char *name;
    // How many devices there are. A missing driver is UNAVAILABLE with the reason in hel_error_message().
    hel_status (*count)(uint32_t *out);
    // Fills a description without opening the device for work.
    hel_status (*describe)(uint32_t index, hel_device *out);
    // Allocates the backend's device (hel_device_base first), fills data and functions.
    hel_status (*open)(uint32_t index, const hel_device_params *params, hel_device_base **out);
} hel_backend;

#define HEL_BACKEND(name) extern const hel_backend hel_backend_##name;
#include "backends/table.h"
#undef HEL_BACKEND

#endif
