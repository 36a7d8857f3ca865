// SPDX-License-Identifier: Apache-2.0
// Reader: 8 bytes header length N, N bytes JSON, data. huggingface.co/docs/safetensors, read more strictly.
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/archive_build.h"

enum { MAX_HEADER = 100000000, MAX_SHARDS = 4096, MAX_CONFIG = 16 << 20, MAX_TOKENIZER = 256 << 20 };

typedef struct shard_file {
    hel_file file;
    json_t *header;      // owns the tensors' names
    uint64_t data_begin;
} shard_file;

typedef struct safetensors_state {
    shard_file *shards;
    size_t n_shards;
} safetensors_state;

static safetensors_state *state_of(hel_archive *archive) { return archive->state; }

static void close_archive(hel_archive *archive) {
    safetensors_state *state = state_of(archive);
    for (size_t i = 0; i < state->n_shards; i++) {
        hel_file_close(&state->shards[i].file);
        json_decref(state->shards[i].header);
    }
    hel_free(state->shards);
}

static hel_status read_tensor(hel_archive *archive, const hel_tensor_info *tensor, uint64_t offset, void *bytes, size_t size) {
    const safetensors_state *state = state_of(archive);
    size_t i = 0;
    while (state->shards[i].file.path != tensor->file) i++;
    return hel_file_read(&state->shards[i].file, tensor->offset + offset, bytes, size);
}

static const hel_archive_format file_format = {"safetensors", close_archive, read_tensor};
static const hel_archive_format folder_format = {"Hugging Face folder", close_archive, read_tensor};

// ---------------------------------------------------------------- the header

static hel_status refuse(const shard_file *shard, uint64_t offset, const char *name, const char *rule) {
    return hel_fail_file(HEL_ERROR_FORMAT, shard->file.path, offset, "tensor \"%.200s\": %s", name, rule);
}

static hel_status read_header(shard_file *shard) {
    unsigned char length[8];
    const char *path = shard->file.path;
    HEL_TRY(hel_file_read(&shard->file, 0, length, sizeof length));
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) size = size << 8 | length[i];
    if (size > MAX_HEADER)
        return hel_fail_file(HEL_ERROR_FORMAT, path, 0, "header of %llu bytes, %d are allowed",
                             (unsigned long long)size, MAX_HEADER);
    if (size > shard->file.size - 8)
        return hel_fail_file(HEL_ERROR_FORMAT, path, 0, "header of %llu bytes is longer than the file",
                             (unsigned long long)size);
    char *text = hel_alloc(size + 1);
    if (!text) return hel_fail_memory(size + 1);
    hel_status status = hel_file_read(&shard->file, 8, text, size);
    if (status == HEL_OK && (!size || text[0] != '{'))
        status = hel_fail_file(HEL_ERROR_FORMAT, path, 8, "header does not begin with '{'");
    if (status == HEL_OK) status = hel_json_parse(text, size, path, 8, &shard->header);
    hel_free(text);
    shard->data_begin = 8 + size;
    return status;
}

static bool escapes(const char *name) {
    for (const char *part = name;; part += strcspn(part, "/\\") + 1) {
        size_t length = strcspn(part, "/\\");
        if (length == 2 && memcmp(part, "..", 2) == 0) return true;
        if (!part[length]) return name[0] == '/' || name[0] == '\\';
    }
}

// An array of two or up to HEL_MAX_RANK non-negative integers.
static bool read_integers(const json_t *array, size_t most, uint64_t *out) {
    if (!json_is_array(array) || json_array_size(array) > most) return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0) return false;
        out[i] = (uint64_t)json_integer_value(item);
    }
    return true;
}

