// SPDX-License-Identifier: Apache-2.0
// Rows of floats and of bf16 halves, as shaders/fftconv.kh has them.
#ifndef CHECK_ROWS_H
#define CHECK_ROWS_H

#include "harness.h"

// Floats that a float of half the length holds.
void check_round_to_halves(float *values, size_t count);
// Rows of halves, each beginning with a word, as words are bound; and back.
const float *check_packed(check *c, const float *values, uint32_t rows, uint32_t steps);
float *check_unpacked(check *c, const void *words, uint32_t rows, uint32_t steps);

// An input, where the call uses it.
static inline check_binding check_given(bool used, const float *data, uint32_t words) {
    return used ? (check_binding){data, words, NULL} : (check_binding){NULL, 0, NULL};
}

#endif
