// SPDX-License-Identifier: Apache-2.0
// One run of the benchmark: its settings, the items of the work that is being timed, and the report that grows.
#ifndef HEL_BENCH_RUN_H
#define HEL_BENCH_RUN_H

#include <helicoid/bench.h>

#include "base/text.h"

enum { HEL_BENCH_NAME = 64 };

// What one item is the time of, and how good its result was. 0 and NaN: does not apply.
typedef struct hel_bench_measure {
    double bytes, flops, tokens; // of what the seconds are the time of
    double error_db, squared_error, gap;
} hel_bench_measure;

typedef struct hel_bench_entry {
    char name[HEL_BENCH_NAME];
    char by[HEL_BENCH_NAME]; // "helicoid", or a peer's name
    char version[HEL_BENCH_NAME];
    bool baseline;
    uint32_t group;          // entries of different groups are not compared, unless one is 0
    hel_bench_measure measure; // a round may still fill in what it finds
    // Times one round; a failure ends the run. A peer that can do no more leaves NaN.
    hel_status (*round)(void *user, hel_bench_measure *measure, double *out_seconds);
    void *user;
    double *seconds; // of each counted round
    uint32_t rounds; // counted so far
} hel_bench_entry;

typedef struct hel_bench_run {
    hel_bench_params params; // with what the caller left open filled in
    const hel_device *device;
    char *folder;            // for data of this run, removed after it
    struct hel_bench_reader *reader;
    const char *work;        // the one that is being timed
    hel_text settings;       // of it, as peers are told: lines "set rows 4096"
    hel_bench_entry *entries;
    size_t n_entries;
    hel_bench_report *report;
} hel_bench_run;

// A work: makes what is to be timed and adds entries. `finish` gets what `prepare` left in *state, after failures too.
typedef struct hel_bench_work_row {
    hel_bench_work about;
    hel_status (*prepare)(hel_bench_run *run, void **state);
    void (*finish)(hel_bench_run *run, void *state);
    bool any_k; // codebooks of any size, not those of weights alone
} hel_bench_work_row;

// A new item of the current work; NULL out of memory, with words. Valid until the next one is added.
hel_bench_entry *hel_bench_add(hel_bench_run *run, const char *by, const char *name);
// One line about what could not be measured: a warning, and a note of the report.
void hel_bench_note(hel_bench_run *run, const char *format, ...) HEL_PRINTF(2, 3);
// What peers are told about the work.
void hel_bench_tell(hel_bench_run *run, const char *name, uint64_t value);
// CANCELLED where the caller wants to stop.
hel_status hel_bench_ask(hel_bench_run *run, const char *item, uint64_t done, uint64_t total);
// A path in the run's folder; free with hel_free.
hel_status hel_bench_path(const hel_bench_run *run, const char *name, char **out);

double hel_bench_now(void); // seconds

// Times all entries in turn; makes items of the report of them, with their ratios.
hel_status hel_bench_rounds(hel_bench_run *run);
hel_status hel_bench_record(hel_bench_run *run);
void hel_bench_clear(hel_bench_run *run); // drops the entries

#endif
