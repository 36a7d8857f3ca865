// SPDX-License-Identifier: Apache-2.0
// Files as the rest of the library sees them: bounded reads, and outputs that appear whole or not at all.
#ifndef HEL_BASE_FILE_H
#define HEL_BASE_FILE_H

#include <helicoid/common.h>

#include "base/os.h"

// --- reading ---
typedef struct hel_file {
    hel_os_file os;
    char *path;
    uint64_t size; // when it was opened
} hel_file;

hel_status hel_file_open(const char *path, hel_file *out); // regular files only
void hel_file_close(hel_file *file);                       // accepts a zeroed file
// Exactly `size` bytes; reading past the end is HEL_ERROR_FORMAT ("file ends early").
hel_status hel_file_read(const hel_file *file, uint64_t offset, void *bytes, size_t size);
// The whole of a file of at most `limit` bytes, with a terminating zero; free with hel_free.
hel_status hel_file_read_all(const char *path, size_t limit, char **out_bytes, size_t *out_size);

// --- writing: temporary name in the same directory, fsync, rename, fsync of the directory ---
typedef struct hel_writer {
    hel_os_file os;
    char *path;      // the final name
    char *temporary; // "<path>.part"
    uint64_t size;   // bytes written so far
    bool overwrite;
} hel_writer;

// Fails with HEL_ERROR_EXISTS where `path` exists and `overwrite` is false. `resume` keeps an existing temporary
// file and its size; otherwise it starts empty.
hel_status hel_writer_open(const char *path, bool overwrite, bool resume, hel_writer *out);
hel_status hel_writer_append(hel_writer *writer, const void *bytes, size_t size);
hel_status hel_writer_write_at(hel_writer *writer, uint64_t offset, const void *bytes, size_t size); // inside or at the end
hel_file hel_writer_view(const hel_writer *writer); // for reading what is written so far; borrowed, not to be closed
hel_status hel_writer_sync(hel_writer *writer);
hel_status hel_writer_commit(hel_writer *writer);  // after it the file has its final name; closes
void hel_writer_abandon(hel_writer *writer, bool keep); // closes and removes the temporary file, or keeps it for resuming

hel_status hel_file_write_all(const char *path, bool overwrite, const void *bytes, size_t size);

// --- one process at a time ---
typedef struct hel_lock {
    hel_os_file os;
    char *path;
} hel_lock;

// Creates the file `path` and holds it until the lock is dropped or the process ends; HEL_ERROR_EXISTS where another
// handle holds it. `what` is the name that the message gives.
hel_status hel_lock_take(const char *path, const char *what, hel_lock *out);
void hel_lock_drop(hel_lock *lock); // removes the file; accepts {.os = {-1}}

// --- paths ---
bool hel_path_exists(const char *path);
bool hel_path_is_directory(const char *path);
bool hel_path_same(const char *a, const char *b); // both exist and are one file or folder, links followed
hel_status hel_path_join(const char *directory, const char *name, char **out); // free with hel_free
const char *hel_path_name(const char *path);                                  // the part after the last separator
hel_status hel_path_parent(const char *path, char **out);                     // "." where there is none
bool hel_path_has_suffix(const char *path, const char *suffix);

#endif
