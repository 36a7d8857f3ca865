// SPDX-License-Identifier: Apache-2.0
// The long convolutions of a Hyena layer in a context: exact, one token or several at a time (ops/fftconv_decode.h).
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/hyena_filter.h"
#include "ops/fftconv_decode.h"

typedef struct convolution {
    hel_fftconv_decoder decoder;
    hel_fftconv_sequence sequence;
    hel_buffer *state;
} convolution;

typedef struct hyena_history {
    const hel_device *device;
    uint32_t count; // order - 1
    convolution convolutions[HEL_HYENA_MAX_ORDER - 1];
} hyena_history;

// ---------------------------------------------------------------- made with a context

// `taps` [width, capacity] and `bias` [width] are room for those of one convolution.
static hel_status make_one(hyena_history *history, const hel_hyena_filter *filter, const hel_hyena_mixer *mixer, uint32_t capacity,
                           float *taps, float *bias) {
    uint32_t o = history->count, width = filter->width;
    convolution *c = &history->convolutions[history->count++];
    HEL_TRY(hel_hyena_filter_make(filter, o, capacity, taps));
    HEL_TRY(hel_buffer_read(history->device, HEL_QUEUE_COMPUTE, mixer->bias, (uint64_t)o * width * sizeof *bias, bias,
                            width * sizeof *bias));
    hel_fftconv_filters filters = {.channels = width, .filters = width, .taps = capacity, .h = taps, .bias = bias};
    HEL_TRY(hel_fftconv_decoder_init(history->device, &filters, capacity, &c->decoder));
    HEL_TRY(hel_buffer_create(history->device, (uint64_t)capacity * width * sizeof(float), &c->state));
    c->sequence = (hel_fftconv_sequence){.state = {.buffer = c->state, .size = hel_buffer_size(c->state)}, .rows = width};
    return HEL_OK;
}

static hel_status make_all(hyena_history *history, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t capacity) {
    hel_hyena_filter filter;
    HEL_TRY(hel_hyena_filter_read(history->device, hyper, mixer, capacity, &filter));
    float *taps = hel_alloc_array((size_t)capacity * filter.width, sizeof *taps);
    float *bias = hel_alloc_array(filter.width, sizeof *bias);
    hel_status status = taps && bias ? HEL_OK : hel_fail_memory((size_t)capacity * filter.width * sizeof *taps);
    for (uint32_t o = 0; status == HEL_OK && o + 1 < hyper->hyena.order; o++)
        status = make_one(history, &filter, mixer, capacity, taps, bias);
    hel_free(taps);
    hel_free(bias);
    hel_hyena_filter_finish(&filter);
    return status;
}

static void destroy(void *handle) {
    hyena_history *history = handle;
    for (uint32_t i = 0; i < history->count; i++) {
        hel_fftconv_decoder_finish(&history->convolutions[i].decoder);
        hel_buffer_destroy(history->device, &history->convolutions[i].state);
    }
    hel_free(history);
}

static hel_status make(const hel_network *network, const hel_layer *layer, uint32_t capacity, void **out) {
    hyena_history *history = hel_alloc_zero(1, sizeof *history);
    if (!history) return hel_fail_memory(sizeof *history);
    history->device = network->devices[layer->place];
    hel_status status = make_all(history, &network->hyper, layer->weights, capacity);
    if (status == HEL_OK) *out = history;
    else destroy(history);
    return status;
}

// A state of 4 bytes, spectra of 16 of a power of two.
static uint64_t bytes(const hel_hyper *hyper, uint32_t capacity) {
    uint64_t rounded = 2 * HEL_FFTCONV_BLOCK, channels = (uint64_t)(hyper->hyena.order - 1) * hyper->hidden;
    while (rounded < capacity) rounded *= 2;
    return channels * (4 * (uint64_t)capacity + 16 * rounded);
}

// ---------------------------------------------------------------- tokens

hel_tensor hel_hyena_convolve(void *handle, hel_exec *exec, uint32_t o, hel_tensor x, hel_binding step) {
    convolution *c = &((hyena_history *)handle)->convolutions[o];
    hel_tensor y = hel_exec_tensor(exec, x.rows, x.cols);
    hel_fftconv_tokens tokens = {.u = x.where, .y = y.where};
    if (x.rows == 1) hel_fftconv_decode_step(exec, &c->decoder, &c->sequence, step, &tokens);
    else hel_fftconv_decode_prefill(exec, &c->decoder, &c->sequence, x.rows, &tokens);
    return y;
}

// Several tokens leave nothing to do.
static void settle(void *handle, hel_exec *exec, uint32_t tokens) {
    hyena_history *history = handle;
    for (uint32_t i = 0; tokens == 1 && i < history->count; i++)
        hel_fftconv_decode_advance(exec, &history->convolutions[i].decoder, &history->convolutions[i].sequence);
}

static void rewind_to(void *handle, hel_exec *exec, uint32_t position) {
    hyena_history *history = handle;
    for (uint32_t i = 0; i < history->count; i++)
        hel_fftconv_decode_rewind(exec, &history->convolutions[i].decoder, &history->convolutions[i].sequence, position);
}

const hel_layer_history hel_hyena_history = {
    .make = make, .destroy = destroy, .bytes = bytes, .settle = settle, .rewind = rewind_to};
