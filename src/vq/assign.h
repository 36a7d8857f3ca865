// SPDX-License-Identifier: Apache-2.0
// The nearest code of a value in an ascending codebook of up to 256 floats, ties to the first: a table over the top 16
// bits of the value's key leaves a few codes, a binary search over the boundaries finds the one.
#ifndef HEL_VQ_ASSIGN_H
#define HEL_VQ_ASSIGN_H

#include "vq/values.h"

enum { HEL_CODEBOOK_MAX = 256, HEL_ASSIGN_CELLS = 1 << 16 };

typedef struct hel_assigner {
    float codebook[HEL_CODEBOOK_MAX];
    uint32_t k;
    bool rounded; // distances as float arithmetic rounds them decide, as in numpy; else exact ones
    uint32_t upper[HEL_CODEBOOK_MAX]; // greatest key that belongs to code c or one before it
    uint16_t first[HEL_ASSIGN_CELLS + 1]; // code of the least key of each cell
} hel_assigner;

// 1 <= k <= 256, finite and ascending (repeated values allowed: the first is used).
void hel_assigner_init(hel_assigner *assigner, const float *codebook, uint32_t k, bool rounded);

static inline uint32_t hel_assign_exact(const hel_assigner *assigner, float value) {
    uint32_t key = hel_float_key(value), cell = key >> 16;
    uint32_t low = assigner->first[cell], high = assigner->first[cell + 1];
    while (low < high) { // the code is the number of upper bounds below the key
        uint32_t middle = (low + high) / 2;
        if (assigner->upper[middle] < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

static inline uint32_t hel_assign(const hel_assigner *assigner, float value) {
    uint32_t code = hel_assign_exact(assigner, value);
    if (!assigner->rounded) return code;
    float distance = value - assigner->codebook[code];
    if (distance < 0) distance = -distance;
    for (; code > 0; code--) { // distances that differ before rounding may tie after it
        float left = value - assigner->codebook[code - 1];
        if ((left < 0 ? -left : left) > distance) break;
    }
    return code;
}
#endif
