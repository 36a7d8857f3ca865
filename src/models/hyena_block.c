// SPDX-License-Identifier: Apache-2.0
// <helicoid/hyena.h>: the operator by itself.
#include <helicoid/hyena.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "formats/npy.h"
#include "formats/npy_write.h"
#include "device/convolution.h"
#include "models/hyena_stream.h"
#include "models/source.h"

struct hel_hyena {
    const hel_device *device;
    hel_hyper hyper;
    void *weights; // as of a layer, of which the operator alone is there
    hel_progress_callback progress;
    void *user;
};

static const hel_hyena_params defaults = {.struct_size = sizeof(hel_hyena_params)};

void hel_hyena_params_init(hel_hyena_params *params, size_t struct_size) { HEL_PARAMS_WRITE(params, struct_size, &defaults); }

// ---------------------------------------------------------------- sizes, as the tensors have them

typedef char tensor_name[256];

static hel_status name_of(const char *prefix, const char *rest, tensor_name out) {
    int length = snprintf(out, sizeof(tensor_name), "%s%s", prefix, rest);
    return length >= 0 && (size_t)length < sizeof(tensor_name) ? HEL_OK
                                                               : hel_fail(HEL_ERROR_ARGUMENT, "a prefix of %d bytes", length);
}

// NULL where there is none.
static hel_status find(const hel_archive *archive, const char *prefix, const char *rest, const hel_tensor_info **out) {
    tensor_name name;
    HEL_TRY(name_of(prefix, rest, name));
    *out = hel_archive_find(archive, name);
    return HEL_OK;
}

static hel_status require(const hel_archive *archive, const char *prefix, const char *rest, uint32_t rank,
                          const hel_tensor_info **out) {
    HEL_TRY(find(archive, prefix, rest, out));
    if (!*out) return hel_fail(HEL_ERROR_NOT_FOUND, "%s: no tensor \"%s%s\"", archive->path, prefix, rest);
    if ((*out)->rank != rank)
        return hel_fail(HEL_ERROR_FORMAT, "%s: \"%s\" of rank %u, not %u", archive->path, (*out)->name, (*out)->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        if (!(*out)->shape[i] || (*out)->shape[i] > HEL_MAX_WIDTH)
            return hel_fail(HEL_ERROR_FORMAT, "%s: a dimension of \"%s\" is %llu", archive->path, (*out)->name,
                            (unsigned long long)(*out)->shape[i]);
    return HEL_OK;
}

// Of the first layer, as either family names it.
static const char *first_prefix(const hel_archive *archive) {
    static const char inside[] = "hyena.backbone.layers.0.mixer.";
    const hel_tensor_info *taps = NULL;
    return find(archive, inside, "short_filter.weight", &taps) == HEL_OK && taps ? inside : strchr(inside, '.') + 1;
}

// (N + 1) width rows of short filters, (N - 1) width biases.
static hel_status take_sizes(const hel_archive *archive, const char *prefix, hel_hyper *hyper) {
    const hel_tensor_info *taps, *bias, *first;
    HEL_TRY(require(archive, prefix, "short_filter.weight", 3, &taps));
    HEL_TRY(require(archive, prefix, "filter_fn.bias", 1, &bias));
    HEL_TRY(require(archive, prefix, "filter_fn.implicit_filter.0.weight", 2, &first));
    uint64_t rows = taps->shape[0], filters = bias->shape[0], width = rows > filters ? (rows - filters) / 2 : 0;
    uint64_t order = width ? filters / width + 1 : 0;
    if (!width || filters % width || rows != (order + 1) * width || order < 2 || order > HEL_HYENA_MAX_ORDER)
        return hel_fail(HEL_ERROR_FORMAT, "%s: %llu short filters and %llu long ones are of no operator", archive->path,
                        (unsigned long long)rows, (unsigned long long)filters);
    hyper->hidden = (uint32_t)width;
    hyper->hyena.order = (uint32_t)order;
    hyper->hyena.short_width = (uint32_t)taps->shape[2];
    hyper->hyena.filter_hidden = (uint32_t)first->shape[0];
    hyper->hyena.features = (uint32_t)first->shape[1];
    bool odd = hyper->hyena.features % 2 && hyper->hyena.features >= 3;
    if (hyper->hyena.short_width == 3 && odd && hyper->hyena.filter_hidden <= 1024) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: filters of %u taps, of a network of %u neurons of %u features", archive->path,
                    hyper->hyena.short_width, hyper->hyena.filter_hidden, hyper->hyena.features);
}

static hel_status parse_config(const hel_archive *archive, uint32_t length, hel_hyper *hyper) {
    hel_status status = hel_hyena_parse_mixer(archive->config, hyper);
    if (status == HEL_OK)
        status = hel_hyper_get(archive->config, "max_seq_len", length, 1, HEL_CONVOLUTION_MAX_STEPS, &hyper->context_length);
    if (status != HEL_OK) hel_error_prefix("%s: config: ", archive->path);
    return status;
}

