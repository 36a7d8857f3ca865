// SPDX-License-Identifier: Apache-2.0
// From the keys of a module to one checked descriptor (docs/formats.md, "HXQ").
#include "formats/weight_desc.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"

enum { MAX_CODEBOOK = 65536, MAX_NAME = 512 };

static const hel_tensor_info *part(const hel_archive *archive, const char *module, const char *name) {
    char key[MAX_NAME];
    int length = snprintf(key, sizeof key, "%s.%s", module, name);
    return length > 0 && (size_t)length < sizeof key ? hel_archive_find(archive, key) : NULL;
}

static hel_status refuse(const hel_tensor_info *tensor, const char *rule) {
    return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset, "tensor \"%.200s\": %s", tensor->name, rule);
}

static hel_status require_vector(const hel_tensor_info *tensor, uint64_t count) {
    if (!tensor || (hel_dtype_is_float(tensor->dtype) && tensor->elements == count)) return HEL_OK;
    return refuse(tensor, "must be floats, one for each row or column it belongs to");
}

// ---------------------------------------------------------------- codebook and indices

static hel_status check_codebook(hel_weight_desc *desc) {
    const hel_tensor_info *codebook = desc->codebook;
    if (!hel_dtype_is_float(codebook->dtype) || codebook->rank < 1 || codebook->rank > 2)
        return refuse(codebook, "a codebook is floats [k] or [k, d]");
    uint64_t k = codebook->shape[0], d = codebook->rank == 2 ? codebook->shape[1] : 1;
    if (!k || k > MAX_CODEBOOK) return refuse(codebook, "a codebook has 1 to 65536 entries");
    if (d != 1 && d != 2 && d != 4) return refuse(codebook, "codebook entries are 1, 2 or 4 wide");
    desc->k = (uint32_t)k;
    desc->d = (uint32_t)d;
    return HEL_OK;
}

uint32_t hel_index_store_bits(hel_index_store store) {
    static const uint32_t bits[] = {
        [HEL_INDEX_NONE] = 0,    [HEL_INDEX_U8] = 8,    [HEL_INDEX_U16] = 16,  [HEL_INDEX_PACK12] = 12,
        [HEL_INDEX_PACK6] = 6,   [HEL_INDEX_PACK5] = 5, [HEL_INDEX_PACK4] = 4,
    };
    return bits[store];
}

// Our packed files name the bits of each module in the config.
static hel_status named_store(const hel_archive *archive, const char *module, hel_index_store *out) {
    const json_t *quantization = json_object_get(archive->config, "quantization_config");
    const json_t *map = json_object_get(quantization, "module_index_bits");
    uint32_t bits;
    HEL_TRY(hel_json_get_u32(map, module, 0, &bits));
    *out = bits == 4 ? HEL_INDEX_PACK4 : bits == 5 ? HEL_INDEX_PACK5 : bits == 6 ? HEL_INDEX_PACK6 : HEL_INDEX_NONE;
    if (bits && *out == HEL_INDEX_NONE)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: module_index_bits of %s is %u, known are 4, 5 and 6", archive->path,
                        module, bits);
    return HEL_OK;
}

// Flat bytes: how many elements they hold must follow from the shape the caller knows.
static hel_status check_flat(hel_weight_desc *desc) {
    const hel_tensor_info *data = desc->data;
    uint64_t indices, bits, bytes, width = hel_index_store_bits(desc->store);
    if (desc->rows > UINT32_MAX || desc->cols > UINT32_MAX) return refuse(data, "its size overflows");
    if (!desc->rows || !desc->cols)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: %s: packed indices do not say the matrix's shape", data->file, desc->module);
    if (!hel_size_mul(desc->rows, desc->cols / desc->d, &indices) || !hel_size_mul(indices, width, &bits))
        return refuse(data, "its size overflows");
    bytes = desc->store == HEL_INDEX_PACK12 ? hel_ceil_div(indices, 2) * 3
                                            : desc->rows * hel_ceil_div(desc->cols / desc->d * width, 8);
    if (data->elements == bytes || (desc->store == HEL_INDEX_PACK12 && data->elements == hel_ceil_div(bits, 8))) return HEL_OK;
    return refuse(data, "packed indices do not match the matrix's shape");
}

static hel_status check_plain(hel_weight_desc *desc) {
    const hel_tensor_info *data = desc->data;
    uint64_t cols, count;
    if (data->rank == 1 && hel_size_mul(desc->rows, desc->cols / desc->d, &count) && count && data->elements == count)
        return HEL_OK;
    if (data->rank != 2) return refuse(data, "indices are [rows, columns / d]");
    if (!hel_size_mul(data->shape[1], desc->d, &cols)) return refuse(data, "its size overflows");
    if ((desc->rows && desc->rows != data->shape[0]) || (desc->cols && desc->cols != cols))
        return refuse(data, "indices do not have the matrix's shape");
    desc->rows = data->shape[0];
    desc->cols = cols;
    return HEL_OK;
}

