// SPDX-License-Identifier: Apache-2.0
#include "vq/values.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

enum { WIDENED = 4096 };

hel_status hel_values_scan_halves(const hel_values *values, hel_halves_visit visit, void *user) {
    if (values->halves) return visit(user, 0, values->halves, values->count);
    for (uint64_t first = 0; first < values->count;) {
        uint64_t count = HEL_MIN(values->piece_count, values->count - first);
        HEL_TRY(values->read_halves(values->user, first, count, values->piece));
        HEL_TRY(visit(user, first, values->piece, count));
        first += count;
    }
    return HEL_OK;
}

typedef struct widening {
    hel_values_visit visit;
    void *user;
} widening;

static hel_status widen(void *user, uint64_t first, const uint16_t *halves, uint64_t count) {
    const widening *w = user;
    float values[WIDENED];
    for (uint64_t done = 0; done < count; done += WIDENED) {
        uint64_t now = HEL_MIN(WIDENED, count - done);
        for (uint64_t i = 0; i < now; i++) values[i] = hel_bf16_to_float(halves[done + i]);
        HEL_TRY(w->visit(w->user, first + done, values, now));
    }
    return HEL_OK;
}

hel_status hel_values_scan(const hel_values *values, hel_values_visit visit, void *user) {
    if (hel_values_are_halves(values)) return hel_values_scan_halves(values, widen, &(widening){visit, user});
    if (values->data) return visit(user, 0, values->data, values->count);
    for (uint64_t first = 0; first < values->count;) {
        uint64_t count = HEL_MIN(values->piece_count, values->count - first);
        HEL_TRY(values->read(values->user, first, count, values->piece));
        HEL_TRY(visit(user, first, values->piece, count));
        first += count;
    }
    return HEL_OK;
}

static hel_status copy_values(void *user, uint64_t first, const float *values, uint64_t count) {
    memcpy((float *)user + first, values, count * sizeof *values);
    return HEL_OK;
}

hel_status hel_values_copy(const hel_values *values, float *out) { return hel_values_scan(values, copy_values, out); }
