// SPDX-License-Identifier: Apache-2.0
#include "models/checkpoint.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/checkpoint_folder.h"

static const char zero_digest[] = "0000000000000000000000000000000000000000000000000000000000000000";

// ---------------------------------------------------------------- what will be written

hel_status hel_checkpoint_init(const char *path, bool overwrite, hel_checkpoint *out) {
    *out = hel_checkpoint_none;
    out->overwrite = overwrite;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    out->path = hel_string_copy_n(path, length);
    out->metadata = json_object();
    hel_status status = HEL_OK;
    if (!out->path || !out->metadata) {
        status = hel_fail_memory(length + 1);
        goto done;
    }
    out->folder = !hel_path_has_suffix(out->path, ".safetensors");
    out->part = out->folder ? hel_string_join(out->path, ".part") : NULL;
    out->journal = hel_string_join(out->path, out->folder ? ".part/journal" : ".part.journal");
    out->lock_path = hel_string_join(out->path, ".part.lock");
    if ((out->folder && !out->part) || !out->journal || !out->lock_path) {
        status = hel_fail_memory(length + 16);
        goto done;
    }
    status = hel_checkpoint_set(out, "format", "pt");
done:
    if (status != HEL_OK) hel_checkpoint_finish(out, true);
    return status;
}

hel_status hel_checkpoint_check(const hel_checkpoint *checkpoint) {
    const char *path = checkpoint->path;
    if (!hel_path_exists(path)) return HEL_OK;
    if (!checkpoint->overwrite) return hel_fail(HEL_ERROR_EXISTS, "%s: exists", path);
    if (checkpoint->folder != hel_path_is_directory(path))
        return hel_fail(HEL_ERROR_EXISTS, "%s: exists and is not a %s", path, checkpoint->folder ? "folder" : "file");
    return checkpoint->folder ? hel_model_folder_check(path) : HEL_OK;
}

static hel_status check_source_file(const hel_checkpoint *checkpoint, const char *file) {
    char *parent;
    HEL_TRY(hel_path_parent(file, &parent));
    bool held = hel_path_same(file, checkpoint->path) || hel_path_same(parent, checkpoint->path);
    hel_free(parent);
    return held ? hel_fail(HEL_ERROR_ARGUMENT, "%s: the output would replace the model", checkpoint->path) : HEL_OK;
}

hel_status hel_checkpoint_check_source(const hel_checkpoint *checkpoint, const hel_archive *source) {
    const char *last = NULL;
    for (size_t i = 0; i < source->n_tensors; i++) {
        const char *file = source->tensors[i].file;
        if (last && strcmp(file, last) == 0) continue;
        HEL_TRY(check_source_file(checkpoint, file));
        last = file;
    }
    return HEL_OK;
}

hel_status hel_checkpoint_set(hel_checkpoint *checkpoint, const char *key, const char *value) {
    json_t *text = json_string(value);
    if (!text) return hel_fail(HEL_ERROR_FORMAT, "metadata \"%s\" is not UTF-8", key);
    return json_object_set_new(checkpoint->metadata, key, text) == 0 ? HEL_OK : hel_fail_memory(strlen(value));
}

hel_status hel_checkpoint_set_json(hel_checkpoint *checkpoint, const char *key, json_t *value) {
    char *text;
    hel_status status = value ? hel_json_print(value, 0, &text, NULL) : hel_fail_memory(64);
    if (status == HEL_OK) {
        status = hel_checkpoint_set(checkpoint, key, text);
        hel_free(text);
    }
    json_decref(value);
    return status;
}

hel_status hel_checkpoint_add_file(hel_checkpoint *checkpoint, const char *name, char *bytes, size_t size) {
    static const char *const inside[][2] = {
        {"config.json", "config"}, {"tokenizer.json", "tokenizer"}, {"tokenizer_config.json", "tokenizer_config"}};
    hel_status status = HEL_OK;
    if (checkpoint->folder) {
        hel_side_file *file = &checkpoint->files[checkpoint->n_files];
        if (checkpoint->n_files == HEL_SIDE_FILES_MAX)
            status = hel_fail(HEL_ERROR_INTERNAL, "too many files beside a model");
        else if (!(file->name = hel_string_copy(name))) status = hel_fail_memory(strlen(name));
        if (status == HEL_OK) {
            file->bytes = bytes;
            file->size = size;
            checkpoint->n_files++;
            return HEL_OK;
        }
    } else {
        for (size_t i = 0; i < HEL_COUNT(inside); i++)
            if (strcmp(name, inside[i][0]) == 0) status = hel_checkpoint_set(checkpoint, inside[i][1], bytes);
    }
    hel_free(bytes);
    return status;
}