// Positions that the file has are for one length.
static hel_status take_length(const hel_archive *archive, const hel_hyena_params *params, const hel_tensor_info *z,
                              hel_hyper *hyper) {
    if (params->max_length > HEL_CONVOLUTION_MAX_STEPS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "sequences of %u steps, %u at most", params->max_length, HEL_CONVOLUTION_MAX_STEPS);
    if (z && params->max_length && z->shape[1] != params->max_length)
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: its filters' positions are for %llu steps, not for %u", archive->path,
                        (unsigned long long)z->shape[1], params->max_length);
    if (params->max_length) hyper->context_length = params->max_length;
    return HEL_OK;
}

static void take_params(const hel_hyena_params *params, hel_hyena_hyper *hyena) {
    const double given[] = {params->sine_frequency, params->fast_decay, params->slow_decay, params->decay_target, params->shift};
    double *const values[] = {&hyena->sine, &hyena->fast_decay, &hyena->slow_decay, &hyena->decay_target, &hyena->shift};
    for (size_t i = 0; i < HEL_COUNT(given); i++)
        if (given[i] != 0.0) *values[i] = HEL_MAX(given[i], 0.0);
}

static hel_status take_hyper(const hel_archive *archive, const hel_hyena_params *params, hel_hyper *hyper) {
    const hel_tensor_info *z;
    HEL_TRY(find(archive, params->prefix, "filter_fn.pos_emb.z", &z));
    if (z && (z->rank != 3 || z->shape[1] > HEL_CONVOLUTION_MAX_STEPS)) z = NULL; // refused when it is read
    HEL_TRY(parse_config(archive, z ? (uint32_t)z->shape[1] : 1024, hyper));
    take_params(params, &hyper->hyena);
    HEL_TRY(hel_hyena_check_decay(&hyper->hyena));
    HEL_TRY(take_sizes(archive, params->prefix, hyper));
    return take_length(archive, params, z, hyper);
}

// ---------------------------------------------------------------- tensors

// NULL for those of a layer that are not the operator's.
static const char *name_in_mixer(const hel_role *role) {
    static const char mixer[] = "mixer.";
    bool inside = role->kind != HEL_ROLE_BIAS && strncmp(role->hugging_face, mixer, sizeof mixer - 1) == 0;
    return inside ? role->hugging_face + sizeof mixer - 1 : NULL;
}

static void *member_of(const hel_hyena *hyena, const hel_role *role) { return (char *)hyena->weights + role->member; }

static hel_status load_matrix(hel_hyena *hyena, hel_archive *archive, tensor_name name, const hel_role *role) {
    hel_weight_desc desc;
    name[strlen(name) - strlen(".weight")] = 0;
    HEL_TRY(hel_weight_desc_find(archive, name, hel_hyper_dimension(&hyena->hyper, role->rows),
                                 hel_hyper_dimension(&hyena->hyper, role->cols), &desc));
    hel_status status = hel_weight_prepare(hyena->device, archive, &desc, member_of(hyena, role));
    hel_weight_desc_finish(&desc);
    return status;
}

static hel_status load_role(hel_hyena *hyena, hel_archive *archive, const char *prefix, const hel_role *role) {
    tensor_name name;
    HEL_TRY(name_of(prefix, name_in_mixer(role), name));
    if (role->kind == HEL_ROLE_MATRIX) return load_matrix(hyena, archive, name, role);
    if (role->optional && !hel_archive_find(archive, name)) return HEL_OK;
    uint32_t count = hel_hyper_dimension(&hyena->hyper, role->rows) * hel_hyper_dimension(&hyena->hyper, role->cols);
    return hel_vector_prepare(hyena->device, archive, name, count, member_of(hyena, role));
}

static hel_status load(hel_hyena *hyena, hel_archive *archive, const hel_hyena_params *params) {
    HEL_TRY(take_hyper(archive, params, &hyena->hyper));
    hyena->weights = hel_alloc_zero(1, hel_hyena_kind.size);
    if (!hyena->weights) return hel_fail_memory(hel_hyena_kind.size);
    for (size_t i = 0; i < hel_hyena_kind.n_roles; i++)
        if (name_in_mixer(&hel_hyena_kind.roles[i])) HEL_TRY(load_role(hyena, archive, params->prefix, &hel_hyena_kind.roles[i]));
    return HEL_OK;
}

hel_status hel_hyena_create(const hel_device *device, const char *path, const hel_hyena_params *params, hel_hyena **out) {
    HEL_REQUIRE(device && path && out);
    *out = NULL;
    hel_hyena_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_hyena_params"));
    hel_hyena *hyena = hel_alloc_zero(1, sizeof *hyena);
    if (!hyena) return hel_fail_memory(sizeof *hyena);
    *hyena = (hel_hyena){.device = device, .progress = values.progress, .user = values.user};
    hel_archive *archive = NULL;
    hel_status status = hel_source_open(path, &archive);
    if (status == HEL_OK && !values.prefix) values.prefix = first_prefix(archive);
    if (status == HEL_OK) status = load(hyena, archive, &values);
    hel_archive_close(&archive);
    if (status == HEL_OK) *out = hyena;
    else hel_hyena_destroy(&hyena);
    return status;
}

