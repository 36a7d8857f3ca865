// SPDX-License-Identifier: Apache-2.0
#include "cli/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/report.h"

hel_tuning runner_tuning(const cli_options *options) {
    if (strcmp(options->tune, "never") == 0) return HEL_TUNING_NEVER;
    return strcmp(options->tune, "always") == 0 ? HEL_TUNING_ALWAYS : HEL_TUNING_AUTO;
}

hel_precision runner_precision(const cli_options *options) {
    if (strcmp(options->precision, "exact") == 0) return HEL_PRECISION_EXACT;
    return strcmp(options->precision, "bf16") == 0 ? HEL_PRECISION_BF16 : HEL_PRECISION_F32;
}

int runner_open_device(const cli_options *options, const hel_device **out) {
    hel_device_params params = hel_device_params_default();
    params.threads = (uint32_t)options->threads;
    params.memory_limit = options->memory_limit;
    hel_status status = options->device ? hel_device_open(options->device, &params, out) : hel_device_open_best(&params, out);
    return report_status(options, status);
}

int runner_on_device(const cli_options *options, int (*run)(const cli_options *options, const hel_device *device)) {
    const hel_device *device = NULL;
    int code = runner_open_device(options, &device);
    if (code == EXIT_OK) code = run(options, device);
    hel_device_destroy(&device);
    return code;
}

int runner_load(const cli_options *options, const char *path, hel_model **out) {
    hel_model_params params = hel_model_params_default();
    params.devices = options->device;
    params.gpu_layers = (uint32_t)options->gpu_layers;
    params.threads = (uint32_t)options->threads;
    params.memory_limit = options->memory_limit;
    params.precision = runner_precision(options);
    params.tuning = runner_tuning(options);
    params.tokenizer = options->tokenizer;
    params.progress = progress_report;
    progress_start(options, PROGRESS_BYTES);
    hel_status status = hel_model_load(path, &params, out);
    progress_clear();
    return report_status(options, status);
}

char *runner_devices(const hel_model *model) {
    hel_model_info info;
    hel_model_describe(model, &info);
    size_t room = 64 * (size_t)(info.devices + 1), size = 0;
    char *text = calloc(1, room);
    for (uint32_t i = 0; text && i < info.devices; i++) {
        const hel_device *device = hel_model_device(model, i);
        size += (size_t)snprintf(text + size, room - size, "%s%s", i ? "," : "", device->backend);
        if (strcmp(device->backend, "cpu") != 0) // there is only one
            size += (size_t)snprintf(text + size, room - size, ":%u", device->index);
    }
    return text;
}

uint64_t runner_device_peak(const hel_model *model) {
    hel_model_info info;
    hel_model_describe(model, &info);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < info.devices; i++) {
        uint64_t used, peak;
        hel_device_memory(hel_model_device(model, i), &used, &peak);
        sum += peak;
    }
    return sum;
}
