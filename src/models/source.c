// SPDX-License-Identifier: Apache-2.0
#include "models/source.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"
#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "formats/rwkvcpp.h"
#include "models/gguf_model.h"
#include "models/family.h"
#include "models/rwkv_gguf.h"
#include "models/rwkv_source.h"
#include "models/rwkv_view.h"

// The view's tensor i is the origin's tensor i.
typedef struct view_state {
    hel_archive_format format; // under the origin's name
    char *names;               // HEL_ROLE_NAME bytes each
    const hel_role **roles;    // of each tensor, NULL where there is none
    uint32_t heads, kv_heads;  // for the row order; 0 where rows are in order already
    bool rates;                // whether those are stored as themselves, not as logarithms
} view_state;

static void close_view(hel_archive *archive) {
    view_state *view = archive->state;
    hel_free(view->names);
    hel_free(view->roles);
}

// ---------------------------------------------------------------- rows back in half-split order

static uint32_t heads_of(const view_state *view, size_t tensor) {
    const hel_role *role = view->roles[tensor];
    if (!role || role->order == HEL_ROWS_PLAIN) return 0;
    return role->order == HEL_ROWS_QUERY ? view->heads : view->kv_heads;
}

// Half-split row i of a head is the interleaved row 2 i (first half) or 2 (i - half) + 1.
static uint64_t interleaved_row(uint64_t row, uint64_t head_rows) {
    uint64_t i = row % head_rows, half = head_rows / 2;
    return row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

// ---------------------------------------------------------------- rates as logarithms

// GGUF has A = -exp(A_log), as floats.
static hel_status read_log(hel_archive *origin, const hel_tensor_info *stored, uint64_t offset, float *values, size_t size) {
    if (stored->dtype != HEL_F32 || offset % sizeof *values || size % sizeof *values)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, stored->file, stored->offset, "tensor \"%s\" is not of floats",
                             stored->name);
    HEL_TRY(hel_archive_read(origin, stored, offset, values, size));
    for (size_t i = 0; i < size / sizeof *values; i++) {
        if (!(values[i] < 0))
            return hel_fail_file(HEL_ERROR_FORMAT, stored->file, stored->offset, "tensor \"%s\" has %g, which is not negative",
                                 stored->name, values[i]);
        values[i] = logf(-values[i]);
    }
    return HEL_OK;
}

static hel_status read_view(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    view_state *view = archive->state;
    size_t index = (size_t)(tensor - archive->tensors);
    const hel_tensor_info *stored = &archive->origin->tensors[index];
    uint32_t heads = heads_of(view, index);
    if (view->roles[index] && view->roles[index]->kind == HEL_ROLE_RATE && view->rates)
        return read_log(archive->origin, stored, offset, bytes, size);
    if (!heads) return hel_archive_read(archive->origin, stored, offset, bytes, size);
    uint64_t row_bytes = tensor->bytes / tensor->shape[0], head_rows = tensor->shape[0] / heads;
    for (size_t done = 0; done < size;) {
        uint64_t row = (offset + done) / row_bytes, within = (offset + done) % row_bytes;
        size_t now = (size_t)HEL_MIN(row_bytes - within, size - done);
        HEL_TRY(hel_archive_read(archive->origin, stored, interleaved_row(row, head_rows) * row_bytes + within,
                                 (char *)bytes + done, now));
        done += now;
    }
    return HEL_OK;
}

static const hel_archive_format view_format = {"view", close_view, read_view};

const hel_archive *hel_source_origin(const hel_archive *archive) {
    while (archive->origin) archive = archive->origin;
    return archive;
}

// ---------------------------------------------------------------- making a view

// Whose tensors they are, and in which architecture of GGUF; NULL where they have Hugging Face names.
typedef struct naming {
    const hel_family *family;
    const char *gguf;
} naming;

