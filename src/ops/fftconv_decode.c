// SPDX-License-Identifier: Apache-2.0
#include "ops/fftconv_decode.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"
#include "ops/transpose.h"

enum { BLOCK = HEL_FFTCONV_BLOCK };
// Bytes of rows that are under way at once, here and when filters are transformed.
enum { ROWS_BYTES = 16 << 20 };

typedef struct hel_fftconv_level level;

static uint32_t rows_at_once(const hel_device *device, uint32_t steps) {
    uint64_t bytes = HEL_MIN(ROWS_BYTES, device->limits.max_binding);
    return (uint32_t)HEL_MAX(bytes / (steps * sizeof(float)), 1);
}

// ---------------------------------------------------------------- filters

// The first `taps` of a channel; the bias is one more of its first tap.
static void put_taps(const hel_fftconv_filters *filters, uint32_t channel, uint32_t taps, float *out, uint32_t stride) {
    const float *h = filters->h + (size_t)(channel % filters->filters) * filters->taps;
    for (uint32_t lag = 0; lag < HEL_MIN(taps, filters->taps); lag++) out[(size_t)lag * stride] = h[lag];
    if (filters->bias) out[0] += filters->bias[channel];
}

static hel_status make_taps(hel_fftconv_decoder *decoder, const hel_fftconv_filters *filters) {
    size_t count = (size_t)BLOCK * decoder->channels, size = count * sizeof(float);
    float *taps = hel_alloc_zero(count, sizeof *taps);
    if (!taps) return hel_fail_memory(size);
    for (uint32_t c = 0; c < decoder->channels; c++) put_taps(filters, c, BLOCK, taps + c, decoder->channels);
    hel_status status = hel_buffer_create_from(decoder->device, taps, size, &decoder->taps);
    hel_free(taps);
    return status;
}

// Some filters on their way to a level's spectra.
typedef struct loading {
    hel_exec exec;
    hel_buffer *rows;
    float *values;
    uint32_t at_once;
} loading;

static void transform(hel_exec *exec, const level *l, hel_buffer *rows, uint32_t first, uint32_t count) {
    uint64_t size = count * l->plan.spectrum_size;
    hel_convolution_call call = {.rows = count, .channels = count, .transform = true, .u = {.buffer = rows},
                                 .y = {l->spectra, first * l->plan.spectrum_size, size}};
    hel_fftconv_run(exec, &l->plan, &call);
}

static hel_status load_some(loading *load, const level *l, const hel_fftconv_filters *filters, uint32_t first, uint32_t count) {
    uint32_t steps = l->plan.steps;
    memset(load->values, 0, (size_t)count * steps * sizeof *load->values);
    for (uint32_t i = 0; i < count; i++) put_taps(filters, first + i, steps, load->values + (size_t)i * steps, 1);
    HEL_TRY(hel_buffer_write(l->plan.device, HEL_QUEUE_COMPUTE, load->rows, 0, load->values,
                             (uint64_t)count * steps * sizeof *load->values));
    hel_exec_reset(&load->exec);
    transform(&load->exec, l, load->rows, first, count);
    return load->exec.status;
}

static hel_status load_level(loading *load, const level *l, const hel_fftconv_filters *filters, uint32_t n_filters) {
    const hel_device *device = l->plan.device;
    load->at_once = HEL_MIN(rows_at_once(device, l->plan.steps), n_filters);
    size_t count = (size_t)load->at_once * l->plan.steps;
    load->values = hel_alloc_array(count, sizeof *load->values);
    if (!load->values) return hel_fail_memory(count * sizeof *load->values);
    HEL_TRY(hel_buffer_create(device, count * sizeof *load->values, &load->rows));
    HEL_TRY(hel_exec_init(&load->exec, device));
    hel_exec_plan_begin(&load->exec);
    transform(&load->exec, l, load->rows, 0, load->at_once);
    HEL_TRY(hel_exec_plan_end(&load->exec));
    for (uint32_t first = 0; first < n_filters; first += load->at_once)
        HEL_TRY(load_some(load, l, filters, first, HEL_MIN(load->at_once, n_filters - first)));
    return HEL_OK;
}

static hel_status make_level(hel_fftconv_decoder *decoder, const hel_fftconv_filters *filters, uint32_t steps) {
    level *l = &decoder->levels[decoder->n_levels++];
    HEL_TRY(hel_fftconv_plan_init_as(decoder->device, steps, steps, HEL_FFTCONV_LONG, &l->plan));
    HEL_TRY(hel_buffer_create(decoder->device, decoder->filters * l->plan.spectrum_size, &l->spectra));
    loading load = {0};
    hel_status status = load_level(&load, l, filters, decoder->filters);
    hel_exec_finish(&load.exec);
    hel_buffer_destroy(decoder->device, &load.rows);
    hel_free(load.values);
    return status;
}

