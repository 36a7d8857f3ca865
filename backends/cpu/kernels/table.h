// SPDX-License-Identifier: Apache-2.0
// The table of vector kernels, one list per instruction set.
#ifndef BACKENDS_CPU_TABLE_H
#define BACKENDS_CPU_TABLE_H

#include "../cpu.h"

typedef enum cpu_isa {
    CPU_ISA_C,
    CPU_ISA_NEON,
    CPU_ISA_AVX2,   // with FMA and F16C
    CPU_ISA_AVX512, // F, BW, DQ, VL
    CPU_ISA_AVX512VBMI, // and VNNI
    CPU_ISA_AVX512BF16, // and all of these
    CPU_ISA_AMX,        // BF16, and all of these
} cpu_isa;

// Lists end with a NULL name.
extern const cpu_kernel_entry cpu_entries_neon[], cpu_entries_avx2[], cpu_entries_avx512[], cpu_entries_avx512vbmi[],
    cpu_entries_avx512bf16[], cpu_entries_amx[];

#define CPU_VECTOR_KERNELS(isa)                                                                      \
    void cpu_linear_matvec_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);          \
    void cpu_linear_matmul_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);          \
    cpu_scratch cpu_linear_matmul_scratch_##isa(const cpu_launch *launch);                           \
    void cpu_linear_matmul_prepare_##isa(const cpu_launch *launch, uint32_t item);                   \
    void cpu_attention_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);              \
    void cpu_activate_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);               \
    void cpu_conv1d_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);                 \
    void cpu_fftconv_step_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);           \
    void cpu_fftconv_toeplitz_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);       \
    void cpu_fftconv_toeplitz_taps_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);  \
    void cpu_transpose_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);              \
    void cpu_ssm_scan_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);               \
    void cpu_ssd_scan_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);               \
    cpu_scratch cpu_ssd_scan_scratch_##isa(const cpu_launch *launch);                                \
    void cpu_ssd_scan_prepare_##isa(const cpu_launch *launch, uint32_t item);                        \
    void cpu_modal_scan_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);             \
    void cpu_wkv4_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);                   \
    void cpu_wkv5_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);                   \
    void cpu_wkv7_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);                   \
    void cpu_wkv7_keys_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);              \
    void cpu_rmsnorm_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);                \
    void cpu_layernorm_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);              \
    void cpu_rmsnorm_gated_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);          \
    void cpu_token_mix_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);              \
    void cpu_kmeans_assign_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);          \
    cpu_scratch cpu_kmeans_assign_scratch_##isa(const cpu_launch *launch);                           \
    void cpu_kmeans_assign_prepare_##isa(const cpu_launch *launch, uint32_t item);                   \
    void cpu_kmeans_partial_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);         \
    void cpu_kmeans_update_##isa(const cpu_launch *launch, uint32_t first, uint32_t count);
CPU_VECTOR_KERNELS(neon)
CPU_VECTOR_KERNELS(avx2)
CPU_VECTOR_KERNELS(avx512)
CPU_VECTOR_KERNELS(avx512vbmi)
CPU_VECTOR_KERNELS(avx512bf16)
CPU_VECTOR_KERNELS(amx)
#define CPU_FIXED_KERNELS(isa)                                             \
    cpu_scratch cpu_linear_matvec_scratch_##isa(const cpu_launch *launch); \
    void cpu_linear_matvec_prepare_##isa(const cpu_launch *launch, uint32_t item);
CPU_FIXED_KERNELS(avx512vbmi)
CPU_FIXED_KERNELS(avx512bf16)

// Whether this processor multiplies tiles, and whether this process may, which asks the system: tiles.c.
bool cpu_tiles_here(void);
bool cpu_tiles_allowed(void);

// Whether CPU_ISA_AVX512VBMI and up multiply a form of weight (the constants of linear_matvec) in fixed point. See
// fixed_operands.inc.c for the error.
enum { CPU_FIXED_BLOCK = 256 }; // columns that share a scale of x
bool cpu_is_fixed(const uint32_t *constants);

// The best set of this processor; for tests, which may only ask for less, what is used from now on.
cpu_isa cpu_isa_best(void);
void cpu_isa_limit(cpu_isa most);

#endif
