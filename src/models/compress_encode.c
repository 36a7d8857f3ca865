// SPDX-License-Identifier: Apache-2.0
// The passes over the tensors: fit, with the source read for its digest meanwhile, and write, with the output read for its
// own, or measure. In a pass each tensor is one thread's, and what it becomes depends on its values only.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/compress_internal.h"

enum { COPY_PIECE = 1 << 20, CODED_PIECE = 1 << 19 }; // bytes; the second stays in a core's cache

// ---------------------------------------------------------------- threads

static void note_failure(hel_compress_job *job, hel_status status) {
    hel_os_mutex_lock(job->mutex);
    if (job->status == HEL_OK) {
        job->status = status;
        snprintf(job->message, sizeof job->message, "%s", hel_error_message());
    }
    hel_os_mutex_unlock(job->mutex);
}

static bool stopped(hel_compress_job *job) {
    hel_os_mutex_lock(job->mutex);
    bool stop = job->status != HEL_OK;
    hel_os_mutex_unlock(job->mutex);
    return stop;
}

static hel_status advance(hel_compress_job *job, const char *stage, uint64_t bytes, size_t tensors) {
    bool go_on = true;
    char text[96];
    hel_os_mutex_lock(job->mutex);
    job->done += bytes;
    job->ended += tensors;
    snprintf(text, sizeof text, "%s %zu of %zu tensors", stage, job->ended, job->count);
    if (job->params.progress) go_on = job->params.progress(job->params.user, text, job->done, job->total);
    hel_os_mutex_unlock(job->mutex);
    return go_on ? HEL_OK : hel_fail(HEL_ERROR_CANCELLED, "cancelled");
}

typedef struct pass {
    hel_compress_job *job;
    const char *stage;
    hel_status (*first)(hel_compress_job *job); // beside the tensors; NULL for nothing
    hel_status (*run)(hel_compress_job *job, size_t tensor, uint32_t thread);
} pass;

static hel_status run_tensor(const pass *p, size_t tensor, uint32_t thread) {
    HEL_TRY(p->run(p->job, tensor, thread));
    return advance(p->job, p->stage, p->job->tensors[tensor].info->bytes, 1);
}

static void run_item(void *user, uint64_t item, uint32_t thread) {
    pass *p = user;
    if (stopped(p->job)) return;
    uint64_t ahead = p->first != NULL;
    hel_status status = item < ahead ? p->first(p->job) : run_tensor(p, (size_t)p->job->order[item - ahead], thread);
    if (status != HEL_OK) note_failure(p->job, status);
}

static hel_status run_pass(pass p) {
    hel_compress_job *job = p.job;
    job->ended = 0;
    hel_threads_run(job->threads, job->count + (p.first != NULL), run_item, &p);
    return job->status == HEL_OK ? HEL_OK : hel_fail(job->status, "%s", job->message);
}

// ---------------------------------------------------------------- values

typedef struct tensor_values {
    hel_compress_job *job;
    const hel_tensor_info *info;
} tensor_values;

static hel_status read_values(void *user, uint64_t first, uint64_t count, float *out) {
    tensor_values *source = user;
    return hel_archive_read_f32(source->job->archive, source->info, first, count, out);
}

static hel_status read_halves(void *user, uint64_t first, uint64_t count, uint16_t *out) {
    tensor_values *source = user;
    return hel_archive_read(source->job->archive, source->info, first * sizeof *out, out, (size_t)count * sizeof *out);
}

// As they are gone through: bfloat16 as it is, others as floats.
static uint64_t value_size(const hel_tensor_info *info) {
    return info->dtype == HEL_BF16 ? sizeof(uint16_t) : sizeof(float);
}

// In pieces of what `memory` holds.
static hel_values values_in(tensor_values *source, void *memory, uint64_t bytes) {
    const hel_tensor_info *info = source->info;
    uint64_t room = HEL_MIN(info->elements, bytes / value_size(info));
    hel_values values = {.count = info->elements, .user = source, .piece = memory, .piece_count = room};
    if (info->dtype == HEL_BF16) values.read_halves = read_halves;
    else values.read = read_values;
    return values;
}

