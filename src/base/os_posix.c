// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "base/os.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/size.h"

enum { HUGE_PAGE = 2 << 20, STACK_SIZE = 8 << 20 };

// ---------------------------------------------------------------- files

bool hel_os_file_open(const char *path, hel_os_open how, hel_os_file *out) {
    static const int flags[] = {
        [HEL_OS_READ] = O_RDONLY,
        [HEL_OS_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
        [HEL_OS_REWRITE] = O_RDWR | O_CREAT | O_TRUNC,
        [HEL_OS_APPEND] = O_RDWR | O_CREAT,
    };
    int fd;
    do fd = open(path, flags[how] | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    out->handle = fd;
    return fd >= 0;
}

void hel_os_file_close(hel_os_file *file) {
    if (file->handle >= 0) close((int)file->handle);
    file->handle = -1;
}

static void info_from_stat(const struct stat *status, hel_os_info *out) {
    out->size = status->st_size < 0 ? 0 : (uint64_t)status->st_size;
    out->directory = S_ISDIR(status->st_mode);
    out->regular = S_ISREG(status->st_mode);
    out->volume = (uint64_t)status->st_dev;
    out->identity = (uint64_t)status->st_ino;
    out->modified_ns = (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec;
}

bool hel_os_file_info(hel_os_file file, hel_os_info *out) {
    struct stat status;
    if (fstat((int)file.handle, &status) != 0) return false;
    info_from_stat(&status, out);
    return true;
}

bool hel_os_path_info(const char *path, hel_os_info *out) {
    struct stat status;
    if (stat(path, &status) != 0) return false;
    info_from_stat(&status, out);
    return true;
}

int64_t hel_os_file_read(hel_os_file file, uint64_t offset, void *bytes, size_t size) {
    ssize_t got;
    do got = pread((int)file.handle, bytes, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

int64_t hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size) {
    ssize_t put;
    do put = pwrite((int)file.handle, bytes, size, (off_t)offset);
    while (put < 0 && errno == EINTR);
    return put;
}

bool hel_os_file_sync(hel_os_file file) { return fsync((int)file.handle) == 0; }

bool hel_os_file_forget(hel_os_file file) {
#ifdef POSIX_FADV_DONTNEED
    errno = posix_fadvise((int)file.handle, 0, 0, POSIX_FADV_DONTNEED); // which does not set it
    return errno == 0;
#else
    (void)file;
    errno = ENOSYS;
    return false;
#endif
}

bool hel_os_file_truncate(hel_os_file file, uint64_t size) { return ftruncate((int)file.handle, (off_t)size) == 0; }

bool hel_os_file_lock(hel_os_file file) { return flock((int)file.handle, LOCK_EX | LOCK_NB) == 0; }

static void *map_pages(size_t size) {
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

#ifdef MADV_HUGEPAGE
// Begins where a large page can, so that all but the end of the range may lie in them.
static void *map_large_pages(size_t size) {
    if (size > SIZE_MAX - HUGE_PAGE) return NULL;
    unsigned char *whole = map_pages(size + HUGE_PAGE);
    if (!whole) return NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (size_t)hel_round_up(size, page);
    size_t before = (size_t)(hel_round_up((uintptr_t)whole, HUGE_PAGE) - (uintptr_t)whole);
    size_t behind = (size_t)hel_round_up(size + HUGE_PAGE, page) - before - used;
    if (before) munmap(whole, before);
    if (behind) munmap(whole + before + used, behind);
    madvise(whole + before, size, MADV_HUGEPAGE);
    return whole + before;
}
#endif

// Reading weights at the memory's speed takes large pages; where there are none small ones do.
void *hel_os_pages_alloc(size_t size) {
    void *address = NULL;
#ifdef MADV_HUGEPAGE
    if (size >= HUGE_PAGE) address = map_large_pages(size);
#endif
    return address ? address : map_pages(size);
}

void hel_os_pages_free(void *address, size_t size) { munmap(address, size); }

bool hel_os_rename(const char *from, const char *to) { return rename(from, to) == 0; }
bool hel_os_remove(const char *path) { return remove(path) == 0; }
bool hel_os_directory_create(const char *path) { return mkdir(path, 0777) == 0; }

bool hel_os_directory_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL; // some file systems cannot sync a directory
    close(fd);
    return ok;
}

bool hel_os_directory_list(const char *path, bool (*visit)(void *user, const char *name), void *user) {
    DIR *directory = opendir(path);
    if (!directory) return false;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!visit(user, entry->d_name)) break;
    }
    closedir(directory);
    return true;
}

// ---------------------------------------------------------------- machine

uint64_t hel_os_time_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t hel_os_unix_time(void) { return (int64_t)time(NULL); }

uint32_t hel_os_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

bool hel_os_tiles_allow(void) {
#if defined(__linux__) && defined(__x86_64__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; // ARCH_REQ_XCOMP_PERM, which older headers lack
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static uint64_t number_in_file(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    unsigned long long value = 0;
    if (fscanf(file, "%llu", &value) != 1) value = 0;
    fclose(file);
    return value;
}

static uint64_t kilobytes_in(const char *path, const char *key) {
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    char line[256];
    unsigned long long value = 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), ": %llu", &value) == 1) break;
    fclose(file);
    return value * 1024;
}

