// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static bool is_separator(char c) {
#ifdef _WIN32
    return c == '/' || c == '\\';
#else
    return c == '/';
#endif
}

// ---------------------------------------------------------------- reading

hel_status hel_file_open(const char *path, hel_file *out) {
    *out = (hel_file){.os = {-1}};
    hel_file file = {.os = {-1}};
    hel_os_info info;
    if (!hel_os_file_open(path, HEL_OS_READ, &file.os)) return hel_fail_errno(path, "cannot open");
    hel_status status = HEL_OK;
    if (!hel_os_file_info(file.os, &info)) status = hel_fail_errno(path, "cannot stat");
    else if (!info.regular) status = hel_fail(HEL_ERROR_FORMAT, "%s: not a regular file", path);
    else if (!(file.path = hel_string_copy(path))) status = hel_fail_memory(strlen(path));
    if (status != HEL_OK) {
        hel_os_file_close(&file.os);
        return status;
    }
    file.size = info.size;
    *out = file;
    return HEL_OK;
}

void hel_file_close(hel_file *file) {
    if (!file->path) return;
    hel_os_file_close(&file->os);
    hel_free(file->path);
    *file = (hel_file){.os = {-1}};
}

hel_status hel_file_read(const hel_file *file, uint64_t offset, void *bytes, size_t size) {
    if (offset > file->size || size > file->size - offset)
        return hel_fail_file(HEL_ERROR_FORMAT, file->path, file->size, "file ends early: %zu bytes wanted at byte %llu",
                             size, (unsigned long long)offset);
    for (size_t done = 0; done < size;) {
        int64_t got = hel_os_file_read(file->os, offset + done, (char *)bytes + done, size - done);
        if (got < 0) return hel_fail_errno(file->path, "cannot read");
        if (got == 0) return hel_fail_file(HEL_ERROR_FORMAT, file->path, offset + done, "file ends early");
        done += (size_t)got;
    }
    return HEL_OK;
}

hel_status hel_file_read_all(const char *path, size_t limit, char **out_bytes, size_t *out_size) {
    hel_file file;
    HEL_TRY(hel_file_open(path, &file));
    hel_status status;
    char *bytes = NULL;
    if (file.size > limit) {
        status = hel_fail_file(HEL_ERROR_FORMAT, path, limit, "file is larger than the %zu bytes allowed", limit);
        goto done;
    }
    size_t size = (size_t)file.size;
    bytes = hel_alloc(size + 1);
    if (!bytes) {
        status = hel_fail_memory(size + 1);
        goto done;
    }
    HEL_TRY_DONE(hel_file_read(&file, 0, bytes, size));
    bytes[size] = 0;
    *out_bytes = bytes;
    *out_size = size;
    bytes = NULL;
done:
    hel_free(bytes);
    hel_file_close(&file);
    return status;
}

// ---------------------------------------------------------------- writing

static void writer_close(hel_writer *writer) {
    hel_os_file_close(&writer->os);
    hel_free(writer->path);
    hel_free(writer->temporary);
    *writer = (hel_writer){.os = {-1}};
}

hel_status hel_writer_open(const char *path, bool overwrite, bool resume, hel_writer *out) {
    *out = (hel_writer){.os = {-1}};
    hel_writer writer = {.os = {-1}, .overwrite = overwrite};
    hel_os_info info;
    if (!overwrite && hel_path_exists(path)) return hel_fail(HEL_ERROR_EXISTS, "%s: exists", path);
    if (hel_os_path_info(path, &info) && !info.regular && !info.directory) // a device would become a file
        return hel_fail(HEL_ERROR_ARGUMENT, "%s: is not a file that can be replaced", path);
    writer.path = hel_string_copy(path);
    writer.temporary = hel_string_join(path, ".part");
    hel_status status = HEL_OK;
    if (!writer.path || !writer.temporary) status = hel_fail_memory(strlen(path));
    else if (!hel_os_file_open(writer.temporary, resume ? HEL_OS_APPEND : HEL_OS_REWRITE, &writer.os))
        status = hel_fail_errno(writer.temporary, "cannot create");
    else if (!hel_os_file_info(writer.os, &info)) status = hel_fail_errno(writer.temporary, "cannot stat");
    else writer.size = info.size;
    if (status == HEL_OK) *out = writer;
    else writer_close(&writer);
    return status;
}

hel_status hel_writer_write_at(hel_writer *writer, uint64_t offset, const void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        int64_t put = hel_os_file_write(writer->os, offset + done, (const char *)bytes + done, size - done);
        if (put <= 0) return hel_fail_errno(writer->temporary, "cannot write");
        done += (size_t)put;
    }
    if (offset + size > writer->size) writer->size = offset + size;
    return HEL_OK;
}

hel_status hel_writer_append(hel_writer *writer, const void *bytes, size_t size) {
    return hel_writer_write_at(writer, writer->size, bytes, size);
}

hel_file hel_writer_view(const hel_writer *writer) {
    return (hel_file){.os = writer->os, .path = writer->temporary, .size = writer->size};
}

