// SPDX-License-Identifier: Apache-2.0
#include <helicoid/compress.h>

#include <stdio.h>

#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"

static json_t *report_of(const cli_options *options, const hel_verify_report *report, bool ok) {
    return json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:s}", "file", options->model, "ok", ok, "checksummed",
                     report->checksummed, "tensors", (json_int_t)report->tensors, "files", (json_int_t)report->files,
                     "bytes", (json_int_t)report->bytes, "error", ok ? "" : hel_error_message());
}

int run_verify(const cli_options *options) {
    hel_verify_report report = {0};
    progress_start(options, PROGRESS_BYTES);
    hel_status status = hel_verify(options->model, progress_report, NULL, &report);
    progress_clear();
    bool damaged = status == HEL_ERROR_INTEGRITY || status == HEL_ERROR_FORMAT;
    json_t *json = options->json && (status == HEL_OK || damaged) ? report_of(options, &report, !damaged) : NULL;
    int code = report_status(options, status);
    if (damaged) code = EXIT_INTEGRITY; // a header that cannot be read is damage too
    if (json) {
        int written = report_json(options, json);
        return code == EXIT_OK ? written : code;
    }
    if (code != EXIT_OK || options->quiet) return code;
    char bytes[32];
    printf("%s: ok, %llu tensors in %llu file%s, %s%s\n", options->model, (unsigned long long)report.tensors,
           (unsigned long long)report.files, report.files == 1 ? "" : "s", hel_bytes_text(bytes, report.bytes),
           report.checksummed ? ", all digests match" : "; it carries no digests, so only its structure was checked");
    return report_end(options);
}
