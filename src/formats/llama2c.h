// SPDX-License-Identifier: Apache-2.0
// llama2.c checkpoints (legacy v0 header of seven int32, f32 weights; github.com/karpathy/llama2.c export.py).
// Tensors are presented under their Hugging Face names; wq and wk keep the file's interleaved RoPE row order.
#ifndef HEL_FORMATS_LLAMA2C_H
#define HEL_FORMATS_LLAMA2C_H

#include "formats/archive.h"

typedef struct hel_llama2c_header {
    uint32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
    bool tied; // the file has no classifier of its own
} hel_llama2c_header;

hel_status hel_llama2c_open(const char *path, hel_archive **out);
const hel_llama2c_header *hel_archive_llama2c(const hel_archive *archive); // NULL for other formats
#endif
