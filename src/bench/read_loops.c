// SPDX-License-Identifier: Apache-2.0
#include "bench/read_loops.h"

#include "base/size.h"

// Not on Windows, where GCC spills wide vectors to stacks that are not aligned for them (its bug 54412).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)
#define WIDE_LOOPS
#endif

enum { AHEAD = 2048, LINE = 64 }; // bytes that prefetches run ahead

typedef uint64_t vector16 __attribute__((vector_size(16)));
typedef uint64_t vector32 __attribute__((vector_size(32)));
typedef uint64_t vector64 __attribute__((vector_size(64)));

// One loop: `streams` places of the block are read side by side, eight vectors at a time in all.
#define READ_LOOP(function, attributes, vector, streams, prefetches)                                          \
    attributes static uint64_t function(const void *bytes, size_t size) {                                     \
        enum { EACH = 8 / (streams), STEP = EACH * (int)sizeof(vector) };                                     \
        vector sums[8] = {{0}};                                                                               \
        size_t stream = size / (streams);                                                                     \
        for (size_t at = 0; at < stream; at += STEP)                                                          \
            for (int s = 0; s < (streams); s++) {                                                             \
                const char *from = (const char *)bytes + (size_t)s * stream + at;                             \
                for (int line = 0; (prefetches) && line < STEP; line += LINE)                                 \
                    __builtin_prefetch(from + AHEAD + line, 0, 0);                                            \
                for (int i = 0; i < EACH; i++) sums[s * EACH + i] += ((const vector *)(const void *)from)[i]; \
            }                                                                                                 \
        uint64_t sum = 0;                                                                                     \
        for (int i = 0; i < 8; i++)                                                                           \
            for (size_t lane = 0; lane < sizeof(vector) / sizeof(uint64_t); lane++) sum += sums[i][lane];     \
        return sum;                                                                                           \
    }

#define READ_LOOPS(width, attributes, vector)                \
    READ_LOOP(plain##width, attributes, vector, 1, 0)        \
    READ_LOOP(prefetch##width, attributes, vector, 1, 1)     \
    READ_LOOP(streams##width, attributes, vector, 4, 0)      \
    READ_LOOP(both##width, attributes, vector, 4, 1)

#define READ_ROWS(width)                                                                                         \
    {#width "-bit", plain##width}, {#width "-bit, prefetch", prefetch##width},                                   \
    {#width "-bit, 4 streams", streams##width}, {#width "-bit, 4 streams, prefetch", both##width}

READ_LOOPS(128, , vector16)
#ifdef WIDE_LOOPS
READ_LOOPS(256, __attribute__((target("avx2"))), vector32)
READ_LOOPS(512, __attribute__((target("avx512f"))), vector64)
#endif

// From narrow to wide, so that a prefix is what a processor can run.
static const hel_read_loop loops[] = {
    READ_ROWS(128),
#ifdef WIDE_LOOPS
    READ_ROWS(256),
    READ_ROWS(512),
#endif
};

const hel_read_loop *hel_read_loops(size_t *out_count) {
    *out_count = HEL_COUNT(loops);
#ifdef WIDE_LOOPS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f")) *out_count = HEL_COUNT(loops) * 2 / 3;
    if (!__builtin_cpu_supports("avx2")) *out_count = HEL_COUNT(loops) / 3;
#endif
    return loops;
}
