// SPDX-License-Identifier: Apache-2.0
// The table of works. A new one is a file that defines hel_bench_work_NAME, and a row here.
#ifndef HEL_BENCH_WORKS_H
#define HEL_BENCH_WORKS_H

#include "bench/run.h"

// In the order in which they run.
#define HEL_BENCH_WORKS(WORK) \
    WORK(read)                \
    WORK(matvec)              \
    WORK(matmul)              \
    WORK(decode)              \
    WORK(prefill)             \
    WORK(fit)                 \
    WORK(assign)              \
    WORK(fftconv)             \
    WORK(fftconv_decode)      \
    WORK(scan)                \
    WORK(hyena)               \
    WORK(compress)

#define HEL_BENCH_WORK_DECLARE(name) extern const hel_bench_work_row hel_bench_work_##name;
HEL_BENCH_WORKS(HEL_BENCH_WORK_DECLARE)
#undef HEL_BENCH_WORK_DECLARE

// NULL-terminated.
extern const hel_bench_work_row *const hel_bench_work_table[];

const hel_bench_work_row *hel_bench_work_find(const char *name); // NULL where there is none

#endif
