// SPDX-License-Identifier: Apache-2.0
// What the program says: results as tables or JSON on standard output, errors in one form on standard error.
#ifndef HEL_CLI_REPORT_H
#define HEL_CLI_REPORT_H

#include <jansson.h>

#include <helicoid/common.h>

#include "base/bytes_text.h"
#include "cli/options.h"

#if defined(__GNUC__)
#define REPORT_FORMAT(index) __attribute__((format(printf, index, index + 1)))
#else
#define REPORT_FORMAT(index)
#endif

// Each says what is wrong and returns the exit code that belongs to it.
int report_usage(const cli_options *options, const char *format, ...) REPORT_FORMAT(2);
int report_error(const cli_options *options, int exit_code, const char *format, ...) REPORT_FORMAT(3);
int report_status(const cli_options *options, hel_status status); // in the library's words; HEL_OK gives EXIT_OK

// A remark that -q silences.
void report_note(const cli_options *options, const char *format, ...) REPORT_FORMAT(2);

// What a run was like; -q silences it too.
void report_info(const cli_options *options, const char *format, ...) REPORT_FORMAT(2);

// Prints and releases `root` (NULL: out of memory), then as report_end.
int report_json(const cli_options *options, json_t *root);
// Flushes standard output: EXIT_OK, or EXIT_FAILED with words where it did not take everything.
int report_end(const cli_options *options);

// Routes the library's messages to standard error, as much of them as -q and -v ask for.
void report_log_start(const cli_options *options);

// A table in columns as wide as their contents. Headings that begin with '>' align their column right.
typedef struct report_table report_table;
report_table *report_table_create(size_t columns, const char *const *headings); // NULL out of memory
void report_table_cell(report_table *table, const char *format, ...) REPORT_FORMAT(2);
void report_table_print(report_table **table); // prints and releases; accepts NULL

#endif