// Reads all of them at once where they are a single piece: they are gone through more than once.
static hel_status load_values(hel_values *values) {
    if (values->piece_count < values->count) return HEL_OK;
    if (values->read_halves) {
        HEL_TRY(values->read_halves(values->user, 0, values->count, values->piece));
        values->halves = values->piece;
    } else {
        HEL_TRY(values->read(values->user, 0, values->count, values->piece));
        values->data = values->piece;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- fit

static hel_status fit_tensor(hel_compress_job *job, size_t index, uint32_t thread) {
    hel_compress_tensor *tensor = &job->tensors[index];
    if (!tensor->compressed || tensor->fit_known) return HEL_OK;
    hel_fit_options options = {.k = job->params.k,
                               .reference = job->params.fit == HEL_FIT_REFERENCE,
                               .sidecar = tensor->policy.sidecar,
                               .percentile = tensor->policy.percentile,
                               .cap = tensor->policy.cap};
    tensor_values source = {job, tensor->info};
    hel_values values = values_in(&source, job->values + thread * job->value_bytes, job->value_bytes);
    HEL_TRY(load_values(&values));
    hel_status status = hel_fit_values(&values, &options, &tensor->fitted);
    if (status == HEL_ERROR_UNSUPPORTED) { // not finite: kept as it is
        hel_log(HEL_LOG_WARNING, "%s: %s; kept exactly", tensor->info->name, hel_error_message());
        tensor->compressed = false;
        tensor->policy.exact = "not finite";
        return HEL_OK;
    }
    HEL_TRY(status);
    return job->params.dry_run ? HEL_OK : hel_journal_add_fit(job, index);
}

static hel_status advance_source(void *user, uint64_t bytes) {
    hel_compress_job *job = user;
    return stopped(job) ? hel_fail(HEL_ERROR_CANCELLED, "cancelled") : advance(job, "fit", bytes, 0);
}

hel_status hel_compress_read_source(hel_compress_job *job) {
    return hel_compress_describe_source(job, &(hel_digest_watch){advance_source, job});
}

// Takes as long as fitting bfloat16 does, and only one thread.
static hel_status note_source(hel_compress_job *job) {
    HEL_TRY(hel_compress_read_source(job));
    return job->params.dry_run ? HEL_OK : hel_journal_add_source(job);
}

static uint64_t largest_fit(const hel_compress_job *job) {
    uint64_t most = sizeof(float);
    for (size_t i = 0; i < job->count; i++)
        if (job->tensors[i].compressed && !job->tensors[i].fit_known)
            most = HEL_MAX(most, job->tensors[i].info->elements * value_size(job->tensors[i].info));
    return most;
}

// Threads keep their memory from tensor to tensor: pages that are new for each take as long as reading the values.
hel_status hel_compress_fit(hel_compress_job *job) {
    uint32_t threads = hel_threads_count(job->threads);
    job->value_bytes = HEL_MIN(HEL_MIN(job->value_bytes, largest_fit(job)), SIZE_MAX / threads) / sizeof(float) * sizeof(float);
    job->values = hel_alloc_array(threads, (size_t)job->value_bytes);
    if (!job->values) return hel_fail_memory((size_t)job->value_bytes * threads);
    hel_status status = run_pass((pass){job, "fit", job->sourced ? NULL : note_source, fit_tensor});
    hel_free(job->values);
    job->values = NULL;
    return status;
}

// ---------------------------------------------------------------- write

// One tensor of the output as it grows, with its digest. Small pieces are gathered: every call to the system waits for
// those of other threads to the same file.
typedef struct sink {
    hel_compress_job *job;
    size_t entry;
    uint64_t offset; // written
    hel_sha256 *hash;
    unsigned char *gathered; // COPY_PIECE bytes
    size_t held;
    // Packed codes: a row ends at a byte.
    uint32_t bits;
    uint64_t cols, col;
    uint32_t field, filled;
    uint8_t *packed; // room for the codes of one call
} sink;

static hel_status put_through(sink *s, const void *bytes, size_t size) {
    HEL_TRY(hel_checkpoint_write(&s->job->checkpoint, s->entry, s->offset, bytes, size));
    HEL_TRY(hel_sha256_update(s->hash, bytes, size));
    s->offset += size;
    return HEL_OK;
}

static hel_status put_held(sink *s) {
    if (!s->held) return HEL_OK;
    HEL_TRY(put_through(s, s->gathered, s->held));
    s->held = 0;
    return HEL_OK;
}

static hel_status put(sink *s, const void *bytes, size_t size) {
    if (size > COPY_PIECE - s->held) HEL_TRY(put_held(s));
    if (size >= COPY_PIECE) return put_through(s, bytes, size);
    memcpy(s->gathered + s->held, bytes, size);
    s->held += size;
    return HEL_OK;
}

static hel_status begin(hel_compress_job *job, size_t entry, sink *s) {
    *s = (sink){.job = job, .entry = entry, .gathered = hel_alloc(COPY_PIECE)};
    return s->gathered ? hel_sha256_create(&s->hash) : hel_fail_memory(COPY_PIECE);
}

static void finish(sink *s) {
    hel_sha256_destroy(&s->hash);
    hel_free(s->gathered);
    hel_free(s->packed);
}

static hel_status end(sink *s) {
    HEL_TRY(put_held(s));
    hel_status status = hel_sha256_finish(s->hash, s->job->checkpoint.digests[s->entry]);
    if (status == HEL_OK && s->offset != s->job->entries[s->entry].bytes)
        status =
            hel_fail(HEL_ERROR_INTERNAL, "tensor \"%s\": not all of it was written", s->job->entries[s->entry].name);
    return status;
}

static hel_status put_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    (void)first;
    sink *s = user;
    if (s->bits == 8) return put(s, codes, (size_t)count);
    size_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        s->field |= (uint32_t)codes[i] << s->filled;
        s->filled += s->bits;
        bool row_ends = ++s->col == s->cols;
        while (s->filled >= 8 || (row_ends && s->filled)) {
            s->packed[bytes++] = (uint8_t)s->field;
            s->field >>= 8;
            s->filled = s->filled > 8 ? s->filled - 8 : 0;
        }
        if (row_ends) s->col = 0;
    }
    return put(s, s->packed, bytes);
}