void hel_hyena_destroy(hel_hyena **handle) {
    if (!handle || !*handle) return;
    hel_hyena *hyena = *handle;
    for (size_t i = 0; hyena->weights && i < hel_hyena_kind.n_roles; i++) {
        const hel_role *role = &hel_hyena_kind.roles[i];
        if (role->kind == HEL_ROLE_MATRIX) hel_weight_finish(member_of(hyena, role));
        if (role->kind == HEL_ROLE_VECTOR) hel_buffer_destroy(hyena->device, member_of(hyena, role));
    }
    hel_free(hyena->weights);
    hel_free(hyena);
    *handle = NULL;
}

void hel_hyena_describe(const hel_hyena *hyena, hel_hyena_info *out) {
    HEL_REQUIRE_OR(hyena && out, );
    *out = (hel_hyena_info){hyena->hyper.hidden, hyena->hyper.hyena.order, hyena->hyper.context_length};
}

// ---------------------------------------------------------------- arrays

typedef struct arrays_at {
    const float *x;
    float *y;
} arrays_at;

static hel_status read_array(void *user, uint64_t first, uint64_t count, float *x) {
    memcpy(x, ((const arrays_at *)user)->x + first, count * sizeof *x);
    return HEL_OK;
}

static hel_status write_array(void *user, uint64_t count, const float *y) {
    arrays_at *at = user;
    memcpy(at->y, y, count * sizeof *y);
    at->y += count;
    return HEL_OK;
}

static hel_status run(const hel_hyena *hyena, uint32_t batch, uint32_t length, hel_hyena_stream *stream) {
    uint64_t elements;
    if (length > hyena->hyper.context_length)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%u steps are more than the %u of the filters", length, hyena->hyper.context_length);
    if (!hel_size_mul((uint64_t)batch * length, hyena->hyper.hidden * sizeof(float), &elements) || elements > SIZE_MAX)
        return hel_fail_memory(SIZE_MAX);
    stream->progress = hyena->progress;
    stream->progress_user = hyena->user;
    return hel_hyena_stream_run(hyena->device, &hyena->hyper, hyena->weights, batch, length, stream);
}

hel_status hel_hyena_forward(const hel_hyena *hyena, uint32_t batch, uint32_t length, const float *x, float *y) {
    HEL_REQUIRE(hyena && batch && length && x && y);
    hel_hyena_stream stream = {.read = read_array, .write = write_array, .user = &(arrays_at){x, y}, .room = y};
    return run(hyena, batch, length, &stream);
}

// ---------------------------------------------------------------- files

typedef struct files_at {
    hel_archive *input;
    hel_writer output;
    bool has_output;
} files_at;

static hel_status read_file(void *user, uint64_t first, uint64_t count, float *x) {
    hel_archive *input = ((const files_at *)user)->input;
    return hel_archive_read_f32(input, &input->tensors[0], first, count, x);
}

static hel_status write_file(void *user, uint64_t count, const float *y) {
    return hel_writer_append(&((files_at *)user)->output, y, count * sizeof *y);
}

static hel_status check_input(const hel_hyena *hyena, const hel_archive *input) {
    const hel_tensor_info *x = &input->tensors[0];
    bool fits = hel_dtype_is_float(x->dtype) && x->elements && (x->rank == 2 || x->rank == 3) &&
                x->shape[x->rank - 1] == hyena->hyper.hidden;
    for (uint32_t i = 0; fits && i < x->rank; i++) fits = x->shape[i] <= UINT32_MAX;
    return fits ? HEL_OK : hel_fail(HEL_ERROR_ARGUMENT, "%s: not floats [length, %u] or [batch, length, %u]", input->path,
                                    hyena->hyper.hidden, hyena->hyper.hidden);
}

static hel_status run_files(const hel_hyena *hyena, const char *x, const char *y, bool overwrite, files_at *at) {
    HEL_TRY(hel_npy_open(x, &at->input));
    HEL_TRY(check_input(hyena, at->input));
    HEL_TRY(hel_writer_open(y, overwrite, false, &at->output));
    at->has_output = true;
    const hel_tensor_info *tensor = &at->input->tensors[0];
    HEL_TRY(hel_npy_begin(&at->output, HEL_F32, tensor->rank, tensor->shape));
    hel_hyena_stream stream = {.read = read_file, .write = write_file, .user = at};
    HEL_TRY(run(hyena, tensor->rank == 3 ? (uint32_t)tensor->shape[0] : 1, (uint32_t)tensor->shape[tensor->rank - 2], &stream));
    at->has_output = false; // a commit closes, whatever comes of it
    return hel_writer_commit(&at->output);
}

hel_status hel_hyena_forward_file(const hel_hyena *hyena, const char *x, const char *y, bool overwrite) {
    HEL_REQUIRE(hyena && x && y);
    files_at at = {0};
    hel_status status = run_files(hyena, x, y, overwrite, &at);
    if (at.has_output) hel_writer_abandon(&at.output, false);
    hel_archive_close(&at.input);
    return status;
}