static hel_status make_levels(hel_fftconv_decoder *decoder, const hel_fftconv_filters *filters) {
    for (uint32_t steps = 2 * BLOCK;; steps *= 2) {
        HEL_TRY(make_level(decoder, filters, steps));
        if (steps >= decoder->capacity) return HEL_OK;
    }
}

hel_status hel_fftconv_decoder_init(const hel_device *device, const hel_fftconv_filters *filters, uint32_t capacity,
                                    hel_fftconv_decoder *out) {
    HEL_REQUIRE(device && filters && out && filters->h && filters->taps && filters->channels && capacity);
    HEL_REQUIRE(capacity <= HEL_CONVOLUTION_MAX_STEPS && (filters->filters == 1 || filters->filters == filters->channels));
    *out = (hel_fftconv_decoder){
        .device = device, .channels = filters->channels, .capacity = capacity};
    out->filters = filters->bias ? filters->channels : filters->filters;
    hel_status status = make_taps(out, filters);
    if (status == HEL_OK) status = make_levels(out, filters);
    if (status != HEL_OK) hel_fftconv_decoder_finish(out);
    return status;
}

void hel_fftconv_decoder_finish(hel_fftconv_decoder *decoder) {
    if (!decoder->device) return;
    hel_buffer_destroy(decoder->device, &decoder->taps);
    for (uint32_t i = 0; i < decoder->n_levels; i++) {
        hel_buffer_destroy(decoder->device, &decoder->levels[i].spectra);
        hel_fftconv_plan_finish(&decoder->levels[i].plan);
    }
    *decoder = (hel_fftconv_decoder){0};
}

uint64_t hel_fftconv_decoder_bytes(const hel_fftconv_decoder *decoder) {
    uint64_t bytes = hel_buffer_size(decoder->taps);
    for (uint32_t i = 0; i < decoder->n_levels; i++) bytes += hel_buffer_size(decoder->levels[i].spectra);
    return bytes;
}

// ---------------------------------------------------------------- a convolution of what a state holds

// Steps from .. from + inputs of a state, convolved; results first .. first + outputs of that, counted from `from`, are added to
// `to`, [..., rows], from step `at` on.
typedef struct tile {
    const level *level;
    uint32_t from, inputs, first, outputs;
    hel_binding to;
    uint32_t at;
} tile;

// Real multiplications of a row's transform and its way back, four to a butterfly or term, and of the spectra's product.
static uint64_t multiplications_of(const hel_fftconv_plan *plan) {
    uint64_t points = plan->spectrum_size / (2 * sizeof(float)), halves = 0, terms = 0;
    uint32_t size = plan->own || plan->transform ? (uint32_t)points : plan->size;
    for (uint32_t i = 0; i < plan->n_splits; i++) {
        if (plan->radices[i] % 2) terms += plan->radices[i];
        else size *= plan->radices[i]; // such splits go in two, as blocks do
    }
    for (uint32_t n = size; n > 1; n /= 2) halves++;
    return 4 * points * (halves + 2 * terms + 1);
}

// Rows first .. first + count, all of one batch item, whose first channel is `channel`.
static void convolve_rows(hel_exec *exec, const hel_fftconv_decoder *decoder, const hel_fftconv_sequence *sequence,
                          const tile *t, uint32_t first, uint32_t channel, uint32_t count) {
    const hel_fftconv_plan *plan = &t->level->plan;
    uint64_t mark = hel_exec_mark(exec);
    hel_tensor in = hel_exec_tensor(exec, count, plan->steps), out = hel_exec_tensor(exec, count, plan->steps);
    uint32_t filters = decoder->filters == 1 ? 1 : count;
    uint64_t spectra = decoder->filters == 1 ? 0 : channel * plan->spectrum_size;
    hel_transpose gather = {.rows = plan->steps, .cols = count, .valid = t->inputs, .x_first = t->from * sequence->rows + first,
                            .x_stride = sequence->rows, .y_stride = plan->steps};
    hel_transpose scatter = {.rows = count, .cols = t->outputs, .valid = count, .x_first = t->first, .x_stride = plan->steps,
                             .y_first = t->at * sequence->rows + first, .y_stride = sequence->rows, .sum = true};
    hel_convolution_call call = {.rows = count, .channels = count, .filters = filters, .u = in.where, .y = out.where,
                                 .spectra = {t->level->spectra, spectra, filters * plan->spectrum_size}};
    hel_transpose_run(exec, sequence->state, &gather, in.where);
    hel_fftconv_run(exec, plan, &call);
    hel_transpose_run(exec, out.where, &scatter, t->to);
    hel_exec_release(exec, mark);
}

