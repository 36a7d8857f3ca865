// SPDX-License-Identifier: Apache-2.0
// What every test includes first: cmocka with its prerequisites, temporary folders, where the data is.
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TESTS_PATH 4096

// A new empty folder; `support_remove` deletes it with all that is in it.
static inline void support_folder(char path[TESTS_PATH]) {
    const char *base = getenv("TMPDIR");
    snprintf(path, TESTS_PATH, "%s/helicoid_test_XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

static inline void support_remove(const char *path) {
    char command[TESTS_PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static inline void support_join(char out[TESTS_PATH], const char *folder, const char *name) {
    assert_true(snprintf(out, TESTS_PATH, "%s/%s", folder, name) < TESTS_PATH);
}

// Paths in tests/data (always there) and in the workplace's shared folder (absent on other machines).
static inline void support_data(char out[TESTS_PATH], const char *name) {
    const char *folder = getenv("HELICOID_TEST_DATA");
    support_join(out, folder ? folder : "tests/data", name);
}

static inline int support_shared(char out[TESTS_PATH], const char *name) {
    const char *folder = getenv("HELICOID_SHARED");
    support_join(out, folder ? folder : "../shared", name);
    return access(out, R_OK) == 0;
}

// The larger of two errors; once one is NaN, NaN.
static inline double support_worse(double worst, double here) { return isnan(here) || here > worst ? here : worst; }

// The largest |a - b|, NaN where any value is.
static inline double support_difference(const float *a, const float *b, size_t count) {
    double worst = 0;
    for (size_t i = 0; i < count; i++) worst = support_worse(worst, fabs((double)a[i] - b[i]));
    return worst;
}

#define SUPPORT_NEED_SHARED(path, name)                                        \
    do {                                                                       \
        if (!support_shared(path, name)) {                                     \
            print_message("skipped: %s is not on this machine\n", name);       \
            skip();                                                            \
        }                                                                      \
    } while (0)

#endif
