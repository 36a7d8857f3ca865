// SPDX-License-Identifier: Apache-2.0
// What a checkpoint takes over from its source: digests of the files, the tokenizer, the time.
#include <helicoid/tokenizer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "models/checkpoint.h"
#include "models/source.h"

enum { PIECE = 1 << 20, MAX_SIDE_FILE = 256 << 20 };

// ---------------------------------------------------------------- digests

hel_status hel_file_hash(const hel_file *file, uint64_t offset, uint64_t size, const hel_digest_watch *watch, hel_sha256 *hash) {
    size_t room = (size_t)HEL_MIN(PIECE, HEL_MAX(size, 1));
    char *piece = hel_alloc(room);
    if (!piece) return hel_fail_memory(room);
    hel_status status = HEL_OK;
    for (uint64_t done = 0; done < size;) {
        size_t count = (size_t)HEL_MIN(PIECE, size - done);
        HEL_TRY_DONE(hel_file_read(file, offset + done, piece, count));
        HEL_TRY_DONE(hel_sha256_update(hash, piece, count));
        if (watch) HEL_TRY_DONE(watch->advance(watch->user, count));
        done += count;
    }
done:
    hel_free(piece);
    return status;
}

hel_status hel_file_digest(const hel_file *file, uint64_t offset, uint64_t size, const hel_digest_watch *watch,
                           uint8_t digest[HEL_SHA256_SIZE]) {
    hel_sha256 *hash = NULL;
    hel_status status = hel_sha256_create(&hash);
    if (status == HEL_OK) status = hel_file_hash(file, offset, size, watch, hash);
    if (status == HEL_OK) status = hel_sha256_finish(hash, digest);
    hel_sha256_destroy(&hash);
    return status;
}

static hel_status describe_file(const char *path, const hel_digest_watch *watch, json_t *out) {
    hel_file file;
    uint8_t digest[HEL_SHA256_SIZE];
    char text[HEL_SHA256_TEXT];
    HEL_TRY(hel_file_open(path, &file));
    hel_status status = hel_file_digest(&file, 0, file.size, watch, digest);
    hel_sha256_text(digest, text);
    json_t *entry =
        json_pack("{s:s, s:I, s:s}", "file", hel_path_name(path), "bytes", (json_int_t)file.size, "sha256", text);
    hel_file_close(&file);
    if (json_array_append_new(out, entry) != 0 && status == HEL_OK) status = hel_fail_memory(sizeof text);
    return status;
}

hel_status hel_checkpoint_set_source(hel_checkpoint *checkpoint, const hel_archive *archive, const hel_digest_watch *watch) {
    HEL_TRY(hel_checkpoint_set(checkpoint, HEL_KEY_VERSION, hel_version()));
    json_t *files = json_array();
    hel_status status = HEL_OK;
    for (size_t i = 0; status == HEL_OK && i < archive->n_tensors; i++)
        if (hel_archive_begins_file(archive, i)) status = describe_file(archive->tensors[i].file, watch, files);
    if (status == HEL_OK) return hel_checkpoint_set_json(checkpoint, HEL_KEY_SOURCE, files);
    json_decref(files);
    return status;
}

// ---------------------------------------------------------------- tokenizer

static hel_status add_copy(hel_checkpoint *checkpoint, const char *name, const char *text, size_t size) {
    char *copy = hel_string_copy_n(text, size);
    return copy ? hel_checkpoint_add_file(checkpoint, name, copy, size) : hel_fail_memory(size);
}

static hel_status add_from_folder(hel_checkpoint *checkpoint, const char *folder, const char *name) {
    char *path, *bytes;
    size_t size;
    HEL_TRY(hel_path_join(folder, name, &path));
    hel_status status = HEL_OK;
    if (hel_path_exists(path)) {
        status = hel_file_read_all(path, MAX_SIDE_FILE, &bytes, &size);
        if (status == HEL_OK) status = hel_checkpoint_add_file(checkpoint, name, bytes, size);
    }
    hel_free(path);
    return status;
}

// A tokenizer that is not a tokenizer.json yet.
static hel_status add_printed(hel_checkpoint *checkpoint, const hel_tokenizer *tokenizer) {
    char *text;
    size_t size;
    HEL_TRY(hel_tokenizer_print_json(tokenizer, &text, &size));
    hel_status status = add_copy(checkpoint, "tokenizer.json", text, size);
    hel_tokenizer_free(text);
    HEL_TRY(status);
    HEL_TRY(hel_tokenizer_print_config_json(tokenizer, &text, &size));
    status = add_copy(checkpoint, "tokenizer_config.json", text, size);
    hel_tokenizer_free(text);
    return status;
}

hel_status hel_checkpoint_add_tokenizer(hel_checkpoint *checkpoint, const hel_archive *archive, const char *tokenizer) {
    static const char *const others[] = {"tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
                                         "vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json"};
    archive = hel_source_origin(archive);
    if (archive->tokenizer_text) {
        HEL_TRY(add_copy(checkpoint, "tokenizer.json", archive->tokenizer_text, archive->tokenizer_size));
        if (archive->tokenizer_config_text)
            HEL_TRY(add_copy(checkpoint, "tokenizer_config.json", archive->tokenizer_config_text,
                             strlen(archive->tokenizer_config_text)));
    }
    if (checkpoint->folder && hel_path_is_directory(archive->path))
        for (size_t i = 0; i < HEL_COUNT(others); i++) HEL_TRY(add_from_folder(checkpoint, archive->path, others[i]));
    if (archive->tokenizer_text) return HEL_OK;
    hel_tokenizer *opened = NULL;
    hel_status status = hel_tokenizer_open(archive->path, tokenizer, &opened);
    if (status == HEL_OK) status = add_printed(checkpoint, opened);
    else if (!tokenizer && (status == HEL_ERROR_NOT_FOUND || status == HEL_ERROR_UNSUPPORTED)) status = HEL_OK;
    hel_tokenizer_destroy(&opened);
    return status;
}

// ---------------------------------------------------------------- time

void hel_checkpoint_time(char text[HEL_TIME_TEXT]) {
    const char *fixed = hel_os_environment("SOURCE_DATE_EPOCH");
    char *end = NULL;
    long long seconds = fixed ? strtoll(fixed, &end, 10) : 0;
    bool valid = end && end != fixed && !*end && seconds >= 0 && seconds < 253402300800LL; // year 10000
    if (!valid) seconds = hel_os_unix_time();
    long long days = seconds / 86400, rest = seconds % 86400;
    // Gregorian date of a day number (Hinnant, "chrono-compatible low-level date algorithms", 2013).
    long long z = days + 719468, era = z / 146097, day_of_era = z % 146097;
    long long year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    long long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    long long march_month = (5 * day_of_year + 2) / 153, day = day_of_year - (153 * march_month + 2) / 5 + 1;
    long long month = march_month < 10 ? march_month + 3 : march_month - 9,
              year = year_of_era + era * 400 + (month <= 2);
    snprintf(text, HEL_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month, (int)day, (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60));
}
