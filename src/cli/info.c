// SPDX-License-Identifier: Apache-2.0
// The library describes the file as JSON; --json passes that on, otherwise it becomes a summary and a table.
#include <helicoid/compress.h>

#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "cli/verbs.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long whole_of(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_summary(const json_t *root) {
    const json_t *totals = json_object_get(root, "totals"), *config = json_object_get(root, "config");
    char bytes[32];
    printf("%s: %s", text_of(root, "path"), text_of(root, "format"));
    if (json_object_get(config, "model_type"))
        printf(", %s, %lld layers, %lld wide, vocabulary %lld", text_of(config, "model_type"),
               whole_of(config, "num_hidden_layers"), whole_of(config, "hidden_size"), whole_of(config, "vocab_size"));
    printf("\n%lld tensors, %lld parameters, %s, ratio to f16 %.2f, to f32 %.2f\n", whole_of(totals, "tensors"),
           whole_of(totals, "parameters"), hel_bytes_text(bytes, (uint64_t)whole_of(totals, "file_bytes")),
           json_number_value(json_object_get(totals, "ratio_f16")),
           json_number_value(json_object_get(totals, "ratio_f32")));
    if (whole_of(totals, "compressed"))
        printf("%lld matrices compressed, %lld values in sidecars\n", whole_of(totals, "compressed"),
               whole_of(totals, "sidecar"));
    if (text_of(root, "note")[0]) printf("%s\n", text_of(root, "note"));
}

static void shape_text(const json_t *shape, char *text, size_t size) {
    text[0] = 0;
    for (size_t i = 0, at = 0; i < json_array_size(shape) && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? " x %lld" : "%lld",
                               (long long)json_integer_value(json_array_get(shape, i)));
}

// Empty where the tensor has no such number.
static void count_cell(report_table *table, const json_t *tensor, const char *key) {
    if (json_object_get(tensor, key)) report_table_cell(table, "%lld", whole_of(tensor, key));
    else report_table_cell(table, "%s", "");
}

static void print_tensors(const json_t *tensors) {
    static const char *const headings[] = {"tensor", "shape", "type", "class", ">k", ">bits", ">sidecar", ">bytes"};
    report_table *table = report_table_create(sizeof headings / sizeof headings[0], headings);
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *tensor = json_array_get(tensors, i);
        char shape[128], bytes[32];
        shape_text(json_object_get(tensor, "shape"), shape, sizeof shape);
        report_table_cell(table, "%s", text_of(tensor, "name"));
        report_table_cell(table, "%s", shape);
        report_table_cell(table, "%s", text_of(tensor, "stored_as"));
        report_table_cell(table, "%s", text_of(tensor, "class"));
        count_cell(table, tensor, "k");
        count_cell(table, tensor, "index_bits");
        count_cell(table, tensor, "sidecar");
        report_table_cell(table, "%s", hel_bytes_text(bytes, (uint64_t)whole_of(tensor, "bytes")));
    }
    report_table_print(&table);
}

int run_info(const cli_options *options) {
    char *text = NULL;
    int code = report_status(options, hel_info_json(options->model, &text));
    if (code != EXIT_OK) return code;
    json_t *root = json_loads(text, 0, NULL);
    hel_info_free(text);
    if (options->json || !root) return report_json(options, root);
    print_summary(root);
    if (!options->quiet) print_tensors(json_object_get(root, "tensors"));
    json_decref(root);
    return report_end(options);
}
