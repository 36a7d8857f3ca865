// SPDX-License-Identifier: Apache-2.0
// Checked arithmetic for sizes that come from files, networks or callers. Each returns false where the
// result does not fit, and then leaves *out alone. Parsers use nothing else for sizes.
#ifndef HEL_BASE_SIZE_H
#define HEL_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool hel_size_mul(uint64_t a, uint64_t b, uint64_t *out) {
    uint64_t result;
    if (__builtin_mul_overflow(a, b, &result)) return false;
    *out = result;
    return true;
}

static inline bool hel_size_add(uint64_t a, uint64_t b, uint64_t *out) {
    uint64_t result;
    if (__builtin_add_overflow(a, b, &result)) return false;
    *out = result;
    return true;
}

// Rounds up to a multiple of `alignment`, which is a power of two.
static inline bool hel_size_align(uint64_t a, uint64_t alignment, uint64_t *out) {
    uint64_t padded;
    if (!hel_size_add(a, alignment - 1, &padded)) return false;
    *out = padded & ~(alignment - 1);
    return true;
}

// For sizes that are already known to be small: no check, plain rounding.
static inline uint64_t hel_round_up(uint64_t a, uint64_t multiple) { return (a + multiple - 1) / multiple * multiple; }
static inline uint64_t hel_ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

#define HEL_COUNT(array) (sizeof(array) / sizeof *(array))
#define HEL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HEL_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
