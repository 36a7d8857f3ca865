// SPDX-License-Identifier: Apache-2.0
#define WIN32_LEAN_AND_MEAN
#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "base/memory.h"

// errno for the failed Win32 call just made; false, so that it can be returned.
static bool failed(void) {
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_NETPATH:
    case ERROR_INVALID_DRIVE: errno = ENOENT; break;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: errno = EEXIST; break;
    case ERROR_DIR_NOT_EMPTY: errno = ENOTEMPTY; break;
    case ERROR_DIRECTORY: errno = ENOTDIR; break;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_WRITE_PROTECT: errno = EACCES; break;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL: errno = ENOSPC; break;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY: errno = ENOMEM; break;
    case ERROR_TOO_MANY_OPEN_FILES: errno = EMFILE; break;
    case ERROR_INVALID_HANDLE: errno = EBADF; break;
    case ERROR_NO_UNICODE_TRANSLATION:
    case ERROR_INVALID_PARAMETER: errno = EINVAL; break;
    default: errno = EIO; break;
    }
    return false;
}

// `text` followed by `tail` as UTF-16; NULL with errno set where it is not UTF-8 or memory is short.
static wchar_t *wide_from_utf8(const char *text, const wchar_t *tail) {
    int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (units <= 0) {
        failed();
        return NULL;
    }
    wchar_t *wide = hel_alloc(((size_t)units + wcslen(tail)) * sizeof *wide);
    if (!wide) {
        errno = ENOMEM;
        return NULL;
    }
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units);
    memcpy(wide + units - 1, tail, (wcslen(tail) + 1) * sizeof *wide);
    return wide;
}

// False where it does not fit.
static bool utf8_from_wide(const wchar_t *wide, char *text, size_t size) {
    int room = size > INT32_MAX ? INT32_MAX : (int)size;
    return WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, room, NULL, NULL) > 0;
}

// ---------------------------------------------------------------- files

static HANDLE handle_of(hel_os_file file) { return (HANDLE)file.handle; }

bool hel_os_file_open(const char *path, hel_os_open how, hel_os_file *out) {
    static const DWORD dispositions[] = {
        [HEL_OS_READ] = OPEN_EXISTING,
        [HEL_OS_CREATE_NEW] = CREATE_NEW,
        [HEL_OS_REWRITE] = CREATE_ALWAYS,
        [HEL_OS_APPEND] = OPEN_ALWAYS,
    };
    out->handle = -1;
    wchar_t *wide = wide_from_utf8(path, L"");
    if (!wide) return false;
    // Sharing everything is what POSIX does; backup semantics let a directory be opened and told by its information.
    HANDLE handle = CreateFileW(wide, GENERIC_READ | (how == HEL_OS_READ ? 0 : GENERIC_WRITE),
                                FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, dispositions[how],
                                FILE_ATTRIBUTE_NORMAL | FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (handle == INVALID_HANDLE_VALUE) failed();
    else out->handle = (intptr_t)handle;
    hel_free(wide);
    return handle != INVALID_HANDLE_VALUE;
}

void hel_os_file_close(hel_os_file *file) {
    if (file->handle != -1) CloseHandle(handle_of(*file));
    file->handle = -1;
}

static uint64_t join(DWORD high, DWORD low) { return (uint64_t)high << 32 | low; }

// 100-nanosecond steps since 1601.
static const uint64_t unix_epoch = 116444736000000000u;

static uint64_t unix_steps(FILETIME time) {
    uint64_t steps = join(time.dwHighDateTime, time.dwLowDateTime);
    return steps > unix_epoch ? steps - unix_epoch : 0;
}

bool hel_os_file_info(hel_os_file file, hel_os_info *out) {
    BY_HANDLE_FILE_INFORMATION info;
    if (!GetFileInformationByHandle(handle_of(file), &info)) return failed();
    out->size = join(info.nFileSizeHigh, info.nFileSizeLow);
    out->directory = (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    out->regular = !out->directory && GetFileType(handle_of(file)) == FILE_TYPE_DISK;
    out->volume = info.dwVolumeSerialNumber;
    out->identity = join(info.nFileIndexHigh, info.nFileIndexLow);
    out->modified_ns = unix_steps(info.ftLastWriteTime) * 100;
    return true;
}

// Through a handle, because only that follows links.
bool hel_os_path_info(const char *path, hel_os_info *out) {
    wchar_t *wide = wide_from_utf8(path, L"");
    if (!wide) return false;
    HANDLE handle = CreateFileW(wide, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    bool ok = handle != INVALID_HANDLE_VALUE ? hel_os_file_info((hel_os_file){(intptr_t)handle}, out) : failed();
    if (handle != INVALID_HANDLE_VALUE) CloseHandle(handle);
    hel_free(wide);
    return ok;
}

static DWORD at_most_dword(size_t size) { return size > INT32_MAX ? INT32_MAX : (DWORD)size; }

static OVERLAPPED at_offset(uint64_t offset) {
    OVERLAPPED at = {0};
    at.Offset = (DWORD)offset;
    at.OffsetHigh = (DWORD)(offset >> 32);
    return at;
}

int64_t hel_os_file_read(hel_os_file file, uint64_t offset, void *bytes, size_t size) {
    OVERLAPPED at = at_offset(offset);
    DWORD got = 0;
    if (ReadFile(handle_of(file), bytes, at_most_dword(size), &got, &at) || GetLastError() == ERROR_HANDLE_EOF) return got;
    failed();
    return -1;
}

int64_t hel_os_file_write(hel_os_file file, uint64_t offset, const void *bytes, size_t size) {
    OVERLAPPED at = at_offset(offset);
    DWORD put = 0;
    if (WriteFile(handle_of(file), bytes, at_most_dword(size), &put, &at)) return put;
    failed();
    return -1;
}

bool hel_os_file_sync(hel_os_file file) { return FlushFileBuffers(handle_of(file)) || failed(); }

bool hel_os_file_forget(hel_os_file file) {
    (void)file;
    errno = ENOSYS;
    return false;
}

bool hel_os_file_truncate(hel_os_file file, uint64_t size) {
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)size};
    return SetFileInformationByHandle(handle_of(file), FileEndOfFileInfo, &end, sizeof end) || failed();
}

bool hel_os_file_lock(hel_os_file file) {
    OVERLAPPED whole = {0};
    return LockFileEx(handle_of(file), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, MAXDWORD, MAXDWORD, &whole) ||
           failed();
}

void *hel_os_pages_alloc(size_t size) { return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }

void hel_os_pages_free(void *address, size_t size) {
    (void)size;
    VirtualFree(address, 0, MEM_RELEASE);
}

bool hel_os_rename(const char *from, const char *to) {
    wchar_t *wide_from = wide_from_utf8(from, L""), *wide_to = wide_from_utf8(to, L"");
    bool ok = wide_from && wide_to;
    if (ok) ok = MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) || failed();
    hel_free(wide_from);
    hel_free(wide_to);
    return ok;
}

