// SPDX-License-Identifier: Apache-2.0
// Fuzz input as a file: readers take paths, so the bytes go into memory that has one. What opens must be readable.
#ifndef TESTS_OPEN_BYTES_H
#define TESTS_OPEN_BYTES_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int open_bytes(const uint8_t *data, size_t size, hel_status (*open)(const char *path, hel_archive **out)) {
    static char bytes[1 << 14];
    char path[64];
    int file = memfd_create("fuzz", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    hel_archive *archive = NULL;
    if (open(path, &archive) == HEL_OK)
        for (size_t i = 0; i < archive->n_tensors; i++) {
            const hel_tensor_info *tensor = &archive->tensors[i];
            size_t part = tensor->bytes < sizeof bytes ? (size_t)tensor->bytes : sizeof bytes;
            if (hel_archive_read(archive, tensor, tensor->bytes - part, bytes, part) != HEL_OK) abort();
            if (hel_archive_find(archive, tensor->name) != tensor) abort();
        }
    hel_archive_close(&archive);
    close(file);
    return 0;
}

#endif
