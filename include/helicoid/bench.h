// SPDX-License-Identifier: Apache-2.0
// Measuring: named pieces of work, timed in rounds that take turns, beside what bounds them and beside other programs
// ("peers") that do the same work in the same rounds. docs/benchmarks.md has the protocol that peers speak.
#ifndef HELICOID_BENCH_H
#define HELICOID_BENCH_H

#include <helicoid/device.h>

#ifdef __cplusplus
extern "C" {
#endif

// One piece of work that hel_bench knows.
typedef struct hel_bench_work {
    const char *name;     // "matvec"
    const char *summary;  // one line
    const char *settings; // members of hel_bench_params that it heeds, as words: "rows cols bytes k"
} hel_bench_work;

// Work number `index` in the order they run, NULL behind the last; constant data. Thread-safety: safe.
HEL_API const hel_bench_work *hel_bench_work_at(size_t index);

typedef struct hel_bench_params {
    size_t struct_size;
    const char *const *works;    // NULL-terminated names; NULL: every one
    const char *const *peers;    // NULL-terminated: programs in `peers_folder` (NAME or NAME.py), or paths with a slash
                                 // in them; NULL: none
    const char *peers_folder;    // NULL: only paths are found
    const char *device;          // as hel_device_open; NULL the best device
    hel_precision precision;     // of our matrix products
    uint32_t threads;            // CPU, and peers: threads in all, 0 one per processor
    uint32_t rounds;             // 0: 11; one more goes before them and is not counted
    uint32_t peer_rounds;        // of those, the rounds that peers take part in; 0: all
    uint32_t peer_seconds;       // a peer's answer may take so long; 0: 1800
    const char *data_folder;     // where models that are made once are kept; NULL the user's cache directory
    // What is measured; 0 the work's own default. Which work heeds what is in hel_bench_work.settings.
    uint32_t rows, cols;         // of a matrix
    uint32_t columns;            // tokens of a product, or of a prompt
    uint64_t bytes;              // weights that matvec and matmul walk through, at least; a buffer to be read
    uint64_t count;              // values to be fitted, or points to be labelled
    uint32_t k;                  // codebook entries: 256, 64, 32 or 16, for `assign` to 65536; 0 those that the work compares
    uint32_t layers, hidden, vocabulary; // of the random model; heads and feed-forward follow from `hidden`
    uint32_t tokens;             // generated one by one in a round
    const char *model;           // compress: this model instead of a random one
    hel_progress_callback progress; // rounds of one work, the stage names work and item; also asked while peers are
                                    // waited for, and what stops a run; on the calling thread; may be NULL
    void *user;
    hel_tuning tuning;           // of our matrix products, before they are timed
    uint32_t dims;               // values of a point, up to 512; 0 those that the work compares
    uint32_t channels, length;   // rows of a convolution, and their steps
    uint32_t taps;               // of its filters: where given, what the operator chooses is timed beside its methods
} hel_bench_params;

// Every work, no peers, the best device, 11 rounds, HEL_TUNING_AUTO.
HEL_API void hel_bench_params_init(hel_bench_params *params, size_t struct_size);
HEL_DEFAULT(hel_bench_params)

// How fast one item is beside another one: speed over speed, above 1 where the first is faster.
typedef struct hel_bench_ratio {
    size_t to;               // index of the other one in the report's items
    double median, min, max; // of the ratios of each round
} hel_bench_ratio;

// One thing that was timed. Numbers that do not apply are NaN.
typedef struct hel_bench_item {
    const char *work, *name; // "matvec", "k256"
    const char *by;          // "helicoid", or the peer's name
    const char *version;     // of that; "" where a peer did not say
    bool baseline;           // a bound or a yardstick, such as reading memory, rather than the work itself
    uint32_t rounds;         // that were counted
    double *seconds;             // [rounds], in order: of one product, one token, one prompt, one fit, one model
    double median_seconds, min_seconds, max_seconds;
    double gigabytes_per_second; // 1e9 bytes of memory or files, at the median
    double gflops;               // 1e9 operations a second; a multiply-add is two
    double tokens_per_second;
    double signal_to_error_db;   // of the result against the exact one in double precision
    double squared_error;        // sum over all values
    double gap;                  // squared_error is at most this far above the optimum
    hel_bench_ratio *ratios;     // to baselines and peers of the same work
    size_t n_ratios;
} hel_bench_item;

typedef struct hel_bench_report {
    char cpu[128], instruction_sets[128]; // of the host; the sets are those that kernels were chosen for
    uint32_t cores, threads;
    uint64_t memory;           // bytes of the host
    char device[192];          // "cpu:0 (name, driver)"
    const char *version;       // of the library
    int64_t unix_time;         // when it began
    hel_bench_item *items;     // in the order in which they were measured
    size_t n_items;
    char **notes;              // what could not be measured, and why
    size_t n_notes;
} hel_bench_report;

// Runs the works in order. In every round each item of a work has its turn, then each peer's, so that all meet the same
// state of the machine; weights are many enough that no cache holds them. What a peer cannot do, and peers that
// die, hang or talk nonsense, are notes and warnings, and the run goes on. Large data are made in a temporary
// folder that is removed again; random models stay in `data_folder`. `params` may be NULL.
// *report is filled after HEL_OK, released with hel_bench_report_finish; after an error it is empty. Blocks long.
// Statuses: ARGUMENT (also unknown works), NOT_FOUND (a peer that is no program), UNAVAILABLE, CANCELLED, MEMORY,
// DEVICE_MEMORY, IO, DEVICE, DEVICE_LOST.
// Thread-safety: safe, but runs at the same time disturb each other.
HEL_API hel_status hel_bench(const hel_bench_params *params, hel_bench_report *report);

// Releases what the report owns and zeroes it; accepts NULL and a zeroed report.
HEL_API void hel_bench_report_finish(hel_bench_report *report);

#ifdef __cplusplus
}
#endif

#endif
