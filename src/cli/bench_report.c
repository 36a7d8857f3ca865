// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/report.h"

// ---------------------------------------------------------------- JSON

static void set_number(json_t *object, const char *key, double value) {
    if (isfinite(value)) json_object_set_new(object, key, json_real(value));
}

static json_t *ratios_json(const hel_bench_report *report, const hel_bench_item *item) {
    json_t *list = json_array();
    for (size_t i = 0; i < item->n_ratios; i++) {
        const hel_bench_ratio *ratio = &item->ratios[i];
        const hel_bench_item *other = &report->items[ratio->to];
        json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:f}", "to", other->name, "by", other->by, "median",
                                              ratio->median, "min", ratio->min, "max", ratio->max));
    }
    return list;
}

static json_t *seconds_json(const hel_bench_item *item) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < item->rounds; i++) json_array_append_new(list, json_real(item->seconds[i]));
    return list;
}

static json_t *item_json(const hel_bench_report *report, const hel_bench_item *item) {
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i}", "work", item->work, "name", item->name, "by", item->by,
                               "version", item->version, "baseline", (int)item->baseline, "rounds", (int)item->rounds);
    if (!object) return NULL;
    set_number(object, "median_seconds", item->median_seconds);
    set_number(object, "min_seconds", item->min_seconds);
    set_number(object, "max_seconds", item->max_seconds);
    set_number(object, "gigabytes_per_second", item->gigabytes_per_second);
    set_number(object, "gflops", item->gflops);
    set_number(object, "tokens_per_second", item->tokens_per_second);
    set_number(object, "signal_to_error_db", item->signal_to_error_db);
    set_number(object, "squared_error", item->squared_error);
    set_number(object, "gap", item->gap);
    json_object_set_new(object, "seconds", seconds_json(item));
    json_object_set_new(object, "ratios", ratios_json(report, item));
    return object;
}

static json_t *command_json(const cli_options *options) {
    json_t *words = json_array();
    json_array_append_new(words, json_string("helicoid"));
    for (int i = 0; i < options->argc; i++) json_array_append_new(words, json_string(options->argv[i]));
    return words;
}

json_t *bench_report_json(const cli_options *options, const hel_bench_report *report) {
    json_t *items = json_array(), *notes = json_array();
    for (size_t i = 0; i < report->n_items; i++) json_array_append_new(items, item_json(report, &report->items[i]));
    for (size_t i = 0; i < report->n_notes; i++) json_array_append_new(notes, json_string(report->notes[i]));
    char date[32] = "";
    time_t seconds = (time_t)report->unix_time;
    const struct tm *utc = gmtime(&seconds);
    if (utc) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", utc);
    json_t *machine = json_pack("{s:s, s:i, s:s, s:I}", "cpu", report->cpu, "cores", (int)report->cores,
                                "instruction_sets", report->instruction_sets, "memory", (json_int_t)report->memory);
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:i, s:o, s:o}", "version", report->version, "date", date, "command",
                     command_json(options), "machine", machine, "device", report->device, "threads",
                     (int)report->threads, "items", items, "notes", notes);
}

// ---------------------------------------------------------------- tables

enum { COLUMNS = 12, CELL = 80 };

static const char *time_text(char text[CELL], double seconds) {
    if (seconds < 1e-3) snprintf(text, CELL, "%.1f us", seconds * 1e6);
    else if (seconds < 1) snprintf(text, CELL, "%.3f ms", seconds * 1e3);
    else snprintf(text, CELL, "%.3f s", seconds);
    return text;
}

// A column that stands there only where some item has a number for it.
typedef struct number_column {
    const char *heading;
    int digits;
    bool significant; // digits in all, not behind the point
    size_t offset;    // in hel_bench_item
} number_column;

static const number_column number_columns[] = {
    {">GB/s", 2, false, offsetof(hel_bench_item, gigabytes_per_second)},
    {">GFLOP/s", 1, false, offsetof(hel_bench_item, gflops)},
    {">tokens/s", 2, false, offsetof(hel_bench_item, tokens_per_second)},
    {">dB", 1, false, offsetof(hel_bench_item, signal_to_error_db)},
    {">squared error", 8, true, offsetof(hel_bench_item, squared_error)},
    {">gap", 2, true, offsetof(hel_bench_item, gap)},
};
enum { NUMBERS = sizeof number_columns / sizeof number_columns[0] };

