// SPDX-License-Identifier: Apache-2.0
// Gradients of the long convolution. With z = h * v + bias v, v = gate_in u and dz = gate_out dy, time turned round (') makes each
// of them a causal convolution again:
//   (du)' = gate_in' (h * dz' + bias dz'),   (d gate_in)' = u' (h * dz' + bias dz'),   d gate_out = dy z,   (dh)' = v * dz'
#include "base/size.h"
#include "ops/fftconv_toeplitz.h"

// Bytes of spectra of v at a time.
enum { SPECTRA_BYTES = 32 << 20 };

// The same rows with other gates and another u.
static hel_convolution_call exchanged(const hel_convolution_call *call, hel_binding u, hel_binding gate_in, hel_binding gate_out,
                                      hel_binding y) {
    hel_convolution_call out = *call;
    out.transform = out.accumulate = out.reversed = false;
    out.u = u;
    out.gate_in = gate_in;
    out.gate_out = gate_out;
    out.y = y;
    return out;
}

static hel_binding rows_of(hel_binding all, uint64_t row_size, uint32_t first, uint32_t count) {
    if (!all.buffer) return all;
    return (hel_binding){all.buffer, all.offset + first * row_size, count * row_size};
}

// Of the rows of `call`, whose y is dy, each with a filter of its own.
static void transformed_gradient(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call,
                                 hel_binding filters) {
    uint64_t mark = hel_exec_mark(exec);
    hel_binding spectra = hel_exec_tensor(exec, call->rows, (uint32_t)(plan->spectrum_size / sizeof(float))).where;
    hel_convolution_call v = {.rows = call->rows,
                              .channels = call->channels,
                              .storage = call->storage,
                              .transform = true,
                              .u = call->u,
                              .gate_in = call->gate_in,
                              .y = spectra};
    hel_fftconv_run(exec, plan, &v);
    hel_convolution_call dh = {.rows = call->rows,
                               .channels = call->channels,
                               .storage = call->storage,
                               .y_storage = HEL_STORAGE_F32,
                               .reversed = true,
                               .accumulate = call->accumulate,
                               .u = call->y,
                               .gate_in = call->gate_out,
                               .spectra = spectra,
                               .y = filters};
    hel_fftconv_run(exec, plan, &dh);
    hel_exec_release(exec, mark);
}

// Of `count` channels from `channel` on, over all batches.
static void filters_gradient(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call, hel_binding dy,
                             uint32_t channel, uint32_t count, hel_binding filters) {
    uint64_t values = hel_storage_row(call->storage, plan->steps), taps = plan->filter_steps * sizeof(float);
    hel_binding out = rows_of(filters, taps, channel, count);
    for (uint32_t batch = 0; batch * call->channels < call->rows; batch++) {
        uint32_t first = batch * call->channels + channel;
        hel_convolution_call rows = {.rows = count,
                                     .channels = count,
                                     .storage = call->storage,
                                     .y_storage = call->storage,
                                     .accumulate = batch > 0,
                                     .u = rows_of(call->u, values, first, count),
                                     .gate_in = rows_of(call->gate_in, values, first, count),
                                     .gate_out = rows_of(call->gate_out, values, first, count),
                                     .y = rows_of(dy, values, first, count)};
        if (plan->toeplitz) hel_fftconv_toeplitz_gradient(exec, plan, &rows, out);
        else transformed_gradient(exec, plan, &rows, out);
    }
}

static uint32_t channels_at_once(const hel_fftconv_plan *plan) {
    if (plan->toeplitz) return hel_fftconv_toeplitz_channels(plan);
    return (uint32_t)HEL_MAX(SPECTRA_BYTES / plan->spectrum_size, 1);
}

void hel_fftconv_backward(hel_exec *exec, const hel_fftconv_plan *plan, const hel_convolution_call *call, hel_binding dy,
                          const hel_fftconv_gradients *out) {
    if (out->u.buffer) {
        hel_convolution_call du = exchanged(call, dy, call->gate_out, call->gate_in, out->u);
        du.reversed = true;
        hel_fftconv_run(exec, plan, &du);
    }
    if (out->gate_in.buffer) {
        hel_convolution_call gate = exchanged(call, dy, call->gate_out, call->u, out->gate_in);
        gate.reversed = true;
        hel_fftconv_run(exec, plan, &gate);
    }
    if (out->gate_out.buffer) {
        hel_convolution_call gate = exchanged(call, call->u, call->gate_in, dy, out->gate_out);
        hel_fftconv_run(exec, plan, &gate);
    }
    if (!out->filters.buffer) return;
    for (uint32_t c = 0, at_once = channels_at_once(plan); c < call->channels; c += at_once)
        filters_gradient(exec, plan, call, dy, c, HEL_MIN(at_once, call->channels - c), out->filters);
}
