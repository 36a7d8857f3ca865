// SPDX-License-Identifier: Apache-2.0
#include "base/params.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

// No struct will ever be so large, but a forgotten struct_size often is.
enum { LARGEST = 4096 };

static hel_status check_size(size_t given_size, const char *name) {
    if (given_size >= sizeof(size_t) && given_size <= LARGEST && given_size % sizeof(size_t) == 0) return HEL_OK;
    return hel_fail(HEL_ERROR_ARGUMENT, "%s: struct_size is %zu; fill the struct in with %s_default", name, given_size, name);
}

static hel_status check_unknown(const unsigned char *given, size_t given_size, size_t size, const char *name) {
    for (size_t i = size; i < given_size; i++)
        if (given[i]) return hel_fail(HEL_ERROR_ARGUMENT, "%s: something is set that this version does not have", name);
    return HEL_OK;
}

hel_status hel_params_read(const void *given, void *out, size_t size, const char *name) {
    if (!given) return HEL_OK;
    size_t given_size;
    memcpy(&given_size, given, sizeof given_size);
    HEL_TRY(check_size(given_size, name));
    HEL_TRY(check_unknown(given, given_size, size, name));
    memcpy(out, given, HEL_MIN(given_size, size));
    memcpy(out, &size, sizeof size);
    return HEL_OK;
}

void hel_params_write(void *given, size_t given_size, const void *defaults, size_t size) {
    if (!given || given_size < sizeof given_size) return;
    memset(given, 0, given_size);
    memcpy(given, defaults, HEL_MIN(given_size, size));
    memcpy(given, &given_size, sizeof given_size);
}
