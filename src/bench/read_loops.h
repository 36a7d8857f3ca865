// SPDX-License-Identifier: Apache-2.0
// Loops that read memory and do nothing else: which is fastest differs from machine to machine, so all are tried.
#ifndef HEL_BENCH_READ_LOOPS_H
#define HEL_BENCH_READ_LOOPS_H

#include <stddef.h>
#include <stdint.h>

// Adds up `size` bytes, a multiple of HEL_READ_UNIT, from an aligned address.
enum { HEL_READ_UNIT = 4096 };

typedef struct hel_read_loop {
    const char *name; // "512-bit, 4 streams, prefetch"
    uint64_t (*sum)(const void *bytes, size_t size);
} hel_read_loop;

// The loops that this processor can run.
const hel_read_loop *hel_read_loops(size_t *out_count);

#endif
