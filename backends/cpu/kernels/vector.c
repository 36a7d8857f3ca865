// SPDX-License-Identifier: Apache-2.0
// All vector kernels, for the instruction set that this file is compiled for.
#include "table.h"

#include "linear.inc.c"

#include "matvec.inc.c"

#include "matmul.inc.c"

#include "attention.inc.c"

#include "activate.inc.c"

#include "scan.inc.c"

#include "ssd.inc.c"

#include "modal_scan.inc.c"

#include "wkv.inc.c"

#include "token_mix.inc.c"

#include "norms.inc.c"

#include "kmeans.inc.c"

#include "convolution.inc.c"

#include "fftconv_step.inc.c"

#include "fftconv_toeplitz.inc.c"

#include "transpose.inc.c"

const cpu_kernel_entry SIMD(cpu_entries)[] = {
#ifdef SIMD_FIXED
    {"linear_matvec", SIMD(cpu_linear_matvec), SIMD(cpu_linear_matvec_scratch), SIMD(cpu_linear_matvec_prepare)},
#else
    {.name = "linear_matvec", .run = SIMD(cpu_linear_matvec)},
#endif
    {"linear_matmul", SIMD(cpu_linear_matmul), SIMD(cpu_linear_matmul_scratch), SIMD(cpu_linear_matmul_prepare)},
    {.name = "attention", .run = SIMD(cpu_attention)},
    {.name = "activate", .run = SIMD(cpu_activate)},
    {.name = "conv1d", .run = SIMD(cpu_conv1d)},
    {.name = "fftconv_step", .run = SIMD(cpu_fftconv_step)},
    {.name = "fftconv_toeplitz", .run = SIMD(cpu_fftconv_toeplitz)},
    {.name = "fftconv_toeplitz_taps", .run = SIMD(cpu_fftconv_toeplitz_taps)},
    {.name = "transpose", .run = SIMD(cpu_transpose)},
    {.name = "ssm_scan", .run = SIMD(cpu_ssm_scan)},
    {"ssd_scan", SIMD(cpu_ssd_scan), SIMD(cpu_ssd_scan_scratch), SIMD(cpu_ssd_scan_prepare)},
    {.name = "modal_scan", .run = SIMD(cpu_modal_scan)},
    {.name = "wkv4", .run = SIMD(cpu_wkv4)},
    {.name = "wkv5", .run = SIMD(cpu_wkv5)},
    {.name = "wkv7", .run = SIMD(cpu_wkv7)},
    {.name = "wkv7_keys", .run = SIMD(cpu_wkv7_keys)},
    {.name = "rmsnorm", .run = SIMD(cpu_rmsnorm)},
    {.name = "layernorm", .run = SIMD(cpu_layernorm)},
    {.name = "rmsnorm_gated", .run = SIMD(cpu_rmsnorm_gated)},
    {.name = "token_mix", .run = SIMD(cpu_token_mix)},
    {"kmeans_assign", SIMD(cpu_kmeans_assign), SIMD(cpu_kmeans_assign_scratch), SIMD(cpu_kmeans_assign_prepare)},
    {.name = "kmeans_partial", .run = SIMD(cpu_kmeans_partial)},
    {.name = "kmeans_update", .run = SIMD(cpu_kmeans_update)},
    {.name = NULL},
};
