// SPDX-License-Identifier: Apache-2.0
// Single safetensors files.
#include "fuzz/open_bytes.h"

#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, hel_safetensors_open); }
