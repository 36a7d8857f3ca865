// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

enum { MESSAGE_SIZE = 1024 };

static _Thread_local char last_message[MESSAGE_SIZE];

static struct {
    hel_log_callback callback;
    void *user;
    hel_log_level level;
} sink;

const char *hel_status_name(hel_status status) {
    switch (status) {
    case HEL_OK: return "HEL_OK";
    case HEL_ERROR_ARGUMENT: return "HEL_ERROR_ARGUMENT";
    case HEL_ERROR_MEMORY: return "HEL_ERROR_MEMORY";
    case HEL_ERROR_IO: return "HEL_ERROR_IO";
    case HEL_ERROR_NOT_FOUND: return "HEL_ERROR_NOT_FOUND";
    case HEL_ERROR_EXISTS: return "HEL_ERROR_EXISTS";
    case HEL_ERROR_FORMAT: return "HEL_ERROR_FORMAT";
    case HEL_ERROR_INTEGRITY: return "HEL_ERROR_INTEGRITY";
    case HEL_ERROR_UNSUPPORTED: return "HEL_ERROR_UNSUPPORTED";
    case HEL_ERROR_DEVICE: return "HEL_ERROR_DEVICE";
    case HEL_ERROR_DEVICE_LOST: return "HEL_ERROR_DEVICE_LOST";
    case HEL_ERROR_UNAVAILABLE: return "HEL_ERROR_UNAVAILABLE";
    case HEL_ERROR_DEVICE_MEMORY: return "HEL_ERROR_DEVICE_MEMORY";
    case HEL_ERROR_CANCELLED: return "HEL_ERROR_CANCELLED";
    case HEL_ERROR_TIMEOUT: return "HEL_ERROR_TIMEOUT";
    case HEL_ERROR_INTERNAL: return "HEL_ERROR_INTERNAL";
    }
    return "unknown status";
}

const char *hel_error_message(void) { return last_message; }

#define HEL_TEXT(x) #x
#define HEL_VERSION_TEXT(a, b, c) HEL_TEXT(a) "." HEL_TEXT(b) "." HEL_TEXT(c)
const char *hel_version(void) { return HEL_VERSION_TEXT(HEL_VERSION_MAJOR, HEL_VERSION_MINOR, HEL_VERSION_PATCH); }

void hel_log_set(hel_log_callback callback, void *user, hel_log_level level) {
    sink.callback = callback;
    sink.user = user;
    sink.level = level;
}

static void deliver(hel_log_level level, const char *message) {
    if (sink.callback && level <= sink.level) sink.callback(sink.user, level, message);
}

void hel_log(hel_log_level level, const char *format, ...) {
    if (!sink.callback || level > sink.level) return;
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    deliver(level, message);
}

// The arguments may point into the stored message, so it is composed aside.
static hel_status store(hel_status status, const char *message) {
    memcpy(last_message, message, strlen(message) + 1);
    deliver(HEL_LOG_DEBUG, last_message);
    return status;
}

hel_status hel_fail(hel_status status, const char *format, ...) {
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return store(status, message);
}

hel_status hel_fail_file(hel_status status, const char *path, uint64_t offset, const char *rule, ...) {
    char message[MESSAGE_SIZE];
    int length = snprintf(message, sizeof message, "%.700s: at byte %llu: ", path, (unsigned long long)offset);
    va_list arguments;
    va_start(arguments, rule);
    vsnprintf(message + length, sizeof message - (size_t)length, rule, arguments);
    va_end(arguments);
    return store(status, message);
}

hel_status hel_fail_errno(const char *path, const char *what) {
    int code = errno;
    hel_status status = code == ENOENT || code == ENOTDIR ? HEL_ERROR_NOT_FOUND
                        : code == EEXIST                  ? HEL_ERROR_EXISTS
                        : code == ENOMEM                  ? HEL_ERROR_MEMORY
                                                          : HEL_ERROR_IO;
    char words[128];
    hel_os_error_text(code, words, sizeof words);
    return hel_fail(status, "%.700s: %s: %s", path, what, words);
}

hel_status hel_fail_memory(size_t size) {
    return hel_fail(HEL_ERROR_MEMORY, "out of memory while allocating %zu bytes", size);
}

void hel_error_prefix(const char *format, ...) {
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof message) return;
    snprintf(message + length, sizeof message - (size_t)length, "%s", last_message);
    memcpy(last_message, message, strlen(message) + 1);
}