static hel_status write_small(hel_compress_job *job, size_t entry, const void *bytes, size_t size) {
    sink s;
    hel_status status = begin(job, entry, &s);
    if (status == HEL_OK) status = put(&s, bytes, size);
    if (status == HEL_OK) status = end(&s);
    finish(&s);
    return status;
}

static hel_status write_sidecar(hel_compress_job *job, const hel_compress_tensor *tensor) {
    const hel_sidecar *sidecar = &tensor->fitted.sidecar;
    int64_t *positions = hel_alloc_array(sidecar->count, sizeof *positions);
    float *values = hel_alloc_array(sidecar->count, sizeof *values);
    hel_status status = HEL_OK;
    if (!positions || !values) {
        status = hel_fail_memory(sidecar->count * sizeof *positions);
        goto done;
    }
    for (uint32_t i = 0; i < sidecar->count; i++) {
        positions[i] = (int64_t)sidecar->kept[i].position;
        values[i] = sidecar->kept[i].value;
    }
    HEL_TRY_DONE(write_small(job, tensor->entries[2], positions, sidecar->count * sizeof *positions));
    status = write_small(job, tensor->entries[3], values, sidecar->count * sizeof *values);
done:
    hel_free(positions);
    hel_free(values);
    return status;
}

// Goes through a tensor's values once more, in pieces.
static hel_status encode(hel_compress_job *job, hel_compress_tensor *tensor, hel_codes_emit emit, void *user) {
    tensor_values source = {job, tensor->info};
    void *piece = hel_alloc(CODED_PIECE);
    if (!piece) return hel_fail_memory(CODED_PIECE);
    hel_values values = values_in(&source, piece, CODED_PIECE);
    hel_status status = hel_fit_encode(&values, &tensor->fitted, emit, user, &tensor->error);
    hel_free(piece);
    return status;
}

static hel_status write_codes(hel_compress_job *job, hel_compress_tensor *tensor) {
    sink s;
    hel_status status;
    HEL_TRY_DONE(begin(job, tensor->entries[1], &s));
    s.bits = hel_compress_index_bits(&job->params);
    s.cols = tensor->info->shape[1];
    s.packed = hel_alloc(HEL_FIT_CODES + 1);
    HEL_TRY_DONE(s.packed ? HEL_OK : hel_fail_memory(HEL_FIT_CODES));
    HEL_TRY_DONE(encode(job, tensor, put_codes, &s));
    status = end(&s);
done:
    finish(&s);
    return status;
}

// All that the fit has left of a tensor.
static hel_status write_fit(hel_compress_job *job, const hel_compress_tensor *tensor) {
    HEL_TRY(write_small(job, tensor->entries[0], tensor->fitted.codebook, tensor->fitted.k * sizeof(float)));
    return tensor->n_parts > 2 ? write_sidecar(job, tensor) : HEL_OK;
}

