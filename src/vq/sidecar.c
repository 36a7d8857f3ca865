// SPDX-License-Identifier: Apache-2.0
#include "vq/sidecar.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

hel_percentiles hel_percentiles_of(double percentile, uint64_t count) {
    hel_percentiles out;
    for (int side = 0; side < 2; side++) {
        double index = (side ? percentile : 100 - percentile) / 100 * (double)(count - 1), whole = floor(index);
        uint64_t rank = (uint64_t)whole;
        out.ranks[2 * side] = rank;
        out.ranks[2 * side + 1] = HEL_MIN(rank + 1, count - 1);
        out.weights[side] = index - whole;
    }
    return out;
}

hel_status hel_sidecar_create(const hel_percentiles *percentiles, const float values[HEL_HISTOGRAM_RANKS], uint32_t cap,
                              hel_sidecar *out) {
    *out = (hel_sidecar){.cap = cap,
                         .low = hel_interpolate(values[0], values[1], percentiles->weights[0]),
                         .high = hel_interpolate(values[2], values[3], percentiles->weights[1])};
    out->kept = hel_alloc_array(cap, sizeof *out->kept);
    return out->kept ? HEL_OK : hel_fail_memory(cap * sizeof *out->kept);
}

void hel_sidecar_finish(hel_sidecar *sidecar) {
    hel_free(sidecar->kept);
    *sidecar = (hel_sidecar){0};
}

static bool less(hel_kept a, hel_kept b) {
    float x = fabsf(a.value), y = fabsf(b.value);
    return x < y || (x == y && a.position > b.position);
}

static void sift_down(hel_sidecar *sidecar, hel_kept item) {
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sidecar->count) break;
        if (child + 1 < sidecar->count && less(sidecar->kept[child + 1], sidecar->kept[child])) child++;
        if (!less(sidecar->kept[child], item)) break;
        sidecar->kept[at] = sidecar->kept[child];
        at = child;
    }
    sidecar->kept[at] = item;
}

static void sift_up(hel_sidecar *sidecar, hel_kept item) {
    uint32_t at = sidecar->count++;
    for (; at > 0 && less(item, sidecar->kept[(at - 1) / 2]); at = (at - 1) / 2)
        sidecar->kept[at] = sidecar->kept[(at - 1) / 2];
    sidecar->kept[at] = item;
}

bool hel_sidecar_offer(hel_sidecar *sidecar, uint64_t position, float *value, bool *evicted) {
    *evicted = false;
    if (!(*value < sidecar->low || *value > sidecar->high)) return false; // so, too, where a limit is NaN
    hel_kept item = {position, *value};
    if (sidecar->count < sidecar->cap) {
        sift_up(sidecar, item);
        return true;
    }
    if (!sidecar->cap || !less(sidecar->kept[0], item)) return false;
    *evicted = true;
    *value = sidecar->kept[0].value;
    sift_down(sidecar, item);
    return true;
}

static int by_position(const void *a, const void *b) {
    const hel_kept *left = a, *right = b;
    return (left->position > right->position) - (left->position < right->position);
}

void hel_sidecar_sort(hel_sidecar *sidecar) {
    if (sidecar->count) qsort(sidecar->kept, sidecar->count, sizeof *sidecar->kept, by_position);
}
