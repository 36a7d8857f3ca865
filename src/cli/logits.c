// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/npy_header.h"
#include "base/os_console.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

// An array file being written row by row, under a temporary name until it is whole.
typedef struct array_file {
    const char *path;
    char *temporary; // NULL where `path` is written directly: standard output, pipes, devices
    FILE *file;
    uint32_t columns;
    int cause; // errno of the first failure
} array_file;

static void write_bytes(array_file *to, const void *bytes, size_t size) {
    if (!to->cause && fwrite(bytes, 1, size, to->file) != size) to->cause = errno ? errno : EIO;
}

static int array_open(const cli_options *options, const char *path, array_file *out) {
    hel_os_kind kind = hel_os_path_kind(path);
    *out = (array_file){.path = path, .file = stdout};
    if (strcmp(path, "-") == 0) return EXIT_OK;
    if (kind != HEL_OS_MISSING && !options->force)
        return report_error(options, EXIT_FAILED, "%s exists; -f overwrites it", path);
    if (kind != HEL_OS_OTHER) {
        size_t size = strlen(path) + sizeof ".part";
        if (!(out->temporary = malloc(size))) return report_error(options, EXIT_FAILED, "out of memory");
        snprintf(out->temporary, size, "%s.part", path);
    }
    out->file = hel_os_stream_open(out->temporary ? out->temporary : path, "wb");
    if (out->file) return EXIT_OK;
    int cause = errno;
    free(out->temporary);
    return report_error(options, EXIT_FAILED, "%s: %s", path, strerror(cause));
}

static void array_header(array_file *to, uint32_t rows, uint32_t columns) {
    char header[HEL_NPY_HEADER + 1];
    hel_npy_header("<f4", 2, (const uint64_t[]){rows, columns}, header);
    to->columns = columns;
    write_bytes(to, header, HEL_NPY_HEADER);
}

static bool on_logits(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)first;
    array_file *to = user;
    write_bytes(to, logits, (size_t)count * to->columns * sizeof *logits);
    return !to->cause && !interrupted();
}

// Renames the finished file into place, or removes it. `code` is what went before.
static int array_close(const cli_options *options, array_file *to, int code) {
    bool standard = to->file == stdout;
    if ((standard ? fflush(to->file) : fclose(to->file)) != 0 && !to->cause) to->cause = errno;
    if (to->temporary && code == EXIT_OK && !to->cause && !hel_os_stream_replace(to->temporary, to->path))
        to->cause = errno;
    if (to->temporary && (code != EXIT_OK || to->cause)) hel_os_stream_remove(to->temporary);
    free(to->temporary);
    if (!to->cause) return code;
    return report_error(options, EXIT_FAILED, "%s: %s", standard ? "standard output" : to->path, strerror(to->cause));
}

static int write_logits(const cli_options *options, const hel_model *model, const uint32_t *ids, uint32_t count) {
    hel_model_info info;
    hel_model_describe(model, &info);
    hel_context_params shape = hel_context_params_default();
    shape.capacity = count;
    hel_context *context = NULL;
    int code = report_status(options, hel_context_create(model, &shape, &context));
    array_file to;
    if (code == EXIT_OK) code = array_open(options, options->output, &to);
    if (code != EXIT_OK) {
        hel_context_destroy(&context);
        return code;
    }
    uint32_t outputs = info.labels ? info.labels : info.vocabulary;
    array_header(&to, count, outputs);
    hel_status status = hel_context_evaluate(context, ids, count, 0, on_logits, &to);
    code = array_close(options, &to, to.cause ? EXIT_FAILED : report_status(options, status));
    hel_context_destroy(&context);
    if (code == EXIT_OK && options->json && to.file != stdout)
        code = report_json(options, json_pack("{s:s, s:[i, i]}", "output", options->output, "shape", (int)count,
                                              (int)outputs));
    return code;
}

int run_logits(const cli_options *options) {
    if (!options->prompt == !options->tokens) return report_usage(options, "give either --tokens IDS or -p TEXT");
    if (!options->output) return report_usage(options, "give the output with -o OUT.npy");
    hel_model *model = NULL;
    uint32_t *ids = NULL, count = 0;
    int code = runner_load(options, options->model, &model);
    if (code == EXIT_OK) code = input_tokens(options, hel_model_tokenizer(model), &ids, &count);
    if (code == EXIT_OK && count == 0) code = report_usage(options, "there are no tokens");
    if (code == EXIT_OK) code = write_logits(options, model, ids, count);
    free(ids);
    hel_model_destroy(&model);
    return code;
}
