// SPDX-License-Identifier: Apache-2.0
#include "device/hazard.h"

#include <string.h>

static bool conflict(const hel_hazard_range *a, const hel_hazard_range *b) {
    return a->buffer == b->buffer && (a->write || b->write) && a->begin < b->end && b->begin < a->end;
}

static bool needs_barrier(const hel_hazards *hazards, const hel_hazard_range *ranges, uint32_t count) {
    if (count > HEL_HAZARD_RANGES - hazards->count) return true;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < hazards->count; j++)
            if (conflict(&ranges[i], &hazards->ranges[j])) return true;
    return false;
}

bool hel_hazards_enter(hel_hazards *hazards, const hel_hazard_range *ranges, uint32_t count) {
    bool barrier = needs_barrier(hazards, ranges, count);
    if (barrier) hazards->count = 0;
    memcpy(hazards->ranges + hazards->count, ranges, count * sizeof *ranges);
    hazards->count += count;
    return barrier;
}
