// SPDX-License-Identifier: Apache-2.0
#include "ops/fftconv_internal.h"

#include "base/size.h"
#include "kernels.h"

// `count` rows of `size` bytes from row `first` on, bound from the last place that may be before them; elements of `unit` bytes
// between the two.
static hel_binding bind_from(const hel_exec *exec, hel_binding whole, uint64_t first, uint64_t count, uint64_t size, uint32_t unit,
                             uint32_t *out_before) {
    *out_before = 0;
    if (!whole.buffer) return hel_bind(exec->nothing);
    uint64_t at = whole.offset + first * size, begin = at - at % exec->device->limits.offset_alignment;
    *out_before = (uint32_t)((at - begin) / unit);
    return (hel_binding){whole.buffer, begin, at - begin + count * size};
}

static uint32_t unit_of(hel_storage storage) { return storage == HEL_STORAGE_F32 ? 4 : 2; }

hel_fftconv_rows hel_fftconv_rows_bind(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call,
                                       uint32_t first, uint32_t count) {
    hel_fftconv_rows rows = {.exec = exec, .plan = plan, .call = call, .first = first, .count = count};
    uint32_t filters = hel_convolution_filters(call), filter = first % filters, unit = unit_of(call->storage), same;
    uint64_t in = hel_storage_row(call->storage, plan->steps), spectrum = plan->spectrum_size;
    uint64_t out = call->transform ? spectrum : hel_storage_row(call->y_storage, plan->steps);
    rows.u = bind_from(exec, call->u, first, count, in, unit, &rows.u_first);
    rows.gate_in = bind_from(exec, call->gate_in, first, count, in, unit, &same);
    rows.gate_out = bind_from(exec, call->gate_out, first, count, in, unit, &same);
    rows.y = bind_from(exec, call->y, first, count, out, call->transform ? 4 : unit_of(call->y_storage), &rows.y_first);
    rows.bias = bind_from(exec, call->bias, 0, call->channels, sizeof(float), 4, &same);
    rows.spectra = bind_from(exec, call->spectra, filter, HEL_MIN(filters - filter, count), spectrum, 4, &rows.spectra_first);
    // The kernel counts from the first filter's spectrum.
    rows.spectra_first = (uint32_t)(filter * (spectrum / sizeof(float))) - rows.spectra_first;
    return rows;
}

uint32_t hel_fftconv_flags(const hel_convolution_call *call) {
    return (call->gate_in.buffer ? HEL_FLAG_GATE_IN : 0) | (call->gate_out.buffer ? HEL_FLAG_GATE_OUT : 0) |
           (call->bias.buffer ? HEL_FLAG_DIRECT : 0) | (call->reversed ? HEL_FLAG_REVERSED : 0) |
           (call->accumulate ? HEL_FLAG_SUM : 0) | (call->storage == HEL_STORAGE_BF16 ? HEL_FLAG_HALF_IN : 0) |
           (call->y_storage == HEL_STORAGE_BF16 ? HEL_FLAG_HALF_OUT : 0);
}
