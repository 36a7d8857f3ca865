// SPDX-License-Identifier: Apache-2.0
#include <helicoid/bench.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/bench_report.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

static int print_list(const cli_options *options) {
    static const char *const headings[] = {"work", "what it measures", "settings"};
    json_t *list = json_array();
    report_table *table = options->json ? NULL : report_table_create(3, headings);
    const hel_bench_work *work;
    for (size_t i = 0; (work = hel_bench_work_at(i)); i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", work->name, "summary", work->summary,
                                              "settings", work->settings));
        report_table_cell(table, "%s", work->name);
        report_table_cell(table, "%s", work->summary);
        report_table_cell(table, "%s", work->settings);
    }
    report_table_print(&table);
    int code = options->json ? report_json(options, json_pack("{s:O}", "works", list)) : report_end(options);
    json_decref(list);
    return code;
}

static hel_bench_params params_of(const cli_options *options) {
    hel_bench_params params = hel_bench_params_default();
    params.works = options->arguments;
    params.peers = options->peers;
    params.peers_folder = options->peers_folder;
    params.device = options->device;
    params.precision = runner_precision(options);
    params.tuning = runner_tuning(options);
    params.threads = (uint32_t)options->threads;
    params.rounds = (uint32_t)options->rounds;
    params.peer_rounds = (uint32_t)options->peer_rounds;
    params.peer_seconds = (uint32_t)options->peer_seconds;
    params.data_folder = options->data_folder;
    params.rows = (uint32_t)options->rows;
    params.cols = (uint32_t)options->cols;
    params.columns = (uint32_t)options->columns;
    params.bytes = options->bytes;
    params.count = options->values;
    params.k = (uint32_t)options->bench_k;
    params.dims = (uint32_t)options->dimensions;
    params.channels = (uint32_t)options->channels;
    params.length = (uint32_t)options->length;
    params.taps = (uint32_t)options->taps;
    params.layers = (uint32_t)options->layers;
    params.hidden = (uint32_t)options->hidden;
    params.vocabulary = (uint32_t)options->vocabulary;
    params.tokens = (uint32_t)options->new_tokens;
    params.model = options->bench_model;
    params.progress = progress_report;
    return params;
}

// Under another name first, so that OUT is whole or not there.
static int write_json(const cli_options *options, const json_t *root) {
    size_t size = strlen(options->output) + sizeof ".part";
    char *part = malloc(size);
    if (!part) return report_error(options, EXIT_FAILED, "out of memory");
    snprintf(part, size, "%s.part", options->output);
    FILE *file = hel_os_stream_open(part, "wb");
    bool ok = file && json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0;
    ok = ok && fputc('\n', file) == '\n';
    if (file) ok = fclose(file) == 0 && ok;
    ok = ok && hel_os_stream_replace(part, options->output);
    int code = ok ? EXIT_OK : report_error(options, EXIT_FAILED, "%s: %s", options->output, strerror(errno));
    if (!ok && file) hel_os_stream_remove(part);
    free(part);
    return code;
}

static int show(const cli_options *options, const hel_bench_report *report) {
    json_t *root = bench_report_json(options, report);
    int code = root ? EXIT_OK : report_error(options, EXIT_FAILED, "out of memory");
    if (code == EXIT_OK && options->output) code = write_json(options, root);
    if (code == EXIT_OK && options->json) return report_json(options, root);
    json_decref(root);
    if (code != EXIT_OK) return code;
    bench_report_print(report);
    return report_end(options);
}

int run_bench(const cli_options *options) {
    if (options->list) return print_list(options);
    if (options->output && !options->force && hel_os_path_kind(options->output) != HEL_OS_MISSING)
        return report_error(options, EXIT_FAILED, "%s exists; -f overwrites it", options->output);
    hel_bench_params params = params_of(options);
    hel_bench_report report;
    progress_start(options, PROGRESS_TURNS);
    int code = report_status(options, hel_bench(&params, &report));
    progress_clear();
    if (code != EXIT_OK) return code;
    code = show(options, &report);
    hel_bench_report_finish(&report);
    return code;
}
