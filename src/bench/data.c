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

#define TWO_PI 6.283185307179586476925287
enum { PIECE = 8 << 20, NPY_ALIGNMENT = 64, PATH_ROOM = 4096 };

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

static double uniform(uint64_t *state) { return ((double)(hel_bench_random(state) >> 11) + 0.5) * 0x1p-53; }

void hel_bench_gaussian(uint64_t seed, float scale, float *out, uint64_t count) {
    for (uint64_t i = 0; i < count; i += 2) {
        double radius = scale * sqrt(-2 * log(uniform(&seed))), angle = TWO_PI * uniform(&seed);
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

// ---------------------------------------------------------------- files

static hel_status write_pieces(hel_os_file file, const char *path, uint64_t at, const char *bytes, uint64_t size) {
    for (uint64_t done = 0; done < size;) {
        int64_t put = hel_os_file_write(file, at + done, bytes + done, (size_t)HEL_MIN(PIECE, size - done));
        if (put < 0) return hel_fail_errno(path, "write");
        done += (uint64_t)put;
    }
    return HEL_OK;
}

// Magic, version 1.0, length, a Python dict, blanks up to a multiple of 64 and a newline.
static hel_status npy_header(const char *descr, const uint64_t *shape, uint32_t rank, hel_text *out) {
    hel_text_append(out, "\x93NUMPY\1\0\0\0", 10);
    hel_text_print(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (uint32_t i = 0; i < rank; i++) hel_text_print(out, "%llu, ", (unsigned long long)shape[i]);
    hel_text_print(out, "), }");
    while (!out->failed && (out->size + 1) % NPY_ALIGNMENT) hel_text_append(out, " ", 1);
    hel_text_append(out, "\n", 1);
    HEL_TRY(hel_text_ok(out));
    out->bytes[8] = (char)((out->size - 10) & 255);
    out->bytes[9] = (char)((out->size - 10) >> 8);
    return HEL_OK;
}

hel_status hel_bench_write_npy(const hel_bench_run *run, const char *name, const char *descr, uint32_t width,
                               const uint64_t *shape, uint32_t rank, const void *data) {
    hel_text header = {0};
    hel_os_file file = {-1};
    char *path = NULL;
    uint64_t bytes = width;
    for (uint32_t i = 0; i < rank; i++) bytes *= shape[i]; // of an array in memory: it fits
    hel_status status;
    HEL_TRY_DONE(hel_bench_path(run, name, &path));
    HEL_TRY_DONE(npy_header(descr, shape, rank, &header));
    if (!hel_os_file_open(path, HEL_OS_REWRITE, &file)) HEL_TRY_DONE(hel_fail_errno(path, "create"));
    HEL_TRY_DONE(write_pieces(file, path, 0, header.bytes, header.size));
    status = write_pieces(file, path, header.size, data, bytes);
done:
    hel_os_file_close(&file);
    hel_text_finish(&header);
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
        if (status == HEL_OK) status = hel_writer_commit(&writer);
        else hel_writer_abandon(&writer, false);
    }
    hel_free(piece);
    hel_free(header);
    return status;
}
