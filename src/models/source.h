// SPDX-License-Identifier: Apache-2.0
// Any model file, seen as Hugging Face lays models out: tensor names, half-split RoPE order of q and k, config.json. RWKV, which
// is laid out in several ways, is seen as models/rwkv.h says.
#ifndef HEL_MODELS_SOURCE_H
#define HEL_MODELS_SOURCE_H

#include "formats/archive.h"

// hel_archive_open, and for GGUF and llama2.c files of a family we run an archive under Hugging Face names whose
// ->config is complete. Others open under their own names, with config NULL.
hel_status hel_source_open(const char *path, hel_archive **out);

// The archive behind all views, for readers of a format's own data (tokenizers); the archive itself where it is none.
const hel_archive *hel_source_origin(const hel_archive *archive);

#endif
