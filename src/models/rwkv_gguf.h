// SPDX-License-Identifier: Apache-2.0
// RWKV in GGUF, with one tensor for each role: mixes of tokens that stand as rows of time_mix_lerp_fused are shown apart, and what
// was halved every few layers, so that 16 bits hold the stream, is whole again.
#ifndef HEL_MODELS_RWKV_GGUF_H
#define HEL_MODELS_RWKV_GGUF_H

#include "formats/archive.h"

// Under GGUF's names. `rescale`: layers after which the next ones were halved, 0 for never. Takes the origin over, also on failure.
hel_status hel_rwkv_gguf_view(hel_archive *origin, uint32_t rescale, hel_archive **out);

#endif
