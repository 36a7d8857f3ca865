// SPDX-License-Identifier: Apache-2.0
// RWKV checkpoints that hold the parameters as they were trained, seen as models/rwkv.h wants them: decays and bonuses made
// ready, low-rank factors [out, in].
#ifndef HEL_MODELS_RWKV_VIEW_H
#define HEL_MODELS_RWKV_VIEW_H

#include "formats/archive.h"

// Whether an archive is one: tensors under the authors' names, or under those of transformers' RwkvForCausalLM, and no config
// that says that they are ready.
bool hel_rwkv_is_raw(const hel_archive *archive);

// Takes the origin over, also on failure. UNSUPPORTED for transformers' names in versions other than 4.
hel_status hel_rwkv_view(hel_archive *origin, hel_archive **out);

#endif
