// SPDX-License-Identifier: Apache-2.0
#include "models/hyena_filter.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

// Positions that go through the network together, as the lanes of vectors.
enum { BLOCK = 64 };

// ---------------------------------------------------------------- what filters are made of

// NULL where the buffer is.
static hel_status read_back(const hel_device *device, hel_buffer *from, uint64_t count, float **out) {
    *out = NULL;
    if (!from) return HEL_OK;
    *out = hel_alloc_array(count, sizeof **out);
    if (!*out) return hel_fail_memory(count * sizeof **out);
    return hel_buffer_read(device, HEL_QUEUE_COMPUTE, from, 0, *out, count * sizeof **out);
}

// Evenly from `first` to `last`.
static double spaced(double first, double last, uint32_t i, uint32_t count) {
    return count > 1 ? first + (last - first) * i / (count - 1) : first;
}

// Where the checkpoint keeps it to itself: channels fade fast to slow, down to decay_target at that part of the positions.
static hel_status make_decay(const hel_hyper *hyper, uint32_t channels, float **out) {
    const hel_hyena_hyper *hyena = &hyper->hyena;
    *out = hel_alloc_array(channels, sizeof **out);
    if (!*out) return hel_fail_memory(channels * sizeof **out);
    double target = log(hyena->decay_target);
    for (uint32_t c = 0; c < channels; c++)
        (*out)[c] = (float)spaced(target / hyena->slow_decay, target / hyena->fast_decay, c, channels);
    return HEL_OK;
}

// One frequency for each neuron, which all layers share; files keep one copy of it or several.
static hel_status read_frequency(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, float **out) {
    for (uint32_t i = 0; i <= HEL_HYENA_INNER; i++)
        if (mixer->sines[i]) return read_back(device, mixer->sines[i], hyper->hyena.filter_hidden, out);
    *out = hel_alloc_array(hyper->hyena.filter_hidden, sizeof **out);
    if (!*out) return hel_fail_memory(hyper->hyena.filter_hidden * sizeof **out);
    for (uint32_t i = 0; i < hyper->hyena.filter_hidden; i++) (*out)[i] = hyper->hyena.sine;
    return HEL_OK;
}

static hel_status read_all(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t taps,
                           hel_hyena_filter *out) {
    uint64_t hidden = out->hidden, channels = (uint64_t)(hyper->hyena.order - 1) * out->width;
    HEL_TRY(read_back(device, mixer->first, hidden * out->features, &out->first));
    HEL_TRY(read_back(device, mixer->first_bias, hidden, &out->first_bias));
    for (uint32_t i = 0; i < HEL_HYENA_INNER; i++) {
        HEL_TRY(read_back(device, mixer->inner[i], hidden * hidden, &out->inner[i]));
        HEL_TRY(read_back(device, mixer->inner_bias[i], hidden, &out->inner_bias[i]));
    }
    HEL_TRY(read_back(device, mixer->last, channels * hidden, &out->last));
    HEL_TRY(read_back(device, mixer->features, (uint64_t)taps * out->features, &out->z));
    HEL_TRY(read_frequency(device, hyper, mixer, &out->frequency));
    return mixer->decay ? read_back(device, mixer->decay, channels, &out->decay)
                        : make_decay(hyper, (uint32_t)channels, &out->decay);
}

hel_status hel_hyena_filter_read(const hel_device *device, const hel_hyper *hyper, const hel_hyena_mixer *mixer, uint32_t taps,
                                 hel_hyena_filter *out) {
    const hel_hyena_hyper *hyena = &hyper->hyena;
    *out = (hel_hyena_filter){.width = hyper->hidden, .positions = hyper->context_length, .features = hyena->features,
                              .hidden = hyena->filter_hidden, .shift = (float)hyena->shift};
    if (taps > hyper->context_length)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "the filters of this model have %u taps: it goes over no sequence of %u",
                        hyper->context_length, taps);
    hel_status status = read_all(device, hyper, mixer, taps, out);
    if (status == HEL_OK) status = hel_threads_create(device->threads, &out->threads);
    if (status != HEL_OK) hel_hyena_filter_finish(out);
    return status;
}

