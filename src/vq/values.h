// SPDX-License-Identifier: Apache-2.0
// The values of one tensor, floats or bfloat16, in memory or read piece by piece, and the order-preserving integer keys of
// floats that all counting and searching in this room is done with.
#ifndef HEL_VQ_VALUES_H
#define HEL_VQ_VALUES_H

#include <helicoid/common.h>

#include "base/half.h"

typedef struct hel_values {
    uint64_t count;
    // All of them, as floats or as bfloat16, or both NULL and one of two functions:
    const float *data;
    const uint16_t *halves;
    hel_status (*read)(void *user, uint64_t first, uint64_t count, float *out);
    hel_status (*read_halves)(void *user, uint64_t first, uint64_t count, uint16_t *out);
    void *user;
    void *piece; // room for `piece_count` values while they are read
    uint64_t piece_count;
} hel_values;

static inline bool hel_values_are_halves(const hel_values *values) { return values->halves || values->read_halves; }

// Get values first .. first + count - 1; -0 may still be among them.
typedef hel_status (*hel_values_visit)(void *user, uint64_t first, const float *values, uint64_t count);
typedef hel_status (*hel_halves_visit)(void *user, uint64_t first, const uint16_t *values, uint64_t count);

// Visits all values in order, as floats; stops at the first failure of reading or visiting.
hel_status hel_values_scan(const hel_values *values, hel_values_visit visit, void *user);
// The same for values that are bfloat16, as they are.
hel_status hel_values_scan_halves(const hel_values *values, hel_halves_visit visit, void *user);

// All of them as floats, in order: out [values->count].
hel_status hel_values_copy(const hel_values *values, float *out);

enum { HEL_KEY_MINUS_INFINITY = 0x007fffff };
#define HEL_KEY_PLUS_INFINITY 0xff800000u

#endif
