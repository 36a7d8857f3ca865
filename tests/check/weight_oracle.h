// SPDX-License-Identifier: Apache-2.0
// A random weight of any form: the words a kernel reads, and what they mean, decoded bit by bit in double precision.
#ifndef CHECK_WEIGHT_ORACLE_H
#define CHECK_WEIGHT_ORACLE_H

#include "harness.h"

enum { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16, WEIGHT_CODEBOOK };
enum { WEIGHT_SIDECAR = 1, WEIGHT_BIAS = 2, WEIGHT_GROUPS = 4, WEIGHT_ACCUMULATE = 8 };

// What the constants FORMAT, BITS, D and FLAGS say.
typedef struct weight_form {
    uint32_t format, bits, d, flags;
} weight_form;

typedef struct test_weight {
    weight_form form;
    uint32_t rows, cols, group; // of the whole weight
    uint32_t first, count; // rows in the slice that `words` holds
    uint32_t row_words;
    uint32_t *words; // [count, row_words]
    uint32_t entries; // of the codebook
    float *codebook; // [entries, d]
    uint32_t *sidecar_blocks; // [blocks of eight rows + 1]
    uint32_t *sidecar_entries; // row in the block << 29 | column, bits of the difference
    float *group_scales; // [rows, ceil(cols / group)]
    float *bias; // [rows]
    double *values; // [count, cols]: W
    double *magnitudes; // [count, cols]: the sum of what W is made of, without signs
} test_weight;

enum { WEIGHT_FORMS = 21 };
weight_form weight_form_at(uint32_t i, uint32_t flags);
// A number of columns near `cols` that the form can have.
uint32_t weight_cols(weight_form form, uint32_t cols);
void weight_make(check *c, weight_form form, uint32_t rows, uint32_t cols, uint32_t first, uint32_t count,
                 test_weight *out);
// Bindings 0 to 4 of every kernel that reads weights.
void weight_bind(const test_weight *weight, check_binding *bindings);

#endif
