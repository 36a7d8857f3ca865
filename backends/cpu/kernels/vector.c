// SPDX-License-Identifier: Apache-2.0
// All vector kernels, for the instruction set that this file is compiled for.
#include "table.h"

#include "linear.inc.c"

#include "attention.inc.c"

#include "kmeans.inc.c"

const cpu_kernel_entry SIMD(cpu_entries)[] = {
    {"linear_matvec", SIMD(cpu_linear_matvec)},
    {"linear_matmul", SIMD(cpu_linear_matmul)},
    {"attention", SIMD(cpu_attention)},
    {"kmeans_assign", SIMD(cpu_kmeans_assign)},
    {"kmeans_partial", SIMD(cpu_kmeans_partial)},
    {"kmeans_update", SIMD(cpu_kmeans_update)},
    {NULL, NULL},
};