static double number_of(const hel_bench_item *item, const number_column *column) {
    double value;
    memcpy(&value, (const char *)item + column->offset, sizeof value);
    return value;
}

static void number_cell(report_table *table, const number_column *column, double value) {
    if (!isfinite(value)) report_table_cell(table, "%s", "");
    else if (column->significant) report_table_cell(table, "%.*g", column->digits, value);
    else report_table_cell(table, "%.*f", column->digits, value);
}

// Items first .. end of one work.
static void print_items(const hel_bench_report *report, size_t first, size_t end) {
    const char *headings[COLUMNS] = {report->items[first].work, "by", ">median", ">min", ">max"};
    const number_column *shown[NUMBERS];
    size_t columns = 5, numbers = 0;
    for (size_t c = 0; c < NUMBERS; c++) {
        bool any = false;
        for (size_t i = first; i < end; i++) any |= isfinite(number_of(&report->items[i], &number_columns[c]));
        if (!any) continue;
        shown[numbers++] = &number_columns[c];
        headings[columns++] = number_columns[c].heading;
    }
    report_table *table = report_table_create(columns, headings);
    for (size_t i = first; i < end; i++) {
        const hel_bench_item *item = &report->items[i];
        char text[CELL];
        report_table_cell(table, "%s", item->name);
        report_table_cell(table, "%s", item->by);
        report_table_cell(table, "%s", time_text(text, item->median_seconds));
        report_table_cell(table, "%s", time_text(text, item->min_seconds));
        report_table_cell(table, "%s", time_text(text, item->max_seconds));
        for (size_t c = 0; c < numbers; c++) number_cell(table, shown[c], number_of(item, shown[c]));
    }
    report_table_print(&table);
}

static const hel_bench_ratio *ratio_to(const hel_bench_item *item, size_t other) {
    for (size_t i = 0; i < item->n_ratios; i++)
        if (item->ratios[i].to == other) return &item->ratios[i];
    return NULL;
}

static bool is_compared(const hel_bench_report *report, size_t first, size_t end, size_t other) {
    for (size_t i = first; i < end; i++)
        if (ratio_to(&report->items[i], other)) return true;
    return false;
}

static void print_ratio_row(const hel_bench_report *report, size_t first, size_t end, size_t other,
                            report_table *table) {
    const hel_bench_item *theirs = &report->items[other];
    if (theirs->baseline) report_table_cell(table, "%s", theirs->name);
    else report_table_cell(table, "%s by %s", theirs->name, theirs->by);
    for (size_t i = first; i < end; i++) {
        const hel_bench_ratio *ratio = ratio_to(&report->items[i], other);
        if (ratio) report_table_cell(table, "%.3f (%.3f to %.3f)", ratio->median, ratio->min, ratio->max);
        else if (report->items[i].n_ratios) report_table_cell(table, "%s", "");
    }
}

// A row for each of the others, a column for each of ours.
static void print_ratios(const hel_bench_report *report, size_t first, size_t end) {
    const char **headings = calloc(end - first + 1, sizeof *headings);
    char(*names)[CELL] = calloc(end - first + 1, sizeof *names);
    size_t columns = 0;
    if (headings && names) headings[columns++] = "our speed / theirs";
    for (size_t i = first; columns && i < end; i++)
        if (report->items[i].n_ratios) {
            snprintf(names[columns], sizeof *names, ">%s", report->items[i].name);
            headings[columns] = names[columns];
            columns++;
        }
    if (columns > 1) {
        report_table *table = report_table_create(columns, headings);
        for (size_t other = first; other < end; other++)
            if (is_compared(report, first, end, other)) print_ratio_row(report, first, end, other, table);
        putchar('\n');
        report_table_print(&table);
    }
    free(names);
    free(headings);
}

void bench_report_print(const hel_bench_report *report) {
    printf("%s; %u cores, %s; %u threads on %s\n", report->cpu, report->cores, report->instruction_sets,
           report->threads, report->device);
    const hel_bench_item *items = report->items;
    for (size_t first = 0, end; first < report->n_items; first = end) {
        for (end = first; end < report->n_items && items[end].work == items[first].work; end++) continue;
        putchar('\n');
        print_items(report, first, end);
        print_ratios(report, first, end);
    }
}
