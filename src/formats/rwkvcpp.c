// SPDX-License-Identifier: Apache-2.0
// Six words of header, then tensors to the end of the file: rank, length of the name, type, shape (innermost first), name,
// data, nothing between them and nothing aligned.
#include "formats/rwkvcpp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"
#include "formats/ggml_blocks.h"

enum {
    HEADER_WORDS = 6, TENSOR_WORDS = 3, MAX_RANK = 3, NAME_SIZE = 64,
    MAX_WIDTH = 1 << 20, MAX_LAYERS = 4096, MAX_VOCABULARY = 1 << 24, MAX_TENSORS = 1 << 18,
    QUANTISED_SINCE = 101, // blocks were laid out otherwise in version 100
    MIXES = 6,
};

// The file's numbers of types, as ggml numbers them; those of removed formats are not read.
static const struct { uint32_t stored, ggml; } types[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {7, 6}, {8, 7}, {9, 8}};

typedef struct rwkvcpp_tensor {
    const hel_ggml_type *type;
    char name[NAME_SIZE];
} rwkvcpp_tensor;

typedef struct rwkvcpp_state {
    hel_file file;
    hel_rwkvcpp_header header;
    rwkvcpp_tensor *tensors; // beside the archive's, with room for as many
    size_t room;
} rwkvcpp_state;

static void close_archive(hel_archive *archive) {
    rwkvcpp_state *state = archive->state;
    hel_file_close(&state->file);
    hel_free(state->tensors);
}

static hel_status read_tensor(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const rwkvcpp_state *state = archive->state;
    return hel_ggml_read(&state->file, state->tensors[tensor - archive->tensors].type, tensor, offset, bytes, size);
}

static const hel_archive_format format = {"rwkv.cpp", close_archive, read_tensor};

const hel_rwkvcpp_header *hel_archive_rwkvcpp(const hel_archive *archive) {
    if (archive->origin) archive = archive->origin;
    return archive->format == &format ? &((const rwkvcpp_state *)archive->state)->header : NULL;
}

// ---------------------------------------------------------------- reading in order

typedef struct cursor {
    hel_archive *archive;
    rwkvcpp_state *state;
    uint64_t at;
} cursor;

#define BREAK_AT(in, offset, ...) hel_fail_file(HEL_ERROR_FORMAT, (in)->state->file.path, offset, __VA_ARGS__)

static hel_status take(cursor *in, void *bytes, uint32_t size, const char *what) {
    if (size > in->state->file.size - in->at) return BREAK_AT(in, in->at, "file ends early, inside %s", what);
    HEL_TRY(hel_file_read(&in->state->file, in->at, bytes, size));
    in->at += size;
    return HEL_OK;
}

static hel_status take_words(cursor *in, uint32_t *out, uint32_t count, const char *what) {
    unsigned char bytes[4 * HEADER_WORDS];
    HEL_TRY(take(in, bytes, 4 * count, what));
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *b = bytes + 4 * i;
        out[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
    return HEL_OK;
}

static hel_status check_range(const cursor *in, uint64_t offset, const char *what, uint32_t value, uint32_t low, uint32_t high) {
    if (value >= low && value <= high) return HEL_OK;
    return BREAK_AT(in, offset, "%s is %u, allowed are %u to %u", what, value, low, high);
}

static hel_status find_type(const cursor *in, uint64_t offset, uint32_t stored, const hel_ggml_type **out) {
    for (size_t i = 0; i < HEL_COUNT(types); i++) {
        if (types[i].stored != stored) continue;
        *out = hel_ggml_type_find(types[i].ggml);
        if (!(*out)->expand || in->state->header.version >= QUANTISED_SINCE) return HEL_OK;
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->state->file.path, offset, "%s in a file of version %u is not read",
                             (*out)->name, in->state->header.version);
    }
    return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->state->file.path, offset, "type %u is not read", stored);
}

static hel_status take_header(cursor *in) {
    uint32_t words[HEADER_WORDS] = {0};
    const hel_ggml_type *type;
    HEL_TRY(take_words(in, words, HEADER_WORDS, "the header"));
    hel_rwkvcpp_header *header = &in->state->header;
    *header = (hel_rwkvcpp_header){words[1], words[2], words[3], words[4]};
    if (header->version != 100 && header->version != 101)
        return hel_fail_file(HEL_ERROR_UNSUPPORTED, in->state->file.path, 4, "version %u is not read", header->version);
    HEL_TRY(check_range(in, 8, "the vocabulary", header->vocabulary, 1, MAX_VOCABULARY));
    HEL_TRY(check_range(in, 12, "the width", header->hidden, 1, MAX_WIDTH));
    HEL_TRY(check_range(in, 16, "the number of layers", header->layers, 1, MAX_LAYERS));
    return find_type(in, 20, words[5], &type);
}

// ---------------------------------------------------------------- tensors

static hel_status reserve(cursor *in, size_t count) {
    rwkvcpp_state *state = in->state;
    if (in->archive->n_tensors + count <= state->room) return HEL_OK;
    size_t room = HEL_MAX((size_t)64, 2 * state->room);
    rwkvcpp_tensor *tensors = hel_resize(state->tensors, room * sizeof *tensors);
    if (!tensors) return hel_fail_memory(room * sizeof *tensors);
    state->tensors = tensors;
    hel_tensor_info *infos = hel_resize(in->archive->tensors, room * sizeof *infos);
    if (!infos) return hel_fail_memory(room * sizeof *infos);
    in->archive->tensors = infos;
    state->room = room;
    return HEL_OK;
}

