// SPDX-License-Identifier: Apache-2.0
// The table of works: a new one is a file with such a row, and a line here and in works.c.
#ifndef HEL_BENCH_WORKS_H
#define HEL_BENCH_WORKS_H

#include "bench/run.h"

extern const hel_bench_work_row hel_bench_work_read, hel_bench_work_matvec, hel_bench_work_matmul,
    hel_bench_work_decode, hel_bench_work_prefill, hel_bench_work_fit, hel_bench_work_compress;

// NULL-terminated, in the order in which they run.
extern const hel_bench_work_row *const hel_bench_work_table[];

const hel_bench_work_row *hel_bench_work_find(const char *name); // NULL where there is none

#endif