static hel_status parse_tensor(const shard_file *shard, const char *name, const json_t *entry, hel_tensor_info *out) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    uint64_t range[2] = {0};
    *out = (hel_tensor_info){.name = name, .file = shard->file.path};
    if (strlen(name) == 0 || escapes(name)) return refuse(shard, 8, name, "a name must not be empty or lead out of a folder");
    if (!dtype || json_object_size(entry) != 3) return refuse(shard, 8, name, "needs exactly dtype, shape and data_offsets");
    if (!hel_dtype_from_name(dtype, &out->dtype)) return refuse(shard, 8, name, "unknown dtype");
    if (!read_integers(shape, HEL_MAX_RANK, out->shape))
        return refuse(shard, 8, name, "shape must be at most eight non-negative integers");
    if (json_array_size(offsets) != 2 || !read_integers(offsets, 2, range))
        return refuse(shard, 8, name, "data_offsets must be two non-negative integers");
    out->rank = (uint32_t)json_array_size(shape);
    if (!hel_shape_bytes(out->dtype, out->rank, out->shape, &out->elements, &out->bytes))
        return refuse(shard, 8, name, "its size overflows");
    uint64_t data_size = shard->file.size - shard->data_begin;
    if (range[0] > range[1] || range[1] > data_size)
        return refuse(shard, shard->data_begin, name, "data_offsets lie outside the file");
    if (range[1] - range[0] != out->bytes)
        return refuse(shard, shard->data_begin + range[0], name, "data_offsets do not match dtype and shape");
    out->offset = shard->data_begin + range[0];
    out->stored_as = hel_dtype_name(out->dtype);
    out->stored_bytes = out->bytes;
    return HEL_OK;
}

static int by_offset(const void *left, const void *right) {
    const hel_tensor_info *a = left, *b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); // empty tensors first
}

// Tensors must fill the data part without holes or overlaps.
static hel_status check_cover(const shard_file *shard, hel_tensor_info *tensors, size_t count) {
    uint64_t at = shard->data_begin;
    qsort(tensors, count, sizeof *tensors, by_offset);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].offset != at)
            return refuse(shard, at, tensors[i].name,
                          tensors[i].offset > at ? "a hole lies before its data" : "its data overlap another tensor's");
        at += tensors[i].bytes;
    }
    return at == shard->file.size ? HEL_OK : hel_fail_file(HEL_ERROR_FORMAT, shard->file.path, at, "bytes after the last tensor");
}

static hel_status check_metadata(const shard_file *shard, const json_t *metadata) {
    const char *key;
    json_t *value;
    if (!metadata) return HEL_OK;
    if (!json_is_object(metadata)) return hel_fail_file(HEL_ERROR_FORMAT, shard->file.path, 8, "__metadata__ must be an object");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) if (!json_is_string(value)) return hel_fail_file(
        HEL_ERROR_FORMAT, shard->file.path, 8, "__metadata__ \"%.200s\" must be a string", key);
    return HEL_OK;
}

// Appends the shard's tensors to the archive's list.
static hel_status add_tensors(hel_archive *archive, const shard_file *shard) {
    const json_t *metadata = json_object_get(shard->header, "__metadata__");
    HEL_TRY(check_metadata(shard, metadata));
    size_t more = json_object_size(shard->header) - (metadata != NULL), count = archive->n_tensors;
    hel_tensor_info *tensors = hel_resize(archive->tensors, (count + more) * sizeof *tensors);
    if (!tensors) return hel_fail_memory((count + more) * sizeof *tensors);
    archive->tensors = tensors;
    const char *name;
    json_t *entry;
    json_object_foreach(shard->header, name, entry) {
        if (entry == metadata) continue;
        HEL_TRY(parse_tensor(shard, name, entry, &tensors[archive->n_tensors]));
        archive->n_tensors++;
    }
    archive->file_bytes += shard->file.size;
    if (metadata && json_object_update_missing(archive->metadata, (json_t *)(uintptr_t)metadata) != 0) return hel_fail_memory(more);
    return check_cover(shard, tensors + count, more);
}

static hel_status open_shard(hel_archive *archive, const char *path, shard_file *shard) {
    HEL_TRY(hel_file_open(path, &shard->file));
    if (shard->file.size < 8) return hel_fail_file(HEL_ERROR_FORMAT, path, shard->file.size, "file ends early: no header length");
    HEL_TRY(read_header(shard));
    return add_tensors(archive, shard);
}

