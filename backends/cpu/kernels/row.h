// SPDX-License-Identifier: Apache-2.0
// WIDTH steps of a row (../row.h) at a time, counted in its direction.
#ifndef BACKENDS_CPU_KERNELS_ROW_H
#define BACKENDS_CPU_KERNELS_ROW_H

#include "../row.h"
#include "base/size.h"
#include "simd.h"

static inline vec load_stored(const void *values, hel_storage storage, size_t at) {
    return storage == HEL_STORAGE_F32 ? vec_load((const float *)values + at) : vec_of_bf16((const uint16_t *)values + at);
}

static inline float stored_at(const void *values, hel_storage storage, size_t at) {
    return storage == HEL_STORAGE_F32 ? ((const float *)values)[at] : hel_bf16_to_float(((const uint16_t *)values)[at]);
}

// Steps from `at` on; zeros behind the last.
static inline vec row_stored(const cpu_row *row, const void *values, hel_storage storage, uint32_t at) {
    uint32_t steps = row->steps;
    if (at + WIDTH <= steps)
        return row->reversed ? vec_reverse(load_stored(values, storage, steps - WIDTH - at)) : load_stored(values, storage, at);
    float lanes[WIDTH] = {0};
    for (uint32_t i = 0; at + i < steps; i++)
        lanes[i] = stored_at(values, storage, row->reversed ? steps - 1 - at - i : at + i);
    return vec_load(lanes);
}

static inline vec row_values(const cpu_row *row, const void *values, uint32_t at) {
    return row_stored(row, values, row->storage, at);
}

static inline void row_store(const cpu_row *row, uint32_t at, vec values) {
    uint32_t steps = row->steps, count = HEL_MIN(steps - at, WIDTH);
    if (row->y_storage == HEL_STORAGE_F32 && count == WIDTH) {
        if (row->reversed) vec_store((float *)row->y + steps - WIDTH - at, vec_reverse(values));
        else vec_store((float *)row->y + at, values);
        return;
    }
    float lanes[WIDTH];
    vec_store(lanes, values);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to = row->reversed ? steps - 1 - at - i : at + i;
        if (row->y_storage == HEL_STORAGE_F32) ((float *)row->y)[to] = lanes[i];
        else ((uint16_t *)row->y)[to] = hel_float_to_bf16(lanes[i]);
    }
}

static inline vec row_input(const cpu_row *row, uint32_t at) {
    vec u = row_values(row, row->u, at);
    return row->gate_in ? vec_mul(u, row_values(row, row->gate_in, at)) : u;
}

// y from sums of products, with all that follows them; steps behind the last are left out.
static inline void row_output(const cpu_row *row, uint32_t at, vec value) {
    if (at >= row->steps) return;
    if (row->bias != 0.0f) value = vec_fma(vec_set(row->bias), row_input(row, at), value);
    if (row->gate_out) value = vec_mul(value, row_values(row, row->gate_out, at));
    if (row->accumulate) value = vec_add(value, row_stored(row, row->y, row->y_storage, at));
    row_store(row, at, value);
}

#endif
