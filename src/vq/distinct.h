// SPDX-License-Identifier: Apache-2.0
// How often each of the 65,536 bfloat16 values occurs: all there is to know of a distribution, in one pass.
#ifndef HEL_VQ_DISTINCT_H
#define HEL_VQ_DISTINCT_H

#include "vq/sidecar.h"

enum { HEL_HALVES = 1 << 16, HEL_DISTINCT_TABLES = 4 };

// Neighbouring values are counted in different tables: equal ones would wait for each other.
typedef struct hel_distinct { uint32_t counts[HEL_DISTINCT_TABLES][HEL_HALVES]; } hel_distinct; // by a value's bits

void hel_distinct_add(hel_distinct *distinct, const uint16_t *values, uint64_t count);

// The bits of the key-th value in ascending order; -0 comes before +0.
static inline uint16_t hel_half_of_key(uint32_t key) { return (uint16_t)(key & 0x8000 ? key & 0x7fff : ~key); }

static inline uint32_t hel_distinct_count(const hel_distinct *distinct, uint32_t bits) {
    uint32_t sum = 0;
    for (int t = 0; t < HEL_DISTINCT_TABLES; t++) sum += distinct->counts[t][bits];
    return sum;
}

// Takes one value out.
void hel_distinct_remove(hel_distinct *distinct, float value);

// Counts all values, less than 2^32 of them; freed with hel_free. NaN and infinities are HEL_ERROR_UNSUPPORTED.
hel_status hel_distinct_create(const hel_values *values, hel_distinct **out);

// The value of a rank, 0 the least.
float hel_distinct_select(const hel_distinct *distinct, uint64_t rank);

// A bin for each value that occurs.
hel_status hel_distinct_bins(const hel_distinct *distinct, hel_bins *out);
#endif
