// SPDX-License-Identifier: Apache-2.0
#include "bench/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

enum { WORDS = 512 };

hel_bench_entry *hel_bench_add(hel_bench_run *run, const char *by, const char *name) {
    hel_bench_entry *grown = hel_resize(run->entries, (run->n_entries + 1) * sizeof *grown);
    double *seconds = hel_alloc_zero(run->params.rounds, sizeof *seconds);
    if (grown) run->entries = grown;
    if (!grown || !seconds) {
        hel_free(seconds);
        hel_fail_memory(sizeof *grown);
        return NULL;
    }
    hel_bench_entry *entry = &grown[run->n_entries++];
    *entry = (hel_bench_entry){.seconds = seconds, .measure = {.error_db = NAN, .squared_error = NAN, .gap = NAN}};
    snprintf(entry->name, sizeof entry->name, "%s", name);
    snprintf(entry->by, sizeof entry->by, "%s", by);
    snprintf(entry->version, sizeof entry->version, "%s", hel_version());
    return entry;
}

void hel_bench_clear(hel_bench_run *run) {
    for (size_t i = 0; i < run->n_entries; i++) hel_free(run->entries[i].seconds);
    hel_free(run->entries);
    run->entries = NULL;
    run->n_entries = 0;
    hel_text_clear(&run->settings);
}

void hel_bench_note(hel_bench_run *run, const char *format, ...) {
    char words[WORDS];
    va_list list;
    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    for (char *at = words; *at; at++)
        if ((unsigned char)*at >= 0x80) *at = '?'; // peers say anything, and what is cut off may end within a character
    hel_log(HEL_LOG_WARNING, "%s", words);
    hel_bench_report *report = run->report;
    char *copy = hel_string_copy(words), **grown = hel_resize(report->notes, (report->n_notes + 1) * sizeof *grown);
    if (grown) report->notes = grown;
    if (grown && copy) report->notes[report->n_notes++] = copy; // out of memory the warning must do
    else hel_free(copy);
}

void hel_bench_tell(hel_bench_run *run, const char *name, uint64_t value) {
    hel_text_print(&run->settings, "set %s %llu\n", name, (unsigned long long)value);
}

hel_status hel_bench_ask(hel_bench_run *run, const char *item, uint64_t done, uint64_t total) {
    char stage[2 * HEL_BENCH_NAME + 2];
    snprintf(stage, sizeof stage, "%s %s", run->work ? run->work : "bench", item);
    if (!run->params.progress || run->params.progress(run->params.user, stage, done, total)) return HEL_OK;
    return hel_fail(HEL_ERROR_CANCELLED, "measuring was cancelled");
}

hel_status hel_bench_path(const hel_bench_run *run, const char *name, char **out) {
    return hel_path_join(run->folder, name, out);
}

double hel_bench_now(void) { return 1e-9 * (double)hel_os_time_ns(); }
