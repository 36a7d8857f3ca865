// SPDX-License-Identifier: Apache-2.0
#include <helicoid/helicoid.h>

#include <stdio.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

static hel_kmeans_empty empty_of(const char *name) {
    static const char *const names[] = {[HEL_KMEANS_EMPTY_SPLIT] = "split", [HEL_KMEANS_EMPTY_FARTHEST] = "farthest",
                                        [HEL_KMEANS_EMPTY_KEEP] = "keep"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) return (hel_kmeans_empty)i;
    return HEL_KMEANS_EMPTY_ERROR;
}

static hel_kmeans_params params_of(const cli_options *options) {
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = (uint32_t)options->k;
    params.iterations = (uint32_t)options->iterations;
    params.tolerance = options->tolerance;
    params.start = strcmp(options->start, "sample") == 0 ? HEL_KMEANS_START_SAMPLE : HEL_KMEANS_START_PLUSPLUS;
    params.empty = empty_of(options->empty);
    params.seed = options->seed;
    params.exact = options->exact;
    params.progress = progress_report;
    return params;
}

// Every iteration labels all points, and so does the start.
static double speed_of(const hel_kmeans_result *result, double seconds) {
    return seconds > 0 ? (double)result->n * (result->iterations + 1.0) / seconds : 0;
}

static json_t *report_of(const cli_options *options, const hel_device *device, const hel_kmeans_result *result,
                         double seconds) {
    return json_pack("{s:s, s:s, s:s?, s:I, s:i, s:i, s:b, s:i, s:b, s:i, s:f, s:f, s:f, s:s, s:i}", "data", options->model,
                     "output", options->output, "labels", options->labels, "points", (json_int_t)result->n, "d",
                     (int)result->d, "k", (int)result->k, "exact", options->exact, "iterations", (int)result->iterations,
                     "converged", result->converged, "empty", (int)result->empty, "squared_error", result->squared_error,
                     "seconds", seconds, "points_per_second", speed_of(result, seconds), "device", device->backend,
                     "device_index", (int)device->index);
}

static int print_report(const cli_options *options, const hel_device *device, const hel_kmeans_result *result,
                        double seconds) {
    if (options->quiet) return EXIT_OK;
    printf("%llu points of %u to %u centroids: squared error %.9g, %.6g a point\n", (unsigned long long)result->n, result->d,
           result->k, result->squared_error, result->squared_error / (double)result->n);
    printf("%u iterations, %s, %u empty clusters\n", result->iterations, result->converged ? "converged" : "not converged",
           result->empty);
    printf("%.2f s, %.4g points/s on %s:%u\n", seconds, speed_of(result, seconds), device->backend, device->index);
    return report_end(options);
}

int run_kmeans(const cli_options *options) {
    if (!options->output) return report_usage(options, "give the output with -o CODEBOOK.npy");
    hel_kmeans_params params = params_of(options);
    hel_kmeans_result result = {0};
    const hel_device *device = NULL;
    int code = runner_open_device(options, &device);
    if (code != EXIT_OK) return code;
    progress_start(options, PROGRESS_POINTS);
    double start = hel_os_seconds();
    hel_status status = hel_kmeans_file(device, options->model, (uint32_t)options->dimensions, options->output,
                                        options->labels, options->force, &params, &result);
    double seconds = hel_os_seconds() - start;
    progress_clear();
    code = report_status(options, status);
    if (code == EXIT_OK && options->json) code = report_json(options, report_of(options, device, &result, seconds));
    else if (code == EXIT_OK) code = print_report(options, device, &result, seconds);
    hel_kmeans_result_finish(&result);
    hel_device_destroy(&device);
    return code;
}