static void convolve(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence, const tile *t) {
    uint32_t channels = decoder->channels, most = HEL_MIN(rows_at_once(decoder->device, t->level->plan.steps), channels);
    for (uint32_t first = 0, count; first < sequence->rows; first += count) {
        uint32_t channel = first % channels;
        count = HEL_MIN(most, channels - channel);
        convolve_rows(exec, decoder, sequence, t, first, channel, count);
        if (exec->planning) return;
    }
    sequence->multiplications += multiplications_of(&t->level->plan);
}

uint64_t hel_fftconv_decode_scratch(uint32_t channels, uint32_t capacity, uint32_t tokens) {
    uint64_t steps = 2 * BLOCK, most = ROWS_BYTES / sizeof(float);
    while (steps < capacity) steps *= 2;
    uint64_t rows = HEL_MAX(HEL_MIN(channels * steps, most), steps);
    return 2 * (uint64_t)tokens * channels + 4 * rows; // in, out, and their splits
}

static const level *level_of(const hel_fftconv_decoder *decoder, uint32_t steps) {
    const level *l = decoder->levels;
    while (l->plan.steps < steps) l++;
    return l;
}

// Scratch for the largest tile.
static void reserve(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence) {
    for (uint32_t i = 0; i < decoder->n_levels; i++)
        convolve(exec, decoder, sequence, &(tile){.level = &decoder->levels[i], .inputs = 1, .outputs = 1});
}

// ---------------------------------------------------------------- steps

static bool holds_state(hel_exec *exec, const hel_fftconv_decoder *decoder, const hel_fftconv_sequence *sequence, uint32_t count) {
    hel_exec_expect_elements(exec, sequence->rows, decoder->capacity);
    if (exec->status == HEL_OK && count > decoder->capacity - sequence->position)
        hel_exec_fail(exec, hel_fail(HEL_ERROR_ARGUMENT, "%u steps after %u are more than the %u that there is room for", count,
                                     sequence->position, decoder->capacity));
    return exec->status == HEL_OK;
}

void hel_fftconv_decode_step(hel_exec *exec, const hel_fftconv_decoder *decoder, const hel_fftconv_sequence *sequence,
                             hel_binding step, const hel_fftconv_tokens *tokens) {
    if (!holds_state(exec, decoder, sequence, 1)) return;
    uint32_t flags = (tokens->gate_in.buffer ? HEL_FLAG_GATE_IN : 0) | (tokens->gate_out.buffer ? HEL_FLAG_GATE_OUT : 0);
    hel_fftconv_step_params params = {.rows = sequence->rows, .channels = decoder->channels, .block = BLOCK};
    hel_binding nothing = {.buffer = exec->nothing};
    hel_binding bindings[] = {tokens->u, tokens->gate_in.buffer ? tokens->gate_in : nothing,
                              tokens->gate_out.buffer ? tokens->gate_out : nothing, {.buffer = decoder->taps}, step,
                              sequence->state, tokens->y};
    hel_exec_dispatch(exec, &(hel_call){"fftconv_step", &flags, 1, bindings, HEL_COUNT(bindings), &params, sizeof params,
                                        hel_ceil_div(sequence->rows, HEL_FFTCONV_STEP_CHUNK)});
}

// The position has come to t: what the last inputs add to the next outputs.
static void finish_block(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence) {
    uint32_t t = sequence->position, reach = t & (0u - t);
    if (reach < BLOCK || t >= decoder->capacity) return;
    tile last = {level_of(decoder, 2 * reach), t - reach, reach, reach, HEL_MIN(reach, decoder->capacity - t), sequence->state, t};
    convolve(exec, decoder, sequence, &last);
}

void hel_fftconv_decode_advance(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence) {
    if (!holds_state(exec, decoder, sequence, 1)) return;
    if (exec->planning) reserve(exec, decoder, sequence);
    if (hel_exec_idle(exec)) return;
    sequence->multiplications += sequence->position % BLOCK + 1;
    sequence->position++;
    finish_block(exec, decoder, sequence);
}

