// SPDX-License-Identifier: Apache-2.0
#include "models/roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/family.h"

#define GGUF_LAYER "blk."

const hel_role *hel_family_role(const hel_family *family, size_t index) {
    if (index < family->n_roles) return &family->roles[index];
    index -= family->n_roles;
    for (size_t i = 0; i < family->n_kinds; index -= family->kinds[i++]->n_roles)
        if (index < family->kinds[i]->n_roles) return &family->kinds[i]->roles[index];
    return NULL;
}

const hel_role *hel_family_end(const hel_family *family, hel_tensor_class class) {
    for (size_t i = 0; i < family->n_roles; i++)
        if (family->roles[i].class == class) return &family->roles[i];
    return NULL;
}

// ---------------------------------------------------------------- roles by whole names

typedef bool role_test(const hel_role *role, const char *name);

static const hel_role *find(const hel_family *family, role_test *test, const char *name) {
    const hel_role *role;
    for (size_t i = 0; (role = hel_family_role(family, i)); i++)
        if (test(role, name)) return role;
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

static bool is_whole(const char *name, const char *pattern, size_t length) {
    const char *rest = hel_name_past(name, pattern, length);
    return rest && !*rest;
}

static bool is_hugging_face(const hel_role *role, const char *name) {
    return is_whole(name, role->hugging_face, strlen(role->hugging_face));
}
static bool is_gguf(const hel_role *role, const char *name) { return role->gguf && is_whole(name, role->gguf, strlen(role->gguf)); }

static bool in_layer_as_hugging_face(const hel_role *role, const char *rest) {
    return hel_role_in_layer(role) && is_hugging_face(role, rest);
}
static bool in_layer_as_gguf(const hel_role *role, const char *rest) {
    return hel_role_in_layer(role) && is_gguf(role, rest);
}
static bool at_end_as_hugging_face(const hel_role *role, const char *name) {
    return !hel_role_in_layer(role) && is_hugging_face(role, name);
}
static bool at_end_as_gguf(const hel_role *role, const char *name) {
    return !hel_role_in_layer(role) && is_gguf(role, name);
}

const hel_role *hel_role_of_hugging_face(const hel_family *family, const char *name, unsigned *out_layer) {
    *out_layer = 0;
    const hel_role *end = find(family, at_end_as_hugging_face, name); // may stand below a layer's prefix, as RWKV's "blocks.0.ln0"
    const char *rest = end ? NULL : below_layer(name, family->layer_prefix, out_layer);
    return rest ? find(family, in_layer_as_hugging_face, rest) : end;
}

const hel_role *hel_role_of_gguf(const hel_family *family, const char *architecture, const char *name, unsigned *out_layer) {
    *out_layer = 0;
    const char *rest = below_layer(name, GGUF_LAYER, out_layer);
    if (!rest) return find(family, at_end_as_gguf, name);
    for (size_t k = 0; k < family->n_kinds; k++) {
        const hel_layer_kind *kind = family->kinds[k];
        bool speaks = !kind->gguf || strcmp(kind->gguf, architecture) == 0;
        for (size_t i = 0; speaks && i < kind->n_roles; i++)
            if (in_layer_as_gguf(&kind->roles[i], rest)) return &kind->roles[i];
    }
    return NULL;
}

void hel_role_name_of_use(const hel_family *family, const hel_role *role, unsigned layer, unsigned use, char out[HEL_ROLE_NAME]) {
    const char *rest = role->hugging_face, *number = strchr(rest, '#');
    if (!hel_role_in_layer(role)) snprintf(out, HEL_ROLE_NAME, "%s", rest);
    else if (!number) snprintf(out, HEL_ROLE_NAME, "%s%u.%s", family->layer_prefix, layer, rest);
    else snprintf(out, HEL_ROLE_NAME, "%s%u.%.*s%u%s", family->layer_prefix, layer, (int)(number - rest), rest, use, number + 1);
}

void hel_role_name(const hel_family *family, const hel_role *role, unsigned layer, char out[HEL_ROLE_NAME]) {
    hel_role_name_of_use(family, role, layer, 0, out);
}

// ---------------------------------------------------------------- roles by parts of names

bool hel_name_layer(const hel_family *family, const char *name, unsigned *out_layer) {
    return below_layer(name, family->layer_prefix, out_layer) != NULL;
}

static bool begins_name(const hel_role *role, const char *name) {
    const char *dot = strrchr(role->hugging_face, '.');
    return hel_name_past(name, role->hugging_face, (size_t)(dot + 1 - role->hugging_face)) != NULL;
}

static bool begins_at_end(const hel_role *role, const char *name) { return !hel_role_in_layer(role) && begins_name(role, name); }
static bool begins_in_shared(const hel_role *role, const char *rest) {
    return role->section == HEL_SECTION_SHARED && begins_name(role, rest);
}

const hel_role *hel_role_of_end(const hel_family *family, const char *name) { return find(family, begins_at_end, name); }

const hel_role *hel_role_of_shared(const hel_family *family, const char *name) {
    unsigned layer;
    const char *rest = below_layer(name, family->layer_prefix, &layer);
    return rest ? find(family, begins_in_shared, rest) : NULL;
}

// Modules of a layer end in ".self_attn.q_proj"; of the others the last word tells ("embed_tokens").
static bool is_module(const hel_role *role, const char *module) {
    if (role->kind != HEL_ROLE_MATRIX) return false;
    const char *end = role->hugging_face, *word = module;
    size_t tail = strlen(end) - (hel_path_has_suffix(end, ".weight") ? strlen(".weight") : 0);
    if (!hel_role_in_layer(role))
        for (const char *dot; (dot = memchr(end, '.', tail)); end = dot + 1) tail -= (size_t)(dot + 1 - end);
    if (!hel_role_in_layer(role) && is_whole(word, end, tail)) return true;
    while ((word = strchr(word, '.')))
        if (is_whole(++word, end, tail)) return true;
    return false;
}

const hel_role *hel_role_of_module(const hel_family *family, const char *module) { return find(family, is_module, module); }

// Models of other kinds have layers of the same names below other prefixes: "layers." and "blocks." are the last word of them.
static bool has_class(const hel_family *family, const hel_role *role, const char *name) {
    if (!hel_role_in_layer(role)) return is_hugging_face(role, name) || is_gguf(role, name);
    const char *word = family->layer_prefix;
    for (const char *dot; (dot = strchr(word, '.')) && dot[1];) word = dot + 1;
    return hel_name_in_layer(name, word, role->hugging_face) || (role->gguf && hel_name_in_layer(name, GGUF_LAYER, role->gguf));
}

hel_tensor_class hel_role_classify(const char *name, uint32_t rank) {
    const hel_role *role;
    for (size_t f = 0; rank != 1 && f < hel_n_families; f++)
        for (size_t i = 0; (role = hel_family_role(hel_families[f], i)); i++)
            if (has_class(hel_families[f], role, name)) return role->class;
    return hel_tensor_classify(name, rank);
}
