// SPDX-License-Identifier: Apache-2.0
#include "ops/matrix_units.h"

#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/size.h"
#include "device/backend.h"
#include "ops/operators.h"

enum { LARGEST_TILE = 128, SMALLEST_TILE = 32, CODEBOOK = 256 };

static const hel_tiling common_tiling = {HEL_LINEAR_MATMUL_TILE_ROWS, HEL_LINEAR_MATMUL_TILE_TOKENS};

static uint64_t group_count(const hel_tiling *tiling, uint32_t rows, uint32_t tokens) {
    return hel_ceil_div(rows, tiling->rows) * hel_ceil_div(tokens, tiling->tokens);
}

hel_tiling hel_tiling_of(const hel_device *device, bool matrix, uint32_t rows, uint32_t tokens) {
    if (!matrix) return common_tiling;
    hel_tiling tiling = {LARGEST_TILE, LARGEST_TILE};
    while (tiling.tokens > SMALLEST_TILE && tiling.tokens / 2 >= tokens) tiling.tokens /= 2;
    // Smaller blocks read more, but every compute unit should have one.
    while (group_count(&tiling, rows, tokens) < device->limits.compute_units &&
           HEL_MAX(tiling.rows, tiling.tokens) > SMALLEST_TILE) {
        if (tiling.rows >= tiling.tokens) tiling.rows /= 2;
        else tiling.tokens /= 2;
    }
    return tiling;
}

// ---------------------------------------------------------------- a trial

// Odd sizes, and blocks of each size with tails.
typedef struct trial_shape {
    uint32_t format, bits, rows, cols, tokens;
    uint32_t tile_rows, tile_tokens;
} trial_shape;

static const trial_shape shapes[] = {
    {HEL_FORMAT_CODEBOOK, 8, 150, 83, 140, 128, 128},
    {HEL_FORMAT_CODEBOOK, 4, 70, 64, 33, 64, 32},
    {HEL_FORMAT_F32, 8, 131, 45, 77, 32, 64},
};

typedef struct trial {
    const hel_device *device;
    trial_shape shape;
    uint32_t row_words;
    uint32_t random;
    hel_buffer *words, *codebook, *x, *y;
    float *got, *want; // [tokens, rows]
} trial;

static uint32_t next_random(trial *t) { return t->random = t->random * 1664525u + 1013904223u; }

// -8 .. 8 or, where indices are wanted, any bits: a codebook has an entry for each.
static uint32_t random_word(trial *t, bool indices) {
    uint32_t bits = next_random(t);
    return indices ? bits : hel_float_bits((float)((int)((bits >> 16) % 17) - 8));
}

static hel_status make_buffer(trial *t, uint32_t count, bool indices, hel_buffer **out) {
    uint32_t *words = hel_alloc_array(count, sizeof *words);
    if (!words) return hel_fail_memory(count * sizeof *words);
    for (uint32_t i = 0; i < count; i++) words[i] = random_word(t, indices);
    hel_status status = hel_buffer_create_from(t->device, words, count * sizeof *words, out);
    hel_free(words);
    return status;
}

static hel_status prepare(trial *t) {
    const trial_shape *shape = &t->shape;
    uint32_t results = shape->rows * shape->tokens;
    bool indices = shape->format == HEL_FORMAT_CODEBOOK;
    t->row_words = indices ? (uint32_t)hel_ceil_div((uint64_t)shape->cols * shape->bits, 32) : shape->cols;
    HEL_TRY(make_buffer(t, shape->rows * t->row_words, indices, &t->words));
    HEL_TRY(make_buffer(t, CODEBOOK, false, &t->codebook));
    HEL_TRY(make_buffer(t, shape->tokens * shape->cols, false, &t->x));
    HEL_TRY(hel_buffer_create(t->device, results * sizeof(float), &t->y));
    t->got = hel_alloc_zero(results, sizeof *t->got);
    t->want = hel_alloc_zero(results, sizeof *t->want);
    return t->got && t->want ? HEL_OK : hel_fail_memory(2 * results * sizeof *t->got);
}

