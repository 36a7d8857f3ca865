// SPDX-License-Identifier: Apache-2.0
#include "device/transform.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/require.h"
#include "base/size.h"
#include "device/backend.h"
#include "device/dispatch.h"

// ---------------------------------------------------------------- a look before use

// Two rows on the host, and on the device.
typedef struct trial {
    hel_device_base *base;
    hel_transform *transform;
    hel_buffer *buffer;
    float *rows; // [2][points][2]
    uint64_t size;
} trial;

static hel_status transform_rows(const trial *t, bool back) {
    const hel_device_functions *functions = t->base->functions;
    const hel_device *device = &t->base->data;
    const hel_binding rows = {t->buffer, 0, t->size};
    HEL_TRY(functions->buffer_write(device, HEL_QUEUE_COMPUTE, t->buffer, 0, t->rows, t->size));
    HEL_TRY(functions->transform_run(device, t->transform, &rows, 2, back));
    return functions->buffer_read(device, HEL_QUEUE_COMPUTE, t->buffer, 0, t->rows, t->size);
}

// Of the first row's transform with the second's, and of that with itself.
static void multiply_rows(float *rows, uint32_t points) {
    for (float *a = rows, *b = rows + 2 * (size_t)points; b < rows + 4 * (size_t)points; a += 2, b += 2) {
        float re = b[0], im = b[1], a_re = a[0];
        a[0] = a_re * re - a[1] * im, a[1] = a_re * im + a[1] * re;
        b[0] = re * re - im * im, b[1] = 2.0f * re * im;
    }
}

static bool is_impulse(const float *row, uint32_t points, uint32_t at) {
    const float limit = 1e-3f * (float)points;
    for (uint32_t i = 0; i < points; i++) {
        float re = row[2 * (size_t)i] - (i == at ? (float)points : 0.0f), im = row[2 * (size_t)i + 1];
        if (!(fabsf(re) < limit && fabsf(im) < limit)) return false;
    }
    return true;
}

// Impulses convolve to impulses, whose places add up, whatever the order that transforms are in: those at 1 and at -2 to one at
// -1, the second with itself to one at -4.
static hel_status try_impulses(trial *t) {
    uint32_t points = t->transform->points;
    size_t row = 2 * (size_t)points;
    t->rows[2 * (1 % points)] = 1.0f;
    t->rows[row + 2 * ((points - 2 % points) % points)] = 1.0f;
    HEL_TRY(transform_rows(t, false));
    multiply_rows(t->rows, points);
    HEL_TRY(transform_rows(t, true));
    if (is_impulse(t->rows, points, points - 1) && is_impulse(t->rows + row, points, (points - 4 % points) % points)) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u: the transform of %u points computes something else", t->base->data.backend,
                    t->base->data.index, points);
}

static hel_status try_transform(hel_device_base *base, hel_transform *transform) {
    const hel_device_functions *functions = base->functions;
    trial t = {.base = base, .transform = transform, .size = 4 * (uint64_t)transform->points * sizeof(float)};
    t.rows = hel_alloc_zero(4 * (size_t)transform->points, sizeof(float));
    if (!t.rows) return hel_fail_memory((size_t)t.size);
    hel_status status = functions->buffer_create(&base->data, t.size, &t.buffer);
    if (status == HEL_OK) {
        t.buffer->size = t.size;
        status = try_impulses(&t);
        functions->buffer_destroy(&base->data, t.buffer);
    }
    hel_free(t.rows);
    return status;
}

// ---------------------------------------------------------------- transforms

// Sizes that cannot be had, or come out wrong, so that each is compiled once. The oldest is forgotten.
static bool is_refused(const hel_device_base *base, uint32_t points) {
    for (uint32_t i = 0; i < HEL_COUNT(base->refused_transforms); i++)
        if (base->refused_transforms[i] == points) return true;
    return false;
}

static void keep_refused(hel_device_base *base, uint32_t points) {
    base->refused_transforms[base->n_refused_transforms++ % HEL_COUNT(base->refused_transforms)] = points;
}

// `out` is NULL where it fails.
static hel_status make_right(hel_device_base *base, uint32_t points, hel_transform **out) {
    HEL_TRY(base->functions->transform_create(&base->data, points, out));
    (*out)->points = points;
    hel_status status = try_transform(base, *out);
    if (status == HEL_OK) return HEL_OK;
    base->functions->transform_destroy(&base->data, *out);
    *out = NULL;
    return status;
}

static hel_status create(hel_device_base *base, uint32_t points, hel_transform **out) {
    if (is_refused(base, points))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u has no right transform of %u points", base->data.backend, base->data.index,
                        points);
    hel_status status = make_right(base, points, out);
    if (status == HEL_ERROR_UNSUPPORTED) keep_refused(base, points);
    HEL_TRY(status);
    (*out)->next = base->transforms;
    base->transforms = *out;
    return HEL_OK;
}

static hel_status find_or_create(hel_device_base *base, uint32_t points, hel_transform **out) {
    for (*out = base->transforms; *out && (*out)->points != points;) *out = (*out)->next;
    return *out ? HEL_OK : create(base, points, out);
}

hel_status hel_transform_get(const hel_device *device, uint32_t points, hel_transform **out) {
    HEL_REQUIRE(device && out && points > 0);
    *out = NULL;
    hel_device_base *base = hel_device_base_of(device);
    if (!base->functions->transform_create)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: the device has no transforms of its own", device->backend);
    hel_os_mutex_lock(base->lock);
    hel_status status = find_or_create(base, points, out);
    hel_os_mutex_unlock(base->lock);
    return status;
}

uint32_t hel_transform_least(const hel_device *device) {
    HEL_REQUIRE_OR(device, UINT32_MAX);
    const hel_device_functions *functions = hel_device_base_of(device)->functions;
    return functions->transform_least ? functions->transform_least(device) : UINT32_MAX;
}

hel_status hel_transform_run(const hel_device *device, hel_transform *transform, const hel_binding *rows, uint32_t count,
                             bool back) {
    HEL_REQUIRE(device && transform && rows && rows->buffer && count <= HEL_TRANSFORM_MAX_ROWS);
    hel_binding range = {rows->buffer, rows->offset, count * (uint64_t)transform->points * 2 * sizeof(float)};
    HEL_REQUIRE(hel_buffer_has(range.buffer, range.offset, range.size) && (!rows->size || rows->size >= range.size));
    HEL_REQUIRE(range.offset % device->limits.offset_alignment == 0 && range.size <= device->limits.max_binding);
    if (!count) return HEL_OK;
    hel_device_base *base = hel_device_base_of(device);
    hel_os_mutex_lock(base->lock);
    hel_status status = base->functions->transform_run(device, transform, &range, count, back);
    hel_os_mutex_unlock(base->lock);
    return status;
}