static hel_status name_tensors(hel_archive *archive, const naming *names) {
    view_state *view = archive->state;
    size_t count = archive->n_tensors;
    view->names = hel_alloc_zero(count + 1, HEL_ROLE_NAME);
    view->roles = hel_alloc_zero(count + 1, sizeof *view->roles);
    if (!view->names || !view->roles) return hel_fail_memory(count * HEL_ROLE_NAME);
    for (size_t i = 0; i < count; i++) {
        hel_tensor_info *tensor = &archive->tensors[i];
        unsigned layer;
        const hel_role *role = names->gguf ? hel_role_of_gguf(names->family, names->gguf, tensor->name, &layer)
                                           : hel_role_of_hugging_face(names->family, tensor->name, &layer);
        view->roles[i] = role;
        if (!role) continue; // keeps its own name
        char *name = view->names + i * HEL_ROLE_NAME;
        hel_role_name(names->family, role, layer, name);
        tensor->name = name;
        uint32_t heads = heads_of(view, i);
        if (heads && (!tensor->rank || tensor->shape[0] % (2 * (uint64_t)heads)))
            return hel_fail_file(HEL_ERROR_FORMAT, tensor->file, tensor->offset,
                                 "tensor \"%s\": %u heads do not divide its rows", name, heads);
    }
    return hel_archive_index(archive);
}

// Takes the origin over, also on failure.
static hel_status make_view(hel_archive *origin, json_t *config, uint32_t heads, uint32_t kv_heads,
                            const naming *names, hel_archive **out) {
    hel_archive *archive;
    hel_status status = hel_archive_create_view(&view_format, origin, sizeof(view_state), &archive);
    if (status != HEL_OK) {
        json_decref(config);
        return status;
    }
    view_state *view = archive->state;
    view->heads = heads;
    view->kv_heads = kv_heads;
    view->rates = names->gguf != NULL;
    archive->config = config;
    status = config ? name_tensors(archive, names) : hel_fail_memory(1024);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}

// ---------------------------------------------------------------- llama2.c

static json_t *llama2c_config(const hel_llama2c_header *h) {
    return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b, s:i, s:i, s:s}",
                     "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", (int)h->dim,
                     "intermediate_size", (int)h->hidden_dim, "num_hidden_layers", (int)h->n_layers,
                     "num_attention_heads", (int)h->n_heads, "num_key_value_heads", (int)h->n_kv_heads,
                     "head_dim", (int)(h->dim / h->n_heads), "vocab_size", (int)h->vocab_size,
                     "max_position_embeddings", (int)h->seq_len, "rms_norm_eps", 1e-5, "rope_theta", 10000.0,
                     "hidden_act", "silu", "tie_word_embeddings", h->tied, "bos_token_id", 1, "eos_token_id", 2,
                     "torch_dtype", "float32");
}

static hel_status view_llama2c(hel_archive *origin, hel_archive **out) {
    const hel_llama2c_header *header = hel_archive_llama2c(origin);
    return make_view(origin, llama2c_config(header), header->n_heads, header->n_kv_heads, &(naming){&hel_llama_family, NULL}, out);
}

// ---------------------------------------------------------------- GGUF

static hel_status view_gguf(hel_archive *origin, hel_archive **out) {
    hel_gguf_model model;
    hel_status status = hel_gguf_model_read(origin, &model);
    if (status != HEL_OK || !model.config) {
        if (status == HEL_OK) *out = origin; // not a family we run: its own names
        else hel_archive_close(&origin);
        return status;
    }
    if (model.family == &hel_rwkv_family) status = hel_rwkv_gguf_view(origin, model.rescale, &origin);
    if (status == HEL_OK)
        return make_view(origin, model.config, model.interleaved ? model.heads : 0, model.interleaved ? model.kv_heads : 0,
                         &(naming){model.family, model.architecture}, out);
    json_decref(model.config);
    return status;
}

// ---------------------------------------------------------------- rwkv.cpp

// Names and layouts are the runtime's already: all that is missing is a config.
static hel_status complete_rwkvcpp(hel_archive *archive, hel_archive **out) {
    hel_status status = hel_rwkv_is(archive) ? hel_rwkv_config(archive, HEL_RWKV_CPP_EPSILON, &archive->config) : HEL_OK;
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}

hel_status hel_source_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    *out = NULL;
    HEL_TRY(hel_archive_open(path, &archive));
    if (hel_archive_llama2c(archive)) return view_llama2c(archive, out);
    if (hel_archive_is_gguf(archive)) return view_gguf(archive, out);
    if (hel_archive_rwkvcpp(archive)) return complete_rwkvcpp(archive, out);
    if (hel_rwkv_is_raw(archive)) return hel_rwkv_view(archive, out);
    *out = archive;
    return HEL_OK;
}
