// SPDX-License-Identifier: Apache-2.0
// Compiled kernels on disk: one file per binary, named by the SHA-256 of everything that the binary depends on.
// The cache only saves time: whatever goes wrong in it is logged at most, and the kernel is compiled again.
#ifndef HEL_DEVICE_BINARY_CACHE_H
#define HEL_DEVICE_BINARY_CACHE_H

#include "base/hash.h"

// {0} is a cache that holds nothing. Thread-safety: one user at a time; several processes may share the folder.
typedef struct hel_binary_cache {
    char *folder; // NULL where there is no cache
} hel_binary_cache;

// `directory` as in hel_device_params.cache_directory: NULL the user's cache directory, "" no cache.
// Fails with MEMORY only; a folder that cannot be made is no cache.
hel_status hel_binary_cache_init(const char *directory, hel_binary_cache *out);
// The same for reading: no folder is made, and where there is none there is no cache.
hel_status hel_binary_cache_find(const char *directory, hel_binary_cache *out);
void hel_binary_cache_finish(hel_binary_cache *cache);

typedef struct hel_binary_key {
    char text[HEL_SHA256_TEXT];
} hel_binary_key;

typedef struct hel_binary_part {
    const void *bytes;
    size_t size;
} hel_binary_part;

// Parts enter with their lengths, so {"ab", "c"} and {"a", "bc"} differ.
hel_status hel_binary_cache_key(const hel_binary_part *parts, size_t count, hel_binary_key *out);

// True where the file is there and undamaged; free *out with hel_free.
bool hel_binary_cache_load(const hel_binary_cache *cache, const hel_binary_key *key, unsigned char **out, size_t *out_size);
void hel_binary_cache_store(hel_binary_cache *cache, const hel_binary_key *key, const void *bytes, size_t size);

#endif