// ---------------------------------------------------------------- config and tokenizer

// The text of a file of the folder, or nothing where there is none.
static hel_status read_text(const char *folder, const char *name, size_t limit, char **out, size_t *out_size) {
    char *path;
    size_t size;
    HEL_TRY(hel_path_join(folder, name, &path));
    hel_status status = hel_file_read_all(path, limit, out, out_size ? out_size : &size);
    hel_free(path);
    return status == HEL_ERROR_NOT_FOUND ? HEL_OK : status;
}

static hel_status parse_config(hel_archive *archive, const char *path) {
    HEL_TRY(hel_json_parse_config(archive->config_text, strlen(archive->config_text), path, &archive->config));
    if (json_is_object(archive->config)) return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, path, 0, "config must be a JSON object");
}

// Those of a folder; an archive without a config has none of them.
static hel_status read_beside(hel_archive *archive, const char *folder) {
    char *path;
    HEL_TRY(read_text(folder, "config.json", MAX_CONFIG, &archive->config_text, NULL));
    HEL_TRY(read_text(folder, "tokenizer.json", MAX_TOKENIZER, &archive->tokenizer_text, &archive->tokenizer_size));
    HEL_TRY(read_text(folder, "tokenizer_config.json", MAX_CONFIG, &archive->tokenizer_config_text, NULL));
    if (!archive->config_text) return HEL_OK;
    HEL_TRY(hel_path_join(folder, "config.json", &path));
    hel_status status = parse_config(archive, path);
    hel_free(path);
    return status;
}

// A folder's own weights, named by themselves.
static hel_status read_around(hel_archive *archive, const char *path) {
    char *folder;
    if (strcmp(hel_path_name(path), "model.safetensors") != 0) return HEL_OK;
    HEL_TRY(hel_path_parent(path, &folder));
    hel_status status = read_beside(archive, folder);
    hel_free(folder);
    return status;
}

// ---------------------------------------------------------------- one file

// A file that carries its own config and tokenizer has them as strings in __metadata__.
static hel_status take_text(const hel_archive *archive, const char *key, char **out, size_t *out_size) {
    const json_t *value = json_object_get(archive->metadata, key);
    if (!value) return HEL_OK;
    *out = hel_string_copy_n(json_string_value(value), json_string_length(value));
    if (out_size) *out_size = json_string_length(value);
    return *out ? HEL_OK : hel_fail_memory(json_string_length(value));
}

static hel_status open_one(hel_archive *archive, const char *path) {
    safetensors_state *state = state_of(archive);
    state->shards = hel_alloc_zero(1, sizeof *state->shards);
    if (!state->shards) return hel_fail_memory(sizeof *state->shards);
    state->n_shards = 1;
    return open_shard(archive, path, &state->shards[0]);
}

hel_status hel_safetensors_open(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&file_format, path, sizeof(safetensors_state), &archive));
    hel_status status;
    HEL_TRY_DONE(open_one(archive, path));
    HEL_TRY_DONE(take_text(archive, "config", &archive->config_text, NULL));
    HEL_TRY_DONE(take_text(archive, "tokenizer", &archive->tokenizer_text, &archive->tokenizer_size));
    HEL_TRY_DONE(take_text(archive, "tokenizer_config", &archive->tokenizer_config_text, NULL));
    HEL_TRY_DONE(archive->config_text ? parse_config(archive, path) : read_around(archive, path));
    HEL_TRY_DONE(hel_archive_index(archive));
    *out = archive;
    return HEL_OK;
done:
    hel_archive_close(&archive);
    return status;
}

// ---------------------------------------------------------------- folders

static bool is_plain_name(const char *name) { return name[0] && name[0] != '.' && !name[strcspn(name, "/\\")]; }

static hel_status open_member(hel_archive *archive, const char *folder, const char *name) {
    safetensors_state *state = state_of(archive);
    char *path;
    HEL_TRY(hel_path_join(folder, name, &path));
    hel_status status = open_shard(archive, path, &state->shards[state->n_shards++]);
    hel_free(path);
    return status;
}

