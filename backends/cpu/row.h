// SPDX-License-Identifier: Apache-2.0
// One row of a convolution in memory, as hel_convolution_call says: what goes in, in either direction, and what becomes of results.
#ifndef BACKENDS_CPU_ROW_H
#define BACKENDS_CPU_ROW_H

#include "device/convolution.h"

typedef struct cpu_row {
    uint32_t steps;
    hel_storage storage, y_storage;     // of u and gates, and of y
    const void *u, *gate_in, *gate_out; // gates may be NULL
    float bias;
    bool reversed, accumulate;
    void *y;
} cpu_row;

#endif