// ---------------------------------------------------------------- data

hel_status hel_checkpoint_lock(hel_checkpoint *checkpoint) {
    return hel_lock_take(checkpoint->lock_path, checkpoint->path, &checkpoint->lock);
}

hel_status hel_checkpoint_open(hel_checkpoint *checkpoint, bool resume) {
    HEL_TRY(hel_checkpoint_lock(checkpoint));
    if (!resume && hel_path_exists(checkpoint->journal))
        hel_log(HEL_LOG_WARNING, "%s: what an interrupted run had done is discarded", checkpoint->path);
    if (!checkpoint->folder) {
        checkpoint->begun = true;
        return hel_writer_open(checkpoint->path, checkpoint->overwrite, resume, &checkpoint->writer);
    }
    if (!hel_os_directory_create(checkpoint->part) && errno != EEXIST)
        return hel_fail_errno(checkpoint->part, "cannot create folder");
    checkpoint->begun = true;
    char *name, *temporary;
    HEL_TRY(hel_path_join(checkpoint->part, "model.safetensors", &name));
    hel_status status = hel_path_join(checkpoint->part, "model.safetensors.part", &temporary);
    if (status == HEL_OK) {
        // Interrupted between the renames of the file and of the folder: the file is worked on under its old name.
        if (resume && hel_path_exists(name) && !hel_os_rename(name, temporary))
            status = hel_fail_errno(name, "cannot rename");
        hel_free(temporary);
    }
    if (status == HEL_OK && !resume) status = hel_model_folder_clear(checkpoint->part);
    if (status == HEL_OK) status = hel_writer_open(name, true, resume, &checkpoint->writer);
    hel_free(name);
    return status;
}

// The header as it stands, digests included; its own digest is written in place at last.
static hel_status make_header(hel_checkpoint *checkpoint, bool with_digests, const char *data_digest, char **out,
                              size_t *out_size) {
    json_t *tensors = json_object();
    if (!tensors) return hel_fail_memory(checkpoint->count);
    hel_status status = HEL_OK;
    for (size_t i = 0; status == HEL_OK && i < checkpoint->count; i++) {
        char text[HEL_SHA256_TEXT];
        if (with_digests) hel_sha256_text(checkpoint->digests[i], text);
        else memcpy(text, zero_digest, sizeof text);
        if (json_object_set_new(tensors, checkpoint->entries[i].name, json_string(text)) != 0)
            status = hel_fail_memory(sizeof text);
    }
    if (status == HEL_OK) status = hel_checkpoint_set_json(checkpoint, HEL_KEY_TENSORS, json_incref(tensors));
    if (status == HEL_OK) status = hel_checkpoint_set(checkpoint, HEL_KEY_DATA_DIGEST, data_digest);
    if (status == HEL_OK) status = hel_checkpoint_set(checkpoint, HEL_KEY_HEADER_DIGEST, zero_digest);
    if (status == HEL_OK)
        status = hel_safetensors_layout(checkpoint->entries, checkpoint->count, checkpoint->metadata, out, out_size);
    json_decref(tensors);
    return status;
}

static hel_status describe_files(hel_checkpoint *checkpoint) {
    json_t *files = json_object();
    if (!files) return hel_fail_memory(sizeof files);
    hel_status status = HEL_OK;
    for (uint32_t i = 0; status == HEL_OK && i < checkpoint->n_files; i++) {
        uint8_t digest[HEL_SHA256_SIZE];
        char text[HEL_SHA256_TEXT];
        status = hel_sha256_of(checkpoint->files[i].bytes, checkpoint->files[i].size, digest);
        hel_sha256_text(digest, text);
        if (status == HEL_OK && json_object_set_new(files, checkpoint->files[i].name, json_string(text)) != 0)
            status = hel_fail_memory(sizeof text);
    }
    if (status == HEL_OK) status = hel_checkpoint_set_json(checkpoint, HEL_KEY_FILES, json_incref(files));
    json_decref(files);
    return status;
}

