// SPDX-License-Identifier: Apache-2.0
#include "device/convolution.h"

#include "base/error.h"
#include "base/os.h"
#include "base/require.h"
#include "base/size.h"
#include "device/backend.h"

hel_status hel_convolution_create(const hel_device *device, uint32_t steps, hel_convolution **out) {
    HEL_REQUIRE(device && out && steps > 0 && steps <= HEL_CONVOLUTION_MAX_STEPS);
    *out = NULL;
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->convolution_create)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: the device has no convolution of its own", device->backend);
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->convolution_create(device, steps, out);
    hel_os_mutex_unlock(base->lock);
    if (status == HEL_OK) (*out)->steps = steps;
    return status;
}

void hel_convolution_destroy(const hel_device *device, hel_convolution **plan) {
    if (!plan || !*plan) return;
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    base->functions->convolution_destroy(device, *plan);
    hel_os_mutex_unlock(base->lock);
    *plan = NULL;
}

// A range of at least `size` bytes from a whole word on, or, where that is allowed, none.
static bool range_holds(const hel_binding *binding, uint64_t size, bool optional) {
    if (!binding->buffer) return optional;
    uint64_t whole = binding->buffer->size;
    return binding->offset % 4 == 0 && binding->offset <= whole && size <= whole - binding->offset &&
           (!binding->size || binding->size >= size);
}

hel_status hel_convolution_run(const hel_device *device, const hel_convolution *plan, const hel_convolution_call *call) {
    HEL_REQUIRE(device && plan && call && call->channels && !(call->transform && call->reversed));
    uint64_t in = call->rows * hel_storage_row(call->storage, plan->steps);
    uint64_t out = call->rows * (call->transform ? plan->spectrum_size : hel_storage_row(call->y_storage, plan->steps));
    HEL_REQUIRE(range_holds(&call->u, in, false) && range_holds(&call->y, out, false));
    HEL_REQUIRE(range_holds(&call->gate_in, in, true) && range_holds(&call->gate_out, in, true));
    HEL_REQUIRE(range_holds(&call->bias, call->channels * sizeof(float), true));
    HEL_REQUIRE(call->transform || range_holds(&call->spectra, hel_convolution_filters(call) * plan->spectrum_size, false));
    if (!call->rows) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->convolution_run(device, plan, call);
    hel_os_mutex_unlock(base->lock);
    return status;
}
