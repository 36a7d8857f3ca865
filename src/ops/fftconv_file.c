// SPDX-License-Identifier: Apache-2.0
// hel_fftconv_file: arrays in NPY files, read and written as rows go by.
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "formats/npy.h"
#include "formats/npy_write.h"
#include "ops/fftconv_stream.h"

enum { ARRAYS = HEL_FFTCONV_BIAS + 1 };

typedef struct files_at {
    const hel_fftconv_params *params;
    hel_archive *inputs[ARRAYS];
    hel_writer output;
    bool has_output;
} files_at;

// Floats of any type, rounded on their way.
static hel_status read_halves(hel_archive *archive, uint64_t first, uint64_t count, uint16_t *out) {
    float some[1024];
    for (uint64_t done = 0, n; done < count; done += n) {
        n = HEL_MIN(count - done, HEL_COUNT(some));
        HEL_TRY(hel_archive_read_f32(archive, &archive->tensors[0], first + done, n, some));
        for (uint64_t i = 0; i < n; i++) out[done + i] = hel_float_to_bf16(some[i]);
    }
    return HEL_OK;
}

static hel_status read_file(void *user, hel_fftconv_array array, uint64_t first, uint64_t count, void *out) {
    const files_at *at = user;
    hel_archive *archive = at->inputs[array];
    if (hel_fftconv_unit(at->params, array) == sizeof(float))
        return hel_archive_read_f32(archive, &archive->tensors[0], first, count, out);
    if (archive->tensors[0].dtype != HEL_BF16) return read_halves(archive, first, count, out);
    return hel_archive_read(archive, &archive->tensors[0], first * sizeof(uint16_t), out, count * sizeof(uint16_t));
}

static hel_status write_file(void *user, uint64_t count, const void *y) {
    files_at *at = user;
    return hel_writer_append(&at->output, y, count * hel_fftconv_unit(at->params, HEL_FFTCONV_U));
}

// ---------------------------------------------------------------- shapes

static hel_status open_input(const char *path, uint32_t most_rank, hel_archive **out) {
    if (!path) return HEL_OK;
    HEL_TRY(hel_npy_open(path, out));
    const hel_tensor_info *tensor = &(*out)->tensors[0];
    if (!hel_dtype_is_float(tensor->dtype))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: an array of %s; rows are floats", path, hel_dtype_name(tensor->dtype));
    if (!tensor->elements) return hel_fail(HEL_ERROR_ARGUMENT, "%s: an array without values", path);
    if (tensor->rank < 1 || tensor->rank > most_rank)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: an array of rank %u, where at most %u dimensions, and one at least, make sense",
                        path, tensor->rank, most_rank);
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] > UINT32_MAX)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: a dimension of %llu is over 2^32", path,
                            (unsigned long long)tensor->shape[i]);
    return HEL_OK;
}

// The i-th dimension from the last, 1 where there is none.
static uint32_t from_last(const hel_archive *archive, uint32_t i) {
    const hel_tensor_info *tensor = &archive->tensors[0];
    return i < tensor->rank ? (uint32_t)tensor->shape[tensor->rank - 1 - i] : 1;
}

static hel_status check_same_shape(const hel_archive *u, const hel_archive *gate) {
    for (uint32_t i = 0; gate && i < 3; i++)
        if (from_last(u, i) != from_last(gate, i))
            return hel_fail(HEL_ERROR_ARGUMENT, "%s: not of the shape of %s", gate->path, u->path);
    return HEL_OK;
}

static hel_status take_shapes(const files_at *at, hel_fftconv_params *params) {
    const hel_archive *u = at->inputs[HEL_FFTCONV_U], *h = at->inputs[HEL_FFTCONV_H], *bias = at->inputs[HEL_FFTCONV_BIAS];
    params->steps = from_last(u, 0);
    params->channels = from_last(u, 1);
    params->batch = from_last(u, 2);
    params->taps = from_last(h, 0);
    params->filters = from_last(h, 1);
    HEL_TRY(check_same_shape(u, at->inputs[HEL_FFTCONV_GATE_IN]));
    HEL_TRY(check_same_shape(u, at->inputs[HEL_FFTCONV_GATE_OUT]));
    if (bias && from_last(bias, 0) != params->channels)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: %u biases for %u channels", bias->path, from_last(bias, 0), params->channels);
    return hel_fftconv_params_check(params);
}

// ---------------------------------------------------------------- files

static hel_status open_files(const hel_fftconv_files *files, bool overwrite, hel_fftconv_params *params, files_at *at) {
    const char *const paths[ARRAYS] = {[HEL_FFTCONV_U] = files->u, [HEL_FFTCONV_GATE_IN] = files->gate_in,
                                       [HEL_FFTCONV_GATE_OUT] = files->gate_out, [HEL_FFTCONV_H] = files->h,
                                       [HEL_FFTCONV_BIAS] = files->bias};
    const uint32_t ranks[ARRAYS] = {[HEL_FFTCONV_U] = 3, [HEL_FFTCONV_GATE_IN] = 3, [HEL_FFTCONV_GATE_OUT] = 3, [HEL_FFTCONV_H] = 2,
                                    [HEL_FFTCONV_BIAS] = 1};
    for (int i = 0; i < ARRAYS; i++) HEL_TRY(open_input(paths[i], ranks[i], &at->inputs[i]));
    HEL_TRY(take_shapes(at, params));
    HEL_TRY(hel_writer_open(files->y, overwrite, false, &at->output));
    at->has_output = true;
    const hel_tensor_info *u = &at->inputs[HEL_FFTCONV_U]->tensors[0];
    return hel_npy_begin(&at->output, params->dtype == HEL_FFTCONV_BF16 ? HEL_BF16 : HEL_F32, u->rank, u->shape);
}

static hel_status convolve_files(const hel_device *device, const hel_fftconv_files *files, bool overwrite,
                                 hel_fftconv_params *params, files_at *at) {
    HEL_TRY(open_files(files, overwrite, params, at));
    hel_fftconv_stream stream = {files->gate_in != NULL, files->gate_out != NULL, files->bias != NULL, read_file, write_file, at};
    HEL_TRY(hel_fftconv_stream_run(device, params, &stream));
    at->has_output = false; // a commit closes, whatever comes of it
    return hel_writer_commit(&at->output);
}

hel_status hel_fftconv_file(const hel_device *device, const hel_fftconv_files *files, bool overwrite,
                            const hel_fftconv_params *params, hel_fftconv_params *out) {
    HEL_REQUIRE(device && files && files->u && files->h && files->y);
    hel_fftconv_params values = hel_fftconv_params_default();
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_fftconv_params"));
    files_at at = {.params = &values};
    hel_status status = convolve_files(device, files, overwrite, &values, &at);
    if (at.has_output) hel_writer_abandon(&at.output, false);
    for (int i = 0; i < ARRAYS; i++) hel_archive_close(&at.inputs[i]);
    if (status == HEL_OK && out) *out = values;
    return status;
}
