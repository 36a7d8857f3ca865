// SPDX-License-Identifier: Apache-2.0
#include <helicoid/helicoid.h>

#include <stdio.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

static double speed_of(const hel_fftconv_params *sizes, double seconds) {
    return seconds > 0 ? (double)sizes->batch * sizes->channels * sizes->steps / seconds : 0;
}

static json_t *report_of(const cli_options *options, const hel_device *device, const hel_fftconv_params *sizes, double seconds) {
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:s, s:i}", "u",
                     options->arguments[0], "h", options->arguments[1], "output", options->output, "gate_in", options->gate_in,
                     "gate_out", options->gate_out, "bias", options->bias, "dtype", options->dtype, "batch",
                     (json_int_t)sizes->batch, "channels", (json_int_t)sizes->channels, "steps", (json_int_t)sizes->steps,
                     "filters", (json_int_t)sizes->filters, "taps", (json_int_t)sizes->taps, "seconds", seconds,
                     "steps_per_second", speed_of(sizes, seconds), "device", device->backend, "device_index",
                     (int)device->index);
}

static int print_report(const cli_options *options, const hel_device *device, const hel_fftconv_params *sizes, double seconds) {
    if (options->quiet) return EXIT_OK;
    printf("%u x %u rows of %u steps, %u filters of %u taps\n", sizes->batch, sizes->channels, sizes->steps, sizes->filters,
           sizes->taps);
    printf("%.2f s, %.4g steps/s on %s:%u\n", seconds, speed_of(sizes, seconds), device->backend, device->index);
    return report_end(options);
}

static int run_on(const cli_options *options, const hel_device *device) {
    hel_fftconv_files files = {options->arguments[0], options->arguments[1], options->gate_in, options->gate_out, options->bias,
                               options->output};
    hel_fftconv_params params = hel_fftconv_params_default(), sizes;
    params.dtype = strcmp(options->dtype, "bf16") ? HEL_FFTCONV_F32 : HEL_FFTCONV_BF16;
    params.progress = progress_report;
    progress_start(options, PROGRESS_ROWS);
    double start = hel_os_seconds();
    hel_status status = hel_fftconv_file(device, &files, options->force, &params, &sizes);
    double seconds = hel_os_seconds() - start;
    progress_clear();
    int code = report_status(options, status);
    if (code != EXIT_OK) return code;
    return options->json ? report_json(options, report_of(options, device, &sizes, seconds))
                         : print_report(options, device, &sizes, seconds);
}

int run_fftconv(const cli_options *options) {
    if (!options->output) return report_usage(options, "give the output with -o Y.npy");
    return runner_on_device(options, run_on);
}
