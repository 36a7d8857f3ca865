// SPDX-License-Identifier: Apache-2.0
// Loading: the file tells the architecture, the placement the devices, the architecture the rest.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "models/model_internal.h"
#include "models/source.h"
#include "text/tokenizer_internal.h"

static const hel_model_params defaults = {.struct_size = sizeof(hel_model_params), .gpu_layers = UINT32_MAX,
                                          .tuning = HEL_TUNING_AUTO};

void hel_model_params_init(hel_model_params *params, size_t struct_size) {
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

static hel_status require_config(const hel_archive *archive) {
    if (archive->config) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: no config.json: not a model that can be run", archive->path);
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

static void describe(hel_model *model, const hel_archive *archive) {
    const hel_hyper *hyper = &model->network.hyper;
    model->info = (hel_model_info){.architecture = hyper->architecture,
                                   .layers = hyper->layers,
                                   .hidden = hyper->hidden,
                                   .heads = hyper->heads,
                                   .kv_heads = hyper->kv_heads,
                                   .head_dim = hyper->head_dim,
                                   .vocabulary = hyper->vocabulary,
                                   .labels = hyper->labels,
                                   .context_length = hyper->context_length,
                                   .parameters = hel_network_parameters(&model->network),
                                   .file_bytes = archive->file_bytes,
                                   .prepared_bytes = hel_network_bytes(&model->network),
                                   .compressed = hel_network_compressed(&model->network),
                                   .devices = model->placement.n_devices};
}

static hel_status load_tokenizer(const hel_archive *archive, const char *path, hel_model *model) {
    hel_status status = hel_tokenizer_from_archive(hel_source_origin(archive), path, &model->tokenizer);
    return status == HEL_ERROR_NOT_FOUND && !path ? HEL_OK : status;
}

static bool report_tuning(void *user) {
    const load_progress *progress = user;
    if (!progress->params->progress) return true;
    return progress->params->progress(progress->params->user, "tuning", progress->total, progress->total);
}

static hel_status tune(load_progress *progress, const hel_model *model) {
    hel_tune_request request = {.tuning = progress->params->tuning, .ask = report_tuning, .user = progress};
    for (uint32_t i = 0; i < model->placement.n_devices; i++) {
        request.device = model->placement.devices[i];
        HEL_TRY(hel_network_tune(&model->network, &request));
    }
    return HEL_OK;
}

static hel_status load_weights(hel_archive *archive, const hel_hyper *hyper, const hel_model_params *params, hel_model *model) {
    hel_needs needs;
    HEL_TRY(hel_needs_measure(archive, hyper, &needs));
    load_progress progress = {params, HEL_MAX(hel_needs_total(&needs), 1)};
    hel_placement *placement = &model->placement;
    hel_status status = hel_placement_make(params, &needs, placement);
    hel_needs_finish(&needs);
    HEL_TRY(status);
    HEL_TRY(hel_network_load(archive, hyper, placement->devices, placement->places, report, &progress, &model->network));
    return tune(&progress, model);
}

static hel_status load(hel_archive *archive, const hel_model_params *params, hel_model *model) {
    hel_hyper hyper;
    HEL_TRY(require_config(archive));
    HEL_TRY(hel_hyper_parse(archive->config, archive->path, &hyper));
    HEL_TRY(load_weights(archive, &hyper, params, model));
    HEL_TRY(load_tokenizer(archive, params->tokenizer, model));
    describe(model, archive);
    return HEL_OK;
}

hel_status hel_model_load(const char *path, const hel_model_params *params, hel_model **out) {
    HEL_REQUIRE(path && out);
    *out = NULL;
    hel_model_params values = defaults;
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_model_params"));
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
    hel_network_finish(&model->network);
    hel_placement_finish(&model->placement);
    hel_tokenizer_destroy(&model->tokenizer);
    hel_free(model);
    *handle = NULL;
}

void hel_model_describe(const hel_model *model, hel_model_info *out) {
    HEL_REQUIRE_OR(out, );
    *out = (hel_model_info){0};
    HEL_REQUIRE_OR(model, );
    *out = model->info;
}

const hel_device *hel_model_device(const hel_model *model, uint32_t index) {
    HEL_REQUIRE_OR(model && index < model->placement.n_devices, NULL);
    return model->placement.devices[index];
}

const hel_tokenizer *hel_model_tokenizer(const hel_model *model) {
    HEL_REQUIRE_OR(model, NULL);
    return model->tokenizer;
}
