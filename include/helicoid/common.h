// SPDX-License-Identifier: Apache-2.0
// What every public header needs: export macro, status codes, error text, log, memory hooks.
#ifndef HELICOID_COMMON_H
#define HELICOID_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <helicoid/version.h>

#if defined(_WIN32) && defined(HEL_BUILD)
#define HEL_API __declspec(dllexport)
#elif defined(__GNUC__)
#define HEL_API __attribute__((visibility("default")))
#else
#define HEL_API
#endif

#if defined(__MINGW32__) // whose plain printf is Microsoft's, without %zu
#define HEL_PRINTF(format_index, first_argument) __attribute__((format(gnu_printf, format_index, first_argument)))
#elif defined(__GNUC__)
#define HEL_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define HEL_PRINTF(format_index, first_argument)
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Result of every fallible function: 0 is success, all failures are negative.
typedef enum hel_status {
    HEL_OK = 0,
    HEL_ERROR_ARGUMENT = -1,      // the caller broke a documented rule
    HEL_ERROR_MEMORY = -2,        // the host is out of memory
    HEL_ERROR_IO = -3,            // the operating system refused a read, write, sync or rename
    HEL_ERROR_NOT_FOUND = -4,     // no such file, tensor, device or key
    HEL_ERROR_EXISTS = -5,        // the output exists and overwriting was not asked for
    HEL_ERROR_FORMAT = -6,        // a file breaks a rule of its format
    HEL_ERROR_INTEGRITY = -7,     // a checksum does not match
    HEL_ERROR_UNSUPPORTED = -8,   // well-formed, but not something this version does
    HEL_ERROR_DEVICE = -9,        // a driver call failed
    HEL_ERROR_DEVICE_LOST = -10,  // the device is gone; destroy the handle and open it again
    HEL_ERROR_UNAVAILABLE = -11,  // no driver, no such backend or device on this machine
    HEL_ERROR_DEVICE_MEMORY = -12, // the device, or the limit set for it, is out of memory
    HEL_ERROR_CANCELLED = -13,    // a callback asked to stop
    HEL_ERROR_TIMEOUT = -14,      // a wait ran out of time
    HEL_ERROR_INTERNAL = -15,     // a defect of the library
} hel_status;

// Name of a status ("HEL_ERROR_FORMAT"); never NULL. Thread-safety: safe.
HEL_API const char *hel_status_name(hel_status status);

// Words for the last failure on the calling thread: file, offset and rule where a file was at fault.
// "" before the first failure. The string lives until the thread's next failing call. Thread-safety: per thread.
HEL_API const char *hel_error_message(void);

// "0.1.0" of the library that is running, to be compared with HEL_VERSION_*. Thread-safety: safe.
HEL_API const char *hel_version(void);

typedef enum hel_log_level {
    HEL_LOG_ERROR = 0,
    HEL_LOG_WARNING = 1,
    HEL_LOG_INFO = 2,
    HEL_LOG_DEBUG = 3,
} hel_log_level;

// Receives one message without a newline, valid during the call. May be called from any thread, also from several at
// once; it may not call the library.
typedef void (*hel_log_callback)(void *user, hel_log_level level, const char *message);

// Sets where messages up to `level` go; NULL silences the library (the default).
// Thread-safety: call before other threads use the library.
HEL_API void hel_log_set(hel_log_callback callback, void *user, hel_log_level level);

// Memory hooks: every host allocation that the library itself makes goes through them. Libraries below it allocate on
// their own: drivers, OpenSSL (hash states), the C library (threads, files), and jansson for JSON values (config files,
// tokenizer.json, headers and metadata: a few times the size of their text). Jansson's functions can be set
// only for the whole process, for its other users too, so that is left to the program: call json_set_alloc_funcs before
// anything else. `resize` with NULL allocates, returns NULL when memory is out and then keeps the old block; `release`
// gets NULL too. Both must be thread-safe and may not call the library.
typedef struct hel_memory_hooks {
    void *(*resize)(void *user, void *pointer, size_t size);
    void (*release)(void *user, void *pointer);
    void *user;
} hel_memory_hooks;

// Replaces the hooks by a copy of *hooks; NULL restores the C library's. Thread-safety: call only while the library owns
// no memory and no other thread uses it.
HEL_API void hel_memory_set_hooks(const hel_memory_hooks *hooks);

// Parameter structs begin with `struct_size`, sizeof the struct where the caller was compiled, so that library and
// caller may be of different versions. hel_..._default() gives the caller's struct with the library's defaults; change
// members of that. (hel_..._init does the work, and is there for other languages.) A smaller struct than the library's
// gets the defaults for what it does not have. A larger one is taken while all that the library does not know is zero.
// Everything else, 0 above all, is HEL_ERROR_ARGUMENT. Thread-safety of all of them: safe.
#define HEL_DEFAULT(type)                       \
    static inline type type##_default(void) {   \
        type values;                            \
        type##_init(&values, sizeof values);    \
        return values;                          \
    }

// Reports progress of long work and may stop it: return false to cancel (HEL_ERROR_CANCELLED).
// `stage` names what is being done, valid during the call; done and total share one unit, bytes unless the function says
// otherwise. It may not use the objects of the call that it reports on.
typedef bool (*hel_progress_callback)(void *user, const char *stage, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif

#endif
