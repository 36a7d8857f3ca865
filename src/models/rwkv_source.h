// SPDX-License-Identifier: Apache-2.0
// RWKV checkpoints as models/rwkv.h wants them: a config made from the shapes of their tensors.
#ifndef HEL_MODELS_RWKV_SOURCE_H
#define HEL_MODELS_RWKV_SOURCE_H

#include "formats/archive.h"

// In a config: the tensors are laid out as the runtime takes them.
#define HEL_RWKV_READY "rwkv_layout_ready"

// Whether the archive has RWKV's tensors under the authors' names ("emb.weight", "blocks.0.att.key.weight").
bool hel_rwkv_is(const hel_archive *archive);

uint32_t hel_rwkv_version(const hel_archive *archive); // 4 to 7, told from the names in its first layer

// Of the norm of version 5's heads: the authors divide by 8 before, from version 6 on all do.
#define HEL_RWKV_AUTHORS_EPSILON 64e-5
#define HEL_RWKV_CPP_EPSILON 1e-5

// Version and sizes, told from names and shapes; FORMAT where they do not go together. *out is the caller's.
hel_status hel_rwkv_config(const hel_archive *archive, double epsilon_of_5, json_t **out);

#endif
