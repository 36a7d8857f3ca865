// SPDX-License-Identifier: Apache-2.0
#include "device/driver_library.h"

enum { UNTRIED, LOADING, LOADED, MISSING };

static bool open_first(const hel_driver_library *library) {
    for (const char *const *name = library->names; *name; name++) {
        void *opened = hel_os_library_open(*name);
        if (opened && library->fill(opened)) return true;
        hel_os_library_close(opened);
    }
    return false;
}

bool hel_driver_library_load(hel_driver_library *library) {
    int expected = UNTRIED;
    if (atomic_compare_exchange_strong(&library->state, &expected, LOADING))
        atomic_store(&library->state, open_first(library) ? LOADED : MISSING);
    while (atomic_load(&library->state) == LOADING) hel_os_yield();
    return atomic_load(&library->state) == LOADED;
}
