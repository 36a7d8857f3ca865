// SPDX-License-Identifier: Apache-2.0
// Loading: the file tells the architecture, the placement the devices, the architecture the rest.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/model_internal.h"
#include "models/roles.h"
#include "models/source.h"
#include "text/tokenizer_internal.h"

hel_model_params hel_model_params_default(void) {
    return (hel_model_params){.struct_size = sizeof(hel_model_params), .gpu_layers = UINT32_MAX};
}

static hel_status require_known(const hel_archive *archive) {
    if (!archive->config)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: no config.json: not a model that can be run", archive->path);
    const char *type;
    HEL_TRY(hel_json_get_string(archive->config, "model_type", "", &type));
    if (hel_model_type_find(type)) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: architecture \"%s\" can be compressed but not run", archive->path, type);
}

// Bytes by where they will lie: tensors of one layer, of the two ends.
static hel_needs measure(const hel_archive *archive, const hel_hyper *hyper) {
    hel_needs needs = {.layers = hyper->layers};
    uint64_t in_layers = 0;
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &archive->tensors[i];
        if (strncmp(tensor->name, "model.layers.", 13) == 0) in_layers += tensor->bytes;
        else if (strncmp(tensor->name, "lm_head.", 8) == 0) needs.last_bytes += tensor->bytes;
        else needs.first_bytes += tensor->bytes;
    }
    needs.layer_bytes = HEL_MAX(hel_ceil_div(in_layers, hyper->layers), 1);
    return needs;
}

typedef struct load_progress {
    const hel_model_params *params;
    uint64_t total;
} load_progress;

static bool report(void *user, uint64_t bytes) {
    const load_progress *progress = user;
    if (!progress->params->progress) return true;
    return progress->params->progress(progress->params->user, "loading", HEL_MIN(bytes, progress->total), progress->total);
}

// Without biases, and a tied head is the embedding.
static uint64_t count_parameters(const hel_hyper *hyper) {
    uint64_t count = 0;
    for (size_t i = 0; i < hel_llama_family.n_roles; i++) {
        const hel_role *role = &hel_llama_family.roles[i];
        if (role->kind == HEL_ROLE_BIAS || (role->class == HEL_CLASS_LM_HEAD && hyper->tied)) continue;
        uint64_t each = (uint64_t)hel_hyper_dimension(hyper, role->rows) * hel_hyper_dimension(hyper, role->cols);
        count += each * (role->section == HEL_SECTION_LAYER ? hyper->layers : 1);
    }
    return count;
}

static void describe(hel_model *model, const hel_archive *archive) {
    const hel_hyper *hyper = &model->llama.hyper;
    model->info = (hel_model_info){.architecture = hyper->architecture,
                                   .layers = hyper->layers,
                                   .hidden = hyper->hidden,
                                   .heads = hyper->heads,
                                   .kv_heads = hyper->kv_heads,
                                   .head_dim = hyper->head_dim,
                                   .vocabulary = hyper->vocabulary,
                                   .context_length = hyper->context_length,
                                   .parameters = count_parameters(hyper),
                                   .file_bytes = archive->file_bytes,
                                   .prepared_bytes = hel_llama_bytes(&model->llama),
                                   .compressed = hel_llama_compressed(&model->llama),
                                   .devices = model->placement.n_devices};
}

static hel_status load_tokenizer(const hel_archive *archive, const char *path, hel_model *model) {
    hel_status status = hel_tokenizer_from_archive(hel_source_origin(archive), path, &model->tokenizer);
    return status == HEL_ERROR_NOT_FOUND && !path ? HEL_OK : status;
}

static hel_status load(hel_archive *archive, const hel_model_params *params, hel_model *model) {
    hel_hyper hyper;
    HEL_TRY(require_known(archive));
    HEL_TRY(hel_hyper_parse(archive->config, archive->path, &hyper));
    hel_needs needs = measure(archive, &hyper);
    HEL_TRY(hel_placement_make(params, &needs, &model->placement));
    load_progress progress = {params, needs.first_bytes + needs.last_bytes + needs.layers * needs.layer_bytes};
    HEL_TRY(hel_llama_load(archive, &hyper, model->placement.devices, model->placement.places, report, &progress, &model->llama));
    HEL_TRY(load_tokenizer(archive, params->tokenizer, model));
    describe(model, archive);
    return HEL_OK;
}

hel_status hel_model_load(const char *path, const hel_model_params *params, hel_model **out) {
    if (!path || !out) return hel_fail(HEL_ERROR_ARGUMENT, "hel_model_load: path and out must not be NULL");
    hel_model_params values = params ? *params : hel_model_params_default();
    hel_model *model = hel_alloc_zero(1, sizeof *model);
    if (!model) return hel_fail_memory(sizeof *model);
    hel_archive *archive = NULL;
    hel_status status = hel_source_open(path, &archive);
    if (status == HEL_OK) status = load(archive, &values, model);
    hel_archive_close(&archive);
    if (status == HEL_OK) *out = model;
    else hel_model_destroy(&model);
    return status;
}

void hel_model_destroy(hel_model **handle) {
    if (!handle || !*handle) return;
    hel_model *model = *handle;
    hel_llama_finish(&model->llama);
    hel_placement_finish(&model->placement);
    hel_tokenizer_destroy(&model->tokenizer);
    hel_free(model);
    *handle = NULL;
}

void hel_model_describe(const hel_model *model, hel_model_info *out) { *out = model->info; }
const hel_device *hel_model_device(const hel_model *model, uint32_t index) { return model->placement.devices[index]; }
const hel_tokenizer *hel_model_tokenizer(const hel_model *model) { return model->tokenizer; }
