// SPDX-License-Identifier: Apache-2.0
#include <helicoid/compress.h>

#include <stdio.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/report.h"
#include "cli/sizes.h"
#include "cli/verbs.h"

static hel_export_dtype dtype_of(const char *name) {
    static const struct { const char *name; hel_export_dtype dtype; } names[] = {
        {"f32", HEL_EXPORT_F32}, {"f16", HEL_EXPORT_F16}, {"bf16", HEL_EXPORT_BF16}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, name) == 0) return names[i].dtype;
    return HEL_EXPORT_NATIVE;
}

int run_export(const cli_options *options) {
    if (!options->output) return report_usage(options, "give the output with -o OUT");
    hel_export_params params = hel_export_params_default();
    params.dtype = dtype_of(options->dtype);
    params.overwrite = options->force;
    params.tokenizer = options->tokenizer;
    params.progress = progress_report;
    uint64_t bytes = 0;
    progress_start(options, PROGRESS_BYTES);
    int code = report_status(options, hel_export(options->model, options->output, &params, &bytes));
    progress_clear();
    model_sizes sizes;
    if (code == EXIT_OK && !sizes_of(options->model, bytes, &sizes))
        code = report_error(options, EXIT_FAILED, "%s", hel_error_message());
    if (code != EXIT_OK) return code;
    if (options->json) {
        json_t *root = sizes_json(&sizes);
        if (root) json_object_set_new(root, "output", json_string(options->output));
        return report_json(options, root);
    }
    if (!options->quiet) sizes_print(&sizes);
    return report_end(options);
}
