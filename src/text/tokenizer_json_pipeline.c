// SPDX-License-Identifier: Apache-2.0
// normalizer and pre_tokenizer of tokenizer.json: the parts that are known, in the orders that are known.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer_json.h"

static const char LOWER_BLOCK[] = "\xe2\x96\x81";

hel_status hel_tokenizer_json_unsupported(const char *part, const char *what) {
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s \"%.100s\" is not supported", part, what);
}

static bool equals(const json_t *value, const char *text) {
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static hel_status type_of(const json_t *object, const char *part, const char **out) {
    HEL_TRY(hel_json_get_string(object, "type", NULL, out));
    return *out ? HEL_OK : hel_fail(HEL_ERROR_FORMAT, "%s has no type", part);
}

static hel_status read_normalizer(const json_t *json, hel_tokenizer_pipeline *out) {
    const char *type;
    if (!json || json_is_null(json)) return HEL_OK;
    HEL_TRY(type_of(json, "normalizer", &type));
    if (!strcmp(type, "Sequence")) {
        size_t i;
        const json_t *part;
        json_array_foreach(json_object_get(json, "normalizers"), i, part) HEL_TRY(read_normalizer(part, out));
        return HEL_OK;
    }
    out->normalizes = true;
    if (!strcmp(type, "NFC")) {
        out->nfc = true;
    } else if (!strcmp(type, "Prepend") && equals(json_object_get(json, "prepend"), LOWER_BLOCK)) {
        out->prefix = HEL_PREFIX_ALWAYS;
    } else if (!strcmp(type, "Replace") && equals(json_object_get(json_object_get(json, "pattern"), "String"), " ")
               && equals(json_object_get(json, "content"), LOWER_BLOCK)) {
        out->spaces_replaced = true;
    } else {
        return hel_tokenizer_json_unsupported("normalizer", type);
    }
    return HEL_OK;
}

static hel_status add_pattern(hel_tokenizer_pipeline *out, hel_pattern pattern) {
    if (out->n_patterns == HEL_MAX_PATTERNS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "more than %d pre-tokenizers", HEL_MAX_PATTERNS);
    out->patterns[out->n_patterns++] = pattern;
    return HEL_OK;
}

static hel_status read_byte_level(const json_t *json, hel_tokenizer_pipeline *out) {
    bool prefix, regex;
    HEL_TRY(hel_json_get_bool(json, "add_prefix_space", true, &prefix));
    HEL_TRY(hel_json_get_bool(json, "use_regex", true, &regex));
    if (prefix) return hel_tokenizer_json_unsupported("pre_tokenizer", "ByteLevel with add_prefix_space");
    out->byte_level = true;
    return regex ? add_pattern(out, HEL_PATTERN_GPT2) : HEL_OK;
}

static hel_status read_digits(const json_t *json, hel_tokenizer_pipeline *out) {
    bool individual;
    HEL_TRY(hel_json_get_bool(json, "individual_digits", false, &individual));
    return add_pattern(out, individual ? HEL_PATTERN_DIGIT : HEL_PATTERN_DIGITS);
}

static hel_status read_split(const json_t *json, hel_tokenizer_pipeline *out) {
    const json_t *regex = json_object_get(json_object_get(json, "pattern"), "Regex");
    hel_pattern pattern;
    if (!equals(json_object_get(json, "behavior"), "Isolated"))
        return hel_tokenizer_json_unsupported("pre_tokenizer", "Split that is not Isolated");
    if (!json_is_string(regex)) return hel_tokenizer_json_unsupported("pre_tokenizer", "Split without a Regex");
    if (!hel_pattern_from_regex(json_string_value(regex), &pattern))
        return hel_tokenizer_json_unsupported("Split pattern", json_string_value(regex));
    return add_pattern(out, pattern);
}

static hel_status read_metaspace(const json_t *json, hel_tokenizer_pipeline *out) {
    const char *scheme;
    bool prefix, split;
    HEL_TRY(hel_json_get_bool(json, "add_prefix_space", true, &prefix));
    HEL_TRY(hel_json_get_string(json, "prepend_scheme", prefix ? "always" : "never", &scheme));
    HEL_TRY(hel_json_get_bool(json, "split", true, &split));
    if (!equals(json_object_get(json, "replacement"), LOWER_BLOCK))
        return hel_tokenizer_json_unsupported("pre_tokenizer", "Metaspace with another replacement");
    if (out->prefix != HEL_PREFIX_NONE || out->n_patterns)
        return hel_tokenizer_json_unsupported("pre_tokenizer", "Metaspace beside others");
    if (!strcmp(scheme, "always")) out->prefix = HEL_PREFIX_UNLESS_SPACE;
    else if (!strcmp(scheme, "first")) out->prefix = HEL_PREFIX_FIRST_PART_ONLY;
    else if (strcmp(scheme, "never")) return hel_tokenizer_json_unsupported("prepend_scheme", scheme);
    out->spaces_replaced = true;
    return split ? add_pattern(out, HEL_PATTERN_SPACES) : HEL_OK;
}

static hel_status read_pre_tokenizer(const json_t *json, hel_tokenizer_pipeline *out) {
    const char *type;
    if (!json || json_is_null(json)) return HEL_OK;
    HEL_TRY(type_of(json, "pre_tokenizer", &type));
    if (!strcmp(type, "Sequence")) {
        size_t i;
        const json_t *part;
        json_array_foreach(json_object_get(json, "pretokenizers"), i, part) HEL_TRY(read_pre_tokenizer(part, out));
        return HEL_OK;
    }
    if (out->byte_level) return hel_tokenizer_json_unsupported("pre_tokenizer after ByteLevel", type);
    if (!strcmp(type, "ByteLevel")) return read_byte_level(json, out);
    if (!strcmp(type, "Digits")) return read_digits(json, out);
    if (!strcmp(type, "Split")) return read_split(json, out);
    if (!strcmp(type, "Metaspace")) return read_metaspace(json, out);
    return hel_tokenizer_json_unsupported("pre_tokenizer", type);
}

hel_status hel_tokenizer_json_pipeline(const json_t *root, hel_tokenizer_pipeline *out) {
    HEL_TRY(read_normalizer(json_object_get(root, "normalizer"), out));
    HEL_TRY(read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), out));
    if (out->byte_level && (out->spaces_replaced || out->prefix != HEL_PREFIX_NONE))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "both byte-level and SentencePiece-style");
    if (!out->byte_level && !out->spaces_replaced)
        return hel_fail(HEL_ERROR_UNSUPPORTED,
                        "neither byte-level nor SentencePiece-style (no ByteLevel, Replace or Metaspace)");
    return HEL_OK;
}