hel_status hel_checkpoint_measure(hel_checkpoint *checkpoint, hel_safetensors_entry *entries, size_t count) {
    checkpoint->entries = entries;
    checkpoint->count = count;
    HEL_TRY(describe_files(checkpoint));
    char *header;
    HEL_TRY(make_header(checkpoint, false, zero_digest, &header, &checkpoint->header_size));
    hel_free(header);
    checkpoint->data_bytes = count ? entries[count - 1].offset + entries[count - 1].bytes : 0;
    return HEL_OK;
}

hel_status hel_checkpoint_layout(hel_checkpoint *checkpoint, hel_safetensors_entry *entries, size_t count) {
    uint64_t size;
    HEL_TRY(hel_checkpoint_measure(checkpoint, entries, count));
    checkpoint->digests = hel_alloc_zero(count, HEL_SHA256_SIZE);
    checkpoint->in_place = hel_alloc_zero(count, sizeof *checkpoint->in_place);
    checkpoint->mutex = hel_os_mutex_create();
    if (!checkpoint->digests || !checkpoint->in_place || !checkpoint->mutex) return hel_fail_memory(count * HEL_SHA256_SIZE);
    HEL_TRY(hel_sha256_create(&checkpoint->data_hash));
    if (!hel_size_add(checkpoint->header_size, checkpoint->data_bytes, &size))
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: its size overflows", checkpoint->path);
    if (!hel_os_file_truncate(checkpoint->writer.os, size))
        return hel_fail_errno(checkpoint->path, "cannot give the file its size");
    checkpoint->writer.size = size; // from here on writes leave it alone, so threads may share the writer
    return HEL_OK;
}

hel_status hel_checkpoint_write(hel_checkpoint *checkpoint, size_t entry, uint64_t offset, const void *bytes,
                                size_t size) {
    const hel_safetensors_entry *tensor = &checkpoint->entries[entry];
    if (offset > tensor->bytes || size > tensor->bytes - offset)
        return hel_fail(HEL_ERROR_INTERNAL, "tensor \"%s\": write past its end", tensor->name);
    return hel_writer_write_at(&checkpoint->writer, checkpoint->header_size + tensor->offset + offset, bytes, size);
}

hel_status hel_checkpoint_digest(hel_checkpoint *checkpoint, size_t entry, uint8_t digest[HEL_SHA256_SIZE]) {
    hel_file written = hel_writer_view(&checkpoint->writer);
    return hel_file_digest(&written, checkpoint->header_size + checkpoint->entries[entry].offset,
                           checkpoint->entries[entry].bytes, NULL, digest);
}

static hel_status hash_entry(hel_checkpoint *checkpoint, size_t entry, const hel_digest_watch *watch) {
    const hel_safetensors_entry *tensor = &checkpoint->entries[entry];
    hel_file written = hel_writer_view(&checkpoint->writer);
    return hel_file_hash(&written, checkpoint->header_size + tensor->offset, tensor->bytes, watch, checkpoint->data_hash);
}

hel_status hel_checkpoint_in_place(hel_checkpoint *checkpoint, size_t entry, const hel_digest_watch *watch) {
    hel_os_mutex_lock(checkpoint->mutex);
    checkpoint->in_place[entry] = true;
    bool mine = !checkpoint->hashing;
    if (mine) checkpoint->hashing = true;
    hel_status status = HEL_OK;
    while (mine && status == HEL_OK && checkpoint->hashed < checkpoint->count && checkpoint->in_place[checkpoint->hashed]) {
        hel_os_mutex_unlock(checkpoint->mutex);
        status = hash_entry(checkpoint, checkpoint->hashed, watch);
        hel_os_mutex_lock(checkpoint->mutex);
        checkpoint->hashed++;
    }
    if (mine && status == HEL_OK) checkpoint->hashing = false; // else part of an entry is in, and nobody may go on
    hel_os_mutex_unlock(checkpoint->mutex);
    return status;
}

