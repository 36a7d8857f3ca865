// SPDX-License-Identifier: Apache-2.0
#include "models/family.h"

#include <string.h>

#include "base/size.h"

const hel_family *const hel_families[] = {&hel_llama_family,        &hel_mamba_family,  &hel_mamba2_family,
                                          &hel_mamba_labels_family, &hel_zamba2_family, &hel_rwkv_family,
                                          &hel_hyena_family,        &hel_hyenadna_family, &hel_striped_family};
const size_t hel_n_families = HEL_COUNT(hel_families);

static bool equals(const char *name, const char *text, size_t length) {
    return name && strlen(name) == length && memcmp(name, text, length) == 0;
}

static const hel_model_type *find(bool by_gguf, const char *text, size_t length, const hel_family **out_family) {
    for (size_t f = 0; f < hel_n_families; f++)
        for (size_t i = 0; i < hel_families[f]->n_types; i++) {
            const hel_model_type *type = &hel_families[f]->types[i];
            if (!equals(by_gguf ? type->gguf : type->name, text, length)) continue;
            if (out_family) *out_family = hel_families[f];
            return type;
        }
    return NULL;
}

const hel_model_type *hel_model_type_find(const char *name, const hel_family **out_family) {
    return find(false, name, strlen(name), out_family);
}

const hel_model_type *hel_model_type_of_gguf(const char *architecture, size_t length, const hel_family **out_family) {
    return find(true, architecture, length, out_family);
}
