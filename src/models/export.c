// SPDX-License-Identifier: Apache-2.0
// hel_export: every matrix dense again, a few rows at a time. RWKV-4 goes back to the form that transformers has a class for.
#include <helicoid/compress.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/size.h"
#include "formats/weight_desc.h"
#include "models/checkpoint.h"
#include "models/module_shape.h"
#include "models/rwkv_view.h"
#include "models/source.h"

enum { PIECE_VALUES = 1 << 18 };

// One tensor of the output: a decoded module or a tensor of the source.
typedef struct exported {
    char *name;
    const hel_tensor_info *tensor; // NULL for modules
    hel_weight_desc desc;
    hel_dtype dtype;
    bool turned; // its values are written in another form
    size_t entry;
} exported;

typedef struct exporter {
    hel_export_params params;
    hel_archive *archive;
    bool goes_back; // to what transformers calls RWKV-4
    exported *items;
    size_t count;
    hel_checkpoint checkpoint;
    hel_safetensors_entry *entries;
    size_t n_entries;
    uint64_t done;
    float *values;  // PIECE_VALUES, or a row where that is longer
    void *narrow;   // the same in the output's type
    uint64_t room;
} exporter;

static const hel_export_params defaults = {.struct_size = sizeof(hel_export_params), .dtype = HEL_EXPORT_F32};

void hel_export_params_init(hel_export_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

// ---------------------------------------------------------------- what is written

static hel_dtype output_dtype(const exporter *e, hel_dtype native) {
    if (!hel_dtype_is_float(native)) return native;
    switch (e->params.dtype) {
    case HEL_EXPORT_F32: return HEL_F32;
    case HEL_EXPORT_F16: return HEL_F16;
    case HEL_EXPORT_BF16: return HEL_BF16;
    case HEL_EXPORT_NATIVE: break;
    }
    return native;
}

static bool is_part_of(const char *name, const char *module) {
    static const char *const parts[] = {"codebook", "indices", "sidecar_positions", "sidecar_indices", "sidecar_values", "svd_U",
                                        "svd_s", "svd_Vt", "channel_scales", "group_scales"};
    size_t length = strlen(module);
    if (strncmp(name, module, length) != 0 || name[length] != '.') return false;
    for (size_t i = 0; i < HEL_COUNT(parts); i++)
        if (strcmp(name + length + 1, parts[i]) == 0) return true;
    return false;
}

// The module that a tensor is a part of; all parts but the bias go into the decoded matrix.
static const char *module_of(char *const *modules, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (is_part_of(name, modules[i])) return modules[i];
    return NULL;
}

static hel_status name_item(const exporter *e, exported *item, const char *name) {
    if (e->goes_back) return hel_rwkv_name_back(name, &item->name);
    item->name = hel_string_copy(name);
    return item->name ? HEL_OK : hel_fail_memory(strlen(name));
}

static hel_status add_module(exporter *e, const char *module) {
    exported *item = &e->items[e->count];
    uint64_t rows, cols;
    HEL_TRY(hel_module_shape(e->archive, module, &rows, &cols));
    HEL_TRY(hel_weight_desc_find(e->archive, module, rows, cols, &item->desc));
    e->count++;
    item->dtype = output_dtype(e, HEL_F32);
    char *name = hel_string_join(module, ".weight");
    hel_status status = name ? name_item(e, item, name) : hel_fail_memory(strlen(module) + sizeof ".weight");
    hel_free(name);
    return status;
}

static hel_status add_tensor(exporter *e, const hel_tensor_info *tensor) {
    exported *item = &e->items[e->count++];
    item->tensor = tensor;
    item->turned = e->goes_back && hel_rwkv_turns_back(tensor->name);
    item->dtype = output_dtype(e, item->turned ? HEL_F32 : tensor->dtype);
    return name_item(e, item, tensor->name);
}

static hel_status list_items(exporter *e) {
    char **modules;
    size_t count;
    HEL_TRY(hel_weight_modules(e->archive, &modules, &count));
    hel_status status = HEL_OK;
    e->items = hel_alloc_zero(e->archive->n_tensors, sizeof *e->items);
    if (!e->items) status = hel_fail_memory(e->archive->n_tensors * sizeof *e->items);
    for (size_t i = 0; status == HEL_OK && i < e->archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &e->archive->tensors[i];
        const char *module = module_of(modules, count, tensor->name);
        if (!module) status = add_tensor(e, tensor);
        else if (hel_path_has_suffix(tensor->name, ".codebook")) status = add_module(e, module);
    }
    hel_weight_modules_free(modules);
    return status;
}

static hel_status list_entries(exporter *e) {
    e->entries = hel_alloc_zero(e->count, sizeof *e->entries);
    if (!e->entries) return hel_fail_memory(e->count * sizeof *e->entries);
    for (uint32_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < e->count; i++) {
            exported *item = &e->items[i];
            if (hel_dtype_size(item->dtype) != width) continue;
            hel_safetensors_entry *entry = &e->entries[e->n_entries];
            *entry = (hel_safetensors_entry){
                .name = item->name, .dtype = item->dtype, .rank = 2, .shape = {item->desc.rows, item->desc.cols}};
            if (item->tensor) {
                entry->rank = item->tensor->rank;
                memcpy(entry->shape, item->tensor->shape, sizeof entry->shape);
                if (e->goes_back) hel_rwkv_shape_back(item->tensor->name, &entry->rank, entry->shape);
            }
            e->room = HEL_MAX(e->room, item->tensor ? 0 : item->desc.cols);
            item->entry = e->n_entries++;
        }
    }
    return HEL_OK;
}