static uint64_t at_most_container(uint64_t bytes, uint64_t limit) { return limit && limit < bytes ? limit : bytes; }

uint64_t hel_os_memory_total(void) {
    return at_most_container(kilobytes_in("/proc/meminfo", "MemTotal"), number_in_file("/sys/fs/cgroup/memory.max"));
}

uint64_t hel_os_memory_free(void) {
    uint64_t limit = number_in_file("/sys/fs/cgroup/memory.max");
    uint64_t used = limit ? number_in_file("/sys/fs/cgroup/memory.current") : 0;
    return at_most_container(kilobytes_in("/proc/meminfo", "MemAvailable"), limit > used ? limit - used : limit);
}

void hel_os_cpu_name(char *name, size_t size) {
    snprintf(name, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    char line[256];
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(file);
}

uint32_t hel_os_process_id(void) { return (uint32_t)getpid(); }
const char *hel_os_environment(const char *name) { return getenv(name); }

void hel_os_cache_directory(char *path, size_t size) {
    const char *base = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    path[0] = 0;
    if (base && base[0] == '/') snprintf(path, size, "%s", base);
    else if (home && home[0]) snprintf(path, size, "%s/.cache", home);
}

void hel_os_error_text(int code, char *text, size_t size) {
#if defined(__GLIBC__)
    const char *words = strerror_r(code, text, size);
    if (words != text) snprintf(text, size, "%s", words);
#else
    if (strerror_r(code, text, size) != 0) snprintf(text, size, "error %d", code);
#endif
}

// ---------------------------------------------------------------- shared libraries

void *hel_os_library_open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void *hel_os_library_symbol(void *library, const char *name) { return dlsym(library, name); }
void hel_os_library_close(void *library) {
    if (library) dlclose(library);
}

// ---------------------------------------------------------------- threads

struct hel_os_thread {
    pthread_t id;
    void (*run)(void *user);
    void *user;
};
struct hel_os_mutex { pthread_mutex_t mutex; };
struct hel_os_condition { pthread_cond_t condition; };

static void *thread_main(void *argument) {
    hel_os_thread *thread = argument;
    thread->run(thread->user);
    return NULL;
}

hel_os_thread *hel_os_thread_create(void (*run)(void *user), void *user) {
    hel_os_thread *thread = hel_alloc(sizeof *thread);
    if (!thread) return NULL;
    thread->run = run;
    thread->user = user;
    pthread_attr_t attributes;
    bool ok = pthread_attr_init(&attributes) == 0;
    if (ok) {
        // Kernels keep up to 400 KB there, and some systems give 128.
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        ok = pthread_create(&thread->id, &attributes, thread_main, thread) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (ok) return thread;
    hel_free(thread);
    return NULL;
}

void hel_os_thread_join(hel_os_thread **thread) {
    if (!*thread) return;
    pthread_join((*thread)->id, NULL);
    hel_free(*thread);
    *thread = NULL;
}

hel_os_mutex *hel_os_mutex_create(void) {
    hel_os_mutex *mutex = hel_alloc(sizeof *mutex);
    if (mutex && pthread_mutex_init(&mutex->mutex, NULL) != 0) {
        hel_free(mutex);
        return NULL;
    }
    return mutex;
}

void hel_os_mutex_destroy(hel_os_mutex **mutex) {
    if (!*mutex) return;
    pthread_mutex_destroy(&(*mutex)->mutex);
    hel_free(*mutex);
    *mutex = NULL;
}

void hel_os_mutex_lock(hel_os_mutex *mutex) { pthread_mutex_lock(&mutex->mutex); }
void hel_os_mutex_unlock(hel_os_mutex *mutex) { pthread_mutex_unlock(&mutex->mutex); }

hel_os_condition *hel_os_condition_create(void) {
    hel_os_condition *condition = hel_alloc(sizeof *condition);
    if (condition && pthread_cond_init(&condition->condition, NULL) != 0) {
        hel_free(condition);
        return NULL;
    }
    return condition;
}

void hel_os_condition_destroy(hel_os_condition **condition) {
    if (!*condition) return;
    pthread_cond_destroy(&(*condition)->condition);
    hel_free(*condition);
    *condition = NULL;
}

void hel_os_condition_wait(hel_os_condition *condition, hel_os_mutex *mutex) {
    pthread_cond_wait(&condition->condition, &mutex->mutex);
}

void hel_os_condition_wake_all(hel_os_condition *condition) { pthread_cond_broadcast(&condition->condition); }
void hel_os_yield(void) { sched_yield(); }

