// SPDX-License-Identifier: Apache-2.0
// When a command must wait for earlier ones: the byte ranges read and written since the last barrier. Two commands may
// run side by side unless one writes what the other touches.
#ifndef HEL_DEVICE_HAZARD_H
#define HEL_DEVICE_HAZARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hel_hazard_range {
    const void *buffer; // any pointer that stands for the buffer
    uint64_t begin, end;
    bool write;
} hel_hazard_range;

enum { HEL_HAZARD_RANGES = 256 };

// {.count = 0} is the state after a barrier. Thread-safety: one user at a time.
typedef struct hel_hazards {
    uint32_t count;
    hel_hazard_range ranges[HEL_HAZARD_RANGES];
} hel_hazards;

// The next command touches `ranges`, at most HEL_HAZARD_RANGES of them. True where a barrier must come before it; then
// only the new ranges are remembered. A full list asks for a barrier as well: one too many, never one too few.
bool hel_hazards_enter(hel_hazards *hazards, const hel_hazard_range *ranges, uint32_t count);

#endif