// Bytes as they are, or as floats where the type changes.
static hel_status copy_pieces(hel_compress_job *job, hel_compress_tensor *tensor, sink *s, void *piece) {
    const hel_tensor_info *info = tensor->info;
    bool same = tensor->stored == info->dtype;
    uint64_t width = hel_dtype_size(tensor->stored), per_piece = COPY_PIECE / width;
    for (uint64_t first = 0; first < info->elements; first += per_piece) {
        uint64_t count = HEL_MIN(per_piece, info->elements - first);
        HEL_TRY(same ? hel_archive_read(job->archive, info, first * width, piece, (size_t)(count * width))
                     : hel_archive_read_f32(job->archive, info, first, count, piece));
        HEL_TRY(put(s, piece, (size_t)(count * width)));
    }
    return end(s);
}

static hel_status write_exact(hel_compress_job *job, hel_compress_tensor *tensor) {
    sink s;
    void *piece = hel_alloc(COPY_PIECE);
    if (!piece) return hel_fail_memory(COPY_PIECE);
    hel_status status = begin(job, tensor->entries[0], &s);
    if (status == HEL_OK) status = copy_pieces(job, tensor, &s, piece);
    finish(&s);
    hel_free(piece);
    return status;
}

typedef struct write_place { size_t entry, tensor; } write_place;

// Of the parts, the one that takes a pass over the values.
static size_t last_part(const hel_compress_tensor *tensor) { return tensor->entries[tensor->compressed ? 1 : 0]; }

static hel_status may_go_on(void *user, uint64_t bytes) {
    hel_compress_job *job = user;
    (void)bytes; // counted where they were written
    return stopped(job) ? hel_fail(HEL_ERROR_CANCELLED, "cancelled") : advance(job, "write", 0, 0);
}

static hel_status in_place(hel_compress_job *job, size_t entry) {
    return hel_checkpoint_in_place(&job->checkpoint, entry, &(hel_digest_watch){may_go_on, job});
}

static hel_status write_tensor(hel_compress_job *job, size_t index, uint32_t thread) {
    (void)thread;
    hel_compress_tensor *tensor = &job->tensors[index];
    if (!tensor->written) {
        HEL_TRY(tensor->compressed ? write_codes(job, tensor) : write_exact(job, tensor));
        HEL_TRY(hel_journal_add_written(job, index));
    }
    return in_place(job, last_part(tensor));
}

static int by_place(const void *a, const void *b) {
    const write_place *left = a, *right = b;
    return (left->entry > right->entry) - (left->entry < right->entry);
}

// As their last parts lie in the file.
static hel_status order_by_place(hel_compress_job *job) {
    write_place *places = hel_alloc_array(job->count, sizeof *places);
    if (!places) return hel_fail_memory(job->count * sizeof *places);
    for (size_t i = 0; i < job->count; i++) places[i] = (write_place){last_part(&job->tensors[i]), i};
    qsort(places, job->count, sizeof *places, by_place);
    for (size_t i = 0; i < job->count; i++) job->order[i] = places[i].tensor;
    hel_free(places);
    return HEL_OK;
}

// First what is small, so that the rest goes into the file from one end to the other and its digest can follow.
hel_status hel_compress_write(hel_compress_job *job) {
    for (size_t i = 0; i < job->count; i++) {
        const hel_compress_tensor *tensor = &job->tensors[i];
        if (!tensor->compressed) continue;
        if (!tensor->written) HEL_TRY(write_fit(job, tensor));
        for (uint32_t p = 0; p < tensor->n_parts; p++)
            if (tensor->entries[p] != last_part(tensor)) HEL_TRY(in_place(job, tensor->entries[p]));
    }
    HEL_TRY(order_by_place(job));
    return run_pass((pass){job, "write", NULL, write_tensor});
}

// ---------------------------------------------------------------- dry run

static hel_status ignore_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    (void)user, (void)first, (void)codes, (void)count;
    return HEL_OK;
}

static hel_status measure_tensor(hel_compress_job *job, size_t index, uint32_t thread) {
    (void)thread;
    hel_compress_tensor *tensor = &job->tensors[index];
    return tensor->compressed ? encode(job, tensor, ignore_codes, NULL) : HEL_OK;
}

hel_status hel_compress_measure(hel_compress_job *job) { return run_pass((pass){job, "measure", NULL, measure_tensor}); }
