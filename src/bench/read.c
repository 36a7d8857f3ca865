// SPDX-License-Identifier: Apache-2.0
#include "bench/read.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/size.h"
#include "base/threads.h"
#include "bench/read_device.h"
#include "bench/read_loops.h"
#include "bench/works.h"

enum { DEFAULT_MEBIBYTES = 512, TRIALS = 3, PIECES = 8 }; // pieces of each thread's share

typedef struct hel_bench_reader {
    hel_threads *threads; // NULL where `device` reads
    unsigned char *bytes;
    size_t size, piece; // of the buffer, 0 where reading is not measured; of what a thread takes at once
    const hel_read_loop *loop;
    uint64_t *sums; // by thread; kept, so that nothing is optimised away
    hel_bench_device_reader device;
} hel_bench_reader;

static void read_piece(void *user, uint64_t item, uint32_t thread) {
    hel_bench_reader *reader = user;
    reader->sums[thread] += reader->loop->sum(reader->bytes + item * reader->piece, reader->piece);
}

// One pass, as other items are timed: the best of several would meet a quieter machine than they.
static double read_once(hel_bench_reader *reader) {
    double start = hel_bench_now();
    hel_threads_run(reader->threads, reader->size / reader->piece, read_piece, reader);
    return hel_bench_now() - start;
}

static void choose_loop(hel_bench_reader *reader) {
    size_t count;
    const hel_read_loop *loops = hel_read_loops(&count), *best = loops;
    double least = INFINITY;
    for (int trial = 0; trial < TRIALS; trial++)
        for (size_t i = 0; i < count; i++) {
            reader->loop = &loops[i];
            double seconds = read_once(reader);
            if (seconds < least) least = seconds, best = reader->loop;
        }
    reader->loop = best;
}

static hel_status open_host(uint32_t n_threads, uint64_t size, hel_bench_reader *reader) {
    HEL_TRY(hel_threads_create(n_threads, &reader->threads));
    uint32_t threads = hel_threads_count(reader->threads);
    reader->piece = (size_t)hel_round_up(size / (threads * PIECES), HEL_READ_UNIT);
    reader->piece = HEL_MAX(reader->piece, HEL_READ_UNIT);
    reader->size = reader->piece * threads * PIECES;
    reader->sums = hel_alloc_zero(threads, sizeof *reader->sums);
    reader->bytes = hel_os_pages_alloc(reader->size);
    if (!reader->sums || !reader->bytes) return hel_fail_memory(reader->size);
    for (size_t at = 0; at < reader->size; at++)
        reader->bytes[at] = (unsigned char)(at * 7); // real pages, not the zero page
    choose_loop(reader);
    hel_log(HEL_LOG_INFO, "reading memory: %s", reader->loop->name);
    return HEL_OK;
}

hel_status hel_bench_reader_open(hel_bench_run *run) {
    const hel_bench_params *params = &run->params;
    uint64_t size = params->bytes ? params->bytes : (uint64_t)DEFAULT_MEBIBYTES << 20;
    hel_bench_reader *reader = run->reader = hel_alloc_zero(1, sizeof *reader);
    if (!reader) return hel_fail_memory(sizeof *reader);
    if (run->device->type == HEL_DEVICE_TYPE_CPU) return open_host(params->threads, size, reader);
    hel_status status = hel_bench_device_reader_open(run->device, size, &reader->device);
    if (status == HEL_OK) reader->size = (size_t)reader->device.size;
    else if (status == HEL_ERROR_DEVICE_LOST) return status;
    else hel_bench_note(run, "read: not measured: %s", hel_error_message());
    return HEL_OK;
}

void hel_bench_reader_close(hel_bench_run *run) {
    hel_bench_reader *reader = run->reader;
    if (!reader) return;
    if (reader->bytes) hel_os_pages_free(reader->bytes, reader->size);
    hel_threads_destroy(&reader->threads);
    hel_bench_device_reader_close(&reader->device);
    hel_free(reader->sums);
    hel_free(reader);
    run->reader = NULL;
}

static hel_status time_read(void *user, hel_bench_measure *measure, double *out_seconds) {
    hel_bench_reader *reader = user;
    (void)measure;
    if (!reader->threads) return hel_bench_device_read(&reader->device, out_seconds);
    *out_seconds = read_once(reader);
    return HEL_OK;
}

hel_status hel_bench_add_read(hel_bench_run *run) {
    if (!run->reader->size) return HEL_OK;
    hel_bench_entry *entry = hel_bench_add(run, "helicoid", "read");
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = true;
    entry->round = time_read;
    entry->user = run->reader;
    entry->measure.bytes = (double)run->reader->size;
    return HEL_OK;
}

// ---------------------------------------------------------------- the work

static hel_status time_alone(void *user, hel_bench_measure *measure, double *out_seconds) {
    hel_bench_reader *reader = user;
    (void)measure;
    double start = hel_bench_now();
    for (uint64_t item = 0; item < reader->size / reader->piece; item++) read_piece(reader, item, 0);
    *out_seconds = hel_bench_now() - start;
    return HEL_OK;
}

// Besides the baseline that every work has, one thread of the host alone.
static hel_status prepare(hel_bench_run *run, void **state) {
    (void)state;
    hel_bench_tell(run, "bytes", run->reader->size);
    if (!run->reader->threads) return HEL_OK;
    hel_bench_entry *entry = hel_bench_add(run, "helicoid", "one thread");
    if (!entry) return HEL_ERROR_MEMORY;
    entry->round = time_alone;
    entry->user = run->reader;
    entry->measure.bytes = (double)run->reader->size;
    return HEL_OK;
}

const hel_bench_work_row hel_bench_work_read = {
    .about = {"read", "Reading memory, the bound of products with vectors", "bytes"},
    .prepare = prepare};
