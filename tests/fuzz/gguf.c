// SPDX-License-Identifier: Apache-2.0
// GGUF, as the loader sees it: metadata turned into a config, rows of q and k reordered.
#include "fuzz/open_bytes.h"

#include "models/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, hel_source_open); }
