// SPDX-License-Identifier: Apache-2.0
// hel_info_json: what is in a model file.
#include <helicoid/compress.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/weight_desc.h"
#include "models/checkpoint.h"
#include "models/family.h"
#include "models/module_shape.h"
#include "models/roles.h"
#include "models/source.h"

typedef struct totals {
    uint64_t elements, bytes, compressed, outliers;
    bool expanded;
} totals;

static json_t *shape_json(uint32_t rank, const uint64_t *shape) {
    json_t *out = json_array();
    for (uint32_t i = 0; i < rank; i++) json_array_append_new(out, json_integer((json_int_t)shape[i]));
    return out;
}

// ---------------------------------------------------------------- tensors

static json_t *plain_json(const hel_tensor_info *tensor, totals *sum) {
    json_t *out =
        json_pack("{s:s, s:o, s:s, s:s, s:s, s:I}", "name", tensor->name, "shape",
                  shape_json(tensor->rank, tensor->shape), "dtype", hel_dtype_name(tensor->dtype), "stored_as",
                  tensor->stored_as, "class", hel_tensor_class_name(hel_role_classify(tensor->name, tensor->rank)),
                  "bytes", (json_int_t)tensor->stored_bytes);
    if (out && strcmp(tensor->stored_as, hel_dtype_name(tensor->dtype)) != 0) {
        json_object_set_new(out, "expanded_to", json_string(hel_dtype_name(tensor->dtype)));
        sum->expanded = true;
    }
    sum->elements += tensor->elements;
    return out;
}

// A compressed matrix under its dense name; parts that no reader knows are listed as tensors of their own.
static json_t *module_json(const hel_weight_desc *desc, totals *sum) {
    char name[512];
    const hel_tensor_info *svd = desc->svd_s;
    uint64_t kept = desc->sidecar_values ? desc->sidecar_values->elements : 0,
             bytes = hel_weight_desc_stored_bytes(desc);
    snprintf(name, sizeof name, "%s.weight", desc->module);
    json_t *out =
        json_pack("{s:s, s:[I, I], s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I}", "name", name, "shape",
                  (json_int_t)desc->rows, (json_int_t)desc->cols, "dtype", "F32", "stored_as", "HXQ", "class",
                  hel_tensor_class_name(hel_role_classify(name, 2)), "k", (int)desc->k, "d", (int)desc->d,
                  "index_bits", (int)hel_index_store_bits(desc->store), "sidecar", (json_int_t)kept, "bytes", (json_int_t)bytes);
    if (out && svd) json_object_set_new(out, "svd_rank", json_integer((json_int_t)svd->elements));
    sum->elements += desc->rows * desc->cols;
    sum->compressed++;
    sum->outliers += kept;
    return out;
}

static bool belongs(const hel_tensor_info *tensor, const hel_weight_desc *descs, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (hel_weight_desc_has(&descs[i], tensor)) return true;
    return false;
}

static hel_status append(json_t *list, json_t *item) {
    return item && json_array_append_new(list, item) == 0 ? HEL_OK : hel_fail_memory(256);
}

static hel_status describe_tensors(hel_archive *archive, json_t *list, totals *sum) {
    char **modules;
    size_t count, found = 0;
    HEL_TRY(hel_weight_modules(archive, &modules, &count));
    hel_weight_desc *descs = hel_alloc_zero(count, sizeof *descs);
    hel_status status = descs ? HEL_OK : hel_fail_memory(count * sizeof *descs);
    for (; status == HEL_OK && found < count; found++) {
        uint64_t rows, cols;
        status = hel_module_shape(archive, modules[found], &rows, &cols);
        if (status == HEL_OK) status = hel_weight_desc_find(archive, modules[found], rows, cols, &descs[found]);
        if (status != HEL_OK) break;
        status = append(list, module_json(&descs[found], sum));
    }
    for (size_t i = 0; status == HEL_OK && i < archive->n_tensors; i++) {
        sum->bytes += archive->tensors[i].stored_bytes;
        if (!belongs(&archive->tensors[i], descs, found)) status = append(list, plain_json(&archive->tensors[i], sum));
    }
    for (size_t i = 0; descs && i < found; i++) hel_weight_desc_finish(&descs[i]);
    hel_free(descs);
    hel_weight_modules_free(modules);
    return status;
}

// ---------------------------------------------------------------- the whole

