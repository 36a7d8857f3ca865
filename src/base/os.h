// SPDX-License-Identifier: Apache-2.0
// The only door to the operating system: os_posix.c and os_windows.c implement it, nothing else in
// the library calls the OS. What only the program needs stands in os_console.h.
// Paths are UTF-8. Functions that return bool or -1 leave the cause in errno.
#ifndef HEL_BASE_OS_H
#define HEL_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- files ---
typedef struct hel_os_file { intptr_t handle; } hel_os_file;

typedef enum hel_os_open {
    HEL_OS_READ,       // must exist
    HEL_OS_CREATE_NEW, // must not exist; read and write
    HEL_OS_REWRITE,    // created or truncated; read and write
    HEL_OS_APPEND,     // created where missing; kept content; read and write
} hel_os_open;

typedef struct hel_os_info {
    uint64_t size;
    bool directory;
    bool regular;
    uint64_t modified_ns; // nanoseconds since 1970
    uint64_t volume, identity; // the same pair: the same file, whatever its names
} hel_os_info;

bool hel_os_file_open(const char *path, hel_os_open how, hel_os_file *out);
void hel_os_file_close(hel_os_file *file);
bool hel_os_file_info(hel_os_file file, hel_os_info *out);
int64_t hel_os_file_read(hel_os_file file, uint64_t offset, void *bytes, size_t size);        // bytes read, 0 at end, -1
int64_t hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size); // bytes written, -1
bool hel_os_file_sync(hel_os_file file);
bool hel_os_file_forget(hel_os_file file); // what memory caches of a synced file, so that reading goes to the disk
bool hel_os_file_truncate(hel_os_file file, uint64_t size);
bool hel_os_file_lock(hel_os_file file); // against other handles, without waiting; gone with the handle or the process

// Zeroed pages that take memory only once they are touched, and give it back when freed.
void *hel_os_pages_alloc(size_t size);
void hel_os_pages_free(void *address, size_t size);

bool hel_os_path_info(const char *path, hel_os_info *out); // follows links
bool hel_os_rename(const char *from, const char *to);      // replaces `to` atomically
bool hel_os_remove(const char *path);                      // a file or an empty directory
bool hel_os_directory_create(const char *path);            // errno EEXIST where it exists
bool hel_os_directory_sync(const char *path);              // makes renames in it durable
// Calls `visit` for each entry except . and .., in no particular order, until it returns false.
bool hel_os_directory_list(const char *path, bool (*visit)(void *user, const char *name), void *user);

// --- machine ---
uint64_t hel_os_time_ns(void);      // monotonic
int64_t hel_os_unix_time(void);     // seconds since 1970
uint32_t hel_os_cpu_count(void);    // processors this process may use
uint64_t hel_os_memory_total(void); // physical memory, or the container's limit where lower; 0 unknown
uint64_t hel_os_memory_free(void);  // could be had without swapping; 0 unknown
bool hel_os_tiles_allow(void);      // asks that this process may use x86's matrix tiles; false where the system says no
void hel_os_cpu_name(char *name, size_t size); // as the processor calls itself
uint32_t hel_os_process_id(void);
const char *hel_os_environment(const char *name); // NULL where unset
// Directory for caches of this user, "" where there is none.
void hel_os_cache_directory(char *path, size_t size);
void hel_os_error_text(int code, char *text, size_t size);

// --- shared libraries ---
void *hel_os_library_open(const char *name); // NULL where missing
void *hel_os_library_symbol(void *library, const char *name);
void hel_os_library_close(void *library);

// --- threads ---
typedef struct hel_os_thread hel_os_thread;
typedef struct hel_os_mutex hel_os_mutex;
typedef struct hel_os_condition hel_os_condition;
hel_os_thread *hel_os_thread_create(void (*run)(void *user), void *user); // NULL on failure
void hel_os_thread_join(hel_os_thread **thread);
hel_os_mutex *hel_os_mutex_create(void);
void hel_os_mutex_destroy(hel_os_mutex **mutex);
void hel_os_mutex_lock(hel_os_mutex *mutex);
void hel_os_mutex_unlock(hel_os_mutex *mutex);
hel_os_condition *hel_os_condition_create(void);
void hel_os_condition_destroy(hel_os_condition **condition);
void hel_os_condition_wait(hel_os_condition *condition, hel_os_mutex *mutex);
void hel_os_condition_wake_all(hel_os_condition *condition);
void hel_os_yield(void);

#endif