// Both kernels say after the weight's four constants what their blocks are.
static hel_status multiply(const trial *t, bool matrix, hel_tiling tiling, float *out) {
    const trial_shape *shape = &t->shape;
    const uint32_t constants[] = {shape->format, shape->bits, 1, 0, tiling.rows, tiling.tokens};
    const hel_binding words = {.buffer = t->words}, codebook = {.buffer = t->codebook}, x = {.buffer = t->x}, y = {.buffer = t->y};
    const hel_binding bindings[] = {words, codebook, codebook, codebook, codebook, codebook, x, y}; // four are not read
    const hel_linear_params params = {.rows = shape->rows,
                                      .cols = shape->cols,
                                      .tokens = shape->tokens,
                                      .row_words = t->row_words,
                                      .x_stride = shape->cols,
                                      .y_stride = shape->rows};
    hel_kernel *kernel;
    HEL_TRY(hel_kernel_get(t->device, hel_linear_kernel(matrix, shape->tokens), constants, HEL_COUNT(constants), &kernel));
    HEL_TRY(hel_dispatch(t->device, kernel, bindings, HEL_COUNT(bindings), &params, sizeof params,
                         group_count(&tiling, shape->rows, shape->tokens), 0));
    return hel_buffer_read(t->device, HEL_QUEUE_COMPUTE, t->y, 0, out, hel_buffer_size(t->y));
}

static hel_status compare(trial *t, bool *out_same) {
    HEL_TRY(prepare(t));
    HEL_TRY(multiply(t, false, common_tiling, t->want));
    HEL_TRY(multiply(t, true, (hel_tiling){t->shape.tile_rows, t->shape.tile_tokens}, t->got));
    *out_same = memcmp(t->got, t->want, hel_buffer_size(t->y)) == 0;
    return HEL_OK;
}

static hel_status try_shape(const hel_device *device, const trial_shape *shape, bool *out_same) {
    trial t = {.device = device, .shape = *shape, .random = shape->rows};
    hel_status status = compare(&t, out_same);
    hel_buffer_destroy(device, &t.words);
    hel_buffer_destroy(device, &t.codebook);
    hel_buffer_destroy(device, &t.x);
    hel_buffer_destroy(device, &t.y);
    hel_free(t.got);
    hel_free(t.want);
    return status;
}

static hel_status try_all(const hel_device *device, bool *out) {
    *out = true;
    for (size_t i = 0; *out && i < HEL_COUNT(shapes); i++) {
        hel_status status = try_shape(device, &shapes[i], out);
        // A kernel that this driver cannot build, or fails to run, is as good as a wrong one.
        if (status == HEL_ERROR_UNSUPPORTED || status == HEL_ERROR_DEVICE) *out = false;
        else if (status != HEL_OK) return status;
        if (!*out)
            hel_log(HEL_LOG_WARNING, "%s:%u: matrix units are left alone: %s", device->backend, device->index,
                    status == HEL_OK ? "they do not multiply as linear_matmul does" : hel_error_message());
    }
    return HEL_OK;
}

// Two threads may try the same device at once: they find the same.
hel_status hel_matrix_units_check(const hel_device *device, bool *out) {
    hel_device_base *base = hel_device_base_of(device);
    *out = device->features.matrix_bf16 && device->precision == HEL_PRECISION_BF16;
    if (!*out) return HEL_OK;
    hel_os_mutex_lock(base->lock);
    hel_verdict known = base->matrix_units;
    hel_os_mutex_unlock(base->lock);
    if (known == HEL_UNTRIED) {
        HEL_TRY(try_all(device, out));
        hel_os_mutex_lock(base->lock);
        known = base->matrix_units = *out ? HEL_USED : HEL_LEFT_ALONE;
        hel_os_mutex_unlock(base->lock);
    }
    *out = known == HEL_USED;
    return HEL_OK;
}
