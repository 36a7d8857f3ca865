// SPDX-License-Identifier: Apache-2.0
#include "vq/numpy_random.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { STATE = 624, MIDDLE = 397 };

typedef struct twister {
    uint32_t state[STATE];
    uint32_t used;
} twister;

static void twister_seed(twister *t, uint32_t seed) {
    for (uint32_t i = 0; i < STATE; i++) {
        t->state[i] = seed;
        seed = 1812433253u * (seed ^ seed >> 30) + i + 1;
    }
    t->used = STATE;
}

static void twister_refill(twister *t) {
    for (uint32_t i = 0; i < STATE; i++) {
        uint32_t mixed = (t->state[i] & 0x80000000u) | (t->state[(i + 1) % STATE] & 0x7fffffffu);
        t->state[i] = t->state[(i + MIDDLE) % STATE] ^ mixed >> 1 ^ (mixed & 1 ? 0x9908b0dfu : 0);
    }
    t->used = 0;
}

static uint32_t twister_next(twister *t) {
    if (t->used == STATE) twister_refill(t);
    uint32_t y = t->state[t->used++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

// Uniform in 0 .. most.
static uint32_t twister_up_to(twister *t, uint32_t most) {
    uint32_t mask = most, value;
    for (uint32_t shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    do value = twister_next(t) & mask;
    while (value > most);
    return value;
}

hel_status hel_numpy_choice(uint32_t seed, uint32_t n, uint32_t size, uint32_t *out) {
    uint32_t *order = hel_alloc_array(n, sizeof *order);
    if (!order) return hel_fail_memory((size_t)n * sizeof *order);
    twister t;
    twister_seed(&t, seed);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        uint32_t j = twister_up_to(&t, i), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    memcpy(out, order, size * sizeof *out);
    hel_free(order);
    return HEL_OK;
}
