// SPDX-License-Identifier: Apache-2.0
// Failing with words: each function stores the message for hel_error_message(), logs it and returns `status`.
#ifndef HEL_BASE_ERROR_H
#define HEL_BASE_ERROR_H

#include <helicoid/common.h>

hel_status hel_fail(hel_status status, const char *format, ...) HEL_PRINTF(2, 3);

// The one form of a complaint about a file: "PATH: at byte OFFSET: rule that was broken".
hel_status hel_fail_file(hel_status status, const char *path, uint64_t offset, const char *rule, ...) HEL_PRINTF(4, 5);

// "PATH: what: words for errno"; EEXIST, ENOENT and ENOMEM map to their own status, the rest to HEL_ERROR_IO.
hel_status hel_fail_errno(const char *path, const char *what);

// Out of host memory while allocating `size` bytes.
hel_status hel_fail_memory(size_t size);

// Puts words in front of the stored message ("config.json: ..."), for callers that know more than the callee.
void hel_error_prefix(const char *format, ...) HEL_PRINTF(1, 2);

// Below error level, nothing is stored.
void hel_log(hel_log_level level, const char *format, ...) HEL_PRINTF(2, 3);

// Hands a failure up; for functions that own nothing at that point.
#define HEL_TRY(expression)                               \
    do {                                                  \
        hel_status hel_try_status = (expression);         \
        if (hel_try_status != HEL_OK) return hel_try_status; \
    } while (0)

// The same with one exit: stores the failure in `status` and goes to the label `done`.
#define HEL_TRY_DONE(expression)                    \
    do {                                            \
        status = (expression);                      \
        if (status != HEL_OK) goto done;            \
    } while (0)

#endif
