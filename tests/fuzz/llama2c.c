// SPDX-License-Identifier: Apache-2.0
// llama2.c checkpoints.
#include "fuzz/open_bytes.h"

#include "formats/llama2c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, hel_llama2c_open); }
