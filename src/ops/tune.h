// SPDX-License-Identifier: Apache-2.0
// Tuning: the products of a model are timed with other TUNE constants than their kernels' defaults, and what is clearly
// faster and gives the same bits is used from then on. It runs on the weights themselves, which take turns, so that one
// that no cache holds meets the memory it will meet later; nothing is made up but the tokens.
#ifndef HEL_OPS_TUNE_H
#define HEL_OPS_TUNE_H

#include "ops/tuned.h"

typedef struct hel_tune_request {
    const hel_device *device;
    hel_tuning tuning;
    const hel_weight *const *weights; // [n_weights] on the device, each with its factors
    size_t n_weights;
    uint32_t tokens;         // only products of so many, or of the number that goes for them; 0: of every number in hel_tune_tokens
    bool (*ask)(void *user); // false stops; may be NULL
    void *user;
} hel_tune_request;

// What is tried, and what it must bring; tests change it.
typedef struct hel_tune_rules {
    const hel_tune_kernel *kernels;
    double least_step, least_gain; // times as fast, for one constant and for all together
    uint32_t rounds;               // an odd number; the median counts
    double seconds;                // for all that is tried in one call
} hel_tune_rules;

extern const hel_tune_rules hel_tune_standard;

// Recalls what earlier runs chose, tries what is missing and remembers it. Whatever goes wrong with a variant leaves
// the defaults in place, with a line in the log; what time does not suffice for is tried in the next run. Does nothing
// where `tuning` does not want the device tuned. Blocks for rules->seconds at most, but for a compilation that is under
// way then, and for the trial of matrix units; needs up to 24 MiB of the host and 16 of the device. Statuses: CANCELLED,
// MEMORY; of that trial DEVICE_LOST, DEVICE_MEMORY.
hel_status hel_tune_weights(const hel_tune_request *request, const hel_tune_rules *rules);

#endif
