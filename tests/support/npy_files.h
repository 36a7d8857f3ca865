// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NPY_FILES_H
#define TESTS_NPY_FILES_H

#include "support/support.h"

#include "base/error.h"
#include "formats/npy.h"

// The values of a file in tests/data, freed with free.
static inline float *npy_read(const char *name, uint64_t *out_elements) {
    char path[TESTS_PATH];
    hel_archive *archive;
    support_data(path, name);
    if (hel_npy_open(path, &archive)) fail_msg("%s", hel_error_message());
    *out_elements = archive->tensors[0].elements;
    float *values = malloc(*out_elements * sizeof *values);
    assert_non_null(values);
    assert_int_equal(hel_archive_read_f32(archive, &archive->tensors[0], 0, *out_elements, values), HEL_OK);
    hel_archive_close(&archive);
    return values;
}

#endif
