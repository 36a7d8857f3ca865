// SPDX-License-Identifier: Apache-2.0
// Which version of a kernel this processor runs: vector versions replace the C forms entry by entry.
#include "../cpu.h"

cpu_kernel_run cpu_kernel_best(const hel_kernel_source *source, const uint32_t *constants) {
    (void)source, (void)constants;
    return NULL;
}

const char *cpu_instruction_sets(void) { return "C"; }