// Steps before the position stay in the state, so sums for those from there on can be made again: of each tile that began
// before the position what reaches beyond it.
void hel_fftconv_decode_rewind(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence,
                               uint32_t position) {
    uint64_t row = sequence->rows * sizeof(float), first = sequence->state.offset + position * row;
    uint64_t left = (decoder->capacity - position) * row;
    if (exec->planning) reserve(exec, decoder, sequence);
    if (hel_exec_idle(exec)) return;
    sequence->position = position;
    if (left) hel_exec_fail(exec, hel_buffer_fill(exec->device, sequence->state.buffer, first, left, 0));
    for (uint32_t reach = BLOCK; left && reach <= position; reach *= 2) {
        uint32_t t = position & ~(reach - 1), end = HEL_MIN(t + reach, decoder->capacity);
        if (!(position & reach) || end <= position) continue;
        tile last = {level_of(decoder, 2 * reach), t - reach, reach, reach + position - t, end - position, sequence->state,
                     position};
        convolve(exec, decoder, sequence, &last);
    }
}

// ---------------------------------------------------------------- several steps at once

static void copy(hel_exec *exec, hel_binding to, uint64_t to_first, hel_binding from, uint64_t from_first, uint64_t count) {
    if (hel_exec_idle(exec)) return;
    hel_exec_fail(exec, hel_buffer_copy(exec->device, HEL_QUEUE_COMPUTE, to.buffer, to.offset + to_first * sizeof(float),
                                        from.buffer, from.offset + from_first * sizeof(float), count * sizeof(float)));
}

static hel_columns part_of(hel_binding where, uint32_t first, uint32_t count) {
    return (hel_columns){.of = {.where = where, .rows = 1}, .first = first, .count = count};
}

// to = from, times the gate where there is one; places are elements.
static void put_gated(hel_exec *exec, hel_binding from, uint32_t from_first, hel_binding gate, uint32_t gate_first,
                      uint32_t count, hel_binding to, uint32_t to_first) {
    if (!gate.buffer) {
        copy(exec, to, to_first, from, from_first, count);
        return;
    }
    uint64_t mark = hel_exec_mark(exec);
    hel_tensor product = hel_activate_gated(exec, HEL_IDENTITY, part_of(from, from_first, count), part_of(gate, gate_first, count));
    copy(exec, to, to_first, product.where, 0, count);
    hel_exec_release(exec, mark);
}

// The next steps that are convolved on their own: as many as a power of two that divides the position, or what is left of a
// block, with the steps of the block that have gone by.
typedef struct piece {
    const level *level;
    uint32_t base, begin, end;
} piece;

static piece next_piece(const hel_fftconv_decoder *decoder, uint32_t begin, uint32_t end) {
    uint32_t near = begin % BLOCK, size = begin ? begin & (0u - begin) : 1u << 31;
    if (near || end - begin < BLOCK)
        return (piece){level_of(decoder, BLOCK), begin - near, begin, HEL_MIN(end, begin - near + BLOCK)};
    while (size > end - begin) size /= 2;
    return (piece){level_of(decoder, size), begin, begin, begin + size};
}

// `sums` get what earlier pieces have left in the state, then the piece's own; inputs take their place.
static void run_piece(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence, const piece *p,
                      uint32_t done, const hel_fftconv_tokens *tokens) {
    uint64_t mark = hel_exec_mark(exec);
    uint32_t rows = sequence->rows, count = p->end - p->begin, at = p->begin * rows, io = done * rows;
    hel_binding sums = hel_exec_tensor(exec, count, rows).where;
    tile own = {.level = p->level, .from = p->base, .inputs = p->end - p->base, .first = p->begin - p->base, .outputs = count,
                .to = sums};
    copy(exec, sums, 0, sequence->state, at, (uint64_t)count * rows);
    put_gated(exec, tokens->u, io, tokens->gate_in, io, count * rows, sequence->state, at);
    convolve(exec, decoder, sequence, &own);
    put_gated(exec, sums, 0, tokens->gate_out, io, count * rows, tokens->y, io);
    hel_exec_release(exec, mark);
}

static void reserve_prefill(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence, uint32_t count) {
    uint64_t mark = hel_exec_mark(exec);
    for (int i = 0; i < 2; i++) hel_exec_tensor(exec, count, sequence->rows); // sums, and products with a gate
    reserve(exec, decoder, sequence);
    hel_exec_release(exec, mark);
}

void hel_fftconv_decode_prefill(hel_exec *exec, const hel_fftconv_decoder *decoder, hel_fftconv_sequence *sequence,
                                uint32_t count, const hel_fftconv_tokens *tokens) {
    if (!holds_state(exec, decoder, sequence, count)) return;
    if (exec->planning) reserve_prefill(exec, decoder, sequence, count);
    uint32_t begin = sequence->position;
    while (!hel_exec_idle(exec) && sequence->position < begin + count) {
        piece p = next_piece(decoder, sequence->position, begin + count);
        run_piece(exec, decoder, sequence, &p, p.begin - begin, tokens);
        sequence->position = p.end;
        finish_block(exec, decoder, sequence);
    }
}
