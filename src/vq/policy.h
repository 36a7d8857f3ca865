// SPDX-License-Identifier: Apache-2.0
// What is done with a tensor, told from its class, name and shape: the classes, percentiles and caps of helix-substrate,
// and its rule that embeddings, norms, heads and convolutions stay exact.
#ifndef HEL_VQ_POLICY_H
#define HEL_VQ_POLICY_H

#include <helicoid/common.h>

typedef enum hel_tensor_class {
    HEL_CLASS_EMBEDDING,
    HEL_CLASS_ATTENTION_QK,
    HEL_CLASS_ATTENTION_VO,
    HEL_CLASS_FFN,
    HEL_CLASS_NORM,
    HEL_CLASS_LM_HEAD,
    HEL_CLASS_FILTER, // what filters of convolutions are made of
    HEL_CLASS_UNKNOWN,
} hel_tensor_class;

const char *hel_tensor_class_name(hel_tensor_class class); // "attention_qk", as the reference spells it

// For names that no family's table knows (models/roles.h). One-dimensional tensors are norms, whatever their name.
hel_tensor_class hel_tensor_classify(const char *name, uint32_t rank);
// What follows in `name` behind the first `length` bytes of `pattern`, in which '#' stands for digits; NULL where it begins
// otherwise.
const char *hel_name_past(const char *name, const char *pattern, size_t length);
// Whether a name has `stem`, a number, a dot and the pattern `rest` somewhere.
bool hel_name_in_layer(const char *name, const char *stem, const char *rest);

typedef struct hel_policy {
    hel_tensor_class class;
    const char *exact;  // why the tensor is kept as it is; NULL where it is compressed
    bool sidecar;
    double percentile;
    uint32_t cap;       // most values in the sidecar
} hel_policy;

// `asked` overrules the class (not shape and type). Matrices are compressed under a module's name, so the tensor's must
// end in ".weight".
hel_policy hel_policy_for(hel_tensor_class class, const char *name, uint32_t rank, const uint64_t *shape, bool is_float,
                          bool asked);

// The most values the percentiles and the cap can select of `count`.
uint64_t hel_policy_sidecar_limit(const hel_policy *policy, uint64_t count);

// Shell-like pattern over a whole name: * any characters, ? one.
bool hel_glob_match(const char *pattern, const char *name);
#endif
