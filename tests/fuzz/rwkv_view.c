// SPDX-License-Identifier: Apache-2.0
// RWKV checkpoints in safetensors, made ready.
#include "fuzz/open_bytes.h"

#include "formats/safetensors.h"
#include "models/rwkv_view.h"

static hel_status open_ready(const char *path, hel_archive **out) {
    hel_archive *archive;
    hel_status status = hel_safetensors_open(path, &archive);
    if (status != HEL_OK) return status;
    if (hel_rwkv_is_raw(archive)) return hel_rwkv_view(archive, out);
    *out = archive;
    return HEL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return open_bytes(data, size, open_ready); }
