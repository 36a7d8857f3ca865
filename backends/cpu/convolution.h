// SPDX-License-Identifier: Apache-2.0
// Long causal convolution on the CPU: the polynomials u and h are multiplied modulo x^N - i, N not below the number of
// steps. Real u and h have a product of at most 2 N - 1 coefficients; those from x^N on come out as imaginary parts, so the
// real parts are the first N, and nothing need be padded to 2 N (the right-angle convolution, Nussbaumer 1982).
//
// Modulo x^2n - s^2 a product is known from those modulo x^n - s and x^n + s. So x^N - i is split in two, each half in
// 1, 3, 5 or 7, and each of these in two again and again until remainders are numbers; those are multiplied, and the way
// back is the same (Bernstein 2001, "Multidigit multiplication for mathematicians"). Blocks are finished before their
// neighbours begin, so that they stay in the caches; nothing is ever put into another order. Twiddles lie in the order of
// their use.
#ifndef BACKENDS_CPU_CONVOLUTION_H
#define BACKENDS_CPU_CONVOLUTION_H

#include "cpu.h"
#include "row.h"

enum { CPU_CONVOLUTION_MAX_ODD = 7 };

typedef struct cpu_convolution {
    hel_convolution base;
    uint32_t half, odd, node; // N / 2, in how many it is split, their size: a power of two times width^2
    const struct cpu_convolution_entry *entry;
    float *turns;             // of one half, then of the other
} cpu_convolution;

// Twiddles are pairs (re, im), in the order of use. Of the split in `odd`: odd x odd; of one in four: s for the first level, s for
// the second, their product; of one in two: s; each padded to TURNS_NODE floats. Of a tile of width x width points: first
// for the levels across its rows, one of each pair (s, i s), padded to TURNS_ACROSS; then for those within rows the s of
// each level's first node, all rows' real parts before the imaginary ones.
enum { CPU_TURNS_NODE = 16, CPU_TURNS_ACROSS = 16, CPU_TURNS_ODD = 2 * CPU_CONVOLUTION_MAX_ODD * CPU_CONVOLUTION_MAX_ODD };

typedef struct cpu_convolution_entry {
    uint32_t width;
    // 2 N floats of a row's u times gate_in, in an order of its own, over N.
    void (*transform)(const cpu_convolution *plan, const cpu_row *row, float *work, float *spectrum);
    void (*convolve)(const cpu_convolution *plan, const cpu_row *row, const float *spectrum, float *work);
} cpu_convolution_entry;

extern const cpu_convolution_entry cpu_convolution_neon, cpu_convolution_avx2, cpu_convolution_avx512,
    cpu_convolution_avx512vbmi, cpu_convolution_avx512bf16;
// NULL where this processor has no vector version.
const cpu_convolution_entry *cpu_convolution_best(void);

// Floats of `work`: N real parts, N imaginary ones, a little between them so that they do not meet in the same cache sets.
enum { CPU_CONVOLUTION_GAP = 32 };
static inline size_t cpu_convolution_work(const cpu_convolution *plan) { return 4 * (size_t)plan->half + CPU_CONVOLUTION_GAP; }

hel_status cpu_convolution_create(const hel_device *device, uint32_t steps, hel_convolution **out);
hel_status cpu_convolution_run(const hel_device *device, const hel_convolution *plan, const hel_convolution_call *call);
void cpu_convolution_destroy(const hel_device *device, hel_convolution *plan);

#endif
