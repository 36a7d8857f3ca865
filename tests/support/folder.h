// SPDX-License-Identifier: Apache-2.0
// A folder for all tests of a group, made before them and removed after: fixtures of cmocka.
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H
#include "support/support.h"

static char folder[TESTS_PATH];

static int folder_make(void **state) {
    (void)state;
    support_folder(folder);
    return 0;
}

static int folder_remove(void **state) {
    (void)state;
    support_remove(folder);
    return 0;
}
#endif
