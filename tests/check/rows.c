// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include "base/half.h"

void check_round_to_halves(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = hel_bf16_to_float(hel_float_to_bf16(values[i]));
}

const float *check_packed(check *c, const float *values, uint32_t rows, uint32_t steps) {
    uint16_t *halves = check_memory(c, (size_t)rows * ((steps + 1) / 2), 4);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t t = 0; t < steps; t++)
            halves[r * ((steps + 1) / 2 * 2) + t] = hel_float_to_bf16(values[r * steps + t]);
    return (const float *)halves;
}

float *check_unpacked(check *c, const void *words, uint32_t rows, uint32_t steps) {
    const uint16_t *halves = words;
    float *out = check_floats(c, (size_t)rows * steps);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t t = 0; t < steps; t++)
            out[r * steps + t] = hel_bf16_to_float(halves[r * ((steps + 1) / 2 * 2) + t]);
    return out;
}
