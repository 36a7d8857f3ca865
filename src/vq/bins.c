// SPDX-License-Identifier: Apache-2.0
#include "vq/bins.h"

#include "base/error.h"
#include "base/memory.h"

hel_status hel_bins_from_sorted(const float *sorted, uint64_t count, hel_bins *out) {
    uint64_t distinct = count > 0;
    for (uint64_t i = 1; i < count; i++) distinct += sorted[i] != sorted[i - 1];
    hel_bin *bins = hel_alloc_zero(distinct, sizeof *bins);
    if (!bins) return hel_fail_memory(distinct * sizeof *bins);
    uint32_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i && sorted[i] != sorted[i - 1]) n++;
        hel_bin_add(&bins[n], sorted[i]);
    }
    *out = (hel_bins){.bins = bins, .n = (uint32_t)distinct};
    hel_bins_tidy(out);
    return HEL_OK;
}

void hel_bins_tidy(hel_bins *bins) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < bins->n; i++) {
        hel_bin bin = bins->bins[i];
        if (bin.count == 0) continue;
        if (bin.low == bin.high) {
            bin.sum = bin.count * bin.low;
            bin.squares = bin.sum * bin.low;
        }
        bins->bins[kept++] = bin;
    }
    bins->n = kept;
}

void hel_bins_finish(hel_bins *bins) {
    hel_free(bins->bins);
    *bins = (hel_bins){0};
}

bool hel_bins_exact(const hel_bins *bins) {
    for (uint32_t i = 0; i < bins->n; i++)
        if (bins->bins[i].low != bins->bins[i].high) return false;
    return true;
}
