// SPDX-License-Identifier: Apache-2.0
#include "vq/bins.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"

hel_status hel_bins_from_sorted(const float *sorted, uint64_t count, hel_bins *out) {
    uint64_t distinct = count > 0;
    for (uint64_t i = 1; i < count; i++) distinct += sorted[i] != sorted[i - 1];
    hel_bin *bins = hel_alloc_array(distinct, sizeof *bins);
    if (!bins) return hel_fail_memory(distinct * sizeof *bins);
    uint32_t n = 0;
    for (uint64_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && sorted[end] == sorted[i]; end++) continue;
        bins[n++] = hel_bin_of((double)(end - i), sorted[i]);
    }
    *out = (hel_bins){.bins = bins, .n = n};
    return HEL_OK;
}

static hel_bin bin_from_tally(const hel_tally *tally) {
    double count = tally->count;
    if (tally->low == tally->high) return hel_bin_of(count, tally->low);
    double within = fmax(0, tally->squares - tally->sum * tally->sum / count);
    return (hel_bin){count, count * tally->origin + tally->sum, within, tally->low, tally->high};
}

hel_status hel_bins_from_tallies(const hel_tally *tallies, uint32_t n, hel_bins *out) {
    uint32_t used = 0;
    for (uint32_t t = 0; t < n; t++) used += tallies[t].count > 0;
    hel_bin *bins = hel_alloc_array(used, sizeof *bins);
    if (!bins) return hel_fail_memory(used * sizeof *bins);
    *out = (hel_bins){.bins = bins, .n = used};
    for (uint32_t t = 0; t < n; t++)
        if (tallies[t].count) *bins++ = bin_from_tally(&tallies[t]);
    return HEL_OK;
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
