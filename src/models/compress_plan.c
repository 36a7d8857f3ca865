// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/text.h"
#include "formats/weight_desc.h"
#include "models/compress_internal.h"
#include "models/roles.h"

uint32_t hel_compress_index_bits(const hel_compress_params *params) {
    if (!params->packed) return 8;
    return params->k <= 16 ? 4 : params->k <= 32 ? 5 : params->k <= 64 ? 6 : 8;
}

// ---------------------------------------------------------------- what happens to each tensor

static bool matches(const char *const *globs, const char *name) {
    for (; globs && *globs; globs++)
        if (hel_glob_match(*globs, name)) return true;
    return false;
}

// A pattern that names nothing is most likely misspelled, one to include that names nothing which is compressed at least useless.
static void warn_about_patterns(const hel_compress_job *job, const char *const *globs, const char *option, bool compressing) {
    for (; globs && *globs; globs++) {
        const hel_compress_tensor *first = NULL;
        bool compressed = false;
        for (size_t i = 0; i < job->count; i++) {
            if (!hel_glob_match(*globs, job->tensors[i].info->name)) continue;
            if (!first) first = &job->tensors[i];
            compressed |= job->tensors[i].compressed;
        }
        if (!first) hel_log(HEL_LOG_WARNING, "%s \"%s\" matches no tensor", option, *globs);
        else if (compressing && !compressed)
            hel_log(HEL_LOG_WARNING, "%s \"%s\" matches nothing that is compressed: %s stays as it is (%s)", option, *globs,
                    first->info->name, first->policy.exact);
    }
}

static uint64_t compressed_bytes(const hel_compress_job *job, const hel_tensor_info *info, const hel_policy *policy) {
    uint64_t row = hel_ceil_div(info->shape[1] * hel_compress_index_bits(&job->params), 8);
    return job->params.k * sizeof(float) + info->shape[0] * row + hel_policy_sidecar_limit(policy, info->elements) * 12;
}

static void decide(hel_compress_job *job, hel_compress_tensor *tensor) {
    const hel_tensor_info *info = tensor->info;
    bool asked = matches(job->params.include, info->name);
    hel_tensor_class class = hel_role_classify(info->name, info->rank);
    tensor->policy = hel_policy_for(class, info->name, info->rank, info->shape, hel_dtype_is_float(info->dtype), asked);
    if (!job->params.sidecar) tensor->policy.sidecar = false;
    if (!tensor->policy.exact && matches(job->params.exclude, info->name)) tensor->policy.exact = "excluded";
    if (!tensor->policy.exact && info->elements > UINT32_MAX) tensor->policy.exact = "too many elements";
    if (!tensor->policy.exact && compressed_bytes(job, info, &tensor->policy) >= info->bytes)
        tensor->policy.exact = "would not shrink";
    tensor->compressed = !tensor->policy.exact;
    tensor->stored = info->dtype;
}

// The bias of a compressed module is read by the reference beside an f32 codebook, so it gets that type.
static void widen_biases(hel_compress_job *job) {
    for (size_t i = 0; i < job->count; i++) {
        const hel_tensor_info *info = job->tensors[i].info;
        size_t length = strlen(info->name);
        if (length <= 5 || strcmp(info->name + length - 5, ".bias") != 0 ||
            (info->dtype != HEL_BF16 && info->dtype != HEL_F16))
            continue;
        for (size_t w = 0; w < job->count; w++)
            if (job->tensors[w].compressed && strlen(job->tensors[w].info->name) == length + 2 &&
                strncmp(job->tensors[w].info->name, info->name, length - 4) == 0) job->tensors[i].stored = HEL_F32;
    }
}

static hel_status refuse_compressed(const hel_archive *archive) {
    char **modules;
    size_t count;
    HEL_TRY(hel_weight_modules(archive, &modules, &count));
    hel_weight_modules_free(modules);
    if (count || json_object_get(archive->config, "quantization_config"))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%s: the model is quantised already", archive->path);
    return HEL_OK;
}

hel_status hel_compress_plan(hel_compress_job *job) {
    HEL_TRY(refuse_compressed(job->archive));
    job->count = job->archive->n_tensors;
    job->tensors = hel_alloc_zero(job->count, sizeof *job->tensors);
    if (!job->tensors) return hel_fail_memory(job->count * sizeof *job->tensors);
    for (size_t i = 0; i < job->count; i++) {
        job->tensors[i].info = &job->archive->tensors[i];
        decide(job, &job->tensors[i]);
    }
    widen_biases(job);
    warn_about_patterns(job, job->params.include, "include", true);
    warn_about_patterns(job, job->params.exclude, "exclude", false);
    return HEL_OK;
}

// ---------------------------------------------------------------- config and metadata

static char *module_of(const hel_compress_tensor *tensor) {
    return hel_string_copy_n(tensor->info->name, strlen(tensor->info->name) - strlen(".weight"));
}

