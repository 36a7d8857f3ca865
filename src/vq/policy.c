// SPDX-License-Identifier: Apache-2.0
#include "vq/policy.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/size.h"

const char *hel_tensor_class_name(hel_tensor_class class) {
    static const char *const names[] = {
        [HEL_CLASS_EMBEDDING] = "embedding", [HEL_CLASS_ATTENTION_QK] = "attention_qk",
        [HEL_CLASS_ATTENTION_VO] = "attention_vo", [HEL_CLASS_FFN] = "ffn", [HEL_CLASS_NORM] = "norm",
        [HEL_CLASS_LM_HEAD] = "lm_head", [HEL_CLASS_FILTER] = "filter", [HEL_CLASS_UNKNOWN] = "unknown",
    };
    return names[class];
}

// ---------------------------------------------------------------- classes

// Matrices below "layers.N." of models that we compress and do not run.
static const struct {
    const char *rest;
    hel_tensor_class class;
} layer_names[] = {
    {"mixer.in_proj.weight", HEL_CLASS_FFN},
    {"mixer.out_proj.weight", HEL_CLASS_FFN},
    {"mixer.B_proj.weight", HEL_CLASS_FFN},
    {"mixer.C_proj.weight", HEL_CLASS_FFN},
};

// Parts of names that tell the class of what the table above does not know; the first that fits.
static const struct {
    const char *part;
    hel_tensor_class class;
} name_parts[] = {
    {"norm", HEL_CLASS_NORM},           {"embd", HEL_CLASS_EMBEDDING},  {"embed", HEL_CLASS_EMBEDDING},
    {"wte", HEL_CLASS_EMBEDDING},       {"wpe", HEL_CLASS_EMBEDDING},   {"lm_head", HEL_CLASS_LM_HEAD},
};

const char *hel_name_past(const char *name, const char *pattern, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (pattern[i] != '#' && pattern[i] != *name) return NULL;
        if (pattern[i] == '#' && !isdigit((unsigned char)*name)) return NULL;
        while (pattern[i] == '#' && isdigit((unsigned char)name[1])) name++;
        name++;
    }
    return name;
}

bool hel_name_in_layer(const char *name, const char *stem, const char *rest) {
    for (const char *at = name; (at = strstr(at, stem)); at++) {
        const char *below = hel_name_past(at + strlen(stem), "#.", 2);
        if (below && hel_name_past(below, rest, strlen(rest))) return true;
    }
    return false;
}

static bool contains(const char *name, const char *part) {
    size_t length = strlen(part);
    for (; *name; name++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)name[i]) == part[i]) i++;
        if (i == length) return true;
    }
    return false;
}

hel_tensor_class hel_tensor_classify(const char *name, uint32_t rank) {
    if (rank == 1) return HEL_CLASS_NORM;
    for (size_t i = 0; i < HEL_COUNT(layer_names); i++)
        if (hel_name_in_layer(name, "layers.", layer_names[i].rest)) return layer_names[i].class;
    for (size_t i = 0; i < HEL_COUNT(name_parts); i++)
        if (contains(name, name_parts[i].part)) return name_parts[i].class;
    return HEL_CLASS_UNKNOWN;
}

// ---------------------------------------------------------------- policy

static const char *reason_to_keep(const char *name, uint32_t rank, const uint64_t *shape, bool is_float,
                                  hel_tensor_class class, bool asked) {
    size_t length = strlen(name);
    if (!is_float) return "not a float tensor";
    if (rank != 2) return "not a matrix";
    if (shape[0] == 0 || shape[1] == 0) return "empty";
    if (length < 8 || strcmp(name + length - 7, ".weight") != 0) return "not the weight of a module";
    if (asked) return NULL;
    if (class == HEL_CLASS_EMBEDDING) return "embedding";
    if (class == HEL_CLASS_LM_HEAD) return "output head";
    if (class == HEL_CLASS_NORM) return "normalisation";
    if (class == HEL_CLASS_FILTER) return "filter";
    return contains(name, "conv1d") ? "convolution" : NULL;
}

hel_policy hel_policy_for(hel_tensor_class class, const char *name, uint32_t rank, const uint64_t *shape, bool is_float,
                          bool asked) {
    hel_policy policy = {.class = class, .sidecar = true, .percentile = 99.9, .cap = 512};
    policy.exact = reason_to_keep(name, rank, shape, is_float, policy.class, asked);
    if (policy.class == HEL_CLASS_ATTENTION_QK) policy.percentile = 99.95;
    if (policy.class == HEL_CLASS_UNKNOWN || policy.class == HEL_CLASS_NORM) policy.cap = 256;
    if (policy.class == HEL_CLASS_EMBEDDING) policy.sidecar = false; // the reference loads none for embeddings
    return policy;
}

uint64_t hel_policy_sidecar_limit(const hel_policy *policy, uint64_t count) {
    if (!policy->sidecar || !count) return 0;
    double one_side = ceil((100 - policy->percentile) / 100 * (double)(count - 1));
    return HEL_MIN(2 * (uint64_t)one_side, policy->cap);
}

bool hel_glob_match(const char *pattern, const char *name) {
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}
