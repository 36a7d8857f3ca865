// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "text/tokenizer_json.h"

// The one token that a TemplateProcessing puts before a text. What it would put behind is refused, for a model that
// shall go on writing must not be told that the text has ended.
static hel_status read_template(const json_t *processor, hel_tokenizer *tokenizer) {
    size_t i;
    const json_t *part;
    bool text_seen = false;
    json_array_foreach(json_object_get(processor, "single"), i, part) {
        if (json_object_get(part, "Sequence")) {
            text_seen = true;
            continue;
        }
        const char *name;
        HEL_TRY(hel_json_get_string(json_object_get(part, "SpecialToken"), "id", NULL, &name));
        const json_t *ids =
            json_object_get(json_object_get(json_object_get(processor, "special_tokens"), name ? name : ""), "ids");
        if (!json_is_integer(json_array_get(ids, 0)) || json_array_size(ids) != 1)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "post_processor: special token without exactly one id");
        if (text_seen || tokenizer->add_bos)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "post_processor adds more than one token before the text");
        json_int_t id = json_integer_value(json_array_get(ids, 0));
        if (id < 0 || id >= (json_int_t)tokenizer->vocab.count)
            return hel_fail(HEL_ERROR_FORMAT, "post_processor: id %lld is not in the vocabulary", (long long)id);
        tokenizer->bos = (uint32_t)id;
        tokenizer->add_bos = true;
    }
    return HEL_OK;
}

static hel_status read_post_processor(const json_t *processor, hel_tokenizer *tokenizer) {
    const char *type;
    if (!processor || json_is_null(processor)) return HEL_OK;
    HEL_TRY(hel_json_get_string(processor, "type", "(none)", &type));
    if (!strcmp(type, "ByteLevel")) return HEL_OK; // offsets only
    if (!strcmp(type, "TemplateProcessing")) return read_template(processor, tokenizer);
    if (strcmp(type, "Sequence"))
        return hel_fail(HEL_ERROR_UNSUPPORTED, "post_processor \"%.100s\" is not supported", type);
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(processor, "processors"), i, part) HEL_TRY(read_post_processor(part, tokenizer));
    return HEL_OK;
}

// A token of tokenizer_config.json: its spelling, or an object with the spelling as "content". May be missing.
static hel_status config_token(const hel_tokenizer_json *json, const json_t *config, const char *key, uint32_t *out) {
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    if (!json_is_string(value)) return HEL_OK;
    return hel_tokenizer_json_find(json, json_string_value(value), out);
}

// A string, or a list of named templates of which "default" counts.
static hel_status read_chat_template(const json_t *config, hel_tokenizer *tokenizer) {
    const json_t *value = json_object_get(config, "chat_template"), *entry;
    const char *text = json_string_value(value);
    size_t i;
    json_array_foreach(value, i, entry) {
        const json_t *name = json_object_get(entry, "name");
        if (json_is_string(name) && !strcmp(json_string_value(name), "default"))
            text = json_string_value(json_object_get(entry, "template"));
    }
    if (!text) return HEL_OK;
    tokenizer->chat_template = hel_string_copy(text);
    return tokenizer->chat_template ? HEL_OK : hel_fail_memory(strlen(text));
}

static hel_status read_tokenizer_config(const hel_tokenizer_json *json, const char *text, hel_tokenizer *tokenizer) {
    json_t *config;
    uint32_t eos = HEL_TOKEN_NONE;
    HEL_TRY(hel_json_parse_reals(text, strlen(text), "tokenizer_config.json", 0, &config));
    hel_status status = HEL_OK;
    if (tokenizer->bos == HEL_TOKEN_NONE) status = config_token(json, config, "bos_token", &tokenizer->bos);
    if (status == HEL_OK) status = config_token(json, config, "eos_token", &eos);
    if (status == HEL_OK) status = read_chat_template(config, tokenizer);
    hel_tokenizer_add_eos(tokenizer, eos);
    json_decref(config);
    return status;
}

static hel_status config_id(const json_t *value, const char *key, uint32_t *out) {
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= UINT32_MAX)
        return hel_fail(HEL_ERROR_FORMAT, "config.json: %s is no token id", key);
    *out = (uint32_t)id;
    return HEL_OK;
}

// bos_token_id, and eos_token_id, which is one id or a list, of the model's config.json.
static hel_status read_config(const json_t *config, hel_tokenizer *tokenizer) {
    const json_t *bos = json_object_get(config, "bos_token_id"), *eos = json_object_get(config, "eos_token_id"), *entry;
    uint32_t id = 0;
    size_t i;
    if (tokenizer->bos == HEL_TOKEN_NONE && bos && !json_is_null(bos))
        HEL_TRY(config_id(bos, "bos_token_id", &tokenizer->bos));
    if (json_is_integer(eos)) {
        HEL_TRY(config_id(eos, "eos_token_id", &id));
        hel_tokenizer_add_eos(tokenizer, id);
    }
    json_array_foreach(eos, i, entry) {
        HEL_TRY(config_id(entry, "eos_token_id", &id));
        hel_tokenizer_add_eos(tokenizer, id);
    }
    return HEL_OK;
}

hel_status hel_tokenizer_json_ends(const hel_tokenizer_json *json, const hel_tokenizer_json_source *source,
                                   hel_tokenizer *tokenizer) {
    HEL_TRY(read_post_processor(json_object_get(json->root, "post_processor"), tokenizer));
    if (source->tokenizer_config) HEL_TRY(read_tokenizer_config(json, source->tokenizer_config, tokenizer));
    return source->config ? read_config(source->config, tokenizer) : HEL_OK;
}
