// SPDX-License-Identifier: Apache-2.0
// Random numbers for drawing points: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
// 2014). The same on every machine.
#ifndef HEL_VQ_RANDOM_H
#define HEL_VQ_RANDOM_H

#include <stdint.h>

typedef struct hel_random { uint64_t state; } hel_random;

static inline uint64_t hel_random_next(hel_random *random) {
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// 0 <= u < 1, in steps of 2^-53.
static inline double hel_random_unit(hel_random *random) { return (double)(hel_random_next(random) >> 11) * 0x1p-53; }

#endif
