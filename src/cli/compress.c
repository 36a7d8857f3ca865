// SPDX-License-Identifier: Apache-2.0
#include <helicoid/compress.h>

#include <stdio.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/report.h"
#include "cli/sizes.h"
#include "cli/verbs.h"

static hel_compress_params params_of(const cli_options *options) {
    hel_compress_params params = hel_compress_params_default();
    params.k = (uint32_t)options->k;
    params.sidecar = !options->no_sidecar;
    params.packed = options->packed;
    params.fit = strcmp(options->fit, "reference") == 0 ? HEL_FIT_REFERENCE : HEL_FIT_OPTIMAL;
    params.include = options->include;
    params.exclude = options->exclude;
    params.resume = options->resume;
    params.overwrite = options->force;
    params.dry_run = options->dry_run;
    params.threads = (uint32_t)options->threads;
    params.memory_limit = options->memory_limit;
    params.tokenizer = options->tokenizer;
    params.progress = progress_report;
    return params;
}

static model_sizes sizes_in(const hel_compress_report *report) {
    return (model_sizes){report->source_bytes, report->f16_bytes, report->output_bytes};
}

static json_t *tensor_json(const hel_tensor_report *tensor) {
    return json_pack("{s:s, s:s, s:b, s:s, s:i, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "name", tensor->name, "class",
                     tensor->tensor_class, "compressed", tensor->compressed, "reason", tensor->reason, "k",
                     (int)tensor->k, "elements", (json_int_t)tensor->elements, "bytes_before",
                     (json_int_t)tensor->bytes_before, "bytes_after", (json_int_t)tensor->bytes_after, "outliers",
                     (json_int_t)tensor->outliers, "cosine", tensor->cosine, "squared_error", tensor->squared_error,
                     "gap", tensor->gap);
}

static json_t *report_of(const cli_options *options, const hel_compress_report *report) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < report->n_tensors; i++) json_array_append_new(tensors, tensor_json(&report->tensors[i]));
    model_sizes sizes = sizes_in(report);
    json_t *root = sizes_json(&sizes);
    json_t *rest = json_pack("{s:s, s:b, s:I, s:I, s:I, s:f, s:s, s:f, s:f, s:o}", "output",
                             options->output ? options->output : "", "dry_run", options->dry_run, "compressed",
                             (json_int_t)report->compressed, "resumed", (json_int_t)report->resumed, "outliers",
                             (json_int_t)report->outliers, "worst_cosine", report->worst_cosine, "worst_tensor",
                             report->worst_tensor, "squared_error", report->squared_error, "seconds", report->seconds,
                             "tensors", tensors);
    if (root && rest) json_object_update(root, rest);
    json_decref(rest);
    return root;
}

static void print_tensors(const hel_compress_report *report) {
    static const char *const headings[] = {"tensor", "class", ">before", ">after", ">k", ">outliers", ">cosine", "kept"};
    report_table *table = report_table_create(sizeof headings / sizeof headings[0], headings);
    for (size_t i = 0; i < report->n_tensors; i++) {
        const hel_tensor_report *tensor = &report->tensors[i];
        char before[32], after[32];
        report_table_cell(table, "%s", tensor->name);
        report_table_cell(table, "%s", tensor->tensor_class);
        report_table_cell(table, "%s", hel_bytes_text(before, tensor->bytes_before));
        report_table_cell(table, "%s", hel_bytes_text(after, tensor->bytes_after));
        report_table_cell(table, "%u", tensor->k);
        report_table_cell(table, "%llu", (unsigned long long)tensor->outliers);
        report_table_cell(table, "%.7f", tensor->cosine);
        report_table_cell(table, "%s", tensor->reason);
    }
    report_table_print(&table);
}

static int print_report(const cli_options *options, const hel_compress_report *report) {
    if (options->quiet) return EXIT_OK;
    if (options->verbose || options->dry_run) print_tensors(report);
    model_sizes sizes = sizes_in(report);
    sizes_print(&sizes);
    printf("%llu of %zu tensors compressed, %llu values in sidecars, %.1f s\n", (unsigned long long)report->compressed,
           report->n_tensors, (unsigned long long)report->outliers, report->seconds);
    if (report->resumed) printf("%llu tensors taken over from the earlier run\n", (unsigned long long)report->resumed);
    if (report->compressed) printf("worst cosine %.7f (%s)\n", report->worst_cosine, report->worst_tensor);
    return report_end(options);
}

int run_compress(const cli_options *options) {
    if (!options->output && !options->dry_run) return report_usage(options, "give the output with -o OUT");
    hel_compress_params params = params_of(options);
    hel_compress_report report = {0};
    progress_start(options, PROGRESS_BYTES);
    hel_status status = hel_compress(options->model, options->output ? options->output : "", &params, &report);
    progress_clear();
    int code = report_status(options, status);
    if (code == EXIT_INTERRUPTED)
        report_note(options, "the same command with --resume continues it");
    if (code == EXIT_OK)
        code = options->json ? report_json(options, report_of(options, &report)) : print_report(options, &report);
    hel_compress_report_finish(&report);
    return code;
}