// Which files the index names, each once.
static hel_status open_shards(hel_archive *archive, const char *folder, const char *index_path, const json_t *weight_map) {
    safetensors_state *state = state_of(archive);
    json_t *names = json_object(), *value;
    const char *tensor, *name;
    if (!names) return hel_fail_memory(sizeof *names);
    hel_status status = HEL_OK;
    json_object_foreach((json_t *)(uintptr_t)weight_map, tensor, value) {
        name = json_string_value(value);
        if (!name || !is_plain_name(name)) {
            status = hel_fail_file(HEL_ERROR_FORMAT, index_path, 0,
                                   "weight_map \"%.200s\" must name a file of this folder", tensor);
            goto done;
        }
        if (json_object_set_new(names, name, json_true()) != 0) {
            status = hel_fail_memory(strlen(name));
            goto done;
        }
    }
    if (!json_object_size(names) || json_object_size(names) > MAX_SHARDS) {
        status = hel_fail_file(HEL_ERROR_FORMAT, index_path, 0, "weight_map names %zu files", json_object_size(names));
        goto done;
    }
    state->shards = hel_alloc_zero(json_object_size(names), sizeof *state->shards);
    if (!state->shards) {
        status = hel_fail_memory(json_object_size(names) * sizeof *state->shards);
        goto done;
    }
    json_object_foreach(names, name, value) HEL_TRY_DONE(open_member(archive, folder, name));
done:
    json_decref(names);
    return status;
}

// Every tensor must be in the file that the index says, and in no other.
static hel_status check_map(const hel_archive *archive, const char *index_path, const json_t *weight_map) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, name, value) {
        const hel_tensor_info *tensor = hel_archive_find(archive, name);
        if (!tensor || strcmp(hel_path_name(tensor->file), json_string_value(value)) != 0)
            return hel_fail_file(HEL_ERROR_FORMAT, index_path, 0, "tensor \"%.200s\" is not in %.200s", name,
                                 json_string_value(value));
    }
    if (json_object_size(weight_map) == archive->n_tensors) return HEL_OK;
    return hel_fail_file(HEL_ERROR_FORMAT, index_path, 0, "the files hold %zu tensors, the index names %zu",
                         archive->n_tensors, json_object_size(weight_map));
}

static hel_status open_index(hel_archive *archive, const char *folder, const char *index_path) {
    json_t *index;
    HEL_TRY(hel_json_read_file(index_path, MAX_HEADER, &index));
    const json_t *map = json_object_get(index, "weight_map");
    hel_status status = json_is_object(map) ? open_shards(archive, folder, index_path, map)
                                            : hel_fail_file(HEL_ERROR_FORMAT, index_path, 0, "weight_map is missing");
    if (status == HEL_OK) status = hel_archive_index(archive);
    if (status == HEL_OK) status = check_map(archive, index_path, map);
    json_decref(index);
    return status;
}

static hel_status open_members(hel_archive *archive, const char *folder) {
    char *single = NULL, *index = NULL;
    hel_status status;
    HEL_TRY_DONE(hel_path_join(folder, "model.safetensors", &single));
    HEL_TRY_DONE(hel_path_join(folder, "model.safetensors.index.json", &index));
    if (!hel_path_exists(single) && hel_path_exists(index)) status = open_index(archive, folder, index);
    else status = open_one(archive, single);
    if (status == HEL_OK && !archive->index) status = hel_archive_index(archive);
done:
    hel_free(single);
    hel_free(index);
    return status;
}

hel_status hel_safetensors_open_folder(const char *path, hel_archive **out) {
    hel_archive *archive;
    HEL_TRY(hel_archive_create(&folder_format, path, sizeof(safetensors_state), &archive));
    hel_status status;
    HEL_TRY_DONE(read_beside(archive, path));
    HEL_TRY_DONE(open_members(archive, path));
    *out = archive;
    return HEL_OK;
done:
    hel_archive_close(&archive);
    return status;
}
