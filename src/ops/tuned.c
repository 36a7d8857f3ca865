// SPDX-License-Identifier: Apache-2.0
#include "ops/tuned.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "device/kernel_source.h"

// Only constants that leave the additions of each output in their order. ROWS: how many rows a work-group has; a lane
// adds the same words of a row, and lanes are folded alike. REPLICAS: where a codebook is read. TILE_ROWS, TILE_TOKENS:
// which work-group and lane own an output. TILE_COLS: an output's sum goes on from tile to tile, column by column; what
// fills the last tile up adds 0, and no sum that began with +0 is -0. CHUNK of attention is not here: it says where sums
// are scaled to a new maximum.
static const hel_tune_constant matvec_constants[] = {
    {"ROWS", HEL_LINEAR_MATVEC_AT_ROWS, 4, {1, 2, 4, 16}},
    {"REPLICAS", HEL_LINEAR_MATVEC_AT_REPLICAS, 4, {0, 1, 16, 32}},
    {0},
};
static const hel_tune_constant matmul_constants[] = {
    {"TILE_ROWS", HEL_LINEAR_MATMUL_AT_TILE_ROWS, 3, {16, 64, 128}},
    {"TILE_TOKENS", HEL_LINEAR_MATMUL_AT_TILE_TOKENS, 3, {16, 64, 128}},
    {"TILE_COLS", HEL_LINEAR_MATMUL_AT_TILE_COLS, 3, {8, 16, 64}},
    {0},
};

static const hel_tune_constant matrix_constants[] = { // one step of 32 columns after the other, whatever the block
    {"TILE_ROWS", HEL_LINEAR_MATMUL_MATRIX_AT_TILE_ROWS, 3, {32, 64, 128}},
    {"TILE_TOKENS", HEL_LINEAR_MATMUL_MATRIX_AT_TILE_TOKENS, 3, {32, 64, 128}},
    {0},
};

const hel_tune_kernel hel_tune_kernels[] = {
    {.name = "linear_matvec", .constants = matvec_constants},
    {.name = "linear_matmul", .constants = matmul_constants, .counts_loops = true},
    {.name = "linear_matmul_matrix", .constants = matrix_constants},
    {0},
};

const uint32_t hel_tune_tokens[HEL_TUNE_TOKENS] = {1, 2, 4, 8, 64, 256};

static uint32_t tokens_class(uint32_t tokens) {
    uint32_t class = 0;
    while (class + 1 < HEL_TUNE_TOKENS && hel_tune_tokens[class] < tokens) class++;
    return class;
}

uint32_t hel_tuned_tokens(uint32_t tokens) { return hel_tune_tokens[tokens_class(tokens)]; }

// The power of two that is not below n.
static uint32_t size_class(uint32_t n) {
    uint32_t bits = 0;
    while (((uint64_t)1 << bits) < n) bits++;
    return bits;
}

hel_choice_use hel_tuned_use(const char *kernel, const hel_weight *weight, uint32_t tokens) {
    uint32_t flags = hel_weight_flags(weight) & ~HEL_FLAG_BIAS;
    hel_choice_use use = {.words = {weight->format, weight->bits, weight->d, flags, size_class(weight->rows),
                                    size_class(weight->cols), tokens_class(tokens)}};
    snprintf(use.kernel, sizeof use.kernel, "%s", kernel);
    return use;
}

static void put_over(uint32_t *constants, const uint32_t *chosen, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (chosen[i] != HEL_CHOICE_NONE) constants[i] = chosen[i];
}

static const hel_tune_kernel *row_of(const char *name) {
    const hel_tune_kernel *kernel = hel_tune_kernels;
    while (kernel->name && strcmp(kernel->name, name) != 0) kernel++;
    return kernel;
}

// What does not fit the device, as a file may claim, is left out; what is on trial may show that it does not.
void hel_tuned_apply(const hel_exec *exec, const hel_kernel_source *source, const hel_weight *weight, uint32_t tokens,
                     uint32_t *constants) {
    if (!hel_device_has_choices(exec->device)) return;
    if (exec->trial && strcmp(exec->trial->use.kernel, source->name) == 0) {
        put_over(constants, exec->trial->constants, source->n_constants);
        return;
    }
    if (row_of(source->name)->counts_loops && exec->device->limits.loop_iterations) return;
    uint32_t chosen[HEL_MAX_CONSTANTS], both[HEL_MAX_CONSTANTS];
    hel_choice_use use = hel_tuned_use(source->name, weight, tokens);
    if (!hel_choice_find(exec->device, &use, chosen)) return;
    memcpy(both, constants, source->n_constants * sizeof *both);
    put_over(both, chosen, source->n_constants);
    if (hel_kernel_check_constants(source, exec->device, both) == HEL_OK)
        memcpy(constants, both, source->n_constants * sizeof *both);
}

static bool has_value(const hel_tune_constant *constant, uint32_t value) {
    for (uint32_t i = 0; i < constant->n_values; i++)
        if (constant->values[i] == value) return true;
    return false;
}

static bool is_tuned(const hel_tune_kernel *kernel, uint32_t id, uint32_t value) {
    for (const hel_tune_constant *constant = kernel->constants; constant->name; constant++)
        if (constant->id == id) return has_value(constant, value);
    return false;
}

bool hel_tuned_is_valid(const hel_choice *choice) {
    const hel_tune_kernel *kernel = row_of(choice->use.kernel);
    for (uint32_t i = 0; kernel->name && i < HEL_MAX_CONSTANTS; i++)
        if (choice->constants[i] != HEL_CHOICE_NONE && !is_tuned(kernel, i, choice->constants[i])) return false;
    return kernel->name != NULL;
}
