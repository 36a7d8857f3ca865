// SPDX-License-Identifier: Apache-2.0
// hel_verify: recomputes what hel_compress and hel_export wrote down, and checks the structure of every other file.
#include <helicoid/compress.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/weight_desc.h"
#include "models/checkpoint.h"
#include "models/module_shape.h"

enum { ROW_VALUES = 1 << 18, MAX_HEADER = 100 << 20 };

typedef struct verifier {
    hel_archive *archive;
    hel_progress_callback progress;
    void *user;
    hel_verify_report report;
    uint64_t done, total; // bytes of progress; a file with digests is read twice
} verifier;

static hel_status advance(verifier *v, uint64_t bytes) {
    v->done += bytes;
    if (!v->progress || v->progress(v->user, "verify", HEL_MIN(v->done, v->total), v->total)) return HEL_OK;
    return hel_fail(HEL_ERROR_CANCELLED, "cancelled");
}

// ---------------------------------------------------------------- digests

static hel_status expect(const char *path, uint64_t offset, const char *what, const uint8_t digest[HEL_SHA256_SIZE],
                         const char *expected) {
    char text[HEL_SHA256_TEXT];
    hel_sha256_text(digest, text);
    if (expected && strcmp(text, expected) == 0) return HEL_OK;
    return hel_fail_file(HEL_ERROR_INTEGRITY, path, offset, "the SHA-256 of %s is not the recorded one", what);
}

static hel_status check_header(const hel_file *file, uint64_t size) {
    char *header = hel_alloc((size_t)size), *digits = NULL;
    uint8_t digest[HEL_SHA256_SIZE];
    char expected[HEL_SHA256_TEXT] = {0};
    if (!header) return hel_fail_memory((size_t)size);
    hel_status status;
    HEL_TRY_DONE(hel_file_read(file, 0, header, (size_t)size));
    digits = hel_checkpoint_header_digits(header, (size_t)size);
    if (!digits) {
        status = hel_fail_file(HEL_ERROR_INTEGRITY, file->path, 8, "the header has no digest of itself");
        goto done;
    }
    memcpy(expected, digits, HEL_SHA256_TEXT - 1);
    memset(digits, '0', HEL_SHA256_TEXT - 1);
    HEL_TRY_DONE(hel_sha256_of(header, (size_t)size, digest));
    status = expect(file->path, 0, "the header", digest, expected);
done:
    hel_free(header);
    return status;
}

static hel_status check_tensors(verifier *v, const hel_file *file, uint64_t data, const json_t *digests) {
    for (size_t i = 0; i < v->archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &v->archive->tensors[i];
        char what[256];
        uint8_t digest[HEL_SHA256_SIZE];
        HEL_TRY(hel_file_digest(file, tensor->offset, tensor->stored_bytes, NULL, digest));
        snprintf(what, sizeof what, "tensor \"%.200s\"", tensor->name);
        HEL_TRY(expect(file->path, tensor->offset, what, digest,
                       json_string_value(json_object_get(digests, tensor->name))));
        HEL_TRY(advance(v, tensor->stored_bytes));
        v->report.tensors++;
    }
    if (json_object_size(digests) != v->archive->n_tensors)
        return hel_fail_file(HEL_ERROR_INTEGRITY, file->path, data, "%zu tensors have digests, %zu are there",
                             json_object_size(digests), v->archive->n_tensors);
    return HEL_OK;
}

static hel_status check_file(verifier *v, const char *folder, const char *name, const char *expected) {
    char *path;
    hel_file file;
    uint8_t digest[HEL_SHA256_SIZE];
    HEL_TRY(hel_path_join(folder, name, &path));
    hel_status status = hel_file_open(path, &file);
    if (status == HEL_ERROR_NOT_FOUND) status = hel_fail_file(HEL_ERROR_INTEGRITY, path, 0, "the file is missing");
    if (status == HEL_OK) {
        status = hel_file_digest(&file, 0, file.size, NULL, digest);
        if (status == HEL_OK) status = expect(path, 0, "the file", digest, expected);
        if (status == HEL_OK) status = advance(v, file.size);
        v->report.bytes += file.size;
        hel_file_close(&file);
        v->report.files++;
    }
    hel_free(path);
    return status;
}

// JSON that stands as a string in the metadata.
static hel_status metadata_json(const verifier *v, const char *key, json_t **out) {
    const char *text = json_string_value(json_object_get(v->archive->metadata, key));
    if (!text) return hel_fail_file(HEL_ERROR_INTEGRITY, v->archive->path, 8, "the metadata has no \"%s\"", key);
    HEL_TRY(hel_json_parse(text, strlen(text), v->archive->path, 8, out));
    if (json_is_object(*out)) return HEL_OK;
    json_decref(*out);
    return hel_fail_file(HEL_ERROR_INTEGRITY, v->archive->path, 8, "\"%s\" is not an object", key);
}

