// SPDX-License-Identifier: Apache-2.0
#include "bench/random_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "models/family.h"
#include "vq/fit.h"

enum { TABLE = 1 << 16, OUTLIERS = 256, PARTS = 4, CONTEXT = 2048, HEAD = 64 };

typedef enum part_kind { PART_POSITIONS, PART_CODEBOOK, PART_OUTLIERS, PART_NORM, PART_VALUES, PART_CODES } part_kind;

typedef struct part {
    part_kind kind;
    char name[HEL_ROLE_NAME + 24];
    uint64_t elements; // of the matrix it belongs to
} part;

typedef struct random_model {
    const hel_hyper *hyper;
    uint32_t k;
    part *parts;
    hel_safetensors_entry *entries;
    size_t count;
    hel_random random;
    float codebook[HEL_CODEBOOK_MAX];
    uint8_t codes[TABLE];    // of normally distributed values: drawing from a table is as fast as writing
    uint16_t values[TABLE];  // the values themselves, bf16
    hel_fit_error error;     // of the codes
} random_model;

// ---------------------------------------------------------------- shape

hel_hyper hel_bench_model_shape(const hel_bench_params *params) {
    hel_hyper hyper = {.family = &hel_llama_family, .architecture = "llama", .context_length = CONTEXT, .head_dim = HEAD};
    hyper.hidden = (uint32_t)hel_round_up(params->hidden ? params->hidden : 2048, HEAD);
    hyper.layers = params->layers ? params->layers : 22;
    hyper.vocabulary = params->vocabulary ? params->vocabulary : 32000;
    hyper.heads = hyper.hidden / HEAD;
    hyper.kv_heads = hyper.heads % 8 ? hyper.heads : hyper.heads / 8;
    hyper.ffn = hyper.hidden / 4 * 11; // 5632 of 2048
    return hyper;
}

void hel_bench_model_tell(hel_bench_run *run, const hel_hyper *hyper) {
    hel_bench_tell(run, "hidden", hyper->hidden);
    hel_bench_tell(run, "layers", hyper->layers);
    hel_bench_tell(run, "heads", hyper->heads);
    hel_bench_tell(run, "kv_heads", hyper->kv_heads);
    hel_bench_tell(run, "ffn", hyper->ffn);
    hel_bench_tell(run, "vocabulary", hyper->vocabulary);
}

static json_t *config_of(const hel_hyper *hyper) {
    return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:b, s:s, s:b}",
                     "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", (int)hyper->hidden,
                     "intermediate_size", (int)hyper->ffn, "num_hidden_layers", (int)hyper->layers,
                     "num_attention_heads", (int)hyper->heads, "num_key_value_heads", (int)hyper->kv_heads,
                     "head_dim", (int)hyper->head_dim, "vocab_size", (int)hyper->vocabulary,
                     "max_position_embeddings", (int)hyper->context_length, "hidden_act", "silu", "rms_norm_eps", 1e-5,
                     "rope_theta", 10000.0, "tie_word_embeddings", 0, "torch_dtype", "bfloat16", "attention_bias", 0);
}

// ---------------------------------------------------------------- layout

static void add_part(random_model *model, part_kind kind, const char *name, const char *end, uint64_t elements,
                     hel_safetensors_entry entry) {
    part *p = &model->parts[model->count];
    *p = (part){.kind = kind, .elements = elements};
    snprintf(p->name, sizeof p->name, "%s%s", name, end);
    entry.name = p->name;
    model->entries[model->count++] = entry;
}

// The parts of one kind that a tensor of the model has, so that wide types can go first.
static void add_role(random_model *model, const hel_role *role, unsigned layer, part_kind kind) {
    char name[HEL_ROLE_NAME];
    hel_role_name(model->hyper->family, role, layer, name);
    uint64_t rows = hel_hyper_dimension(model->hyper, role->rows), cols = hel_hyper_dimension(model->hyper, role->cols);
    uint64_t elements = rows * cols;
    bool coded = model->k && role->kind == HEL_ROLE_MATRIX && role->class != HEL_CLASS_EMBEDDING;
    if (!coded) {
        part_kind own = role->kind == HEL_ROLE_VECTOR ? PART_NORM : PART_VALUES;
        hel_safetensors_entry entry = {.dtype = HEL_BF16, .rank = own == PART_NORM ? 1 : 2, .shape = {rows, cols}};
        if (kind == own && role->kind != HEL_ROLE_BIAS) add_part(model, kind, name, "", elements, entry);
        return;
    }
    name[strlen(name) - strlen(".weight")] = 0;
    if (kind == PART_POSITIONS)
        add_part(model, kind, name, ".sidecar_positions", elements,
                 (hel_safetensors_entry){.dtype = HEL_I64, .rank = 1, .shape = {OUTLIERS}});
    if (kind == PART_CODEBOOK)
        add_part(model, kind, name, ".codebook", elements,
                 (hel_safetensors_entry){.dtype = HEL_F32, .rank = 1, .shape = {model->k}});
    if (kind == PART_OUTLIERS)
        add_part(model, kind, name, ".sidecar_values", elements,
                 (hel_safetensors_entry){.dtype = HEL_F32, .rank = 1, .shape = {OUTLIERS}});
    if (kind == PART_CODES)
        add_part(model, kind, name, ".indices", elements,
                 (hel_safetensors_entry){.dtype = HEL_U8, .rank = 2, .shape = {rows, cols}});
}

