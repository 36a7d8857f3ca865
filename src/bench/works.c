// SPDX-License-Identifier: Apache-2.0
#include "bench/works.h"

#include <string.h>

#include "base/size.h"

#define ADDRESS(name) &hel_bench_work_##name,
const hel_bench_work_row *const hel_bench_work_table[] = {HEL_BENCH_WORKS(ADDRESS) NULL};

const hel_bench_work_row *hel_bench_work_find(const char *name) {
    for (size_t i = 0; hel_bench_work_table[i]; i++)
        if (strcmp(hel_bench_work_table[i]->about.name, name) == 0) return hel_bench_work_table[i];
    return NULL;
}

const hel_bench_work *hel_bench_work_at(size_t index) {
    if (index >= HEL_COUNT(hel_bench_work_table) - 1) return NULL;
    return &hel_bench_work_table[index]->about;
}
