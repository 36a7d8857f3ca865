// SPDX-License-Identifier: Apache-2.0
// hel_kmeans_file: arrays in files of NPY. The outputs are opened before the fit, so that one that cannot be written
// is known at once.
#include <helicoid/kmeans.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/require.h"
#include "base/size.h"
#include "formats/npy.h"
#include "formats/npy_write.h"

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

static hel_status read_points(const char *path, uint32_t asked, float **out, uint64_t *n, uint32_t *d) {
    hel_archive *archive;
    HEL_TRY(hel_npy_open(path, &archive));
    const hel_tensor_info *tensor = &archive->tensors[0];
    float *points = NULL;
    hel_status status = points_of(tensor, path, asked, n, d);
    if (status == HEL_OK) {
        points = hel_alloc_array(tensor->elements, sizeof *points);
        status = points ? hel_archive_read_f32(archive, tensor, 0, tensor->elements, points)
                        : hel_fail_memory(tensor->elements * sizeof *points);
    }
    hel_archive_close(&archive);
    if (status == HEL_OK) *out = points;
    else hel_free(points);
    return status;
}

static hel_status write_outputs(outputs *to, const hel_kmeans_result *result) {
    uint64_t book[] = {result->k, result->d};
    HEL_TRY(hel_npy_append(&to->codebook, HEL_F32, 2, book, result->centroids));
    if (to->has_labels) HEL_TRY(hel_npy_append(&to->labels, HEL_U32, 1, &result->n, result->labels));
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
    outputs to = {0};
    float *points = NULL;
    uint64_t n = 0;
    if (result) *result = fitted;
    hel_status status = read_points(data, d, &points, &n, &d);
    if (status == HEL_OK) status = open_outputs(codebook, labels, overwrite, &to);
    if (status == HEL_OK) status = hel_kmeans_fit(device, points, n, d, params, &fitted);
    if (status == HEL_OK) status = write_outputs(&to, &fitted);
    abandon(&to);
    hel_free(points);
    if (status == HEL_OK && result) *result = fitted;
    else hel_kmeans_result_finish(&fitted);
    return status;
}
