// SPDX-License-Identifier: Apache-2.0
// NPY files.
#include "fuzz/open_bytes.h"

#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, hel_npy_open); }
