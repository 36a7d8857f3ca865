// SPDX-License-Identifier: Apache-2.0
// hel_compress: plan, fit, lay out, write, commit.
#include <helicoid/compress.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/size.h"
#include "models/compress_internal.h"
#include "models/source.h"

#define MEBIBYTE ((uint64_t)1 << 20)
enum { DEFAULT_MEBIBYTES = 160, LEAST_VALUES_MEBIBYTES = 4 };

static const hel_compress_params defaults = {.struct_size = sizeof(hel_compress_params), .k = 256, .sidecar = true};

void hel_compress_params_init(hel_compress_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

static hel_status check_params(const char *path, const char *output, const hel_compress_params *params) {
    if (!path || !output || !*path || (!*output && !params->dry_run))
        return hel_fail(HEL_ERROR_ARGUMENT, "a model and an output are needed");
    if (params->k != 256 && params->k != 64 && params->k != 32 && params->k != 16)
        return hel_fail(HEL_ERROR_ARGUMENT, "k is %u, possible are 256, 64, 32 and 16", params->k);
    if (params->fit != HEL_FIT_OPTIMAL && params->fit != HEL_FIT_REFERENCE)
        return hel_fail(HEL_ERROR_ARGUMENT, "fit is neither optimal nor reference");
    return HEL_OK;
}

// As many threads as find room, and for each what is left of its share for values.
static hel_status start_threads(hel_compress_job *job) {
    uint64_t limit = job->params.memory_limit ? job->params.memory_limit : DEFAULT_MEBIBYTES * MEBIBYTE;
    uint64_t least = HEL_FIT_MEMORY + LEAST_VALUES_MEBIBYTES * MEBIBYTE;
    if (limit < least)
        return hel_fail(HEL_ERROR_ARGUMENT, "a memory limit of %llu bytes is below the %llu that compressing needs",
                        (unsigned long long)limit, (unsigned long long)least);
    uint64_t threads = HEL_MIN(job->params.threads ? job->params.threads : hel_os_cpu_count(), limit / least);
    HEL_TRY(hel_threads_create((uint32_t)threads, &job->threads));
    job->value_bytes = limit / threads - HEL_FIT_MEMORY;
    return HEL_OK;
}

static hel_status order_tensors(hel_compress_job *job) {
    job->order = hel_alloc_array(job->count, sizeof *job->order);
    if (!job->order) return hel_fail_memory(job->count * sizeof *job->order);
    job->total = job->archive->file_bytes;
    for (size_t i = 0; i < job->count; i++) { // insertion by falling size, stable
        size_t at = i;
        for (; at > 0 && job->tensors[job->order[at - 1]].info->bytes < job->tensors[i].info->bytes; at--)
            job->order[at] = job->order[at - 1];
        job->order[at] = i;
        job->total += job->tensors[i].info->bytes * 2;
    }
    return HEL_OK;
}

static hel_status dry_run(hel_compress_job *job, uint64_t *out_bytes) {
    HEL_TRY(hel_compress_fit(job));
    HEL_TRY(hel_compress_entries(job));
    HEL_TRY(hel_compress_measure(job));
    HEL_TRY(hel_checkpoint_set(&job->checkpoint, HEL_KEY_CREATED, job->created));
    HEL_TRY(hel_checkpoint_measure(&job->checkpoint, job->entries, job->n_entries));
    *out_bytes = job->checkpoint.header_size + job->checkpoint.data_bytes;
    return HEL_OK;
}

static hel_status produce(hel_compress_job *job, uint64_t *out_bytes) {
    HEL_TRY(hel_checkpoint_open(&job->checkpoint, job->params.resume));
    HEL_TRY(hel_journal_open(job, job->params.resume));
    HEL_TRY(hel_compress_fit(job));
    HEL_TRY(hel_checkpoint_set(&job->checkpoint, HEL_KEY_CREATED, job->created));
    HEL_TRY(hel_compress_entries(job));
    HEL_TRY(hel_checkpoint_layout(&job->checkpoint, job->entries, job->n_entries));
    HEL_TRY(hel_journal_check_written(job));
    HEL_TRY(hel_compress_write(job));
    *out_bytes = job->checkpoint.header_size + job->checkpoint.data_bytes;
    hel_journal_close(&job->journal);
    return hel_checkpoint_commit(&job->checkpoint);
}

// An output that is there already, where resuming: finished by the run that is to be resumed?
static hel_status finished_before(const char *output, const hel_compress_job *job, bool *out) {
    hel_archive *archive;
    char text[HEL_SHA256_TEXT];
    HEL_TRY(hel_archive_open(output, &archive));
    const char *plan = json_string_value(json_object_get(archive->metadata, HEL_KEY_PLAN));
    hel_sha256_text(job->plan, text);
    *out = plan && strcmp(plan, text) == 0;
    hel_archive_close(&archive);
    return *out ? hel_verify(output, NULL, NULL, NULL) : HEL_OK;
}

static hel_status run(hel_compress_job *job, const char *output, uint64_t *out_bytes) {
    bool resuming_over = job->params.resume && !job->params.overwrite && hel_path_exists(output), finished = false;
    HEL_TRY(hel_checkpoint_init(output, job->params.overwrite, &job->checkpoint));
    HEL_TRY(hel_checkpoint_check_source(&job->checkpoint, job->archive));
    if (!resuming_over && !job->params.dry_run) HEL_TRY(hel_checkpoint_check(&job->checkpoint));
    HEL_TRY(hel_compress_plan(job));
    HEL_TRY(hel_compress_describe(job));
    HEL_TRY(order_tensors(job));
    if (job->params.resume) HEL_TRY(hel_compress_read_source(job));
    if (resuming_over) {
        HEL_TRY(hel_checkpoint_lock(&job->checkpoint)); // and what a killed run left of it goes
        HEL_TRY(finished_before(output, job, &finished));
        if (!finished) return hel_fail(HEL_ERROR_EXISTS, "%s: exists and is not the interrupted run's", output);
        job->params.dry_run = true;
    }
    HEL_TRY(start_threads(job));
    return job->params.dry_run ? dry_run(job, out_bytes) : produce(job, out_bytes);
}

static void job_finish(hel_compress_job *job, bool keep) {
    hel_journal_close(&job->journal);
    hel_checkpoint_finish(&job->checkpoint, keep);
    hel_threads_destroy(&job->threads);
    for (size_t i = 0; job->tensors && i < job->count; i++) {
        for (uint32_t p = 0; p < HEL_PARTS_MAX; p++) hel_free(job->tensors[i].names[p]);
        hel_fitted_finish(&job->tensors[i].fitted);
    }
    hel_free(job->tensors);
    hel_free(job->entries);
    hel_free(job->order);
    hel_os_mutex_destroy(&job->mutex);
    hel_archive_close(&job->archive);
}

hel_status hel_compress(const char *path, const char *output, const hel_compress_params *params,
                        hel_compress_report *report) {
    if (report) *report = (hel_compress_report){0};
    hel_compress_job job = {.params = defaults, .journal.file = {-1}, .checkpoint = hel_checkpoint_none};
    HEL_TRY(HEL_PARAMS_READ(params, &job.params, "hel_compress_params"));
    HEL_TRY(check_params(path, output, &job.params));
    uint64_t start = hel_os_time_ns(), bytes = 0;
    hel_checkpoint_time(job.created);
    hel_status status = HEL_OK;
    job.mutex = hel_os_mutex_create();
    if (!job.mutex) {
        status = hel_fail_memory(64);
        goto done;
    }
    HEL_TRY_DONE(hel_source_open(path, &job.archive));
    HEL_TRY_DONE(run(&job, output, &bytes));
    if (report) {
        HEL_TRY_DONE(hel_compress_report_make(&job, bytes, report));
        report->seconds = (double)(hel_os_time_ns() - start) * 1e-9;
    }
done:
    job_finish(&job, status == HEL_ERROR_CANCELLED || (status == HEL_ERROR_IO && job.params.resume));
    return status;
}