// Packed indices do not show the matrix's shape, so the config tells it.
static int add_module(const hel_compress_job *job, const hel_compress_tensor *tensor, json_t *modules, json_t *bits,
                      json_t *shapes) {
    char *name = module_of(tensor);
    if (!name) return -1;
    int failed = json_array_append_new(modules, json_string(name));
    failed |= json_object_set_new(bits, name, json_integer(hel_compress_index_bits(&job->params)));
    failed |= json_object_set_new(
        shapes, name, json_pack("[I, I]", (json_int_t)tensor->info->shape[0], (json_int_t)tensor->info->shape[1]));
    hel_free(name);
    return failed;
}

// As the reference's convert_to_hf writes it.
static json_t *quantization_config(const hel_compress_job *job) {
    json_t *config =
        json_pack("{s:s, s:i, s:b, s:[s,s,s,s,s,s,s,s,s]}", "quant_method", "hxq", "codebook_size", (int)job->params.k,
                  "sidecar_enabled", job->params.sidecar, "exact_patterns", "embed_tokens", "embed_positions", "wte",
                  "wpe", "lm_head", "layernorm", "layer_norm", "norm", "backbone.embedding");
    json_t *modules = json_array(), *bits = json_object(), *shapes = json_object();
    int failed = !config || !modules || !bits || !shapes;
    for (size_t i = 0; i < job->count && !failed; i++)
        if (job->tensors[i].compressed) failed = add_module(job, &job->tensors[i], modules, bits, shapes);
    if (!failed) failed = json_object_set(config, "compressed_modules", modules);
    if (!failed && hel_compress_index_bits(&job->params) != 8)
        failed = json_object_set(config, "module_index_bits", bits) | json_object_set(config, "module_shapes", shapes);
    json_decref(modules);
    json_decref(bits);
    json_decref(shapes);
    if (!failed) return config;
    json_decref(config);
    return NULL;
}

// The source's own text with one member more, so that its numbers stay spelled as they were.
static hel_status extend_text(const char *config, const char *member, size_t member_size, hel_text *out) {
    size_t end = strlen(config);
    while (end > 0 && config[end - 1] != '}') end--;
    if (end > 0) end--; // before the closing brace
    while (end > 0 && strchr(" \t\r\n", config[end - 1])) end--;
    hel_text_append(out, config, end);
    hel_text_print(out, "%s\n  \"quantization_config\": ", end > 0 && config[end - 1] == '{' ? "" : ",");
    for (size_t i = 0; i < member_size; i++) {
        hel_text_append(out, &member[i], 1);
        if (member[i] == '\n') hel_text_append(out, "  ", 2);
    }
    hel_text_print(out, "\n}\n");
    return hel_text_ok(out);
}

static hel_status add_config(hel_compress_job *job) {
    json_t *quantization = quantization_config(job);
    hel_text text = {0};
    char *config = NULL, *member = NULL;
    size_t size;
    hel_status status = quantization ? hel_json_print(quantization, 2, &member, &size) : hel_fail_memory(job->count);
    if (status == HEL_OK && !job->archive->config_text && job->archive->config)
        status = hel_json_print_config(job->archive->config, 2, &config, NULL);
    if (status == HEL_OK)
        status = extend_text(job->archive->config_text ? job->archive->config_text
                             : config                  ? config
                                                       : "{}",
                             member, size, &text);
    if (status == HEL_OK) status = hel_checkpoint_add_file(&job->checkpoint, "config.json", text.bytes, text.size);
    else hel_text_finish(&text);
    hel_free(config);
    hel_free(member);
    json_decref(quantization);
    return status;
}

// Everything but the source and the time: the metadata so far (texts of a single file included), the config, the files
// beside it, the decisions.
static hel_status digest_decisions(hel_compress_job *job) {
    hel_sha256 *hash;
    char *text;
    size_t size;
    json_t *texts = json_pack("{s:O, s:O?}", "metadata", job->checkpoint.metadata, "config", job->archive->config);
    hel_status status = texts ? hel_json_print(texts, 0, &text, &size) : hel_fail_memory(64);
    json_decref(texts);
    HEL_TRY(status);
    status = hel_sha256_create(&hash);
    if (status == HEL_OK) {
        hel_sha256_update(hash, text, size);
        for (uint32_t i = 0; i < job->checkpoint.n_files; i++)
            hel_sha256_update(hash, job->checkpoint.files[i].bytes, job->checkpoint.files[i].size);
        for (size_t i = 0; i < job->count; i++) {
            hel_sha256_update(hash, job->tensors[i].info->name, strlen(job->tensors[i].info->name) + 1);
            hel_sha256_update(hash, job->tensors[i].compressed ? "c" : "k", 1);
        }
        status = hel_sha256_finish(hash, job->decisions);
        hel_sha256_destroy(&hash);
    }
    hel_free(text);
    return status;
}