bool hel_os_remove(const char *path) {
    wchar_t *wide = wide_from_utf8(path, L"");
    if (!wide) return false;
    DWORD attributes = GetFileAttributesW(wide);
    bool directory = attributes != INVALID_FILE_ATTRIBUTES && attributes & FILE_ATTRIBUTE_DIRECTORY;
    bool ok = (directory ? RemoveDirectoryW(wide) : DeleteFileW(wide)) || failed();
    hel_free(wide);
    return ok;
}

bool hel_os_directory_create(const char *path) {
    wchar_t *wide = wide_from_utf8(path, L"");
    if (!wide) return false;
    bool ok = CreateDirectoryW(wide, NULL) || failed();
    hel_free(wide);
    return ok;
}

// NTFS keeps names in its journal, and hel_os_rename returns only once the move is on disk: nothing is left to flush.
bool hel_os_directory_sync(const char *path) {
    hel_os_info info = {0};
    if (!hel_os_path_info(path, &info)) return false;
    if (!info.directory) errno = ENOTDIR;
    return info.directory;
}

bool hel_os_directory_list(const char *path, bool (*visit)(void *user, const char *name), void *user) {
    wchar_t *pattern = wide_from_utf8(path, L"\\*");
    if (!pattern) return false;
    WIN32_FIND_DATAW entry;
    HANDLE search = FindFirstFileW(pattern, &entry);
    hel_free(pattern);
    if (search == INVALID_HANDLE_VALUE) return failed();
    bool more = true, ok = true;
    while (more && ok) {
        char name[MAX_PATH * 3 + 1]; // a UTF-16 unit is at most three bytes
        ok = utf8_from_wide(entry.cFileName, name, sizeof name) || failed();
        bool self = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (ok && !self && !visit(user, name)) break;
        more = FindNextFileW(search, &entry);
        if (!more && GetLastError() != ERROR_NO_MORE_FILES) ok = failed();
    }
    FindClose(search);
    return ok;
}

// ---------------------------------------------------------------- machine

uint64_t hel_os_time_ns(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    uint64_t ticks = (uint64_t)now.QuadPart, second = (uint64_t)frequency.QuadPart;
    return ticks / second * 1000000000u + ticks % second * 1000000000u / second;
}

