// SPDX-License-Identifier: Apache-2.0
// Children with pipes are not there on Windows so far: starting one says ENOSYS, so nothing else is ever reached.
#include "base/os_process.h"

#include <errno.h>

hel_os_process *hel_os_process_start(const char *const *arguments, const char *errors) {
    (void)arguments, (void)errors;
    errno = ENOSYS;
    return NULL;
}

bool hel_os_process_write(hel_os_process *process, const void *bytes, size_t size) {
    (void)process, (void)bytes, (void)size;
    errno = ENOSYS;
    return false;
}

int64_t hel_os_process_read(hel_os_process *process, void *bytes, size_t size, uint32_t milliseconds) {
    (void)process, (void)bytes, (void)size, (void)milliseconds;
    errno = ENOSYS;
    return -1;
}

void hel_os_process_pause(hel_os_process *process, bool pause) { (void)process, (void)pause; }

void hel_os_process_end(hel_os_process **process, uint32_t milliseconds, int *out_code) {
    (void)process, (void)milliseconds, (void)out_code;
}
