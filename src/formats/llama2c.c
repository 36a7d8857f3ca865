// SPDX-License-Identifier: Apache-2.0
// The tensors follow the header in a fixed order; those with one row block per layer are cut into layers here.
#include "formats/llama2c.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"

enum { HEADER_SIZE = 28, NAME_SIZE = 64, MAX_DIM = 1 << 20, MAX_LAYERS = 4096 };

typedef struct llama2c_state {
    hel_file file;
    hel_llama2c_header header;
    char *names; // NAME_SIZE bytes each
} llama2c_state;

static void close_archive(hel_archive *archive) {
    llama2c_state *state = archive->state;
    hel_file_close(&state->file);
    hel_free(state->names);
}

static hel_status read_tensor(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const llama2c_state *state = archive->state;
    return hel_file_read(&state->file, tensor->offset + offset, bytes, size);
}

static const hel_archive_format format = {"llama2.c", close_archive, read_tensor};

const hel_llama2c_header *hel_archive_llama2c(const hel_archive *archive) {
    if (archive->origin) archive = archive->origin;
    return archive->format == &format ? &((const llama2c_state *)archive->state)->header : NULL;
}

// ---------------------------------------------------------------- the header

static int32_t int_at(const unsigned char *bytes) {
    return (int32_t)((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
}

static hel_status read_header(llama2c_state *state) {
    unsigned char bytes[HEADER_SIZE];
    const char *path = state->file.path;
    int32_t v[7] = {0};
    if (state->file.size >= HEADER_SIZE) HEL_TRY(hel_file_read(&state->file, 0, bytes, sizeof bytes));
    else memset(bytes, 0, sizeof bytes); // no header, and no other format either
    for (int i = 0; i < 7; i++) v[i] = int_at(bytes + 4 * i);
    // A negative vocabulary says that the classifier is a matrix of its own.
    int64_t vocabulary = v[5] < 0 ? -(int64_t)v[5] : v[5];
    bool sane = v[0] > 0 && v[0] <= MAX_DIM && v[1] > 0 && v[1] <= MAX_DIM && v[2] > 0 && v[2] <= MAX_LAYERS && v[3] > 0 &&
                v[4] > 0 && v[4] <= v[3] && vocabulary > 0 && vocabulary <= 1 << 24 && v[6] > 0 && v[6] <= 1 << 24;
    if (!sane || v[0] % v[3] || v[3] % v[4] || v[0] / v[3] % 2)
        return hel_fail_file(HEL_ERROR_FORMAT, path, 0,
                             "no format that we know: neither safetensors, GGUF, NPY, rwkv.cpp nor a llama2.c header");
    state->header = (hel_llama2c_header){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2], (uint32_t)v[3],
                                         (uint32_t)v[4], (uint32_t)vocabulary, (uint32_t)v[6], v[5] > 0};
    return HEL_OK;
}

// ---------------------------------------------------------------- the tensors in file order

typedef struct tensor_walk {
    hel_archive *archive;
    llama2c_state *state;
    uint64_t offset;
} tensor_walk;

// `layer` UINT32_MAX: the name as it is; else it is below "model.layers.N.". cols 0: a vector.
static hel_status add(tensor_walk *walk, uint32_t layer, const char *name, uint64_t rows, uint64_t cols) {
    hel_archive *archive = walk->archive;
    hel_tensor_info *tensor = &archive->tensors[archive->n_tensors];
    char *full = walk->state->names + archive->n_tensors * NAME_SIZE;
    if (layer == UINT32_MAX) snprintf(full, NAME_SIZE, "%s.weight", name);
    else snprintf(full, NAME_SIZE, "model.layers.%u.%s.weight", layer, name);
    *tensor = (hel_tensor_info){.name = full, .dtype = HEL_F32, .rank = cols ? 2 : 1, .shape = {rows, cols}, .stored_as = "F32",
                                .offset = walk->offset, .file = walk->state->file.path};
    tensor->elements = rows * (cols ? cols : 1); // both below 2^24: no overflow
    tensor->bytes = tensor->stored_bytes = tensor->elements * sizeof(float);
    walk->offset += tensor->bytes;
    archive->n_tensors++;
    if (walk->offset <= walk->state->file.size) return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, walk->state->file.path, walk->state->file.size, "file ends early, inside \"%s\"", full);
}

static hel_status add_for_layers(tensor_walk *walk, const char *name, uint64_t rows, uint64_t cols) {
    for (uint32_t l = 0; l < walk->state->header.n_layers; l++) HEL_TRY(add(walk, l, name, rows, cols));
    return HEL_OK;
}

static hel_status add_all(tensor_walk *walk) {
    const hel_llama2c_header *h = &walk->state->header;
    uint64_t head_dim = h->dim / h->n_heads, kv_dim = head_dim * h->n_kv_heads;
    HEL_TRY(add(walk, UINT32_MAX, "model.embed_tokens", h->vocab_size, h->dim));
    HEL_TRY(add_for_layers(walk, "input_layernorm", h->dim, 0));
    HEL_TRY(add_for_layers(walk, "self_attn.q_proj", h->dim, h->dim));
    HEL_TRY(add_for_layers(walk, "self_attn.k_proj", kv_dim, h->dim));
    HEL_TRY(add_for_layers(walk, "self_attn.v_proj", kv_dim, h->dim));
    HEL_TRY(add_for_layers(walk, "self_attn.o_proj", h->dim, h->dim));
    HEL_TRY(add_for_layers(walk, "post_attention_layernorm", h->dim, 0));
    HEL_TRY(add_for_layers(walk, "mlp.gate_proj", h->hidden_dim, h->dim));
    HEL_TRY(add_for_layers(walk, "mlp.down_proj", h->dim, h->hidden_dim));
    HEL_TRY(add_for_layers(walk, "mlp.up_proj", h->hidden_dim, h->dim));
    HEL_TRY(add(walk, UINT32_MAX, "model.norm", h->dim, 0));
    walk->offset += (uint64_t)h->seq_len * head_dim * sizeof(float); // cos and sin tables that nobody needs
    if (!h->tied) HEL_TRY(add(walk, UINT32_MAX, "lm_head", h->vocab_size, h->dim));
    if (walk->offset == walk->state->file.size) return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, walk->state->file.path, walk->offset,
                         "the header asks for %llu bytes, the file has %llu", (unsigned long long)walk->offset,
                         (unsigned long long)walk->state->file.size);
}

static hel_status describe(hel_archive *archive, const char *path) {
    llama2c_state *state = archive->state;
    HEL_TRY(hel_file_open(path, &state->file));
    HEL_TRY(read_header(state));
    size_t count = 3 + 9 * (size_t)state->header.n_layers;
    archive->tensors = hel_alloc_zero(count, sizeof *archive->tensors);
    state->names = hel_alloc_zero(count, NAME_SIZE);
    if (!archive->tensors || !state->names) return hel_fail_memory(count * NAME_SIZE);
    archive->file_bytes = state->file.size;
    HEL_TRY(add_all(&(tensor_walk){archive, state, HEADER_SIZE}));
    return hel_archive_index(archive);
}

hel_status hel_llama2c_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&format, path, sizeof(llama2c_state), &archive));
    hel_status status = describe(archive, path);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}
