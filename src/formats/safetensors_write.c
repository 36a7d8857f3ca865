// SPDX-License-Identifier: Apache-2.0
// Header of a safetensors file whose tensors are known before their data.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/text.h"
#include "formats/archive_build.h"
#include "formats/safetensors.h"

static hel_status place(hel_safetensors_entry *entries, size_t count) {
    uint64_t at = 0, elements;
    for (size_t i = 0; i < count; i++) {
        hel_safetensors_entry *entry = &entries[i];
        entry->offset = at;
        if (!hel_shape_bytes(entry->dtype, entry->rank, entry->shape, &elements, &entry->bytes) ||
            !hel_size_add(at, entry->bytes, &at))
            return hel_fail(HEL_ERROR_ARGUMENT, "tensor \"%s\": its size overflows", entry->name);
    }
    return HEL_OK;
}

static json_t *describe(const hel_safetensors_entry *entry) {
    json_t *shape = json_array();
    for (uint32_t i = 0; i < entry->rank; i++) json_array_append_new(shape, json_integer((json_int_t)entry->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", hel_dtype_name(entry->dtype), "shape", shape, "data_offsets",
                     (json_int_t)entry->offset, (json_int_t)(entry->offset + entry->bytes));
}

static hel_status print(const hel_safetensors_entry *entries, size_t count, const json_t *metadata, hel_text *out) {
    json_t *header = json_object();
    int failed = !header;
    if (metadata && !failed) failed = json_object_set(header, "__metadata__", (json_t *)(uintptr_t)metadata);
    for (size_t i = 0; i < count && !failed; i++) {
        if (json_object_get(header, entries[i].name)) {
            json_decref(header);
            return hel_fail(HEL_ERROR_ARGUMENT, "tensor \"%.200s\" is there twice", entries[i].name);
        }
        failed = json_object_set_new(header, entries[i].name, describe(&entries[i]));
    }
    hel_status status = failed ? hel_fail_memory(count * 64) : HEL_OK;
    char *text;
    size_t size;
    if (status == HEL_OK) status = hel_json_print(header, 0, &text, &size);
    if (status == HEL_OK) {
        hel_text_append(out, "\0\0\0\0\0\0\0\0", 8);
        hel_text_append(out, text, size);
        hel_free(text);
        while (out->size % 8 && !out->failed) hel_text_append(out, " ", 1);
        status = hel_text_ok(out);
    }
    json_decref(header);
    return status;
}

hel_status hel_safetensors_layout(hel_safetensors_entry *entries, size_t count, const json_t *metadata,
                                  char **out_header, size_t *out_size) {
    hel_text text = {0};
    HEL_TRY(place(entries, count));
    hel_status status = print(entries, count, metadata, &text);
    if (status != HEL_OK) {
        hel_text_finish(&text);
        return status;
    }
    for (int i = 0; i < 8; i++) text.bytes[i] = (char)((uint64_t)(text.size - 8) >> 8 * i & 255);
    *out_header = text.bytes;
    *out_size = text.size;
    return HEL_OK;
}
