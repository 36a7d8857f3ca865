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

// The way back, for version 4, of which transformers has a class: names, shapes and values as RwkvForCausalLM reads them.
bool hel_rwkv_goes_back(const json_t *config); // whether that is a model of version 4, as a view or rwkv.cpp has it
hel_status hel_rwkv_config_back(json_t *config); // becomes one of that class
hel_status hel_rwkv_name_back(const char *name, char **out); // freed with hel_free
void hel_rwkv_shape_back(const char *name, uint32_t *rank, uint64_t shape[HEL_MAX_RANK]);
bool hel_rwkv_turns_back(const char *name); // whether its values are others there:
bool hel_rwkv_turn_back(float *values, uint64_t count);

#endif
