// SPDX-License-Identifier: Apache-2.0
#include "cli/input.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/report.h"

// ---------------------------------------------------------------- texts

static int64_t read_some(FILE *file, char *bytes, size_t size) {
    if (!file) return hel_os_stdin_read(bytes, size);
    size_t got = fread(bytes, 1, size, file);
    return got == 0 && ferror(file) ? -1 : (int64_t)got;
}

int input_read(const cli_options *options, const char *path, char **out, size_t *out_size) {
    FILE *file = NULL;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (name == path && !(file = hel_os_stream_open(path, "rb")))
        return report_error(options, EXIT_FAILED, "%s: %s", path, strerror(errno));
    size_t size = 0, room = 0;
    char *text = NULL;
    int64_t got = 1;
    while (got > 0) {
        if (room - size < 2) {
            char *more = realloc(text, room = room ? 2 * room : 1 << 16);
            if (!more) break;
            text = more;
        }
        got = read_some(file, text + size, room - size - 1);
        if (got > 0) size += (size_t)got;
    }
    int cause = errno;
    if (file) fclose(file);
    if (got == 0) {
        text[size] = 0;
        *out = text;
        *out_size = size;
        return EXIT_OK;
    }
    free(text);
    return report_error(options, EXIT_FAILED, "%s: %s", name, got < 0 ? strerror(cause) : "out of memory");
}

// ---------------------------------------------------------------- ids

static int parse_ids(const cli_options *options, const char *text, uint32_t **out, uint32_t *out_count) {
    size_t count = 1;
    for (const char *c = text; *c; c++) count += *c == ',';
    uint32_t *ids = count <= UINT32_MAX ? malloc(count * sizeof *ids) : NULL;
    if (!ids) return report_error(options, EXIT_FAILED, "out of memory");
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        char *end;
        errno = 0;
        unsigned long long id = isdigit((unsigned char)*at) ? strtoull(at, &end, 10) : UINT64_MAX;
        if (id > UINT32_MAX || *end != (i + 1 < count ? ',' : 0)) {
            free(ids);
            return report_usage(options, "--tokens: '%s' is not a list of ids like 1,2,3", text);
        }
        ids[i] = (uint32_t)id;
        at = end + 1;
    }
    *out = ids;
    *out_count = (uint32_t)count;
    return EXIT_OK;
}

// The library's array as one of the C library's, so that every list of ids here is freed alike.
static int take_ids(const cli_options *options, uint32_t *ids, size_t count, uint32_t **out, uint32_t *out_count) {
    uint32_t *copy = count <= UINT32_MAX ? malloc((count ? count : 1) * sizeof *copy) : NULL;
    if (copy && count) memcpy(copy, ids, count * sizeof *copy);
    hel_tokenizer_free(ids);
    if (!copy) return report_error(options, EXIT_FAILED, "out of memory");
    *out = copy;
    *out_count = (uint32_t)count;
    return EXIT_OK;
}

int input_encode(const cli_options *options, const hel_tokenizer *tokenizer, const char *text, size_t size, uint32_t **out,
                 uint32_t *out_count) {
    hel_encode_options encode = hel_encode_options_default();
    encode.add_bos = (hel_bos)options->bos;
    encode.parse_special = options->special;
    uint32_t *ids;
    size_t count;
    hel_status status = hel_tokenizer_encode(tokenizer, text, size, &encode, &ids, &count);
    return status == HEL_OK ? take_ids(options, ids, count, out, out_count) : report_status(options, status);
}

static int encode_chat(const cli_options *options, const hel_tokenizer *tokenizer, const char *text, uint32_t **out,
                       uint32_t *out_count) {
    hel_chat_message messages[2] = {{"system", options->system}, {"user", text}};
    const hel_chat_message *first = options->system ? messages : messages + 1;
    uint32_t *ids;
    size_t count;
    hel_status status =
        hel_chat_encode(tokenizer, HEL_CHAT_NONE, first, options->system ? 2 : 1, true, &ids, &count);
    return status == HEL_OK ? take_ids(options, ids, count, out, out_count) : report_status(options, status);
}

int input_tokens(const cli_options *options, const hel_tokenizer *tokenizer, uint32_t **out, uint32_t *out_count) {
    if (options->tokens) return parse_ids(options, options->tokens, out, out_count);
    if (!tokenizer)
        return report_error(options, EXIT_FAILED, "%s has no tokenizer; name one with --tokenizer, or use --tokens",
                            options->model);
    char *piped = NULL;
    const char *text = options->prompt;
    size_t size = strlen(text);
    int code = EXIT_OK;
    if (strcmp(text, "-") == 0) {
        code = input_read(options, "-", &piped, &size);
        text = piped;
    }
    if (code == EXIT_OK)
        code = options->chat ? encode_chat(options, tokenizer, text, out, out_count)
                             : input_encode(options, tokenizer, text, size, out, out_count);
    free(piped);
    return code;
}
