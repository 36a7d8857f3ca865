// SPDX-License-Identifier: Apache-2.0
// NPY 1.0-3.0 (numpy.lib.format), C order, little-endian; the header is parsed by grammar, never evaluated.
#ifndef HEL_FORMATS_NPY_H
#define HEL_FORMATS_NPY_H

#include "formats/archive.h"

hel_status hel_npy_open(const char *path, hel_archive **out); // one tensor, named after the file without ".npy"

#endif
