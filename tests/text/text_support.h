// SPDX-License-Identifier: Apache-2.0
// Loads tokenizers and the texts with their expected ids (tests/data/tokenizer, made by make_expected.py there).
#ifndef TESTS_TEXT_SUPPORT_H
#define TESTS_TEXT_SUPPORT_H

#include "support/support.h"

#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer_internal.h"

typedef struct text_line { char *bytes; size_t size; } text_line;
typedef struct text_lines { char *all; text_line *lines; size_t count; } text_lines;

static inline char *text_read(const char *path, size_t *out_size) {
    char *bytes;
    if (hel_file_read_all(path, 1u << 28, &bytes, out_size)) fail_msg("%s", hel_error_message());
    return bytes;
}

static inline text_lines text_read_lines(const char *path) {
    size_t size;
    text_lines out = {.all = text_read(path, &size)};
    for (size_t i = 0; i < size; i++) out.count += out.all[i] == '\n';
    out.lines = calloc(out.count, sizeof *out.lines);
    char *at = out.all;
    for (size_t i = 0; i < out.count; i++) {
        char *end = strchr(at, '\n');
        *end = 0;
        out.lines[i] = (text_line){at, (size_t)(end - at)};
        at = end + 1;
    }
    return out;
}

static inline void text_free_lines(text_lines *lines) {
    free(lines->lines);
    hel_free(lines->all);
}

// texts.txt: one text a line, bytes other than printable ASCII as \xNN.
static inline text_lines text_read_texts(void) {
    char path[TESTS_PATH];
    support_data(path, "tokenizer/texts.txt");
    text_lines out = text_read_lines(path);
    for (size_t i = 0; i < out.count; i++) {
        char *from = out.lines[i].bytes, *to = from;
        while (*from) {
            if (*from != '\\') {
                *to++ = *from++;
                continue;
            }
            char digits[3] = {from[2], from[3], 0};
            *to++ = (char)strtol(digits, NULL, 16);
            from += 4;
        }
        out.lines[i].size = (size_t)(to - out.lines[i].bytes);
    }
    return out;
}

static inline hel_status text_parse_json(const char *text, size_t size, hel_tokenizer **out) {
    hel_tokenizer_json_source source = {.name = "test.json", .text = text, .size = size};
    return hel_tokenizer_read_json(&source, out);
}

static inline hel_tokenizer *text_open_json(const char *path) {
    size_t size;
    char *text = text_read(path, &size);
    hel_tokenizer *tokenizer;
    if (text_parse_json(text, size, &tokenizer)) fail_msg("%s: %s", path, hel_error_message());
    hel_free(text);
    return tokenizer;
}

static inline hel_tokenizer *text_open_llama2c(void) {
    char path[TESTS_PATH];
    support_data(path, "stories260K/tok512.bin");
    size_t size;
    char *bytes = text_read(path, &size);
    hel_tokenizer *tokenizer;
    if (hel_tokenizer_read_llama2c(path, bytes, size, 512, &tokenizer)) fail_msg("%s", hel_error_message());
    hel_free(bytes);
    return tokenizer;
}

// The tokenizer as its own tokenizer.json says it; `tokenizer` is destroyed.
static inline hel_tokenizer *text_reprint(hel_tokenizer *tokenizer) {
    char *text;
    size_t size;
    hel_tokenizer *again;
    assert_int_equal(hel_tokenizer_print_json(tokenizer, &text, &size), HEL_OK);
    assert_int_equal(strlen(text), size);
    hel_tokenizer_destroy(&tokenizer);
    if (text_parse_json(text, size, &again)) fail_msg("printed tokenizer.json: %s", hel_error_message());
    hel_tokenizer_free(text);
    return again;
}

// Control tokens are recognised, as other tokenizers do it by default.
static inline uint32_t *text_encode(const hel_tokenizer *tokenizer, const char *text, size_t size, hel_bos bos,
                                    size_t *out_count) {
    hel_encode_options options = hel_encode_options_default();
    options.parse_special = true;
    options.add_bos = bos;
    uint32_t *ids;
    if (hel_tokenizer_encode(tokenizer, text, size, &options, &ids, out_count)) fail_msg("%s", hel_error_message());
    return ids;
}

static inline void text_expect_ids(const hel_tokenizer *tokenizer, const text_line *text, hel_bos bos,
                                   const char *expected, const char *what) {
    size_t count, at = 0;
    uint32_t *ids = text_encode(tokenizer, text->bytes, text->size, bos, &count);
    char *next;
    for (;; at++, expected = next) {
        unsigned long id = strtoul(expected, &next, 10);
        if (next == expected) break;
        if (at >= count || ids[at] != id)
            fail_msg("%s: \"%.60s\": token %zu is %ld, not %lu", what, text->bytes, at,
                     at < count ? (long)ids[at] : -1L, id);
    }
    if (at != count) fail_msg("%s: \"%.60s\": %zu tokens, not %zu", what, text->bytes, count, at);
    hel_tokenizer_free(ids);
}

static inline void text_expect_all(const hel_tokenizer *tokenizer, const text_lines *texts, const char *ids_path,
                                   hel_bos bos) {
    text_lines expected = text_read_lines(ids_path);
    assert_int_equal(expected.count, texts->count);
    for (size_t i = 0; i < texts->count; i++)
        text_expect_ids(tokenizer, &texts->lines[i], bos, expected.lines[i].bytes, ids_path);
    text_free_lines(&expected);
}

#endif
