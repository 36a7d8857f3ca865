// SPDX-License-Identifier: Apache-2.0
// A file is the SHA-256 of the binary, then the binary: drivers get no bytes that a crash or a bad disk has changed.
#include "device/binary_cache.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

enum { MAX_BINARY = 256 << 20, MAX_FOLDER = 4096 };

// The folder and, one level deep, its parent: a fresh account has no ~/.cache yet.
static bool make_folder(const char *folder) {
    if (hel_path_is_directory(folder)) return true;
    if (hel_os_directory_create(folder) || errno == EEXIST) return true;
    char *parent;
    if (hel_path_parent(folder, &parent) != HEL_OK) return false;
    hel_os_directory_create(parent);
    hel_free(parent);
    return hel_os_directory_create(folder) || errno == EEXIST;
}

static void disable(hel_binary_cache *cache, const char *why) {
    hel_log(HEL_LOG_WARNING, "%s: %s; compiled kernels are not kept", cache->folder, why);
    hel_binary_cache_finish(cache);
}

static hel_status name_folder(const char *directory, hel_binary_cache *out) {
    *out = (hel_binary_cache){0};
    char user[MAX_FOLDER];
    if (!directory) {
        hel_os_cache_directory(user, sizeof user);
        directory = user;
    }
    if (!directory[0]) return HEL_OK;
    if (directory == user) HEL_TRY(hel_path_join(directory, "helicoid", &out->folder));
    else if (!(out->folder = hel_string_copy(directory))) return hel_fail_memory(strlen(directory));
    return HEL_OK;
}

hel_status hel_binary_cache_init(const char *directory, hel_binary_cache *out) {
    HEL_TRY(name_folder(directory, out));
    if (out->folder && !make_folder(out->folder)) disable(out, "cannot be created");
    return HEL_OK;
}

hel_status hel_binary_cache_find(const char *directory, hel_binary_cache *out) {
    HEL_TRY(name_folder(directory, out));
    if (out->folder && !hel_path_is_directory(out->folder)) hel_binary_cache_finish(out);
    return HEL_OK;
}

void hel_binary_cache_finish(hel_binary_cache *cache) {
    hel_free(cache->folder);
    cache->folder = NULL;
}

static hel_status hash_parts(hel_sha256 *hash, const hel_binary_part *parts, size_t count, uint8_t digest[HEL_SHA256_SIZE]) {
    for (size_t i = 0; i < count; i++) {
        uint64_t size = parts[i].size;
        HEL_TRY(hel_sha256_update(hash, &size, sizeof size));
        HEL_TRY(hel_sha256_update(hash, parts[i].bytes, parts[i].size));
    }
    return hel_sha256_finish(hash, digest);
}

hel_status hel_binary_cache_key(const hel_binary_part *parts, size_t count, hel_binary_key *out) {
    hel_sha256 *hash;
    uint8_t digest[HEL_SHA256_SIZE];
    HEL_TRY(hel_sha256_create(&hash));
    hel_status status = hash_parts(hash, parts, count, digest);
    hel_sha256_destroy(&hash);
    if (status == HEL_OK) hel_sha256_text(digest, out->text);
    return status;
}

static bool load_path(const char *path, unsigned char **out, size_t *out_size) {
    char *bytes;
    size_t size;
    uint8_t digest[HEL_SHA256_SIZE];
    if (!hel_path_exists(path) || hel_file_read_all(path, MAX_BINARY, &bytes, &size) != HEL_OK) return false;
    if (size > sizeof digest && hel_sha256_of(bytes + sizeof digest, size - sizeof digest, digest) == HEL_OK &&
        memcmp(bytes, digest, sizeof digest) == 0) {
        *out_size = size - sizeof digest;
        *out = (unsigned char *)memmove(bytes, bytes + sizeof digest, *out_size);
        return true;
    }
    hel_log(HEL_LOG_WARNING, "%s: damaged, will be written anew", path);
    hel_free(bytes);
    return false;
}

bool hel_binary_cache_load(const hel_binary_cache *cache, const hel_binary_key *key, unsigned char **out, size_t *out_size) {
    char *path;
    if (!cache->folder || hel_path_join(cache->folder, key->text, &path) != HEL_OK) return false;
    bool found = load_path(path, out, out_size);
    hel_free(path);
    return found;
}

static hel_status write_path(const char *path, const void *bytes, size_t size) {
    uint8_t digest[HEL_SHA256_SIZE];
    hel_writer writer;
    HEL_TRY(hel_sha256_of(bytes, size, digest));
    HEL_TRY(hel_writer_open(path, true, false, &writer));
    hel_status status = hel_writer_append(&writer, digest, sizeof digest);
    if (status == HEL_OK) status = hel_writer_append(&writer, bytes, size);
    if (status == HEL_OK) return hel_writer_commit(&writer);
    hel_writer_abandon(&writer, false);
    return status;
}

void hel_binary_cache_store(hel_binary_cache *cache, const hel_binary_key *key, const void *bytes, size_t size) {
    char *path;
    if (!cache->folder || !size || size > MAX_BINARY - HEL_SHA256_SIZE) return;
    if (hel_path_join(cache->folder, key->text, &path) != HEL_OK) return;
    if (write_path(path, bytes, size) != HEL_OK) disable(cache, "cannot be written");
    hel_free(path);
}
