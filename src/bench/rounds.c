// SPDX-License-Identifier: Apache-2.0
// Rounds: every entry has its turn in each, so that all meet the same state of the machine.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "bench/run.h"

static hel_status take_turn(hel_bench_entry *entry, bool counted) {
    double seconds = NAN;
    HEL_TRY(entry->round(entry->user, &entry->measure, &seconds));
    if (counted && seconds > 0) entry->seconds[entry->rounds++] = seconds;
    if (isnan(seconds)) entry->round = NULL; // gone
    return HEL_OK;
}

// The first round warms caches, pages and peers up, and counts for nothing.
hel_status hel_bench_rounds(hel_bench_run *run) {
    const hel_bench_params *params = &run->params;
    uint64_t turns = (uint64_t)run->n_entries * (params->rounds + 1), done = 0;
    for (uint32_t round = 0; round <= params->rounds; round++)
        for (size_t i = 0; i < run->n_entries; i++) {
            hel_bench_entry *entry = &run->entries[i];
            bool ours = strcmp(entry->by, "helicoid") == 0;
            HEL_TRY(hel_bench_ask(run, entry->name, done++, turns));
            if (entry->round && (ours || round <= params->peer_rounds)) HEL_TRY(take_turn(entry, round > 0));
        }
    return HEL_OK;
}