static hel_status digest_data(hel_checkpoint *checkpoint, uint8_t digest[HEL_SHA256_SIZE]) {
    if (checkpoint->hashing) return hel_fail(HEL_ERROR_INTERNAL, "%s: its digest was broken off", checkpoint->path);
    for (; checkpoint->hashed < checkpoint->count; checkpoint->hashed++)
        HEL_TRY(hash_entry(checkpoint, checkpoint->hashed, NULL));
    return hel_sha256_finish(checkpoint->data_hash, digest);
}

// ---------------------------------------------------------------- the end

char *hel_checkpoint_header_digits(char *header, size_t size) {
    static const char key[] = "\"" HEL_KEY_HEADER_DIGEST "\":\"";
    size_t length = sizeof key - 1;
    for (size_t at = 0; at + length + HEL_SHA256_TEXT <= size; at++)
        if (memcmp(header + at, key, length) == 0) return header + at + length;
    return NULL;
}

static hel_status write_header(hel_checkpoint *checkpoint) {
    uint8_t digest[HEL_SHA256_SIZE];
    char text[HEL_SHA256_TEXT], *header = NULL, *digits;
    size_t size;
    HEL_TRY(digest_data(checkpoint, digest));
    hel_sha256_text(digest, text);
    HEL_TRY(make_header(checkpoint, true, text, &header, &size));
    hel_status status = hel_sha256_of(header, size, digest);
    digits = hel_checkpoint_header_digits(header, size);
    if (status == HEL_OK && (size != checkpoint->header_size || !digits))
        status = hel_fail(HEL_ERROR_INTERNAL, "%s: the header changed its size", checkpoint->path);
    if (status == HEL_OK) {
        hel_sha256_text(digest, text);
        memcpy(digits, text, HEL_SHA256_TEXT - 1);
        status = hel_writer_write_at(&checkpoint->writer, 0, header, size);
    }
    hel_free(header);
    return status;
}

static hel_status write_files(hel_checkpoint *checkpoint) {
    for (uint32_t i = 0; i < checkpoint->n_files; i++) {
        char *path;
        HEL_TRY(hel_path_join(checkpoint->part, checkpoint->files[i].name, &path));
        hel_status status = hel_file_write_all(path, true, checkpoint->files[i].bytes, checkpoint->files[i].size);
        hel_free(path);
        HEL_TRY(status);
    }
    return HEL_OK;
}

hel_status hel_checkpoint_commit(hel_checkpoint *checkpoint) {
    HEL_TRY(write_files(checkpoint));
    HEL_TRY(write_header(checkpoint));
    HEL_TRY(hel_writer_sync(&checkpoint->writer));
    if (checkpoint->folder) HEL_TRY(hel_writer_commit(&checkpoint->writer));
    if (hel_path_exists(checkpoint->journal) && !hel_os_remove(checkpoint->journal))
        return hel_fail_errno(checkpoint->journal, "cannot remove");
    HEL_TRY(checkpoint->folder ? hel_model_folder_publish(checkpoint->part, checkpoint->path)
                               : hel_writer_commit(&checkpoint->writer));
    checkpoint->begun = false;
    return HEL_OK;
}

void hel_checkpoint_finish(hel_checkpoint *checkpoint, bool keep) {
    hel_writer_abandon(&checkpoint->writer, keep);
    if (checkpoint->begun && !keep) {
        hel_os_remove(checkpoint->journal);
        if (checkpoint->folder && hel_model_folder_clear(checkpoint->part) == HEL_OK) hel_os_remove(checkpoint->part);
    }
    hel_lock_drop(&checkpoint->lock);
    for (uint32_t i = 0; i < checkpoint->n_files; i++) {
        hel_free(checkpoint->files[i].name);
        hel_free(checkpoint->files[i].bytes);
    }
    json_decref(checkpoint->metadata);
    hel_free(checkpoint->digests);
    hel_free(checkpoint->in_place);
    hel_sha256_destroy(&checkpoint->data_hash);
    hel_os_mutex_destroy(&checkpoint->mutex);
    hel_free(checkpoint->path);
    hel_free(checkpoint->part);
    hel_free(checkpoint->journal);
    hel_free(checkpoint->lock_path);
    *checkpoint = hel_checkpoint_none;
}
