// SPDX-License-Identifier: Apache-2.0
// hel_bench: settings, the works in order, the report.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/peer.h"
#include "bench/read.h"
#include "bench/works.h"

enum { DEFAULT_ROUNDS = 11, DEFAULT_PEER_SECONDS = 1800, PATH_ROOM = 4096 };

static const hel_bench_params defaults = {.struct_size = sizeof(hel_bench_params), .tuning = HEL_TUNING_AUTO};

void hel_bench_params_init(hel_bench_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

// ---------------------------------------------------------------- settings

static bool is_wanted(const hel_bench_params *params, const char *name) {
    if (!params->works || !params->works[0]) return true;
    for (const char *const *wanted = params->works; *wanted; wanted++)
        if (strcmp(*wanted, name) == 0) return true;
    return false;
}

static hel_status check_codes(const hel_bench_params *params) {
    uint32_t k = params->k;
    if (k == 0 || k == 256 || k == 64 || k == 32 || k == 16) return HEL_OK;
    if (k > 65536) return hel_fail(HEL_ERROR_ARGUMENT, "k is %u, at most 65536 are possible", k);
    for (const hel_bench_work_row *const *row = hel_bench_work_table; *row; row++)
        if (is_wanted(params, (*row)->about.name) && !(*row)->any_k)
            return hel_fail(HEL_ERROR_ARGUMENT, "k is %u, possible for %s are 256, 64, 32 and 16", k, (*row)->about.name);
    return HEL_OK;
}

static hel_status check_params(const hel_bench_params *params) {
    for (const char *const *name = params->works; name && *name; name++)
        if (!hel_bench_work_find(*name)) return hel_fail(HEL_ERROR_ARGUMENT, "there is no work \"%s\"", *name);
    HEL_TRY(check_codes(params));
    if (params->layers > 1000 || params->hidden > 65536 || params->vocabulary > 1 << 24 || params->rows > 1 << 30 ||
        params->cols > 1 << 30 || params->columns > 1 << 20 || params->dims > 512 ||
        params->channels > 1 << 16 || params->length > 1 << 22 || params->taps > 1 << 22)
        return hel_fail(HEL_ERROR_ARGUMENT, "layers go to 1000, hidden to 65536, vocabulary to 2^24, rows and cols to 2^30, "
                                            "columns to 2^20, dims to 512, channels to 65536, length and taps to 2^22");
    return HEL_OK;
}

// `folder` has PATH_ROOM bytes and lives as long as the run.
static hel_status complete_params(hel_bench_params *params, char *folder) {
    if (!params->rounds) params->rounds = DEFAULT_ROUNDS;
    if (!params->peer_rounds || params->peer_rounds > params->rounds) params->peer_rounds = params->rounds;
    if (!params->peer_seconds) params->peer_seconds = DEFAULT_PEER_SECONDS;
    if (!params->threads) params->threads = hel_os_cpu_count();
    if (params->data_folder) return hel_bench_folder_create(params->data_folder);
    char cache[PATH_ROOM - 32];
    hel_os_cache_directory(cache, sizeof cache);
    if (!*cache) return hel_fail(HEL_ERROR_NOT_FOUND, "name a folder for data: the user has no cache directory");
    snprintf(folder, PATH_ROOM, "%s/helicoid/bench", cache);
    params->data_folder = folder;
    return hel_bench_folder_create(folder);
}

static hel_status make_folder(hel_bench_run *run) {
    char name[64];
    snprintf(name, sizeof name, "run-%u-%llu", hel_os_process_id(), (unsigned long long)hel_os_time_ns());
    HEL_TRY(hel_path_join(run->params.data_folder, name, &run->folder));
    return hel_bench_folder_create(run->folder);
}

// ---------------------------------------------------------------- the machine

static hel_status describe_host(hel_bench_report *report) {
    hel_device_entry *entries;
    size_t count;
    HEL_TRY(hel_device_list(&entries, &count));
    for (size_t i = 0; i < count; i++)
        if (entries[i].device.type == HEL_DEVICE_TYPE_CPU)
            snprintf(report->instruction_sets, sizeof report->instruction_sets, "%s", entries[i].device.driver);
    hel_device_list_free(&entries);
    return HEL_OK;
}

static hel_status describe(hel_bench_run *run) {
    hel_bench_report *report = run->report;
    const hel_device *device = run->device;
    hel_os_cpu_name(report->cpu, sizeof report->cpu);
    report->cores = hel_os_cpu_count();
    report->threads = run->params.threads;
    report->memory = hel_os_memory_total();
    report->version = hel_version();
    report->unix_time = hel_os_unix_time();
    snprintf(report->device, sizeof report->device, "%s:%u (%.80s, %.80s)", device->backend, device->index,
             device->name, device->driver);
    if (device->type != HEL_DEVICE_TYPE_CPU) return describe_host(report);
    snprintf(report->instruction_sets, sizeof report->instruction_sets, "%s", device->driver);
    return HEL_OK;
}

// ---------------------------------------------------------------- works

static hel_status time_work(hel_bench_run *run, const hel_bench_work_row *row, void **state) {
    hel_bench_peers *peers = NULL;
    hel_status status;
    HEL_TRY_DONE(hel_bench_ask(run, "preparing", 0, 1));
    HEL_TRY_DONE(hel_bench_add_read(run));
    HEL_TRY_DONE(row->prepare(run, state));
    HEL_TRY_DONE(hel_bench_peers_open(run, &peers));
    status = hel_bench_rounds(run);
done:
    hel_bench_peers_close(&peers);
    return status;
}

static hel_status run_work(hel_bench_run *run, const hel_bench_work_row *row) {
    void *state = NULL;
    run->work = row->about.name;
    hel_status status = time_work(run, row, &state);
    if (row->finish) row->finish(run, state);
    if (status == HEL_OK) status = hel_bench_record(run);
    hel_bench_clear(run);
    return status;
}

static hel_status run_works(hel_bench_run *run) {
    hel_device_params device = hel_device_params_default();
    device.threads = run->params.threads;
    device.precision = run->params.precision;
    HEL_TRY(hel_bench_peers_check(run));
    HEL_TRY(run->params.device ? hel_device_open(run->params.device, &device, &run->device)
                               : hel_device_open_best(&device, &run->device));
    HEL_TRY(describe(run));
    HEL_TRY(make_folder(run));
    HEL_TRY(hel_bench_reader_open(run));
    for (const hel_bench_work_row *const *row = hel_bench_work_table; *row; row++)
        if (is_wanted(&run->params, (*row)->about.name)) HEL_TRY(run_work(run, *row));
    return HEL_OK;
}

hel_status hel_bench(const hel_bench_params *params, hel_bench_report *report) {
    HEL_REQUIRE(report);
    *report = (hel_bench_report){0};
    hel_bench_run run = {.params = defaults, .report = report};
    char folder[PATH_ROOM];
    HEL_TRY(HEL_PARAMS_READ(params, &run.params, "hel_bench_params"));
    HEL_TRY(check_params(&run.params));
    HEL_TRY(complete_params(&run.params, folder));
    hel_status status = run_works(&run);
    hel_bench_reader_close(&run);
    hel_device_destroy(&run.device);
    if (run.folder) hel_bench_folder_remove(run.folder);
    hel_free(run.folder);
    hel_text_finish(&run.settings);
    if (status != HEL_OK) hel_bench_report_finish(report);
    return status;
}
