// SPDX-License-Identifier: Apache-2.0
#include "vq/distinct.h"

#include "base/error.h"
#include "base/memory.h"

void hel_distinct_add(hel_distinct *distinct, const uint16_t *values, uint64_t count) {
    uint64_t i = 0;
    for (; i + HEL_DISTINCT_TABLES <= count; i += HEL_DISTINCT_TABLES)
        for (int t = 0; t < HEL_DISTINCT_TABLES; t++) distinct->counts[t][values[i + t]]++;
    for (; i < count; i++) distinct->counts[0][values[i]]++;
}

void hel_distinct_remove(hel_distinct *distinct, float value) {
    uint32_t bits = hel_float_to_bf16(value), t = 0;
    while (t + 1 < HEL_DISTINCT_TABLES && !distinct->counts[t][bits]) t++;
    distinct->counts[t][bits]--;
}

static hel_status count_halves(void *user, uint64_t first, const uint16_t *values, uint64_t count) {
    (void)first;
    hel_distinct_add(user, values, count);
    return HEL_OK;
}

static bool all_finite(const hel_distinct *distinct) {
    for (uint32_t fraction = 0; fraction < 0x80; fraction++)
        if (hel_distinct_count(distinct, 0x7f80 | fraction) || hel_distinct_count(distinct, 0xff80 | fraction)) return false;
    return true;
}

hel_status hel_distinct_create(const hel_values *values, hel_distinct **out) {
    *out = NULL;
    if (values->count > UINT32_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu values are more than one codebook is fitted to",
                        (unsigned long long)values->count);
    hel_distinct *distinct = hel_alloc_zero(1, sizeof *distinct);
    if (!distinct) return hel_fail_memory(sizeof *distinct);
    hel_status status = hel_values_scan_halves(values, count_halves, distinct);
    if (status == HEL_OK && !all_finite(distinct)) status = hel_fail(HEL_ERROR_UNSUPPORTED, "the tensor holds NaN or infinity");
    if (status == HEL_OK) *out = distinct;
    else hel_free(distinct);
    return status;
}

float hel_distinct_select(const hel_distinct *distinct, uint64_t rank) {
    for (uint32_t key = 0; key < HEL_HALVES; key++) {
        uint16_t bits = hel_half_of_key(key);
        uint32_t count = hel_distinct_count(distinct, bits);
        if (rank < count) return hel_bf16_to_float(bits) + 0.0f;
        rank -= count;
    }
    return 0.0f; // not reached: ranks are below the number of values
}

hel_status hel_distinct_bins(const hel_distinct *distinct, hel_bins *out) {
    uint32_t n = 0, last = UINT32_MAX;
    for (uint32_t bits = 0; bits < HEL_HALVES; bits++) n += hel_distinct_count(distinct, bits) > 0;
    hel_bin *bins = hel_alloc_zero(n, sizeof *bins);
    if (!bins) return hel_fail_memory(n * sizeof *bins);
    n = 0;
    for (uint32_t key = 0; key < HEL_HALVES; key++) {
        uint16_t bits = hel_half_of_key(key);
        double count = hel_distinct_count(distinct, bits);
        if (count == 0) continue;
        float value = hel_bf16_to_float(bits) + 0.0f;
        if (last != UINT32_MAX && bins[last].low == value) count += bins[last].count; // the two zeros
        else last = n++;
        bins[last] = hel_bin_of(count, value);
    }
    *out = (hel_bins){.bins = bins, .n = n};
    return HEL_OK;
}
