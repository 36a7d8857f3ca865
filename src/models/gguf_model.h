// SPDX-License-Identifier: Apache-2.0
// A GGUF file's metadata in the words of a Hugging Face config.json.
#ifndef HEL_MODELS_GGUF_MODEL_H
#define HEL_MODELS_GGUF_MODEL_H

#include "formats/archive.h"
#include "models/hyper.h"

typedef struct hel_gguf_model {
    json_t *config;           // NULL for families that we do not run; the caller's
    const hel_family *family; // that it belongs to
    const char *architecture; // of that, as GGUF calls it
    uint32_t heads, kv_heads;
    bool interleaved;         // rows of q and k lie in interleaved RoPE order ("llama" does, "qwen2" does not)
    uint32_t rescale;         // of RWKV: layers after which the next ones were halved, 0 for never
} hel_gguf_model;

hel_status hel_gguf_model_read(hel_archive *archive, hel_gguf_model *out);

#endif