// Flat bytes hold either one index each or 12 bits an index; the count tells.
static bool is_packed12(const hel_weight_desc *desc) {
    return desc->data->rank == 1 && (!desc->rows || desc->data->elements / desc->rows != desc->cols / desc->d ||
                                     desc->data->elements % desc->rows);
}

static hel_status check_indices(const hel_archive *archive, hel_weight_desc *desc) {
    const hel_tensor_info *data = desc->data;
    if (desc->cols % desc->d) return refuse(data, "the matrix's columns are not a multiple of the codebook's width");
    HEL_TRY(named_store(archive, desc->module, &desc->store));
    if (data->dtype == HEL_U8 && desc->store == HEL_INDEX_NONE) desc->store = is_packed12(desc) ? HEL_INDEX_PACK12 : HEL_INDEX_U8;
    if (data->dtype == HEL_U8 && desc->store != HEL_INDEX_U8) return check_flat(desc);
    if (data->dtype == HEL_U16 || data->dtype == HEL_I16) desc->store = HEL_INDEX_U16;
    if (desc->store != HEL_INDEX_U8 && desc->store != HEL_INDEX_U16) return refuse(data, "indices are U8, U16 or I16");
    return check_plain(desc);
}

// ---------------------------------------------------------------- what may stand beside them

static hel_status check_sidecar(const hel_archive *archive, hel_weight_desc *desc) {
    desc->sidecar_positions = part(archive, desc->module, "sidecar_positions");
    if (!desc->sidecar_positions) desc->sidecar_positions = part(archive, desc->module, "sidecar_indices");
    desc->sidecar_values = part(archive, desc->module, "sidecar_values");
    const hel_tensor_info *positions = desc->sidecar_positions, *values = desc->sidecar_values;
    if (!positions && !values) return HEL_OK;
    if (!positions || !values) return refuse(positions ? positions : values, "a sidecar has positions and values");
    if (positions->dtype != HEL_I64) return refuse(positions, "sidecar positions are I64");
    if (positions->elements > UINT32_MAX) return refuse(positions, "too many outliers");
    return require_vector(values, positions->elements);
}

static hel_status check_svd(const hel_archive *archive, hel_weight_desc *desc) {
    desc->svd_u = part(archive, desc->module, "svd_U");
    desc->svd_s = part(archive, desc->module, "svd_s");
    desc->svd_vt = part(archive, desc->module, "svd_Vt");
    const hel_tensor_info *u = desc->svd_u, *s = desc->svd_s, *vt = desc->svd_vt;
    if (!u && !s && !vt) return HEL_OK;
    if (!u || !s || !vt) return refuse(u ? u : s ? s : vt, "SVD factors come as svd_U, svd_s and svd_Vt");
    uint64_t rank = s->elements;
    HEL_TRY(require_vector(s, rank));
    if (u->rank != 2 || u->shape[0] != desc->rows || u->shape[1] != rank || !hel_dtype_is_float(u->dtype))
        return refuse(u, "svd_U is [rows, rank]");
    if (vt->rank != 2 || vt->shape[0] != rank || vt->shape[1] != desc->cols || !hel_dtype_is_float(vt->dtype))
        return refuse(vt, "svd_Vt is [rank, columns]");
    return HEL_OK;
}

static hel_status check_group_scales(const hel_archive *archive, hel_weight_desc *desc) {
    const hel_tensor_info *scales = desc->group_scales = part(archive, desc->module, "group_scales");
    if (!scales) return HEL_OK;
    if (scales->rank != 2 || scales->shape[0] != desc->rows || !scales->shape[1] || desc->cols % scales->shape[1] ||
        !hel_dtype_is_float(scales->dtype))
        return refuse(scales, "group scales are [rows, groups], and groups divide the columns");
    desc->group = (uint32_t)(desc->cols / scales->shape[1]);
    return HEL_OK;
}

static hel_status check_neighbours(const hel_archive *archive, hel_weight_desc *desc) {
    if (!desc->rows || !desc->cols || desc->rows > UINT32_MAX || desc->cols > UINT32_MAX)
        return refuse(desc->data, "a matrix has 1 to 2^32 - 1 rows and columns");
    desc->bias = part(archive, desc->module, "bias");
    HEL_TRY(require_vector(desc->bias, desc->rows));
    if (desc->store == HEL_INDEX_NONE) return HEL_OK;
    desc->channel_scales = part(archive, desc->module, "channel_scales");
    HEL_TRY(require_vector(desc->channel_scales, desc->cols));
    HEL_TRY(check_group_scales(archive, desc));
    HEL_TRY(check_sidecar(archive, desc));
    return check_svd(archive, desc);
}

