// SPDX-License-Identifier: Apache-2.0
#include "bench/data.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/npy_write.h"

#define TWO_PI 6.283185307179586476925287
enum { PIECE = 8 << 20, PATH_ROOM = 4096 };

// ---------------------------------------------------------------- folders

hel_status hel_bench_folder_create(const char *path) {
    if (hel_path_is_directory(path) || hel_os_directory_create(path) || errno == EEXIST) return HEL_OK;
    if (errno != ENOENT) return hel_fail_errno(path, "create");
    char *parent;
    HEL_TRY(hel_path_parent(path, &parent));
    hel_status status = strcmp(parent, path) == 0 ? hel_fail_errno(path, "create") : hel_bench_folder_create(parent);
    hel_free(parent);
    if (status == HEL_OK && !hel_os_directory_create(path) && errno != EEXIST) status = hel_fail_errno(path, "create");
    return status;
}

typedef struct first_entry {
    const char *folder;
    char path[PATH_ROOM]; // not from the heap, which may be why the run ends
} first_entry;

static bool take_first(void *user, const char *name) {
    first_entry *first = user;
    int size = snprintf(first->path, sizeof first->path, "%s/%s", first->folder, name);
    if (size < 0 || (size_t)size >= sizeof first->path) first->path[0] = 0;
    return false;
}

// One at a time, since a listing may not see what changes under it.
void hel_bench_folder_remove(const char *path) {
    first_entry first = {.folder = path};
    do first.path[0] = 0;
    while (hel_os_directory_list(path, take_first, &first) && first.path[0] && hel_os_remove(first.path));
    hel_os_remove(path);
}

// ---------------------------------------------------------------- values

// Never 0, whose logarithm there is not.
static double uniform(hel_random *random) { return hel_random_unit(random) + 0x1p-54; }

void hel_bench_gaussian(uint64_t seed, float scale, float *out, uint64_t count) {
    hel_random random = {seed};
    for (uint64_t i = 0; i < count; i += 2) {
        double radius = scale * sqrt(-2 * log(uniform(&random))), angle = TWO_PI * uniform(&random);
        out[i] = (float)(radius * cos(angle));
        if (i + 1 < count) out[i + 1] = (float)(radius * sin(angle));
    }
}

double hel_bench_error_db(const float *values, const double *exact, uint64_t count) {
    double signal = 0, error = 0;
    for (uint64_t i = 0; i < count; i++) {
        signal += exact[i] * exact[i];
        error += (values[i] - exact[i]) * (values[i] - exact[i]);
    }
    return 10 * log10(signal / error);
}

hel_status hel_bench_keep_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    memcpy((uint8_t *)user + first, codes, count);
    return HEL_OK;
}

// ---------------------------------------------------------------- files

// The file appears where all of it was written, else nothing does.
static hel_status end_file(hel_writer *writer, hel_status status) {
    if (status == HEL_OK) return hel_writer_commit(writer);
    hel_writer_abandon(writer, false);
    return status;
}

hel_status hel_bench_write_npy(const hel_bench_run *run, const char *name, hel_dtype dtype, const uint64_t *shape,
                               uint32_t rank, const void *data) {
    char *path = NULL;
    hel_writer writer;
    HEL_TRY(hel_bench_path(run, name, &path));
    hel_status status = hel_writer_open(path, true, false, &writer);
    if (status == HEL_OK) status = end_file(&writer, hel_npy_append(&writer, dtype, rank, shape, data));
    hel_free(path);
    return status;
}

static hel_status write_data(hel_writer *writer, const hel_safetensors_entry *entries, size_t count,
                             hel_bench_fill fill, void *user, void *piece) {
    for (size_t i = 0; i < count; i++)
        for (uint64_t at = 0; at < entries[i].bytes; at += PIECE) {
            size_t size = (size_t)HEL_MIN(PIECE, entries[i].bytes - at);
            HEL_TRY(fill(user, i, at, piece, size));
            HEL_TRY(hel_writer_append(writer, piece, size));
        }
    return HEL_OK;
}

hel_status hel_bench_write_tensors(const char *path, hel_safetensors_entry *entries, size_t count,
                                   const json_t *metadata, hel_bench_fill fill, void *user) {
    char *header = NULL;
    size_t size = 0;
    hel_writer writer;
    HEL_TRY(hel_safetensors_layout(entries, count, metadata, &header, &size));
    void *piece = hel_alloc(PIECE);
    hel_status status = piece ? hel_writer_open(path, true, false, &writer) : hel_fail_memory(PIECE);
    if (status == HEL_OK) {
        status = hel_writer_append(&writer, header, size);
        if (status == HEL_OK) status = write_data(&writer, entries, count, fill, user, piece);
        status = end_file(&writer, status);
    }
    hel_free(piece);
    hel_free(header);
    return status;
}
