// SPDX-License-Identifier: Apache-2.0
#include "shares.h"

#include "base/size.h"

static uint64_t range_of(uint32_t first, uint32_t end) { return (uint64_t)end << 32 | first; }
static uint32_t first_of(uint64_t range) { return (uint32_t)range; }
static uint32_t end_of(uint64_t range) { return (uint32_t)(range >> 32); }
static uint32_t length_of(uint64_t range) { return end_of(range) - first_of(range); }

void cpu_shares_deal(cpu_share *shares, uint32_t count, uint32_t groups) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t end = (uint32_t)((uint64_t)groups * (i + 1) / count);
        atomic_store_explicit(&shares[i].left, range_of(first, end), memory_order_relaxed);
        first = end;
    }
}

// Half of what is left, so that the other half can be stolen.
static bool take_own(cpu_share *share, uint32_t *out_first, uint32_t *out_count) {
    uint_fast64_t range = atomic_load_explicit(&share->left, memory_order_relaxed);
    while (length_of(range)) {
        uint32_t first = first_of(range), taken = length_of(range) - length_of(range) / 2;
        if (!atomic_compare_exchange_weak_explicit(&share->left, &range, range_of(first + taken, end_of(range)),
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        *out_first = first;
        *out_count = taken;
        return true;
    }
    return false;
}

// The far half of another's becomes one's own.
static bool steal(cpu_share *victim, cpu_share *own) {
    uint_fast64_t range = atomic_load_explicit(&victim->left, memory_order_relaxed);
    while (length_of(range)) {
        uint32_t end = end_of(range), kept = first_of(range) + length_of(range) / 2;
        if (!atomic_compare_exchange_weak_explicit(&victim->left, &range, range_of(first_of(range), kept), memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        atomic_store_explicit(&own->left, range_of(kept, end), memory_order_relaxed);
        return true;
    }
    return false;
}

bool cpu_shares_take(cpu_share *shares, uint32_t count, uint32_t mine, uint32_t *out_first, uint32_t *out_count) {
    for (uint32_t i = 0; i < count; i++) {
        if (i) steal(&shares[(mine + i) % count], &shares[mine]);
        if (take_own(&shares[mine], out_first, out_count)) return true;
    }
    return false;
}