hel_status hel_compress_describe(hel_compress_job *job) {
    HEL_TRY(hel_checkpoint_add_tokenizer(&job->checkpoint, job->archive, job->params.tokenizer));
    json_t *settings = json_pack("{s:i, s:b, s:b, s:s}", "k", (int)job->params.k, "sidecar", job->params.sidecar, "packed",
                                 job->params.packed, "fit", job->params.fit == HEL_FIT_REFERENCE ? "reference" : "optimal");
    HEL_TRY(hel_checkpoint_set_json(&job->checkpoint, HEL_KEY_SETTINGS, settings));
    return digest_decisions(job);
}

static hel_status digest_plan(hel_compress_job *job) {
    static const char *const keys[] = {HEL_KEY_VERSION, HEL_KEY_SOURCE};
    hel_sha256 *hash;
    HEL_TRY(hel_sha256_create(&hash));
    hel_status status = hel_sha256_update(hash, job->decisions, sizeof job->decisions);
    for (size_t i = 0; status == HEL_OK && i < HEL_COUNT(keys); i++) {
        const char *text = json_string_value(json_object_get(job->checkpoint.metadata, keys[i]));
        status = hel_sha256_update(hash, text, strlen(text) + 1);
    }
    if (status == HEL_OK) status = hel_sha256_finish(hash, job->plan);
    hel_sha256_destroy(&hash);
    return status;
}

hel_status hel_compress_describe_source(hel_compress_job *job, const hel_digest_watch *watch) {
    char digest[HEL_SHA256_TEXT];
    HEL_TRY(hel_checkpoint_set_source(&job->checkpoint, job->archive, watch));
    HEL_TRY(digest_plan(job));
    hel_sha256_text(job->plan, digest);
    job->sourced = true;
    return hel_checkpoint_set(&job->checkpoint, HEL_KEY_PLAN, digest);
}

// ---------------------------------------------------------------- entries

typedef struct part {
    const char *suffix;
    hel_safetensors_entry entry;
} part;

static uint32_t parts_of(const hel_compress_job *job, const hel_compress_tensor *tensor, part parts[HEL_PARTS_MAX]) {
    const hel_tensor_info *info = tensor->info;
    if (!tensor->compressed) {
        parts[0] = (part){"", {.dtype = tensor->stored, .rank = info->rank}};
        memcpy(parts[0].entry.shape, info->shape, sizeof info->shape);
        return 1;
    }
    uint64_t row = hel_ceil_div(info->shape[1] * hel_compress_index_bits(&job->params), 8),
             kept = tensor->fitted.sidecar.count;
    parts[0] = (part){".codebook", {.dtype = HEL_F32, .rank = 1, .shape = {tensor->fitted.k}}};
    parts[1] = (part){".indices", {.dtype = HEL_U8, .rank = 2, .shape = {info->shape[0], row}}};
    if (!kept) return 2;
    parts[2] = (part){".sidecar_positions", {.dtype = HEL_I64, .rank = 1, .shape = {kept}}};
    parts[3] = (part){".sidecar_values", {.dtype = HEL_F32, .rank = 1, .shape = {kept}}};
    return 4;
}

static hel_status name_parts(hel_compress_job *job, hel_compress_tensor *tensor, const part *parts) {
    size_t stem = strlen(tensor->info->name) - (tensor->compressed ? strlen(".weight") : 0);
    for (uint32_t p = 0; p < tensor->n_parts; p++) {
        size_t extra = strlen(parts[p].suffix);
        char *name = hel_alloc(stem + extra + 1);
        if (!name) return hel_fail_memory(stem + extra + 1);
        memcpy(name, tensor->info->name, stem);
        memcpy(name + stem, parts[p].suffix, extra + 1);
        tensor->names[p] = name;
        const hel_tensor_info *other = hel_archive_find(job->archive, name);
        if (other && other != tensor->info)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "tensor \"%s\" is in the model already", name);
    }
    return HEL_OK;
}

// Elements of eight bytes first, those of one last, so that each tensor is aligned to its elements.
hel_status hel_compress_entries(hel_compress_job *job) {
    HEL_TRY(add_config(job));
    job->entries = hel_alloc_zero(job->count, HEL_PARTS_MAX * sizeof *job->entries);
    if (!job->entries) return hel_fail_memory(job->count * sizeof *job->entries);
    for (uint32_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < job->count; i++) {
            hel_compress_tensor *tensor = &job->tensors[i];
            part parts[HEL_PARTS_MAX];
            tensor->n_parts = parts_of(job, tensor, parts);
            if (width == 8) HEL_TRY(name_parts(job, tensor, parts));
            for (uint32_t p = 0; p < tensor->n_parts; p++) {
                if (hel_dtype_size(parts[p].entry.dtype) != width) continue;
                parts[p].entry.name = tensor->names[p];
                tensor->entries[p] = job->n_entries;
                job->entries[job->n_entries++] = parts[p].entry;
            }
        }
    }
    return HEL_OK;
}