void hel_hyena_filter_finish(hel_hyena_filter *filter) {
    float *parts[] = {filter->first, filter->first_bias, filter->last, filter->frequency, filter->decay, filter->z};
    for (size_t i = 0; i < HEL_COUNT(parts); i++) hel_free(parts[i]);
    for (uint32_t i = 0; i < HEL_HYENA_INNER; i++) {
        hel_free(filter->inner[i]);
        hel_free(filter->inner_bias[i]);
    }
    hel_threads_destroy(&filter->threads);
    *filter = (hel_hyena_filter){0};
}

// ---------------------------------------------------------------- a block of positions

typedef float lanes[BLOCK];

typedef struct making {
    const hel_hyena_filter *filter;
    uint32_t o, taps;
    lanes *scratch; // for each thread: features, then neurons before and behind a layer
    float *out;
} making;

static void put_features(const making *m, uint32_t first, uint32_t count, lanes *z) {
    const hel_hyena_filter *filter = m->filter;
    uint32_t waves = (filter->features - 1) / 2;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = first + i;
        if (filter->z) {
            for (uint32_t f = 0; f < filter->features; f++) z[f][i] = filter->z[(size_t)p * filter->features + f];
            continue;
        }
        z[0][i] = (float)spaced(0.0, 1.0, p, filter->positions);
        for (uint32_t b = 0; b < waves; b++) {
            double angle = spaced(1e-4, waves - 1.0, b, waves) * 6.283185307179586476925 * p / filter->positions;
            z[1 + b][i] = (float)cos(angle);
            z[1 + waves + b][i] = (float)-sin(angle);
        }
    }
}

// One row of W x + bias.
static void multiply(const float *restrict row, float bias, const lanes *restrict x, uint32_t cols, float *restrict y) {
    for (uint32_t i = 0; i < BLOCK; i++) y[i] = bias;
    for (uint32_t c = 0; c < cols; c++)
        for (uint32_t i = 0; i < BLOCK; i++) y[i] += row[c] * x[c][i];
}

static void sine_layer(const hel_hyena_filter *filter, const float *w, const float *bias, const lanes *x, uint32_t cols, lanes *y) {
    for (uint32_t n = 0; n < filter->hidden; n++) {
        multiply(w + (size_t)n * cols, bias[n], x, cols, y[n]);
        for (uint32_t i = 0; i < BLOCK; i++) y[n][i] = sinf(filter->frequency[n] * y[n][i]);
    }
}

static void make_block(void *user, uint64_t item, uint32_t thread) {
    const making *m = user;
    const hel_hyena_filter *filter = m->filter;
    uint32_t first = (uint32_t)item * BLOCK, count = HEL_MIN(m->taps - first, BLOCK);
    lanes *z = m->scratch + (size_t)thread * (filter->features + 2 * filter->hidden);
    lanes *x = z + filter->features, *y = x + filter->hidden;
    put_features(m, first, count, z);
    sine_layer(filter, filter->first, filter->first_bias, (const lanes *)z, filter->features, x);
    for (uint32_t i = 0; i < HEL_HYENA_INNER; i++) {
        sine_layer(filter, filter->inner[i], filter->inner_bias[i], (const lanes *)x, filter->hidden, y);
        lanes *swap = x;
        x = y, y = swap;
    }
    for (uint32_t c = 0; c < filter->width; c++) {
        size_t channel = (size_t)m->o * filter->width + c;
        float *row = m->out + (size_t)c * m->taps + first;
        multiply(filter->last + channel * filter->hidden, 0.0f, (const lanes *)x, filter->hidden, *y);
        for (uint32_t i = 0; i < count; i++) {
            float t = (float)spaced(0.0, 1.0, first + i, filter->positions);
            row[i] = (*y)[i] * (expf(-t * fabsf(filter->decay[channel])) + filter->shift);
        }
    }
}

hel_status hel_hyena_filter_make(const hel_hyena_filter *filter, uint32_t o, uint32_t taps, float *out) {
    uint64_t rows = hel_threads_count(filter->threads) * (filter->features + 2 * (uint64_t)filter->hidden);
    making m = {.filter = filter, .o = o, .taps = taps, .out = out};
    m.scratch = hel_alloc_zero(rows, sizeof *m.scratch);
    if (!m.scratch) return hel_fail_memory(rows * sizeof *m.scratch);
    hel_threads_run(filter->threads, hel_ceil_div(taps, BLOCK), make_block, &m);
    hel_free(m.scratch);
    return HEL_OK;
}
