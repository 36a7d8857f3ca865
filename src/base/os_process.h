// SPDX-License-Identifier: Apache-2.0
// Another program as a child with two pipes: what it reads and what it says. os_process_posix.c and
// os_process_windows.c implement it; functions leave the cause of a failure in errno.
#ifndef HEL_BASE_OS_PROCESS_H
#define HEL_BASE_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hel_os_process hel_os_process;

// Starts arguments[0] (searched in PATH where it holds no slash) with the NULL-terminated `arguments`. Its standard
// error goes to the file `errors`, created or emptied. It gets a process group of its own, so that Ctrl-C is the
// caller's alone. NULL on failure; ENOSYS where this system cannot do it.
hel_os_process *hel_os_process_start(const char *const *arguments, const char *errors);

// Writes all of `bytes` to what the child reads; false, EPIPE, where it reads no more. Never raises SIGPIPE.
bool hel_os_process_write(hel_os_process *process, const void *bytes, size_t size);

// Bytes that the child said, at most `size`; 0 where it closed its output; -1 on failure, ETIMEDOUT where nothing came
// for `milliseconds`.
int64_t hel_os_process_read(hel_os_process *process, void *bytes, size_t size, uint32_t milliseconds);

// Stops the child and what it started where they are, threads that spin included, or lets them go on.
void hel_os_process_pause(hel_os_process *process, bool pause);

// Closes both pipes, lets a paused child go on, gives it `milliseconds` to end by itself, then kills its group.
// `out_code` (may be NULL) gets its exit code, 128 + the signal where one ended it. Accepts a pointer to NULL.
void hel_os_process_end(hel_os_process **process, uint32_t milliseconds, int *out_code);

#endif
