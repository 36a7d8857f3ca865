// SPDX-License-Identifier: Apache-2.0
// The constants of kernels that may be chosen for a device, and the look-up of what was chosen for a product.
#ifndef HEL_OPS_TUNED_H
#define HEL_OPS_TUNED_H

#include "device/choices.h"
#include "device/kernel_source.h"
#include "ops/exec.h"
#include "ops/weight.h"

enum { HEL_TUNE_VALUES = 6 };

typedef struct hel_tune_constant {
    const char *name;
    uint32_t id; // among the kernel's constants
    uint32_t n_values, values[HEL_TUNE_VALUES]; // that it may take besides what the operator gives it
} hel_tune_constant;

typedef struct hel_tune_kernel {
    const char *name;
    const hel_tune_constant *constants; // tried one after the other; ends with {0}
    bool counts_loops; // hel_exec_expect_loops counts the default's: no variants where a driver ends loops
} hel_tune_kernel;

extern const hel_tune_kernel hel_tune_kernels[]; // ends with {0}

// Products are tuned for these numbers of tokens; others go by the next of them, more than all by the last.
enum { HEL_TUNE_TOKENS = 6 };
extern const uint32_t hel_tune_tokens[HEL_TUNE_TOKENS];

uint32_t hel_tuned_tokens(uint32_t tokens); // the one that goes for so many

// What a kernel is used for in a product of `tokens` tokens: the form of the weight, but for a bias, which takes no time,
// and rows and columns to the next power of two.
hel_choice_use hel_tuned_use(const char *kernel, const hel_weight *weight, uint32_t tokens);

// Puts what was chosen for the product, or what `exec` has on trial, over the values that the operator has given
// constants [source->n_constants], all that the kernel has.
void hel_tuned_apply(const hel_exec *exec, const hel_kernel_source *source, const hel_weight *weight, uint32_t tokens,
                     uint32_t *constants);

// Whether each constant of the choice is a value that the table has for its kernel.
bool hel_tuned_is_valid(const hel_choice *choice);

#endif
