// SPDX-License-Identifier: Apache-2.0
#include <helicoid/helicoid.h>

#include <stdio.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

// What there is to say of a run.
typedef struct hyena_run {
    hel_hyena_info info;
    uint64_t steps; // of all sequences
    double seconds;
} hyena_run;

static bool on_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    ((hyena_run *)user)->steps = total;
    return progress_report(NULL, stage, done, total);
}

static double speed_of(const hyena_run *run) { return run->seconds > 0 ? (double)run->steps / run->seconds : 0; }

static json_t *report_of(const cli_options *options, const hel_device *device, const hyena_run *run) {
    return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:i, s:i, s:i, s:f, s:f, s:s, s:i}", "x", options->arguments[0], "operator",
                     options->arguments[1], "prefix", options->prefix, "output", options->output, "steps",
                     (json_int_t)run->steps, "width", (int)run->info.width, "order", (int)run->info.order, "longest",
                     (int)run->info.max_length, "seconds", run->seconds, "steps_per_second", speed_of(run), "device",
                     device->backend, "device_index", (int)device->index);
}

static int print_report(const cli_options *options, const hel_device *device, const hyena_run *run) {
    if (options->quiet) return EXIT_OK;
    printf("%llu steps of width %u through an operator of order %u, whose filters have %u taps\n", (unsigned long long)run->steps,
           run->info.width, run->info.order, run->info.max_length);
    printf("%.2f s, %.4g steps/s on %s:%u\n", run->seconds, speed_of(run), device->backend, device->index);
    return report_end(options);
}

static hel_hyena_params params_of(const cli_options *options, hyena_run *run) {
    hel_hyena_params params = hel_hyena_params_default();
    params.prefix = options->prefix;
    params.max_length = (uint32_t)options->longest;
    params.sine_frequency = options->sine_frequency;
    params.fast_decay = options->fast_decay;
    params.slow_decay = options->slow_decay;
    params.decay_target = options->decay_target;
    params.shift = options->shift;
    params.progress = on_progress;
    params.user = run;
    return params;
}

static int run_on(const cli_options *options, const hel_device *device) {
    hyena_run run = {.steps = 0};
    hel_hyena_params params = params_of(options, &run);
    hel_hyena *hyena = NULL;
    int code = report_status(options, hel_hyena_create(device, options->arguments[1], &params, &hyena));
    if (code != EXIT_OK) return code;
    hel_hyena_describe(hyena, &run.info);
    progress_start(options, PROGRESS_STEPS);
    double start = hel_os_seconds();
    hel_status status = hel_hyena_forward_file(hyena, options->arguments[0], options->output, options->force);
    run.seconds = hel_os_seconds() - start;
    progress_clear();
    hel_hyena_destroy(&hyena);
    code = report_status(options, status);
    if (code != EXIT_OK) return code;
    return options->json ? report_json(options, report_of(options, device, &run)) : print_report(options, device, &run);
}

int run_hyena(const cli_options *options) {
    if (!options->output) return report_usage(options, "give the output with -o Y.npy");
    return runner_on_device(options, run_on);
}