hel_status hel_writer_sync(hel_writer *writer) {
    return hel_os_file_sync(writer->os) ? HEL_OK : hel_fail_errno(writer->temporary, "cannot sync");
}

static hel_status sync_parent(const char *path) {
    char *parent;
    HEL_TRY(hel_path_parent(path, &parent));
    hel_status status = hel_os_directory_sync(parent) ? HEL_OK : hel_fail_errno(parent, "cannot sync directory");
    hel_free(parent);
    return status;
}

hel_status hel_writer_commit(hel_writer *writer) {
    hel_status status;
    HEL_TRY_DONE(hel_writer_sync(writer));
    if (!writer->overwrite && hel_path_exists(writer->path)) {
        status = hel_fail(HEL_ERROR_EXISTS, "%s: exists", writer->path);
        goto done;
    }
    if (!hel_os_rename(writer->temporary, writer->path)) {
        status = hel_fail_errno(writer->path, "cannot rename the finished file");
        goto done;
    }
    status = sync_parent(writer->path);
    writer_close(writer);
    return status;
done:
    hel_writer_abandon(writer, false);
    return status;
}

void hel_writer_abandon(hel_writer *writer, bool keep) {
    if (!writer->path) return;
    hel_os_file_close(&writer->os);
    if (!keep) hel_os_remove(writer->temporary);
    writer_close(writer);
}

hel_status hel_file_write_all(const char *path, bool overwrite, const void *bytes, size_t size) {
    hel_writer writer;
    HEL_TRY(hel_writer_open(path, overwrite, false, &writer));
    hel_status status = hel_writer_append(&writer, bytes, size);
    if (status == HEL_OK) return hel_writer_commit(&writer);
    hel_writer_abandon(&writer, false);
    return status;
}

// ---------------------------------------------------------------- locks

// Whoever drops a lock removes its file: what was opened before that is a file without a name, so it must be opened anew.
static bool is_current(hel_os_file file, const char *path) {
    hel_os_info ours, named;
    return hel_os_file_info(file, &ours) && hel_os_path_info(path, &named) && ours.volume == named.volume &&
           ours.identity == named.identity;
}

hel_status hel_lock_take(const char *path, const char *what, hel_lock *out) {
    enum { ATTEMPTS = 100 };
    *out = (hel_lock){.os = {-1}};
    for (int i = 0; i < ATTEMPTS; i++) {
        hel_os_file file = {-1};
        if (!hel_os_file_open(path, HEL_OS_APPEND, &file)) return hel_fail_errno(path, "cannot create");
        bool locked = hel_os_file_lock(file);
        if (locked && is_current(file, path)) {
            out->os = file;
            out->path = hel_string_copy(path);
            if (out->path) return HEL_OK;
            hel_os_remove(path);
            hel_os_file_close(&out->os);
            return hel_fail_memory(strlen(path));
        }
        hel_os_file_close(&file);
        if (!locked) break;
    }
    return hel_fail(HEL_ERROR_EXISTS, "%s: is being written by another process (which holds %s)", what, path);
}

void hel_lock_drop(hel_lock *lock) {
    if (lock->path) hel_os_remove(lock->path);
    hel_os_file_close(&lock->os);
    hel_free(lock->path);
    *lock = (hel_lock){.os = {-1}};
}

// ---------------------------------------------------------------- paths

bool hel_path_exists(const char *path) {
    hel_os_info info;
    return hel_os_path_info(path, &info);
}

bool hel_path_is_directory(const char *path) {
    hel_os_info info;
    return hel_os_path_info(path, &info) && info.directory;
}

bool hel_path_same(const char *a, const char *b) {
    hel_os_info one, other;
    return hel_os_path_info(a, &one) && hel_os_path_info(b, &other) && one.volume == other.volume &&
           one.identity == other.identity;
}

hel_status hel_path_join(const char *directory, const char *name, char **out) {
    size_t length = strlen(directory), extra = strlen(name);
    bool slash = length && !is_separator(directory[length - 1]);
    char *path = hel_alloc(length + slash + extra + 1);
    if (!path) return hel_fail_memory(length + extra + 2);
    memcpy(path, directory, length);
    if (slash) path[length] = '/';
    memcpy(path + length + slash, name, extra + 1);
    *out = path;
    return HEL_OK;
}

const char *hel_path_name(const char *path) {
    const char *name = path;
    for (const char *c = path; *c; c++)
        if (is_separator(*c) && c[1]) name = c + 1;
    return name;
}

hel_status hel_path_parent(const char *path, char **out) {
    size_t length = (size_t)(hel_path_name(path) - path);
    while (length > 1 && is_separator(path[length - 1])) length--;
    char *parent = length ? hel_string_copy_n(path, length) : hel_string_copy(".");
    if (!parent) return hel_fail_memory(length + 1);
    *out = parent;
    return HEL_OK;
}

bool hel_path_has_suffix(const char *path, const char *suffix) {
    size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}
