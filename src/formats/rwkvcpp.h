// SPDX-License-Identifier: Apache-2.0
// RWKV checkpoints as rwkv.cpp stores them (github.com/RWKV/rwkv.cpp, docs/FILE_FORMAT.md, versions 100 and 101). Tensors
// keep their names ("blocks.0.att.key.weight"), but for the six mixes of a version 7 layer, which the file holds as one
// tensor "att.x_rwkvag": they are presented apart, as checkpoints have them ("att.x_r", "att.x_w", ...).
#ifndef HEL_FORMATS_RWKVCPP_H
#define HEL_FORMATS_RWKVCPP_H

#include "formats/archive.h"

#define HEL_RWKVCPP_MAGIC "fmgg" // 0x67676d66, little-endian

typedef struct hel_rwkvcpp_header {
    uint32_t version, vocabulary, hidden, layers;
} hel_rwkvcpp_header;

hel_status hel_rwkvcpp_open(const char *path, hel_archive **out);
const hel_rwkvcpp_header *hel_archive_rwkvcpp(const hel_archive *archive); // NULL for other formats
#endif
