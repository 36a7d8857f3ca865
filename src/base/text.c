// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

static bool reserve(hel_text *text, size_t more) {
    uint64_t needed;
    if (text->failed) return false;
    if (!hel_size_add(text->size, more, &needed) || !hel_size_add(needed, 1, &needed) || needed > SIZE_MAX / 2) {
        text->failed = true;
        return false;
    }
    if (needed <= text->capacity) return true;
    size_t capacity = HEL_MAX((size_t)needed, text->capacity * 2);
    char *bytes = hel_resize(text->bytes, capacity);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void hel_text_append(hel_text *text, const void *bytes, size_t size) {
    if (!reserve(text, size)) return;
    if (size) memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = 0;
}

void hel_text_print(hel_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0) text->failed = true;
    else if (reserve(text, (size_t)length)) {
        vsnprintf(text->bytes + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void hel_text_clear(hel_text *text) {
    text->size = 0;
    if (text->bytes) text->bytes[0] = 0;
}

void hel_text_finish(hel_text *text) {
    hel_free(text->bytes);
    *text = (hel_text){0};
}

hel_status hel_text_ok(const hel_text *text) { return text->failed ? hel_fail_memory(text->size) : HEL_OK; }
