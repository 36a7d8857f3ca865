// SPDX-License-Identifier: Apache-2.0
#include <helicoid/device.h>

#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "cli/verbs.h"

static const char *type_name(hel_device_type type) {
    static const char *const names[] = {"none", "cpu", "integrated", "discrete", "software"};
    return names[type];
}

typedef struct feature_name {
    const char *name;
    bool present;
} feature_name;

enum { FEATURES = 6 };

static void features_of(const hel_device_features *features, feature_name out[FEATURES]) {
    out[0] = (feature_name){"mapped", features->mapped};
    out[1] = (feature_name){"timers", features->timers};
    out[2] = (feature_name){"transfer_queue", features->transfer_queue};
    out[3] = (feature_name){"recording", features->recording};
    out[4] = (feature_name){"matrix_bf16", features->matrix_bf16};
    out[5] = (feature_name){"scalar", features->scalar};
}

// Whether `name` ("vulkan" or "vulkan:1") means this entry; NULL means every one.
static bool is_named(const hel_device *device, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s:%u", device->backend, device->index);
    return !name || strcmp(name, device->backend) == 0 || strcmp(name, full) == 0;
}

static json_t *entry_json(const hel_device_entry *entry) {
    const hel_device *device = &entry->device;
    json_t *features = json_array();
    feature_name names[FEATURES];
    features_of(&device->features, names);
    for (int i = 0; i < FEATURES; i++)
        if (names[i].present) json_array_append_new(features, json_string(names[i].name));
    return json_pack("{s:s, s:i, s:b, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:o}", "backend",
                     device->backend, "index", (int)device->index, "usable", entry->status == HEL_OK, "reason",
                     entry->reason, "type", type_name(device->type), "name", device->name, "vendor", device->vendor,
                     "driver", device->driver, "memory", (json_int_t)device->limits.memory, "max_buffer",
                     (json_int_t)device->limits.max_buffer, "shared_memory", (int)device->limits.shared_memory,
                     "subgroup", (int)device->limits.subgroup, "compute_units", (int)device->limits.compute_units,
                     "tuned", (int)entry->tuned, "features", features);
}

static void add_row(report_table *table, const hel_device_entry *entry) {
    const hel_device *device = &entry->device;
    char bytes[32], words[96] = "";
    feature_name names[FEATURES];
    features_of(&device->features, names);
    for (int i = 0; i < FEATURES; i++)
        if (names[i].present)
            snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", *words ? " " : "", names[i].name);
    report_table_cell(table, "%s:%u", device->backend, device->index);
    report_table_cell(table, "%s", type_name(device->type));
    report_table_cell(table, "%s", device->name);
    report_table_cell(table, "%s", device->driver);
    report_table_cell(table, "%s", device->limits.memory ? hel_bytes_text(bytes, device->limits.memory) : "?");
    report_table_cell(table, "%u", device->limits.subgroup);
    report_table_cell(table, "%u", entry->tuned);
    report_table_cell(table, "%s", words);
}

static int print_entries(const cli_options *options, const hel_device_entry *entries, size_t count) {
    static const char *const headings[] = {"device", "type", "name", "driver", ">memory", ">subgroup", ">tuned", "features"};
    report_table *table = report_table_create(sizeof headings / sizeof headings[0], headings);
    for (size_t i = 0; i < count; i++)
        if (entries[i].status == HEL_OK && is_named(&entries[i].device, options->device)) add_row(table, &entries[i]);
    report_table_print(&table);
    for (size_t i = 0; i < count; i++)
        if (entries[i].status != HEL_OK && is_named(&entries[i].device, options->device))
            printf("%s:%u cannot be used: %s\n", entries[i].device.backend, entries[i].device.index, entries[i].reason);
    return report_end(options);
}

int run_devices(const cli_options *options) {
    hel_device_entry *entries;
    size_t count, usable = 0;
    int code = report_status(options, hel_device_list(&entries, &count));
    if (code != EXIT_OK) return code;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!is_named(&entries[i].device, options->device)) continue;
        usable += entries[i].status == HEL_OK;
        json_array_append_new(list, entry_json(&entries[i]));
    }
    if (json_array_size(list)) // none answers to a wrong name: then the error alone
        code = options->json ? report_json(options, json_pack("{s:O}", "devices", list))
                             : print_entries(options, entries, count);
    json_decref(list);
    hel_device_list_free(&entries);
    if (code == EXIT_OK && options->device && !usable)
        code = report_error(options, EXIT_UNAVAILABLE, "no usable device is called %s", options->device);
    return code;
}
