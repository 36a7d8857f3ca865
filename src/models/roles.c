// SPDX-License-Identifier: Apache-2.0
#include "models/roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

// A new family is one line here.
static const hel_family *const families[] = {&hel_llama_family};

#define HUGGING_FACE_LAYER "model.layers."
#define GGUF_LAYER "blk."

// ---------------------------------------------------------------- types

const hel_model_type *hel_model_type_find(const char *name) {
    for (size_t f = 0; f < HEL_COUNT(families); f++)
        for (size_t i = 0; i < families[f]->n_types; i++)
            if (strcmp(families[f]->types[i].name, name) == 0) return &families[f]->types[i];
    return NULL;
}

const hel_model_type *hel_model_type_of_gguf(const char *architecture, size_t length) {
    for (size_t f = 0; f < HEL_COUNT(families); f++)
        for (size_t i = 0; i < families[f]->n_types; i++) {
            const hel_model_type *type = &families[f]->types[i];
            if (type->gguf && strlen(type->gguf) == length && memcmp(type->gguf, architecture, length) == 0) return type;
        }
    return NULL;
}

// ---------------------------------------------------------------- roles by whole names

typedef bool role_test(const hel_role *role, const char *name);

static const hel_role *find(role_test *test, const char *name) {
    for (size_t f = 0; f < HEL_COUNT(families); f++)
        for (size_t i = 0; i < families[f]->n_roles; i++)
            if (test(&families[f]->roles[i], name)) return &families[f]->roles[i];
    return NULL;
}

// "<prefix>N.rest" -> rest and N; NULL where the name is not of that form.
static const char *below_layer(const char *name, const char *prefix, unsigned *out_layer) {
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0) return NULL;
    char *end;
    unsigned long layer = strtoul(name + length, &end, 10);
    if (end == name + length || *end != '.' || layer > 65535) return NULL;
    *out_layer = (unsigned)layer;
    return end + 1;
}

static bool in_layer_as_hugging_face(const hel_role *role, const char *rest) {
    return role->section == HEL_SECTION_LAYER && strcmp(role->hugging_face, rest) == 0;
}
static bool in_layer_as_gguf(const hel_role *role, const char *rest) {
    return role->section == HEL_SECTION_LAYER && strcmp(role->gguf, rest) == 0;
}
static bool at_end_as_hugging_face(const hel_role *role, const char *name) {
    return role->section != HEL_SECTION_LAYER && strcmp(role->hugging_face, name) == 0;
}
static bool at_end_as_gguf(const hel_role *role, const char *name) {
    return role->section != HEL_SECTION_LAYER && strcmp(role->gguf, name) == 0;
}

const hel_role *hel_role_of_hugging_face(const char *name, unsigned *out_layer) {
    *out_layer = 0;
    const char *rest = below_layer(name, HUGGING_FACE_LAYER, out_layer);
    return rest ? find(in_layer_as_hugging_face, rest) : find(at_end_as_hugging_face, name);
}

const hel_role *hel_role_of_gguf(const char *name, unsigned *out_layer) {
    *out_layer = 0;
    const char *rest = below_layer(name, GGUF_LAYER, out_layer);
    return rest ? find(in_layer_as_gguf, rest) : find(at_end_as_gguf, name);
}

void hel_role_name(const hel_role *role, unsigned layer, char out[HEL_ROLE_NAME]) {
    if (role->section == HEL_SECTION_LAYER) snprintf(out, HEL_ROLE_NAME, HUGGING_FACE_LAYER "%u.%s", layer, role->hugging_face);
    else snprintf(out, HEL_ROLE_NAME, "%s", role->hugging_face);
}

// ---------------------------------------------------------------- roles by parts of names

bool hel_name_layer(const char *name, unsigned *out_layer) { return below_layer(name, HUGGING_FACE_LAYER, out_layer) != NULL; }

static bool begins_name(const hel_role *role, const char *name) {
    const char *dot = strrchr(role->hugging_face, '.');
    return role->section != HEL_SECTION_LAYER && strncmp(name, role->hugging_face, (size_t)(dot + 1 - role->hugging_face)) == 0;
}

const hel_role *hel_role_of_end(const char *name) { return find(begins_name, name); }

// Modules of a layer end in ".self_attn.q_proj"; of the others the last word tells ("embed_tokens").
static bool is_module(const hel_role *role, const char *module) {
    if (role->kind != HEL_ROLE_MATRIX) return false;
    size_t length = strlen(module), tail = strlen(role->hugging_face) - strlen(".weight");
    const char *end = role->hugging_face;
    if (role->section != HEL_SECTION_LAYER)
        for (const char *dot; (dot = memchr(end, '.', tail)); end = dot + 1) tail -= (size_t)(dot + 1 - end);
    if (length < tail || memcmp(module + length - tail, end, tail) != 0) return false;
    return role->section != HEL_SECTION_LAYER || (length > tail && module[length - tail - 1] == '.');
}

const hel_role *hel_role_of_module(const char *module) { return find(is_module, module); }

// Models of other kinds have layers of the same names below other prefixes.
static bool has_class(const hel_role *role, const char *name) {
    if (role->section != HEL_SECTION_LAYER) return strcmp(role->gguf, name) == 0 || strcmp(role->hugging_face, name) == 0;
    return hel_name_in_layer(name, "layers.", role->hugging_face) || hel_name_in_layer(name, GGUF_LAYER, role->gguf);
}

hel_tensor_class hel_role_classify(const char *name, uint32_t rank) {
    const hel_role *role = rank == 1 ? NULL : find(has_class, name);
    return role ? role->class : hel_tensor_classify(name, rank);
}