// ---------------------------------------------------------------- finding

static hel_status find_dense(const hel_archive *archive, hel_weight_desc *desc) {
    desc->data = part(archive, desc->module, "weight");
    if (!desc->data) desc->data = hel_archive_find(archive, desc->module); // a matrix that is no module's
    if (!desc->data)
        return hel_fail(HEL_ERROR_NOT_FOUND, "%s: neither \"%s.weight\" nor \"%s.codebook\" is there", archive->path,
                        desc->module, desc->module);
    const hel_tensor_info *data = desc->data;
    if (data->rank != 2 || !hel_dtype_is_float(data->dtype)) return refuse(data, "a weight is a matrix of floats");
    if ((desc->rows && desc->rows != data->shape[0]) || (desc->cols && desc->cols != data->shape[1]))
        return hel_fail_file(HEL_ERROR_FORMAT, data->file, data->offset,
                             "tensor \"%.200s\" is %llu x %llu, expected %llu x %llu", data->name,
                             (unsigned long long)data->shape[0], (unsigned long long)data->shape[1],
                             (unsigned long long)desc->rows, (unsigned long long)desc->cols);
    desc->rows = data->shape[0];
    desc->cols = data->shape[1];
    return HEL_OK;
}

static hel_status find(const hel_archive *archive, hel_weight_desc *desc) {
    desc->codebook = part(archive, desc->module, "codebook");
    desc->data = part(archive, desc->module, "indices");
    if (desc->codebook && desc->data) {
        HEL_TRY(check_codebook(desc));
        HEL_TRY(check_indices(archive, desc));
    } else {
        desc->codebook = NULL;
        HEL_TRY(find_dense(archive, desc));
    }
    return check_neighbours(archive, desc);
}

hel_status hel_weight_desc_find(const hel_archive *archive, const char *module, uint64_t rows, uint64_t cols,
                                hel_weight_desc *out) {
    *out = (hel_weight_desc){.module = hel_string_copy(module), .rows = rows, .cols = cols};
    if (!out->module) return hel_fail_memory(strlen(module));
    hel_status status = find(archive, out);
    if (status != HEL_OK) hel_weight_desc_finish(out);
    return status;
}

void hel_weight_desc_finish(hel_weight_desc *desc) {
    hel_free(desc->module);
    *desc = (hel_weight_desc){0};
}

// The bias comes last.
enum { PARTS = 10 };
static void list_parts(const hel_weight_desc *desc, const hel_tensor_info *out[PARTS]) {
    const hel_tensor_info *parts[PARTS] = {desc->data, desc->codebook, desc->sidecar_positions, desc->sidecar_values, desc->svd_u,
                                           desc->svd_s, desc->svd_vt, desc->channel_scales, desc->group_scales, desc->bias};
    memcpy(out, parts, sizeof parts);
}

uint64_t hel_weight_desc_stored_bytes(const hel_weight_desc *desc) {
    const hel_tensor_info *parts[PARTS];
    uint64_t bytes = 0;
    list_parts(desc, parts);
    for (size_t i = 0; i < PARTS; i++) bytes += parts[i] ? parts[i]->stored_bytes : 0;
    return bytes;
}

bool hel_weight_desc_has(const hel_weight_desc *desc, const hel_tensor_info *tensor) {
    const hel_tensor_info *parts[PARTS];
    list_parts(desc, parts);
    for (size_t i = 0; i < PARTS - 1; i++)
        if (parts[i] == tensor) return true;
    return false;
}

// ---------------------------------------------------------------- listing

static const char suffix[] = ".codebook";

hel_status hel_weight_modules(const hel_archive *archive, char ***out, size_t *out_count) {
    char **modules = hel_alloc_zero(archive->n_tensors + 1, sizeof *modules);
    if (!modules) return hel_fail_memory((archive->n_tensors + 1) * sizeof *modules);
    size_t count = 0;
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const char *name = archive->tensors[i].name;
        size_t length = strlen(name), tail = sizeof suffix - 1;
        if (length <= tail || strcmp(name + length - tail, suffix) != 0) continue;
        modules[count] = hel_string_copy_n(name, length - tail);
        if (!modules[count++]) {
            hel_weight_modules_free(modules);
            return hel_fail_memory(length);
        }
    }
    *out = modules;
    *out_count = count;
    return HEL_OK;
}

void hel_weight_modules_free(char **modules) {
    if (!modules) return;
    for (char **module = modules; *module; module++) hel_free(*module);
    hel_free(modules);
}
