// SPDX-License-Identifier: Apache-2.0
// Checkpoints of rwkv.cpp.
#include "fuzz/open_bytes.h"

#include "formats/rwkvcpp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, hel_rwkvcpp_open); }