int64_t hel_os_unix_time(void) {
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return (int64_t)(unix_steps(now) / 10000000u);
}

uint32_t hel_os_cpu_count(void) {
    DWORD_PTR process = 0, system = 0;
    uint32_t count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (; process; process &= process - 1) count++;
    return count ? count : GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); // no mask: more than one processor group
}

// It would have to be asked by a function that older ones lack, and no machine was at hand to try it on.
bool hel_os_tiles_allow(void) { return false; }

static MEMORYSTATUSEX memory_status(void) {
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    if (!GlobalMemoryStatusEx(&status)) status = (MEMORYSTATUSEX){0};
    return status;
}

uint64_t hel_os_memory_total(void) { return memory_status().ullTotalPhys; }
uint64_t hel_os_memory_free(void) { return memory_status().ullAvailPhys; }

void hel_os_cpu_name(char *name, size_t size) {
    wchar_t wide[128];
    DWORD bytes = sizeof wide;
    LSTATUS status = RegGetValueW(HKEY_LOCAL_MACHINE, L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                                  L"ProcessorNameString", RRF_RT_REG_SZ, NULL, wide, &bytes);
    if (status != ERROR_SUCCESS || !utf8_from_wide(wide, name, size)) snprintf(name, size, "CPU");
}

uint32_t hel_os_process_id(void) { return GetCurrentProcessId(); }
const char *hel_os_environment(const char *name) { return getenv(name); }

void hel_os_cache_directory(char *path, size_t size) {
    const wchar_t *base = _wgetenv(L"LOCALAPPDATA");
    if (!base || !utf8_from_wide(base, path, size)) path[0] = 0;
}

void hel_os_error_text(int code, char *text, size_t size) {
    if (strerror_s(text, size, code) != 0) snprintf(text, size, "error %d", code);
}

// ---------------------------------------------------------------- shared libraries

void *hel_os_library_open(const char *name) {
    wchar_t *wide = wide_from_utf8(name, L"");
    HMODULE library = wide ? LoadLibraryW(wide) : NULL;
    hel_free(wide);
    return library;
}

void *hel_os_library_symbol(void *library, const char *name) { return (void *)(uintptr_t)GetProcAddress(library, name); }

void hel_os_library_close(void *library) {
    if (library) FreeLibrary(library);
}

// ---------------------------------------------------------------- threads

struct hel_os_thread {
    HANDLE handle;
    void (*run)(void *user);
    void *user;
};
struct hel_os_mutex { SRWLOCK lock; };
struct hel_os_condition { CONDITION_VARIABLE condition; };

static DWORD WINAPI thread_main(void *argument) {
    hel_os_thread *thread = argument;
    thread->run(thread->user);
    return 0;
}

hel_os_thread *hel_os_thread_create(void (*run)(void *user), void *user) {
    hel_os_thread *thread = hel_alloc(sizeof *thread);
    if (!thread) return NULL;
    thread->run = run;
    thread->user = user;
    thread->handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    if (thread->handle) return thread;
    hel_free(thread);
    return NULL;
}

void hel_os_thread_join(hel_os_thread **thread) {
    if (!*thread) return;
    WaitForSingleObject((*thread)->handle, INFINITE);
    CloseHandle((*thread)->handle);
    hel_free(*thread);
    *thread = NULL;
}

hel_os_mutex *hel_os_mutex_create(void) {
    hel_os_mutex *mutex = hel_alloc(sizeof *mutex);
    if (mutex) InitializeSRWLock(&mutex->lock);
    return mutex;
}

void hel_os_mutex_destroy(hel_os_mutex **mutex) {
    hel_free(*mutex); // an SRWLOCK holds nothing
    *mutex = NULL;
}

void hel_os_mutex_lock(hel_os_mutex *mutex) { AcquireSRWLockExclusive(&mutex->lock); }
void hel_os_mutex_unlock(hel_os_mutex *mutex) { ReleaseSRWLockExclusive(&mutex->lock); }

hel_os_condition *hel_os_condition_create(void) {
    hel_os_condition *condition = hel_alloc(sizeof *condition);
    if (condition) InitializeConditionVariable(&condition->condition);
    return condition;
}

void hel_os_condition_destroy(hel_os_condition **condition) {
    hel_free(*condition); // nor does a condition variable
    *condition = NULL;
}

void hel_os_condition_wait(hel_os_condition *condition, hel_os_mutex *mutex) {
    SleepConditionVariableSRW(&condition->condition, &mutex->lock, INFINITE, 0);
}

void hel_os_condition_wake_all(hel_os_condition *condition) { WakeAllConditionVariable(&condition->condition); }
void hel_os_yield(void) { SwitchToThread(); }
