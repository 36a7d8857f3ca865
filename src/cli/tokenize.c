// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli/input.h"
#include "cli/report.h"
#include "cli/verbs.h"

// The token's bytes as text that a terminal or JSON can hold; parts of characters show as U+FFFD.
static json_t *piece_text(hel_utf8_stream *stream, const hel_tokenizer *tokenizer, uint32_t id) {
    size_t size, whole_size, rest_size;
    const char *whole, *rest, *piece = hel_tokenizer_piece(tokenizer, id, &size);
    if (hel_utf8_stream_push(stream, piece, size, &whole, &whole_size) != HEL_OK) return NULL;
    json_t *text = json_stringn(whole, whole_size);
    if (hel_utf8_stream_flush(stream, &rest, &rest_size) != HEL_OK || !text || !rest_size) return text;
    json_t *both = json_sprintf("%s%.*s", json_string_value(text), (int)rest_size, rest);
    json_decref(text);
    return both;
}

static int print_json(const cli_options *options, const hel_tokenizer *tokenizer, const uint32_t *ids, uint32_t count) {
    hel_utf8_stream *stream = NULL;
    int code = report_status(options, hel_utf8_stream_create(&stream));
    if (code != EXIT_OK) return code;
    json_t *list = json_array(), *pieces = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(list, json_integer(ids[i]));
        json_array_append_new(pieces, piece_text(stream, tokenizer, ids[i]));
    }
    hel_utf8_stream_destroy(&stream);
    return report_json(options, json_pack("{s:i, s:o, s:o}", "count", (int)count, "token_ids", list, "pieces", pieces));
}

int run_tokenize(const cli_options *options) {
    if (!options->prompt) return report_usage(options, "give the text with -p TEXT");
    hel_tokenizer *tokenizer = NULL;
    uint32_t *ids = NULL, count = 0;
    int code = report_status(options, hel_tokenizer_open(options->model, options->tokenizer, &tokenizer));
    if (code == EXIT_OK) code = input_tokens(options, tokenizer, &ids, &count);
    if (code == EXIT_OK && options->json) code = print_json(options, tokenizer, ids, count);
    else if (code == EXIT_OK) {
        for (uint32_t i = 0; i < count; i++) printf("%s%u", i ? "," : "", ids[i]);
        putchar('\n');
        code = report_end(options);
    }
    free(ids);
    hel_tokenizer_destroy(&tokenizer);
    return code;
}
