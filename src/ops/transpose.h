// SPDX-License-Identifier: Apache-2.0
// Rows become columns, as what goes by tokens and what goes by channels meet.
#ifndef HEL_OPS_TRANSPOSE_H
#define HEL_OPS_TRANSPOSE_H

#include "ops/exec.h"

// y[j y_stride + i] = x[i x_stride + j] for i < rows, j < cols, from x_first and y_first on; rows of x from `valid` on are
// taken as zeros. With `sum` it is added to what y holds.
typedef struct hel_transpose {
    uint32_t rows, cols, valid;
    uint32_t x_first, x_stride, y_first, y_stride; // elements
    bool sum;
} hel_transpose;
void hel_transpose_run(hel_exec *exec, hel_binding x, const hel_transpose *shape, hel_binding y);

#endif
