// SPDX-License-Identifier: Apache-2.0
// hel_kmeans_file: arrays in files of NPY, read whole unless a few passes are enough. The outputs are opened before the fit,
// so that one that cannot be written is known at once.
#include <helicoid/kmeans.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "base/size.h"
#include "formats/npy.h"
#include "formats/npy_write.h"
#include "vq/kmeans.h"
#include "vq/kmeans_stream.h"

typedef struct outputs {
    hel_writer codebook, labels;
    bool has_codebook, has_labels;
} outputs;

static void abandon(outputs *to) {
    if (to->has_codebook) hel_writer_abandon(&to->codebook, false);
    if (to->has_labels) hel_writer_abandon(&to->labels, false);
}

static hel_status open_outputs(const char *codebook, const char *labels, bool overwrite, outputs *to) {
    if (labels && (strcmp(codebook, labels) == 0 || hel_path_same(codebook, labels)))
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: codebook and labels cannot be one file", codebook);
    HEL_TRY(hel_writer_open(codebook, overwrite, false, &to->codebook));
    to->has_codebook = true;
    if (!labels) return HEL_OK;
    HEL_TRY(hel_writer_open(labels, overwrite, false, &to->labels));
    to->has_labels = true;
    return HEL_OK;
}

static hel_status points_of(const hel_tensor_info *tensor, const char *path, uint32_t asked, uint64_t *n, uint32_t *d) {
    if (!hel_dtype_is_float(tensor->dtype))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: an array of %s; points are floats", path, hel_dtype_name(tensor->dtype));
    if (tensor->rank < 1 || tensor->rank > 2 || !tensor->elements)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: an array of rank %u with %llu values; points are [n, d] or [n]", path,
                        tensor->rank, (unsigned long long)tensor->elements);
    uint64_t width = tensor->rank == 2 ? tensor->shape[1] : asked ? asked : 1;
    if ((tensor->rank == 2 && asked && asked != width) || width > UINT32_MAX || tensor->elements % width)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: %llu values in points of %llu are not points of %u", path,
                        (unsigned long long)tensor->elements, (unsigned long long)(tensor->rank == 2 ? width : 1), asked);
    *n = tensor->elements / width;
    *d = (uint32_t)width;
    return HEL_OK;
}

// ---------------------------------------------------------------- whole

static hel_status read_points(hel_archive *archive, float **out) {
    const hel_tensor_info *tensor = &archive->tensors[0];
    float *points = hel_alloc_array(tensor->elements, sizeof *points);
    if (!points) return hel_fail_memory(tensor->elements * sizeof *points);
    hel_status status = hel_archive_read_f32(archive, tensor, 0, tensor->elements, points);
    if (status == HEL_OK) *out = points;
    else hel_free(points);
    return status;
}

static hel_status fit_whole(const hel_device *device, hel_archive *archive, const hel_kmeans_params *params, outputs *to,
                            hel_kmeans_result *out) {
    float *points = NULL;
    uint64_t n = out->n;
    HEL_TRY(read_points(archive, &points));
    hel_status status = hel_kmeans_fit(device, points, n, out->d, params, out);
    hel_free(points);
    if (status == HEL_OK && to->has_labels) status = hel_npy_append(&to->labels, HEL_U32, 1, &n, out->labels);
    return status;
}

// ---------------------------------------------------------------- in pieces

typedef struct pieces {
    hel_archive *archive;
    outputs *to;
} pieces;

static hel_status read_piece(void *user, uint64_t first, uint64_t count, float *out) {
    const pieces *p = user;
    return hel_archive_read_f32(p->archive, &p->archive->tensors[0], first, count, out);
}

static hel_status write_labels(void *user, const uint32_t *labels, uint64_t count) {
    const pieces *p = user;
    return hel_writer_append(&p->to->labels, labels, count * sizeof *labels);
}

static hel_status fit_pieces(const hel_device *device, hel_archive *archive, const hel_kmeans_params *params, outputs *to,
                             hel_kmeans_result *out) {
    pieces p = {archive, to};
    uint64_t n = out->n;
    if (to->has_labels) HEL_TRY(hel_npy_begin(&to->labels, HEL_U32, 1, &n));
    hel_kmeans_source source = {read_piece, to->has_labels ? write_labels : NULL, &p};
    return hel_kmeans_stream(device, &source, n, params, out);
}

// ---------------------------------------------------------------- both

static hel_status commit(outputs *to, const hel_kmeans_result *result) {
    uint64_t book[] = {result->k, result->d};
    HEL_TRY(hel_npy_append(&to->codebook, HEL_F32, 2, book, result->centroids));
    to->has_codebook = false; // a commit closes, whatever comes of it
    HEL_TRY(hel_writer_commit(&to->codebook));
    if (!to->has_labels) return HEL_OK;
    to->has_labels = false;
    return hel_writer_commit(&to->labels);
}

hel_status hel_kmeans_file(const hel_device *device, const char *data, uint32_t d, const char *codebook, const char *labels,
                           bool overwrite, const hel_kmeans_params *params, hel_kmeans_result *result) {
    HEL_REQUIRE(device && data && codebook);
    hel_kmeans_result fitted = {0};
    hel_kmeans_params checked;
    outputs to = {0};
    hel_archive *archive = NULL;
    hel_status status;
    if (result) *result = fitted;
    HEL_TRY_DONE(hel_npy_open(data, &archive));
    HEL_TRY_DONE(points_of(&archive->tensors[0], data, d, &fitted.n, &fitted.d));
    HEL_TRY_DONE(hel_kmeans_params_check(params, fitted.n, fitted.d, &checked));
    HEL_TRY_DONE(open_outputs(codebook, labels, overwrite, &to));
    bool streams = hel_kmeans_streams(fitted.n, fitted.d, &checked);
    status = (streams ? fit_pieces : fit_whole)(device, archive, &checked, &to, &fitted);
    if (status == HEL_ERROR_UNSUPPORTED) hel_error_prefix("%s: ", data); // whose values or shape the fit cannot take
    HEL_TRY_DONE(status);
    status = commit(&to, &fitted);
done:
    abandon(&to);
    hel_archive_close(&archive);
    if (status == HEL_OK && result) *result = fitted;
    else hel_kmeans_result_finish(&fitted);
    return status;
}
