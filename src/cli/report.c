// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

// ---------------------------------------------------------------- messages

static bool wants_color(const cli_options *options) {
    if (options->color && strcmp(options->color, "auto") != 0) return strcmp(options->color, "always") == 0;
    const char *no_color = getenv("NO_COLOR");
    return hel_os_is_terminal(2) && (!no_color || !*no_color);
}

static void print_message(const cli_options *options, const char *level, const char *message) {
    progress_clear();
    if (options->log_json) {
        json_t *line = json_pack("{s:s, s:s}", "level", level, "message", message);
        if (line) json_dumpf(line, stderr, JSON_COMPACT);
        fputc('\n', stderr);
        json_decref(line);
        return;
    }
    bool red = strcmp(level, "error") == 0 && wants_color(options);
    fprintf(stderr, "%shelicoid%s%s: %s%s\n", red ? "\033[31m" : "", options->verb ? " " : "",
            options->verb ? options->verb->name : "", red ? "\033[0m" : "", message);
}

static void print_formatted(const cli_options *options, const char *level, const char *format, va_list list) {
    char message[2048];
    vsnprintf(message, sizeof message, format, list);
    print_message(options, level, message);
}

int report_error(const cli_options *options, int exit_code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_formatted(options, "error", format, list);
    va_end(list);
    return exit_code;
}

int report_usage(const cli_options *options, const char *format, ...) {
    va_list list;
    va_start(list, format);
    print_formatted(options, "error", format, list);
    va_end(list);
    if (!options->log_json)
        fprintf(stderr, "Try 'helicoid %s%s--help'.\n", options->verb ? options->verb->name : "",
                options->verb ? " " : "");
    return EXIT_USAGE;
}

void report_note(const cli_options *options, const char *format, ...) {
    if (options->quiet) return;
    va_list list;
    va_start(list, format);
    print_formatted(options, "warning", format, list);
    va_end(list);
}

void report_info(const cli_options *options, const char *format, ...) {
    if (options->quiet) return;
    va_list list;
    va_start(list, format);
    print_formatted(options, "info", format, list);
    va_end(list);
}

static int exit_code_of(hel_status status) {
    switch (status) {
    case HEL_OK: return EXIT_OK;
    case HEL_ERROR_ARGUMENT: return EXIT_USAGE;
    case HEL_ERROR_INTEGRITY: return EXIT_INTEGRITY;
    case HEL_ERROR_UNSUPPORTED: return EXIT_UNSUPPORTED;
    case HEL_ERROR_UNAVAILABLE: return EXIT_UNAVAILABLE;
    case HEL_ERROR_CANCELLED: return interrupted() ? EXIT_INTERRUPTED : EXIT_FAILED;
    default: return EXIT_FAILED;
    }
}

int report_status(const cli_options *options, hel_status status) {
    int code = exit_code_of(status);
    if (code == EXIT_OK) return code;
    if (code == EXIT_INTERRUPTED) return report_error(options, code, "interrupted");
    const char *words = hel_error_message();
    if (status == HEL_ERROR_EXISTS && !options->force && options->output && hel_os_path_kind(options->output) != HEL_OS_MISSING)
        return report_error(options, code, "%s; -f overwrites it", words);
    return report_error(options, code, "%s", *words ? words : hel_status_name(status));
}

static void on_log(void *user, hel_log_level level, const char *message) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    print_message(user, names[level], message);
}

void report_log_start(const cli_options *options) {
    // Errors reach the caller as statuses and are printed once, by report_status.
    if (options->quiet) return;
    hel_log_set(on_log, (void *)(uintptr_t)options, options->verbose ? HEL_LOG_INFO : HEL_LOG_WARNING);
}

// ---------------------------------------------------------------- standard output

int report_end(const cli_options *options) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_OK;
    return report_error(options, EXIT_FAILED, "cannot write to standard output: %s", strerror(errno));
}

int report_json(const cli_options *options, json_t *root) {
    if (!root) return report_error(options, EXIT_FAILED, "out of memory");
    progress_clear();
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    fputc('\n', stdout);
    json_decref(root);
    return report_end(options);
}

// ---------------------------------------------------------------- tables

struct report_table {
    size_t columns, count, room; // cells, headings included
    const char *const *headings;
    char **cells;
};

report_table *report_table_create(size_t columns, const char *const *headings) {
    report_table *table = calloc(1, sizeof *table);
    if (table) *table = (report_table){.columns = columns, .headings = headings};
    return table;
}

void report_table_cell(report_table *table, const char *format, ...) {
    if (!table) return;
    if (table->count == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        char **cells = realloc(table->cells, room * sizeof *cells);
        if (!cells) return;
        table->cells = cells;
        table->room = room;
    }
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t size = strlen(text) + 1;
    char *cell = malloc(size);
    if (!cell) return;
    memcpy(cell, text, size);
    table->cells[table->count++] = cell;
}

// Characters of UTF-8, good enough for the columns of names.
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static size_t column_width(const report_table *table, size_t column) {
    size_t width = width_of(table->headings[column] + (table->headings[column][0] == '>'));
    for (size_t i = column; i < table->count; i += table->columns)
        if (width_of(table->cells[i]) > width) width = width_of(table->cells[i]);
    return width;
}

static void print_cell(const char *text, size_t width, bool right, bool last) {
    size_t pad = width > width_of(text) ? width - width_of(text) : 0;
    printf("%*s%s%*s%s", right ? (int)pad : 0, "", text, right || last ? 0 : (int)pad, "", last ? "\n" : "  ");
}

void report_table_print(report_table **address) {
    report_table *table = *address;
    if (!table) return;
    progress_clear();
    size_t rows = table->count / table->columns;
    for (size_t row = 0; row <= rows; row++)
        for (size_t column = 0; column < table->columns; column++) {
            const char *heading = table->headings[column];
            bool right = heading[0] == '>';
            const char *text = row ? table->cells[(row - 1) * table->columns + column] : heading + right;
            print_cell(text, column_width(table, column), right, column + 1 == table->columns);
        }
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
    *address = NULL;
}
