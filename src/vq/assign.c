// SPDX-License-Identifier: Apache-2.0
#include "vq/assign.h"

#include <string.h>

// Greatest key whose value is not nearer to `right` than to `left`.
static uint32_t boundary_key(float left, float right) {
    double middle = ((double)left + right) / 2;
    float nearest = (float)middle;
    uint32_t key = hel_float_key(nearest);
    return (double)nearest > middle ? key - 1 : key;
}

void hel_assigner_init(hel_assigner *assigner, const float *codebook, uint32_t k, bool rounded) {
    memcpy(assigner->codebook, codebook, k * sizeof *codebook);
    assigner->k = k;
    assigner->rounded = rounded;
    for (uint32_t c = 0; c + 1 < k; c++) {
        // Of equal codes the first takes everything up to the next different one.
        uint32_t next = c + 1;
        while (next < k && codebook[next] == codebook[c]) next++;
        assigner->upper[c] = next < k ? boundary_key(codebook[c], codebook[next]) : UINT32_MAX;
    }
    assigner->upper[k - 1] = UINT32_MAX;
    uint32_t code = 0;
    for (uint32_t cell = 0; cell < HEL_ASSIGN_CELLS; cell++) {
        while (assigner->upper[code] < cell << 16) code++;
        assigner->first[cell] = (uint16_t)code;
    }
    assigner->first[HEL_ASSIGN_CELLS] = (uint16_t)(k - 1);
}
