// SPDX-License-Identifier: Apache-2.0
// The journal of a run that may be interrupted: records {kind, tensor, bytes} + payload + SHA-256 of both, appended as
// tensors are finished. A record that was cut off, and everything after it, does not count. Tensors that it calls
// written are checked against their digests, so it need not be synced.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/text.h"
#include "models/compress_internal.h"

enum { KIND_PLAN = 1, KIND_FIT, KIND_WRITTEN, KIND_SOURCE, HEAD = 16, MAX_JOURNAL = 1 << 30 };

typedef struct record {
    uint32_t kind, tensor;
    const char *payload;
    size_t size;
} record;

// ---------------------------------------------------------------- records

static hel_status append(hel_journal *journal, uint32_t kind, size_t tensor, const hel_text *payload) {
    HEL_TRY(hel_text_ok(payload));
    hel_text bytes = {0};
    uint8_t digest[HEL_SHA256_SIZE];
    uint32_t head[HEAD / 4] = {kind, (uint32_t)tensor, (uint32_t)payload->size, 0};
    hel_text_append(&bytes, head, sizeof head);
    hel_text_append(&bytes, payload->bytes, payload->size);
    hel_status status = hel_text_ok(&bytes);
    if (status == HEL_OK) status = hel_sha256_of(bytes.bytes, bytes.size, digest);
    if (status == HEL_OK) {
        hel_text_append(&bytes, digest, sizeof digest);
        status = hel_text_ok(&bytes);
    }
    hel_os_mutex_lock(journal->mutex);
    for (size_t done = 0; status == HEL_OK && done < bytes.size;) {
        int64_t put = hel_os_file_write(journal->file, journal->size + done, bytes.bytes + done, bytes.size - done);
        if (put <= 0) status = hel_fail_errno(journal->path, "cannot write");
        else done += (size_t)put;
    }
    if (status == HEL_OK) journal->size += bytes.size;
    hel_os_mutex_unlock(journal->mutex);
    hel_text_finish(&bytes);
    return status;
}

// The record at `*at`; false where there is no whole one.
static bool next_record(const char *bytes, size_t size, size_t *at, record *out) {
    uint32_t head[HEAD / 4];
    uint8_t digest[HEL_SHA256_SIZE];
    if (size - *at < HEAD + HEL_SHA256_SIZE) return false;
    memcpy(head, bytes + *at, sizeof head);
    if (head[2] > size - *at - HEAD - HEL_SHA256_SIZE) return false;
    size_t covered = HEAD + head[2];
    if (hel_sha256_of(bytes + *at, covered, digest) != HEL_OK ||
        memcmp(digest, bytes + *at + covered, sizeof digest) != 0)
        return false;
    *out = (record){head[0], head[1], bytes + *at + HEAD, head[2]};
    *at += covered + HEL_SHA256_SIZE;
    return true;
}

hel_status hel_journal_add_source(hel_compress_job *job) {
    hel_text payload = {0};
    hel_text_append(&payload, job->plan, sizeof job->plan);
    hel_status status = append(&job->journal, KIND_SOURCE, 0, &payload);
    hel_text_finish(&payload);
    return status;
}

hel_status hel_journal_add_fit(hel_compress_job *job, size_t index) {
    const hel_fitted *fitted = &job->tensors[index].fitted;
    hel_text payload = {0};
    hel_text_append(&payload, fitted->codebook, sizeof fitted->codebook);
    hel_text_append(&payload, &fitted->lower_bound, sizeof fitted->lower_bound);
    hel_text_append(&payload, fitted->sidecar.kept, fitted->sidecar.count * sizeof(hel_kept));
    hel_status status = append(&job->journal, KIND_FIT, index, &payload);
    hel_text_finish(&payload);
    return status;
}

hel_status hel_journal_add_written(hel_compress_job *job, size_t index) {
    const hel_compress_tensor *tensor = &job->tensors[index];
    hel_text payload = {0};
    hel_text_append(&payload, &tensor->error, sizeof tensor->error);
    for (uint32_t p = 0; p < tensor->n_parts; p++)
        hel_text_append(&payload, job->checkpoint.digests[tensor->entries[p]], HEL_SHA256_SIZE);
    hel_status status = append(&job->journal, KIND_WRITTEN, index, &payload);
    hel_text_finish(&payload);
    return status;
}

// ---------------------------------------------------------------- reading

// A journal is a file like any other: positions that do not rise or lie outside would lead the coder astray.
static bool positions_fit(const hel_sidecar *sidecar, uint64_t elements) {
    for (uint32_t i = 0; i < sidecar->count; i++)
        if (sidecar->kept[i].position >= elements ||
            (i && sidecar->kept[i].position <= sidecar->kept[i - 1].position))
            return false;
    return true;
}

static hel_status take_fit(hel_compress_job *job, const record *r) {
    hel_compress_tensor *tensor = &job->tensors[r->tensor];
    size_t fixed = sizeof tensor->fitted.codebook + sizeof tensor->fitted.lower_bound;
    if (!tensor->compressed || tensor->fit_known || r->size < fixed || (r->size - fixed) % sizeof(hel_kept))
        return HEL_OK;
    hel_fitted *fitted = &tensor->fitted;
    size_t kept = (r->size - fixed) / sizeof(hel_kept);
    if (kept > HEL_MIN(tensor->info->elements, UINT32_MAX)) return HEL_OK;
    uint32_t count = (uint32_t)kept;
    fitted->sidecar.kept = hel_alloc_array(count, sizeof(hel_kept));
    if (!fitted->sidecar.kept) return hel_fail_memory(count * sizeof(hel_kept));
    memcpy(fitted->codebook, r->payload, sizeof fitted->codebook);
    memcpy(&fitted->lower_bound, r->payload + sizeof fitted->codebook, sizeof fitted->lower_bound);
    memcpy(fitted->sidecar.kept, r->payload + fixed, count * sizeof(hel_kept));
    fitted->sidecar.count = fitted->sidecar.cap = count;
    if (!positions_fit(&fitted->sidecar, tensor->info->elements)) {
        hel_fitted_finish(fitted);
        return HEL_OK;
    }
    fitted->k = job->params.k;
    fitted->reference = job->params.fit == HEL_FIT_REFERENCE;
    tensor->fit_known = true;
    return HEL_OK;
}

