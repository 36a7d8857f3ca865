// SPDX-License-Identifier: Apache-2.0
// Which version of a kernel this processor runs: vector versions replace the C forms entry by entry.
#include "table.h"

#include <string.h>

#include "../convolution.h"
#include "kernels.h"

static cpu_isa limit = CPU_ISA_AMX;

static cpu_isa detect(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    // The compiler's runtime also asks whether the system saves the registers. Every processor with AVX2 has F16C.
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!avx2) return CPU_ISA_C;
    if (!avx512) return CPU_ISA_AVX2;
    bool vbmi = __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
    if (!vbmi) return CPU_ISA_AVX512;
    if (!__builtin_cpu_supports("avx512bf16")) return CPU_ISA_AVX512VBMI;
    return limit >= CPU_ISA_AMX && cpu_tiles_here() ? CPU_ISA_AMX : CPU_ISA_AVX512BF16;
#elif defined(__aarch64__)
    return CPU_ISA_NEON; // part of the architecture
#else
    return CPU_ISA_C;
#endif
}

cpu_isa cpu_isa_best(void) {
    cpu_isa isa = detect();
    return isa < limit ? isa : limit;
}

void cpu_isa_limit(cpu_isa most) { limit = most; }

static const cpu_kernel_entry *entries_of(cpu_isa isa) {
    switch (isa) {
#if defined(__x86_64__)
    case CPU_ISA_AMX:
    case CPU_ISA_AVX512BF16: return cpu_entries_avx512bf16;
    case CPU_ISA_AVX512VBMI: return cpu_entries_avx512vbmi;
    case CPU_ISA_AVX512: return cpu_entries_avx512;
    case CPU_ISA_AVX2: return cpu_entries_avx2;
#elif defined(__aarch64__)
    case CPU_ISA_NEON: return cpu_entries_neon;
#endif
    default: return NULL;
    }
}

static const cpu_kernel_entry *find(const cpu_kernel_entry *entry, const char *name) {
    for (; entry && entry->name; entry++)
        if (strcmp(entry->name, name) == 0) return entry;
    return NULL;
}

// Tiles have a list of their own, before that of the vectors. Where nothing may be rounded to their halves the system is not
// asked for them: its yes changes what it wants of the process's signal stacks.
const cpu_kernel_entry *cpu_kernel_best(const hel_kernel_source *source, hel_precision precision) {
    cpu_isa isa = cpu_isa_best();
    const cpu_kernel_entry *entry = NULL;
    (void)precision;
#if defined(__x86_64__)
    if (isa == CPU_ISA_AMX && precision == HEL_PRECISION_BF16 && cpu_tiles_allowed()) entry = find(cpu_entries_amx, source->name);
#endif
    return entry ? entry : find(entries_of(isa), source->name);
}

const cpu_convolution_entry *cpu_convolution_best(void) {
    switch (cpu_isa_best()) {
#if defined(__x86_64__)
    case CPU_ISA_AMX:
    case CPU_ISA_AVX512BF16: return &cpu_convolution_avx512bf16;
    case CPU_ISA_AVX512VBMI: return &cpu_convolution_avx512vbmi;
    case CPU_ISA_AVX512: return &cpu_convolution_avx512;
    case CPU_ISA_AVX2: return &cpu_convolution_avx2;
#elif defined(__aarch64__)
    case CPU_ISA_NEON: return &cpu_convolution_neon;
#endif
    default: return NULL;
    }
}

bool cpu_is_fixed(const uint32_t *constants) {
    uint32_t format = constants[0], bits = constants[1], d = constants[2], flags = constants[3];
    return format == HEL_FORMAT_CODEBOOK && bits <= 8 && d == 1 && !(flags & HEL_FLAG_GROUPS);
}

bool cpu_has_vectors(void) { return cpu_isa_best() != CPU_ISA_C; }

const char *cpu_instruction_sets(void) {
    static const char *const names[] = {[CPU_ISA_C] = "C", [CPU_ISA_NEON] = "NEON", [CPU_ISA_AVX2] = "AVX2 FMA",
                                        [CPU_ISA_AVX512] = "AVX-512", [CPU_ISA_AVX512VBMI] = "AVX-512 VBMI VNNI",
                                        [CPU_ISA_AVX512BF16] = "AVX-512 VBMI VNNI BF16",
                                        [CPU_ISA_AMX] = "AVX-512 VBMI VNNI BF16, AMX BF16"};
    return names[cpu_isa_best()];
}