static hel_status lay_out(random_model *model) {
    const hel_family *family = model->hyper->family;
    const hel_role *role;
    size_t n_roles = 0;
    while (hel_family_role(family, n_roles)) n_roles++;
    size_t most = PARTS * n_roles * (model->hyper->layers + 1);
    model->parts = hel_alloc_zero(most, sizeof *model->parts);
    model->entries = hel_alloc_zero(most, sizeof *model->entries);
    if (!model->parts || !model->entries) return hel_fail_memory(most * sizeof *model->parts);
    for (int kind = PART_POSITIONS; kind <= PART_CODES; kind++)
        for (size_t i = 0; (role = hel_family_role(family, i)); i++) {
            uint32_t times = hel_role_in_layer(role) ? model->hyper->layers : 1;
            for (uint32_t layer = 0; layer < times; layer++) add_role(model, role, layer, (part_kind)kind);
        }
    return HEL_OK;
}

// ---------------------------------------------------------------- contents

static hel_status make_tables(random_model *model) {
    float *values = hel_alloc_array(TABLE, sizeof *values);
    if (!values) return hel_fail_memory(TABLE * sizeof *values);
    hel_bench_gaussian(4, 1.0f / sqrtf((float)model->hyper->hidden), values, TABLE);
    for (uint32_t i = 0; i < TABLE; i++) model->values[i] = hel_float_to_bf16(values[i]);
    hel_values all = {.count = TABLE, .data = values};
    hel_fit_options options = {.k = model->k ? model->k : 1, .percentile = 100};
    hel_fitted fitted;
    hel_status status = hel_fit_values(&all, &options, &fitted);
    if (status == HEL_OK) {
        memcpy(model->codebook, fitted.codebook, sizeof model->codebook);
        status = hel_fit_encode(&all, &fitted, hel_bench_keep_codes, model->codes, &model->error);
        hel_fitted_finish(&fitted);
    }
    hel_free(values);
    return status;
}

// Four draws from one random number.
static void fill_random(random_model *model, const part *p, void *bytes, size_t count) {
    uint64_t random = 0;
    for (size_t i = 0; i < count; i++) {
        random = i % 4 ? random >> 16 : hel_random_next(&model->random);
        if (p->kind == PART_CODES) ((uint8_t *)bytes)[i] = model->codes[random % TABLE];
        else ((uint16_t *)bytes)[i] = model->values[random % TABLE];
    }
}

static hel_status fill(void *user, size_t entry, uint64_t offset, void *bytes, size_t size) {
    random_model *model = user;
    const part *p = &model->parts[entry];
    switch (p->kind) {
    case PART_POSITIONS:
        for (size_t i = 0; i < size / 8; i++)
            ((int64_t *)bytes)[i] = (int64_t)(p->elements / OUTLIERS * (offset / 8 + i));
        break;
    case PART_CODEBOOK: memcpy(bytes, (const char *)model->codebook + offset, size); break;
    case PART_OUTLIERS:
        for (size_t i = 0; i < size / 4; i++) ((float *)bytes)[i] = 5 * model->codebook[i % model->k];
        break;
    case PART_NORM:
        for (size_t i = 0; i < size / 2; i++) ((uint16_t *)bytes)[i] = hel_float_to_bf16(1);
        break;
    case PART_VALUES: fill_random(model, p, bytes, size / 2); break;
    case PART_CODES: fill_random(model, p, bytes, size); break;
    }
    return HEL_OK;
}

// ---------------------------------------------------------------- the file

static hel_status write_model(random_model *model, const char *path) {
    HEL_TRY(lay_out(model));
    HEL_TRY(make_tables(model));
    json_t *config = config_of(model->hyper), *metadata = NULL;
    char *text = NULL;
    size_t size;
    hel_status status = config ? hel_json_print(config, 0, &text, &size) : hel_fail_memory(1024);
    if (status == HEL_OK) {
        metadata = json_pack("{s:s, s:s}", "format", "pt", "config", text);
        status = metadata ? hel_bench_write_tensors(path, model->entries, model->count, metadata, fill, model)
                          : hel_fail_memory(size);
    }
    hel_free(text);
    json_decref(config);
    json_decref(metadata);
    return status;
}

static hel_status write_once(const hel_hyper *hyper, uint32_t k, const char *path) {
    random_model *model = hel_alloc_zero(1, sizeof *model);
    if (!model) return hel_fail_memory(sizeof *model);
    model->hyper = hyper;
    model->k = k;
    hel_status status = write_model(model, path);
    hel_free(model->parts);
    hel_free(model->entries);
    hel_free(model);
    return status;
}

hel_status hel_bench_model_file(hel_bench_run *run, const hel_hyper *hyper, uint32_t k, char **out_path) {
    char name[128];
    snprintf(name, sizeof name, "random-%u-%u-%u-%s%u.safetensors", hyper->hidden, hyper->layers, hyper->vocabulary,
             k ? "k" : "bf", k ? k : 16);
    HEL_TRY(hel_bench_ask(run, "writing a random model", 0, 1));
    HEL_TRY(hel_path_join(run->params.data_folder, name, out_path));
    hel_status status = hel_path_exists(*out_path) ? HEL_OK : write_once(hyper, k, *out_path);
    if (status != HEL_OK) {
        hel_free(*out_path);
        *out_path = NULL;
    }
    return status;
}

hel_status hel_bench_model_error_db(const hel_hyper *hyper, uint32_t k, double *out) {
    random_model *model = hel_alloc_zero(1, sizeof *model);
    if (!model) return hel_fail_memory(sizeof *model);
    model->hyper = hyper;
    model->k = k;
    hel_status status = make_tables(model);
    if (status == HEL_OK) *out = hel_fit_error_db(&model->error);
    hel_free(model);
    return status;
}
