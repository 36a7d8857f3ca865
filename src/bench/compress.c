// SPDX-License-Identifier: Apache-2.0
// Compressing a whole model, beside reading and writing as many bytes: from the disk, and from memory where the source's files
// are cached.
#include <helicoid/compress.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/random_model.h"
#include "bench/works.h"
#include "formats/archive.h"

enum { DEFAULT_LAYERS = 2, PIECE = 8 << 20, GROUP_DISK = 1, GROUP_CACHED };

typedef struct compress_state {
    hel_bench_run *run;
    char *source, *output, *copy;
    hel_archive *archive;
    uint64_t source_bytes, output_bytes;
} compress_state;

static hel_status forget_file(const char *path) {
    hel_os_file file;
    if (!hel_os_file_open(path, HEL_OS_READ, &file)) return hel_fail_errno(path, "cannot open");
    bool ok = hel_os_file_forget(file);
    hel_status status = ok ? HEL_OK : hel_fail_errno(path, "cannot be dropped from memory");
    hel_os_file_close(&file);
    return status;
}

// So that the source is read from the disk.
static hel_status forget_source(const compress_state *s) {
    for (size_t i = 0; i < s->archive->n_tensors; i++)
        if (hel_archive_begins_file(s->archive, i)) HEL_TRY(forget_file(s->archive->tensors[i].file));
    return HEL_OK;
}

// ---------------------------------------------------------------- compressing

static bool go_on(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    return hel_bench_ask(user, "model", done, total) == HEL_OK;
}

static hel_status time_cached_compress(void *user, hel_bench_measure *measure, double *out_seconds) {
    compress_state *s = user;
    hel_compress_params params = hel_compress_params_default();
    params.k = s->run->params.k ? s->run->params.k : 256;
    params.threads = s->run->params.threads;
    params.overwrite = true;
    params.progress = go_on;
    params.user = s->run;
    const char *head[] = {"lm_head.weight", NULL};
    if (!s->run->params.model) params.include = head;
    hel_compress_report report;
    double start = hel_bench_now();
    HEL_TRY(hel_compress(s->source, s->output, &params, &report));
    *out_seconds = hel_bench_now() - start;
    s->source_bytes = report.source_bytes;
    s->output_bytes = report.output_bytes;
    measure->bytes = (double)report.source_bytes + (double)report.output_bytes;
    measure->squared_error = report.squared_error;
    hel_compress_report_finish(&report);
    return HEL_OK;
}

static hel_status time_compress(void *user, hel_bench_measure *measure, double *out_seconds) {
    HEL_TRY(forget_source(user));
    return time_cached_compress(user, measure, out_seconds);
}

// ---------------------------------------------------------------- copying

// Reads a tensor; writes of it what the output still lacks.
static hel_status copy_tensor(hel_archive *archive, const hel_tensor_info *tensor, hel_writer *writer,
                              uint64_t most, void *piece) {
    for (uint64_t at = 0; at < tensor->bytes; at += PIECE) {
        size_t size = (size_t)HEL_MIN(PIECE, tensor->bytes - at);
        HEL_TRY(hel_archive_read(archive, tensor, at, piece, size));
        HEL_TRY(hel_writer_append(writer, piece, (size_t)HEL_MIN(size, most - writer->size)));
    }
    return HEL_OK;
}

static hel_status copy_all(compress_state *s, void *piece) {
    hel_writer writer;
    hel_status status = HEL_OK;
    HEL_TRY(hel_writer_open(s->copy, true, false, &writer));
    for (size_t i = 0; status == HEL_OK && i < s->archive->n_tensors; i++)
        status = copy_tensor(s->archive, &s->archive->tensors[i], &writer, s->output_bytes, piece);
    if (status == HEL_OK) return hel_writer_commit(&writer);
    hel_writer_abandon(&writer, false);
    return status;
}

static hel_status time_cached_copy(void *user, hel_bench_measure *measure, double *out_seconds) {
    compress_state *s = user;
    void *piece = hel_alloc(PIECE);
    if (!piece) return hel_fail_memory(PIECE);
    double start = hel_bench_now();
    hel_status status = copy_all(s, piece);
    *out_seconds = hel_bench_now() - start;
    measure->bytes = (double)s->source_bytes + (double)s->output_bytes;
    hel_free(piece);
    return status;
}

static hel_status time_copy(void *user, hel_bench_measure *measure, double *out_seconds) {
    HEL_TRY(forget_source(user));
    return time_cached_copy(user, measure, out_seconds);
}

// ---------------------------------------------------------------- the work

static hel_status add(compress_state *s, const char *name, bool baseline, uint32_t group,
                      hel_status (*round)(void *user, hel_bench_measure *measure, double *out_seconds)) {
    hel_bench_entry *entry = hel_bench_add(s->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = baseline;
    entry->group = group;
    entry->round = round;
    entry->user = s;
    return HEL_OK;
}

static hel_status prepare(hel_bench_run *run, void **state) {
    compress_state *s = *state = hel_alloc_zero(1, sizeof *s);
    if (!s) return hel_fail_memory(sizeof *s);
    s->run = run;
    hel_hyper hyper = hel_bench_model_shape(&run->params);
    if (!run->params.layers) hyper.layers = DEFAULT_LAYERS;
    if (!run->params.model) HEL_TRY(hel_bench_model_file(run, &hyper, 0, &s->source));
    else if (!(s->source = hel_string_copy(run->params.model))) return hel_fail_memory(1);
    HEL_TRY(hel_bench_path(run, "compressed.safetensors", &s->output));
    HEL_TRY(hel_bench_path(run, "copy.bin", &s->copy));
    HEL_TRY(hel_archive_open(s->source, &s->archive));
    if (forget_source(s) == HEL_OK) {
        HEL_TRY(add(s, "model", false, GROUP_DISK, time_compress));
        HEL_TRY(add(s, "copy", true, GROUP_DISK, time_copy));
    } else {
        hel_bench_note(run, "%s: reading from the disk is not measured", hel_error_message());
    }
    HEL_TRY(add(s, "model_cached", false, GROUP_CACHED, time_cached_compress));
    return add(s, "copy_cached", true, GROUP_CACHED, time_cached_copy);
}

static void finish(hel_bench_run *run, void *state) {
    compress_state *s = state;
    (void)run;
    if (!s) return;
    hel_archive_close(&s->archive);
    if (s->output) hel_os_remove(s->output);
    if (s->copy) hel_os_remove(s->copy);
    hel_free(s->source);
    hel_free(s->output);
    hel_free(s->copy);
    hel_free(s);
}

const hel_bench_work_row hel_bench_work_compress = {
    .about = {"compress", "Compressing a whole model, beside copying it", "layers hidden vocabulary model k"},
    .prepare = prepare, .finish = finish};