// The source's config without quantization_config.
static hel_status describe(exporter *e) {
    char created[HEL_TIME_TEXT], *text;
    size_t size;
    if (e->archive->config) {
        json_t *config = json_deep_copy(e->archive->config);
        if (!config) return hel_fail_memory(64);
        json_object_del(config, "quantization_config");
        hel_status status = e->goes_back ? hel_rwkv_config_back(config) : HEL_OK;
        if (status == HEL_OK) status = hel_json_print_config(config, 2, &text, &size);
        json_decref(config);
        HEL_TRY(status);
        HEL_TRY(hel_checkpoint_add_file(&e->checkpoint, "config.json", text, size));
    }
    HEL_TRY(hel_checkpoint_add_tokenizer(&e->checkpoint, e->archive, e->params.tokenizer));
    HEL_TRY(hel_checkpoint_set_source(&e->checkpoint, e->archive, NULL));
    hel_checkpoint_time(created);
    return hel_checkpoint_set(&e->checkpoint, HEL_KEY_CREATED, created);
}

// ---------------------------------------------------------------- data

static hel_status narrow_values(exporter *e, const exported *item, uint64_t count) {
    uint16_t *out = e->narrow;
    for (uint64_t i = 0; i < count; i++) {
        float value = e->values[i];
        out[i] = item->dtype == HEL_F16 ? hel_float_to_f16(value) : hel_float_to_bf16(value);
        if (item->dtype == HEL_F16 && isfinite(value) && (out[i] & 0x7fff) == 0x7c00)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "tensor \"%s\": %g is too large for F16", item->name, value);
    }
    return HEL_OK;
}

static hel_status put(exporter *e, const exported *item, hel_sha256 *hash, uint64_t *offset, const void *bytes,
                      size_t size) {
    HEL_TRY(hel_checkpoint_write(&e->checkpoint, item->entry, *offset, bytes, size));
    HEL_TRY(hel_sha256_update(hash, bytes, size));
    *offset += size;
    e->done += size;
    if (e->params.progress && !e->params.progress(e->params.user, "export", e->done, e->checkpoint.data_bytes))
        return hel_fail(HEL_ERROR_CANCELLED, "cancelled");
    return HEL_OK;
}

