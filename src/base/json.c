// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

static hel_status parse(const char *text, size_t size, const char *name, uint64_t offset, size_t flags, json_t **out) {
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags, &error);
    if (!value) {
        if (json_error_code(&error) == json_error_out_of_memory) return hel_fail_memory(size);
        uint64_t at = offset + (error.position > 0 ? (uint64_t)error.position : 0);
        return hel_fail_file(HEL_ERROR_FORMAT, name, at, "JSON: %s (line %d)", error.text, error.line);
    }
    *out = value;
    return HEL_OK;
}

hel_status hel_json_parse(const char *text, size_t size, const char *name, uint64_t offset, json_t **out) {
    return parse(text, size, name, offset, 0, out);
}

hel_status hel_json_parse_reals(const char *text, size_t size, const char *name, uint64_t offset, json_t **out) {
    return parse(text, size, name, offset, JSON_DECODE_INT_AS_REAL, out);
}

// The text with each number `from` spelled as `to`; what strings hold stays.
static hel_status respell(const char *text, size_t size, const char *from, const char *to, hel_text *out) {
    size_t length = strlen(from);
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        bool begins = !quoted && (i == 0 || !strchr("0123456789.", text[i - 1]));
        if (begins && size - i >= length && memcmp(text + i, from, length) == 0) {
            hel_text_print(out, "%s", to);
            i += length - 1;
            continue;
        }
        hel_text_append(out, text + i, 1);
        if (text[i] == '"') quoted = !quoted;
        else if (text[i] == '\\' && quoted && i + 1 < size) hel_text_append(out, text + ++i, 1);
    }
    return hel_text_ok(out);
}

hel_status hel_json_parse_config(const char *text, size_t size, const char *name, json_t **out) {
    hel_text copy = {0};
    hel_status status = respell(text, size, "Infinity", "1e308   ", &copy); // as long, so that errors tell the right position
    if (status == HEL_OK) status = hel_json_parse(copy.bytes ? copy.bytes : "", copy.size, name, 0, out);
    hel_text_finish(&copy);
    return status;
}

hel_status hel_json_read_file(const char *path, size_t limit, json_t **out) {
    char *text;
    size_t size;
    HEL_TRY(hel_file_read_all(path, limit, &text, &size));
    hel_status status = hel_json_parse(text, size, path, 0, out);
    hel_free(text);
    return status;
}

hel_status hel_json_print(const json_t *value, int indent, char **out, size_t *out_size) {
    size_t flags = indent ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
    flags |= JSON_ENCODE_ANY;
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = hel_alloc(size + 1);
    if (!text) return hel_fail_memory(size + 1);
    if (!size || json_dumpb(value, text, size, flags) != size) {
        hel_free(text);
        return hel_fail(HEL_ERROR_MEMORY, "cannot print JSON");
    }
    text[size] = 0;
    *out = text;
    if (out_size) *out_size = size;
    return HEL_OK;
}

hel_status hel_json_print_config(const json_t *value, int indent, char **out, size_t *out_size) {
    char *printed = NULL;
    size_t size = 0;
    hel_text text = {0};
    HEL_TRY(hel_json_print(value, indent, &printed, &size));
    hel_status status = respell(printed, size, "1e308", "Infinity", &text);
    hel_free(printed);
    if (status != HEL_OK) {
        hel_text_finish(&text);
        return status;
    }
    *out = text.bytes;
    if (out_size) *out_size = text.size;
    return HEL_OK;
}

static const json_t *member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

static hel_status wrong_type(const char *key, const char *expected) {
    return hel_fail(HEL_ERROR_FORMAT, "key \"%s\" must be %s", key, expected);
}

hel_status hel_json_get_u64(const json_t *object, const char *key, uint64_t otherwise, uint64_t *out) {
    const json_t *value = member(object, key);
    *out = otherwise;
    if (!value) return HEL_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0) return wrong_type(key, "a non-negative integer");
    *out = (uint64_t)json_integer_value(value);
    return HEL_OK;
}

hel_status hel_json_get_u32(const json_t *object, const char *key, uint32_t otherwise, uint32_t *out) {
    uint64_t value;
    HEL_TRY(hel_json_get_u64(object, key, otherwise, &value));
    if (value > UINT32_MAX) return wrong_type(key, "below 2^32");
    *out = (uint32_t)value;
    return HEL_OK;
}

hel_status hel_json_get_f64(const json_t *object, const char *key, double otherwise, double *out) {
    const json_t *value = member(object, key);
    *out = otherwise;
    if (!value) return HEL_OK;
    if (!json_is_number(value) || !isfinite(json_number_value(value))) return wrong_type(key, "a number");
    *out = json_number_value(value);
    return HEL_OK;
}

hel_status hel_json_get_bool(const json_t *object, const char *key, bool otherwise, bool *out) {
    const json_t *value = member(object, key);
    *out = otherwise;
    if (!value) return HEL_OK;
    if (!json_is_boolean(value)) return wrong_type(key, "true or false");
    *out = json_is_true(value);
    return HEL_OK;
}

hel_status hel_json_get_string(const json_t *object, const char *key, const char *otherwise, const char **out) {
    const json_t *value = member(object, key);
    *out = otherwise;
    if (!value) return HEL_OK;
    if (!json_is_string(value)) return wrong_type(key, "a string");
    *out = json_string_value(value);
    return HEL_OK;
}
