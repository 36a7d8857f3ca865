// SPDX-License-Identifier: Apache-2.0
// A driver's shared library, opened once in the life of the process. It stays open: drivers keep threads that do not
// survive being unloaded.
#ifndef HEL_DEVICE_DRIVER_LIBRARY_H
#define HEL_DEVICE_DRIVER_LIBRARY_H

#include <stdatomic.h>
#include <string.h>

#include "base/os.h"

typedef struct hel_driver_library {
    const char *const *names;     // tried in this order, NULL-terminated
    bool (*fill)(void *library);  // fills the backend's table of symbols; false where one is missing
    atomic_int state;
} hel_driver_library;

// Opens the first library that has every symbol. False where there is none; later calls repeat the answer.
// Thread-safety: safe.
bool hel_driver_library_load(hel_driver_library *library);

// Puts a symbol into a member of a table, or returns false from the function it stands in.
// ISO C has no cast from object to function pointers.
#define HEL_DRIVER_RESOLVE(library, member, name)                                 \
    do {                                                                          \
        void *hel_symbol = hel_os_library_symbol(library, name);                  \
        if (!hel_symbol) return false;                                            \
        memcpy(&(member), &hel_symbol, sizeof hel_symbol);                        \
    } while (0);

#endif
