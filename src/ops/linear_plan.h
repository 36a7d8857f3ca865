// SPDX-License-Identifier: Apache-2.0
// How linear_matvec runs a weight on a device.
#ifndef HEL_OPS_LINEAR_PLAN_H
#define HEL_OPS_LINEAR_PLAN_H

#include "ops/weight.h"

typedef struct hel_linear_plan {
    // What the order of additions follows from: given by the class of device and the weight's shape, never tuned.
    uint32_t lanes;  // of a work-group
    uint32_t step;   // words of a row that a lane takes at a time
    uint32_t splits; // slices of the columns
    // What changes no bit of a result.
    uint32_t rows;     // that share what is read of x
    uint32_t replicas; // of the codebook in shared memory, 0: it is read where it lies
    uint32_t keep_x;   // 1: the first of x stays in registers
    uint32_t most_groups; // that run at once, 0: as many as there is work for
} hel_linear_plan;

// Only `rows` and `keep_x` depend on the number of tokens, which is at most HEL_LINEAR_MATVEC_MAX_TOKENS.
hel_linear_plan hel_linear_plan_of(const hel_device *device, const hel_weight *weight, uint32_t tokens);

// Work-groups for a slice of `rows` rows.
uint64_t hel_linear_plan_groups(const hel_linear_plan *plan, uint32_t rows);

// The kernel's constants; `flags` as in shaders/weight.kh.
void hel_linear_plan_constants(const hel_linear_plan *plan, const hel_weight *weight, uint32_t flags, uint32_t tokens,
                               uint32_t out[HEL_LINEAR_MATVEC_CONSTANTS]);

#endif