// Pieces of whole rows for modules, of any elements for tensors.
static hel_status write_pieces(exporter *e, const exported *item, hel_sha256 *hash) {
    bool same = item->tensor && item->tensor->dtype == item->dtype && !item->turned;
    uint64_t unit = item->tensor ? 1 : item->desc.cols, width = hel_dtype_size(item->dtype), offset = 0;
    uint64_t units = item->tensor ? item->tensor->elements : item->desc.rows,
             step = HEL_MAX(1, e->room / HEL_MAX(1, unit));
    if (same) step = HEL_MAX(1, e->room * sizeof(float) / width);
    for (uint64_t first = 0; first < units; first += step) {
        uint64_t count = HEL_MIN(step, units - first);
        size_t bytes = (size_t)(count * unit * width);
        if (same) HEL_TRY(hel_archive_read(e->archive, item->tensor, first * width, e->values, bytes));
        else if (item->tensor) HEL_TRY(hel_archive_read_f32(e->archive, item->tensor, first, count, e->values));
        else HEL_TRY(hel_weight_decode_rows(e->archive, &item->desc, first, count, e->values));
        if (item->turned && !hel_rwkv_turn_back(e->values, count))
            return hel_fail(HEL_ERROR_FORMAT, "%s: tensor %s: a rate that grows cannot be written as the logarithm of a decay",
                            e->archive->path, item->name);
        if (!same && width == 2) HEL_TRY(narrow_values(e, item, count * unit));
        HEL_TRY(put(e, item, hash, &offset, !same && width == 2 ? e->narrow : e->values, bytes));
    }
    return HEL_OK;
}

static hel_status write_items(exporter *e) {
    hel_sha256 *hash;
    e->room = HEL_MAX(e->room, PIECE_VALUES);
    e->values = hel_alloc_array((size_t)e->room, sizeof *e->values);
    e->narrow = hel_alloc_array((size_t)e->room, sizeof(uint16_t));
    if (!e->values || !e->narrow) return hel_fail_memory((size_t)e->room * sizeof *e->values);
    HEL_TRY(hel_sha256_create(&hash));
    hel_status status = HEL_OK;
    for (size_t i = 0; status == HEL_OK && i < e->count; i++) {
        status = write_pieces(e, &e->items[i], hash);
        if (status == HEL_OK) status = hel_sha256_finish(hash, e->checkpoint.digests[e->items[i].entry]);
    }
    hel_sha256_destroy(&hash);
    return status;
}

static hel_status run(exporter *e, const char *output) {
    HEL_TRY(hel_checkpoint_init(output, e->params.overwrite, &e->checkpoint));
    HEL_TRY(hel_checkpoint_check_source(&e->checkpoint, e->archive));
    HEL_TRY(hel_checkpoint_check(&e->checkpoint));
    HEL_TRY(list_items(e));
    HEL_TRY(list_entries(e));
    HEL_TRY(describe(e));
    HEL_TRY(hel_checkpoint_open(&e->checkpoint, false));
    HEL_TRY(hel_checkpoint_layout(&e->checkpoint, e->entries, e->n_entries));
    HEL_TRY(write_items(e));
    return hel_checkpoint_commit(&e->checkpoint);
}

static void exporter_finish(exporter *e) {
    for (size_t i = 0; i < e->count; i++) {
        hel_weight_desc_finish(&e->items[i].desc);
        hel_free(e->items[i].name);
    }
    hel_free(e->items);
    hel_free(e->entries);
    hel_free(e->values);
    hel_free(e->narrow);
    hel_checkpoint_finish(&e->checkpoint, false);
    hel_archive_close(&e->archive);
}

hel_status hel_export(const char *path, const char *output, const hel_export_params *params, uint64_t *out_bytes) {
    exporter e = {.params = defaults, .checkpoint = hel_checkpoint_none};
    HEL_TRY(HEL_PARAMS_READ(params, &e.params, "hel_export_params"));
    if (!path || !output || !*path || !*output) return hel_fail(HEL_ERROR_ARGUMENT, "a model and an output are needed");
    HEL_TRY(hel_source_open(path, &e.archive));
    e.goes_back = hel_rwkv_goes_back(e.archive->config);
    hel_status status = run(&e, output);
    if (status == HEL_OK && out_bytes) *out_bytes = e.checkpoint.header_size + e.checkpoint.data_bytes;
    exporter_finish(&e);
    return status;
}