static void add(cursor *in, const hel_tensor_info *tensor, const hel_ggml_type *type, const char *name) {
    size_t i = in->archive->n_tensors++;
    in->state->tensors[i].type = type;
    snprintf(in->state->tensors[i].name, NAME_SIZE, "%s", name);
    in->archive->tensors[i] = *tensor;
}

// "blocks.0.att.x_rwkvag" [6, 1, width] as six vectors [1, 1, width].
static hel_status add_mixes(cursor *in, uint64_t declared_at, const hel_tensor_info *tensor, const hel_ggml_type *type) {
    static const char order[MIXES + 1] = "rwkvag";
    if (tensor->rank != 3 || tensor->shape[0] != MIXES || tensor->shape[1] != 1 || type->expand)
        return BREAK_AT(in, declared_at, "tensor %s: not six plain rows", tensor->name);
    for (uint32_t i = 0; i < MIXES; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%.*s%c", (int)(strlen(tensor->name) - MIXES), tensor->name, order[i]);
        hel_tensor_info mix = *tensor;
        mix.shape[0] = 1;
        mix.elements /= MIXES;
        mix.bytes /= MIXES;
        mix.stored_bytes /= MIXES;
        mix.offset += i * mix.stored_bytes;
        add(in, &mix, type, name);
    }
    return HEL_OK;
}

// A layer's number must be below the header's count.
static hel_status check_name(const cursor *in, uint64_t offset, const char *name, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~') return BREAK_AT(in, offset, "a name with byte 0x%02x", (unsigned char)name[i]);
    static const char layer[] = "blocks.";
    if (strncmp(name, layer, sizeof layer - 1) != 0) return HEL_OK;
    char *end;
    unsigned long number = strtoul(name + sizeof layer - 1, &end, 10);
    if (*end == '.' && number < in->state->header.layers) return HEL_OK;
    return BREAK_AT(in, offset, "tensor %s is in none of the %u layers", name, in->state->header.layers);
}

static hel_status take_tensor(cursor *in) {
    uint64_t declared_at = in->at;
    uint32_t words[TENSOR_WORDS] = {0}, shape[MAX_RANK] = {0};
    char name[NAME_SIZE] = {0};
    const hel_ggml_type *type = NULL;
    HEL_TRY(take_words(in, words, TENSOR_WORDS, "a tensor's description"));
    HEL_TRY(check_range(in, declared_at, "a tensor's rank", words[0], 1, MAX_RANK));
    HEL_TRY(check_range(in, declared_at + 4, "the length of a name", words[1], 1, NAME_SIZE - 1));
    HEL_TRY(find_type(in, declared_at + 8, words[2], &type));
    HEL_TRY(take_words(in, shape, words[0], "a tensor's shape"));
    uint64_t named_at = in->at;
    HEL_TRY(take(in, name, words[1], "a tensor's name"));
    HEL_TRY(check_name(in, named_at, name, words[1]));
    hel_tensor_info tensor = {.name = name, .rank = words[0], .offset = in->at};
    for (uint32_t i = 0; i < tensor.rank; i++) {
        tensor.shape[i] = shape[tensor.rank - 1 - i];
        HEL_TRY(check_range(in, declared_at + 12, "a side of a tensor", (uint32_t)tensor.shape[i], 1, INT32_MAX));
    }
    HEL_TRY(hel_ggml_describe(&in->state->file, declared_at, type, &tensor));
    in->at += tensor.stored_bytes; // inside the file
    if (in->archive->n_tensors >= MAX_TENSORS) return BREAK_AT(in, declared_at, "more than %d tensors", MAX_TENSORS);
    HEL_TRY(reserve(in, MIXES));
    if (hel_path_has_suffix(name, ".x_rwkvag")) return add_mixes(in, declared_at, &tensor, type);
    add(in, &tensor, type, name);
    return HEL_OK;
}

// The header repeats what both ends say; without a count of tensors, the head shows that the file was not cut short.
static hel_status check_end(const cursor *in, const char *name) {
    const hel_tensor_info *tensor = hel_archive_find(in->archive, name);
    const hel_rwkvcpp_header *header = &in->state->header;
    if (tensor && tensor->rank == 2 && tensor->shape[0] == header->vocabulary && tensor->shape[1] == header->hidden) return HEL_OK;
    return BREAK_AT(in, tensor ? tensor->offset : in->at, "no tensor %s of the header's %u x %u", name, header->vocabulary,
                    header->hidden);
}

static hel_status describe(hel_archive *archive, const char *path) {
    rwkvcpp_state *state = archive->state;
    HEL_TRY(hel_file_open(path, &state->file));
    cursor in = {archive, state, 0};
    HEL_TRY(take_header(&in));
    HEL_TRY(reserve(&in, MIXES));
    while (in.at < state->file.size) HEL_TRY(take_tensor(&in));
    for (size_t i = 0; i < archive->n_tensors; i++) archive->tensors[i].name = state->tensors[i].name;
    archive->file_bytes = state->file.size;
    HEL_TRY(hel_archive_index(archive));
    HEL_TRY(check_end(&in, "emb.weight"));
    return check_end(&in, "head.weight");
}

hel_status hel_rwkvcpp_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&format, path, sizeof(rwkvcpp_state), &archive));
    hel_status status = describe(archive, path);
    if (status == HEL_OK) *out = archive;
    else hel_archive_close(&archive);
    return status;
}