// Payload of a written tensor; it is compared with the file when the layout is known.
static hel_status take_written(hel_compress_job *job, const record *r) {
    hel_compress_tensor *tensor = &job->tensors[r->tensor];
    size_t parts = (r->size - sizeof tensor->error) / HEL_SHA256_SIZE;
    if (r->size < sizeof tensor->error || parts > HEL_PARTS_MAX) return HEL_OK;
    memcpy(&tensor->error, r->payload, sizeof tensor->error);
    memcpy(tensor->claimed, r->payload + sizeof tensor->error, parts * HEL_SHA256_SIZE);
    tensor->n_claimed = (uint32_t)parts;
    return HEL_OK;
}

static bool find_source(const char *bytes, size_t size, size_t at, record *out) {
    while (next_record(bytes, size, &at, out))
        if (out->kind == KIND_SOURCE) return true;
    return false;
}

static hel_status start_anew(const hel_journal *journal, const char *why) {
    hel_log(HEL_LOG_WARNING, "%s: %s; starting anew", journal->path, why);
    return HEL_OK;
}

// Everything up to the first record that is not whole; none where the plan or the source is another. Of a run that ended before
// the source was read the time stamp is kept.
static hel_status take_records(hel_compress_job *job, const char *bytes, size_t size) {
    size_t at = 0;
    record r, source;
    if (!next_record(bytes, size, &at, &r) || r.kind != KIND_PLAN ||
        r.size != sizeof job->decisions + sizeof job->created ||
        memcmp(r.payload, job->decisions, sizeof job->decisions) != 0)
        return start_anew(&job->journal, "belongs to another run");
    job->journal.sourced = find_source(bytes, size, at, &source);
    if (job->journal.sourced && (source.size != sizeof job->plan || memcmp(source.payload, job->plan, source.size) != 0)) {
        job->journal.sourced = false;
        return start_anew(&job->journal, "the source has changed");
    }
    memcpy(job->created, r.payload + sizeof job->decisions, sizeof job->created);
    job->created[sizeof job->created - 1] = 0;
    job->journal.size = at;
    if (!job->journal.sourced) return start_anew(&job->journal, "the source was not read to its end");
    while (next_record(bytes, size, &at, &r)) {
        if (r.tensor >= job->count) break;
        if (r.kind == KIND_FIT) HEL_TRY(take_fit(job, &r));
        if (r.kind == KIND_WRITTEN) HEL_TRY(take_written(job, &r));
        job->journal.size = at;
    }
    return HEL_OK;
}

static hel_status add_plan(hel_compress_job *job) {
    hel_text payload = {0};
    hel_text_append(&payload, job->decisions, sizeof job->decisions);
    hel_text_append(&payload, job->created, sizeof job->created);
    hel_status status = append(&job->journal, KIND_PLAN, 0, &payload);
    hel_text_finish(&payload);
    return status;
}

hel_status hel_journal_open(hel_compress_job *job, bool resume) {
    hel_journal *journal = &job->journal;
    *journal = (hel_journal){.file = {-1}, .path = job->checkpoint.journal, .mutex = hel_os_mutex_create()};
    if (!journal->mutex) return hel_fail_memory(64);
    if (resume && hel_path_exists(journal->path)) {
        char *bytes;
        size_t size;
        HEL_TRY(hel_file_read_all(journal->path, MAX_JOURNAL, &bytes, &size));
        hel_status status = take_records(job, bytes, size);
        hel_free(bytes);
        HEL_TRY(status);
    }
    if (!hel_os_file_open(journal->path, HEL_OS_APPEND, &journal->file))
        return hel_fail_errno(journal->path, "cannot create");
    if (!hel_os_file_truncate(journal->file, journal->size)) return hel_fail_errno(journal->path, "cannot shorten");
    if (!journal->size) HEL_TRY(add_plan(job));
    return job->sourced && !journal->sourced ? hel_journal_add_source(job) : HEL_OK;
}

// Tensors whose bytes in the file are those that the journal claims need not be written again.
hel_status hel_journal_check_written(hel_compress_job *job) {
    for (size_t i = 0; i < job->count; i++) {
        hel_compress_tensor *tensor = &job->tensors[i];
        if (!tensor->n_claimed || tensor->n_claimed != tensor->n_parts) continue;
        tensor->written = true;
        for (uint32_t p = 0; p < tensor->n_parts && tensor->written; p++) {
            uint8_t *digest = job->checkpoint.digests[tensor->entries[p]];
            HEL_TRY(hel_checkpoint_digest(&job->checkpoint, tensor->entries[p], digest));
            tensor->written = memcmp(digest, tensor->claimed[p], HEL_SHA256_SIZE) == 0;
        }
    }
    return HEL_OK;
}

void hel_journal_close(hel_journal *journal) {
    if (journal->mutex) hel_os_file_close(&journal->file);
    hel_os_mutex_destroy(&journal->mutex);
    *journal = (hel_journal){.file = {-1}};
}
