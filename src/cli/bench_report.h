// SPDX-License-Identifier: Apache-2.0
// What a benchmark found, for people and as JSON.
#ifndef HEL_CLI_BENCH_REPORT_H
#define HEL_CLI_BENCH_REPORT_H

#include <helicoid/bench.h>
#include <jansson.h>

#include "cli/options.h"

json_t *bench_report_json(const cli_options *options, const hel_bench_report *report); // NULL out of memory
// For each work a table of its items, and one of their speeds as multiples of the others'.
void bench_report_print(const hel_bench_report *report);

#endif