static hel_status check_files_beside(verifier *v) {
    json_t *files, *digest;
    const char *name;
    HEL_TRY(metadata_json(v, HEL_KEY_FILES, &files));
    hel_status status = HEL_OK;
    json_object_foreach(files, name, digest)
        if (status == HEL_OK) {
        if (strchr(name, '/') || strchr(name, '\\'))
            status = hel_fail_file(HEL_ERROR_INTEGRITY, v->archive->path, 8, "\"%.100s\" is not a file name", name);
        else
            status = check_file(v, v->archive->path, name, json_string_value(digest));
        }
    json_decref(files);
    return status;
}

static hel_status check_digests(verifier *v, const char *path) {
    hel_file file;
    json_t *digests = NULL;
    uint8_t length[8], digest[HEL_SHA256_SIZE];
    HEL_TRY(hel_file_open(path, &file));
    v->report.checksummed = true;
    v->report.files++;
    v->report.bytes += file.size;
    uint64_t header = 8;
    hel_status status;
    HEL_TRY_DONE(hel_file_read(&file, 0, length, sizeof length));
    for (int i = 0; i < 8; i++) header += (uint64_t)length[i] << 8 * i;
    if (header > MAX_HEADER || header > file.size) {
        status = hel_fail_file(HEL_ERROR_FORMAT, path, 0, "the header's length is past the end of the file");
        goto done;
    }
    v->total = 2 * file.size;
    HEL_TRY_DONE(check_header(&file, header));
    HEL_TRY_DONE(advance(v, header));
    HEL_TRY_DONE(metadata_json(v, HEL_KEY_TENSORS, &digests));
    HEL_TRY_DONE(check_tensors(v, &file, header, digests));
    HEL_TRY_DONE(hel_file_digest(&file, header, file.size - header, NULL, digest));
    HEL_TRY_DONE(expect(path, header, "the data", digest,
                        json_string_value(json_object_get(v->archive->metadata, HEL_KEY_DATA_DIGEST))));
    HEL_TRY_DONE(advance(v, file.size - header));
    if (hel_path_is_directory(v->archive->path)) status = check_files_beside(v);
done:
    json_decref(digests);
    hel_file_close(&file);
    return status;
}

// ---------------------------------------------------------------- structure

static hel_status check_indices(verifier *v, const hel_weight_desc *desc) {
    uint64_t per_row = desc->cols / desc->d, rows = per_row ? HEL_MAX(1, ROW_VALUES / per_row) : desc->rows;
    uint16_t *codes = hel_alloc_array((size_t)(HEL_MIN(rows, desc->rows) * per_row), sizeof *codes);
    if (!codes) return hel_fail_memory((size_t)(rows * per_row));
    hel_status status = HEL_OK;
    for (uint64_t first = 0; status == HEL_OK && first < desc->rows; first += rows) {
        uint64_t count = HEL_MIN(rows, desc->rows - first);
        status = hel_weight_read_indices(v->archive, desc, first, count, codes);
        if (status == HEL_OK) status = advance(v, count * per_row);
    }
    hel_free(codes);
    return status;
}

static hel_status check_module(verifier *v, const char *module) {
    hel_weight_desc desc;
    uint64_t rows, cols;
    hel_outlier *outliers = NULL;
    size_t count;
    HEL_TRY(hel_module_shape(v->archive, module, &rows, &cols));
    HEL_TRY(hel_weight_desc_find(v->archive, module, rows, cols, &desc));
    hel_status status = check_indices(v, &desc);
    if (status == HEL_OK) status = hel_weight_read_sidecar(v->archive, &desc, &outliers, &count);
    hel_free(outliers);
    hel_weight_desc_finish(&desc);
    return status;
}

static hel_status check_structure(verifier *v) {
    char **modules;
    size_t count;
    v->total = v->archive->file_bytes;
    HEL_TRY(hel_weight_modules(v->archive, &modules, &count));
    hel_status status = HEL_OK;
    for (size_t i = 0; status == HEL_OK && i < count; i++) status = check_module(v, modules[i]);
    hel_weight_modules_free(modules);
    v->report.tensors = v->archive->n_tensors;
    v->report.files = 1;
    v->report.bytes = v->archive->file_bytes;
    return status;
}

// One sign of ours in the metadata is enough to expect all of them.
static bool is_ours(const hel_archive *archive) {
    const char *key;
    json_t *value;
    json_object_foreach(archive->metadata, key, value)
        if (strncmp(key, HEL_KEY_PREFIX, strlen(HEL_KEY_PREFIX)) == 0) return true;
    return false;
}

hel_status hel_verify(const char *path, hel_progress_callback progress, void *user, hel_verify_report *report) {
    verifier v = {.progress = progress, .user = user};
    if (report) *report = v.report;
    if (!path) return hel_fail(HEL_ERROR_ARGUMENT, "a path is needed");
    HEL_TRY(hel_archive_open(path, &v.archive));
    const hel_archive *archive = v.archive;
    hel_status status =
        is_ours(archive) && archive->n_tensors ? check_digests(&v, archive->tensors[0].file) : check_structure(&v);
    if (report) *report = v.report;
    hel_archive_close(&v.archive);
    return status;
}
