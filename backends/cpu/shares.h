// SPDX-License-Identifier: Apache-2.0
// How threads divide the work-groups of a dispatch: each has a share of neighbours and goes through it in order, so that
// what is fetched ahead at the end of one run is the next run's beginning. Who is done takes half of what another has left
// (work stealing: Blumofe and Leiserson 1999), so that all end together. Groups never share results, so who does what
// changes nothing but time.
#ifndef BACKENDS_CPU_SHARES_H
#define BACKENDS_CPU_SHARES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct cpu_share {
    _Alignas(64) atomic_uint_fast64_t left; // first group in the low half, end in the high half; a line each
} cpu_share;

// Groups 0 .. groups for `count` threads, before any of them begins.
void cpu_shares_deal(cpu_share *shares, uint32_t count, uint32_t groups);

// The next run of thread `mine`; false where nothing is left for it. Thread-safe.
bool cpu_shares_take(cpu_share *shares, uint32_t count, uint32_t mine, uint32_t *out_first, uint32_t *out_count);

#endif
