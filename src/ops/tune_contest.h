// SPDX-License-Identifier: Apache-2.0
// One use of a kernel, and the constants that serve it best.
#ifndef HEL_OPS_TUNE_CONTEST_H
#define HEL_OPS_TUNE_CONTEST_H

#include "ops/tune.h"

enum { HEL_TUNE_TURNS = 32 }; // weights that take turns, at most

typedef struct hel_tune_contest {
    const hel_device *device;
    const hel_tune_kernel *kernel;
    const hel_tune_rules *rules;
    uint32_t tokens;
    uint64_t deadline; // on hel_os_time_ns
    hel_choice_use use;
    const hel_weight *turns[HEL_TUNE_TURNS]; // of one shape and one set of flags
    uint32_t n_turns;
} hel_tune_contest;

// True where the contest came to its end: out->constants are then the winner's, nothing for the defaults. Otherwise the
// log says why not.
bool hel_tune_contest_run(const hel_tune_contest *contest, hel_choice *out);

#endif