// Under the usual names what models that we run call otherwise.
static void add_sizes(const json_t *config, json_t *out) {
    const char *type = json_string_value(json_object_get(config, "model_type"));
    hel_hyper hyper;
    if (!type || !hel_model_type_find(type, NULL) || hel_hyper_parse(config, "info", &hyper) != HEL_OK) return;
    const struct { const char *key; uint32_t value; } sizes[] = {
        {"num_hidden_layers", hyper.layers}, {"hidden_size", hyper.hidden}, {"vocab_size", hyper.vocabulary}};
    for (size_t i = 0; i < HEL_COUNT(sizes); i++)
        if (!json_object_get(out, sizes[i].key)) json_object_set_new(out, sizes[i].key, json_integer(sizes[i].value));
}

static json_t *config_json(const json_t *config) {
    static const char *const keys[] = {"architectures",           "model_type",         "hidden_size",
                                       "intermediate_size",       "num_hidden_layers",  "num_attention_heads",
                                       "num_key_value_heads",     "head_dim",           "vocab_size",
                                       "max_position_embeddings", "rms_norm_eps",       "rope_theta",
                                       "rope_parameters",         "tie_word_embeddings"};
    json_t *out = json_object(), *quantization = json_object_get(config, "quantization_config");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(config, keys[i]);
        if (value) json_object_set(out, keys[i], value);
    }
    add_sizes(config, out);
    const char *method = json_string_value(json_object_get(quantization, "quant_method"));
    if (method) json_object_set_new(out, "quant_method", json_string(method));
    return out;
}

// What we wrote about how a file was made, without the long lists of digests.
static json_t *origin_json(const json_t *metadata) {
    static const char *const keys[][2] = {{HEL_KEY_VERSION, "version"}, {HEL_KEY_CREATED, "created"}};
    static const char *const texts[][2] = {{HEL_KEY_SOURCE, "source"}, {HEL_KEY_SETTINGS, "settings"}};
    json_t *out = json_object();
    for (size_t i = 0; i < 2; i++) {
        json_t *value = json_object_get(metadata, keys[i][0]);
        const char *text = json_string_value(json_object_get(metadata, texts[i][0]));
        if (value) json_object_set(out, keys[i][1], value);
        json_t *parsed = text ? json_loads(text, 0, NULL) : NULL;
        if (parsed) json_object_set_new(out, texts[i][1], parsed);
    }
    return out;
}

static hel_status describe(hel_archive *archive, json_t *out) {
    totals sum = {0};
    json_t *tensors = json_array();
    if (!tensors) return hel_fail_memory(64);
    hel_status status = describe_tensors(archive, tensors, &sum);
    if (status == HEL_OK) {
        double f16 = (double)sum.elements * 2, f32 = (double)sum.elements * 4, file = (double)archive->file_bytes;
        json_t *total = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "tensors",
                                  (json_int_t)json_array_size(tensors), "parameters", (json_int_t)sum.elements,
                                  "compressed", (json_int_t)sum.compressed, "sidecar", (json_int_t)sum.outliers,
                                  "tensor_bytes", (json_int_t)sum.bytes, "file_bytes", (json_int_t)archive->file_bytes,
                                  "ratio_f16", file > 0 ? f16 / file : 0, "ratio_f32", file > 0 ? f32 / file : 0);
        int failed = !total || json_object_set_new(out, "totals", total) != 0;
        if (sum.expanded)
            failed |= json_object_set_new(out, "note",
                                          json_string("quantised tensors are expanded to F16 when they are loaded"));
        failed |= json_object_set(out, "tensors", tensors);
        if (failed) status = hel_fail_memory(256);
    }
    json_decref(tensors);
    return status;
}

hel_status hel_info_json(const char *path, char **out) {
    hel_archive *archive;
    if (!path || !out) return hel_fail(HEL_ERROR_ARGUMENT, "a path is needed");
    HEL_TRY(hel_source_open(path, &archive));
    json_t *info = json_pack("{s:s, s:s, s:o, s:o}", "path", path, "format", archive->format->name, "config",
                             config_json(archive->config), "made_by", origin_json(archive->metadata));
    hel_status status =
        info ? describe(archive, info) : hel_fail(HEL_ERROR_FORMAT, "%s: not describable as JSON", path);
    if (status == HEL_OK) status = hel_json_print(info, 2, out, NULL);
    json_decref(info);
    hel_archive_close(&archive);
    return status;
}

void hel_info_free(char *json) { hel_free(json); }
