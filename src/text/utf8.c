// SPDX-License-Identifier: Apache-2.0
#include "text/utf8.h"

#include <utf8proc.h>

#include "base/error.h"
#include "base/memory.h"

int32_t hel_utf8_next(const char *text, size_t size, size_t *out_length) {
    utf8proc_int32_t codepoint;
    utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)text, size > 4 ? 4 : (utf8proc_ssize_t)size, &codepoint);
    *out_length = length > 0 ? (size_t)length : 1;
    return length > 0 ? codepoint : -1;
}

size_t hel_utf8_span(const char *text, size_t size, bool valid) {
    size_t at = 0, length;
    for (; at < size; at += length)
        if ((hel_utf8_next(text + at, size - at, &length) >= 0) != valid) break;
    return at;
}

bool hel_utf8_is_space(int32_t codepoint) {
    if (codepoint < 0x80) return codepoint == ' ' || (codepoint >= '\t' && codepoint <= '\r');
    if (codepoint == 0x85) return true;
    utf8proc_category_t category = utf8proc_category(codepoint);
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

static int combining_class(utf8proc_int32_t codepoint) {
    return utf8proc_get_property(codepoint)->combining_class;
}

// Stable order by combining class within a run of marks: a counting sort, because long runs may be hostile.
static void order_marks(utf8proc_int32_t *marks, utf8proc_int32_t *spare, size_t count) {
    size_t first[257] = {0};
    for (size_t i = 0; i < count; i++) first[combining_class(marks[i]) + 1]++;
    for (size_t i = 1; i < 257; i++) first[i] += first[i - 1];
    for (size_t i = 0; i < count; i++) spare[first[combining_class(marks[i])]++] = marks[i];
    for (size_t i = 0; i < count; i++) marks[i] = spare[i];
}

static void order_all_marks(utf8proc_int32_t *points, utf8proc_int32_t *spare, size_t count) {
    for (size_t at = 0, end; at < count; at = end) {
        for (end = at; end < count && combining_class(points[end]); end++) continue;
        if (end - at > 1) order_marks(points + at, spare, end - at);
        if (end == at) end++;
    }
}

// Canonical decompositions of one character have at most four code points (UAX 15, stable).
enum { LONGEST_DECOMPOSITION = 4 };

static hel_status append_nfc_valid(const char *text, size_t size, hel_text *out) {
    size_t capacity = (size + 1) * LONGEST_DECOMPOSITION;
    utf8proc_int32_t *points = hel_alloc_array(capacity, 2 * sizeof *points);
    if (!points) return hel_fail_memory(capacity * 2 * sizeof *points);
    size_t count = 0;
    for (size_t at = 0, length; at < size; at += length) {
        int32_t codepoint = hel_utf8_next(text + at, size - at, &length);
        utf8proc_ssize_t n = utf8proc_decompose_char(codepoint, points + count, (utf8proc_ssize_t)(capacity - count),
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
        if (n > 0) count += (size_t)n;
    }
    order_all_marks(points, points + capacity, count);
    utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(points, (utf8proc_ssize_t)count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        utf8proc_uint8_t bytes[4];
        hel_text_append(out, bytes, (size_t)utf8proc_encode_char(points[i], bytes));
    }
    hel_free(points);
    return composed < 0 ? hel_fail(HEL_ERROR_INTERNAL, "Unicode composition failed") : hel_text_ok(out);
}

// Everything below U+0300, whose first byte is 0xcc, is in NFC as it stands.
static bool is_nfc_already(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0xcc) return false;
    return true;
}

hel_status hel_utf8_append_nfc(const char *text, size_t size, hel_text *out) {
    for (size_t at = 0, length; at < size; at += length) {
        length = hel_utf8_span(text + at, size - at, true);
        if (length && !is_nfc_already(text + at, length)) {
            HEL_TRY(append_nfc_valid(text + at, length, out));
            continue;
        }
        if (!length) length = hel_utf8_span(text + at, size - at, false);
        hel_text_append(out, text + at, length);
    }
    return hel_text_ok(out);
}
