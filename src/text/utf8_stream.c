// SPDX-License-Identifier: Apache-2.0
// The stream of whole characters of <helicoid/tokenizer.h>.
#include <helicoid/tokenizer.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "text/utf8.h"

struct hel_utf8_stream {
    hel_text input;  // what came and is not handed on yet
    hel_text output; // what the last call handed on
};

hel_status hel_utf8_stream_create(hel_utf8_stream **out) {
    if (!out) return hel_fail(HEL_ERROR_ARGUMENT, "out is NULL");
    *out = hel_alloc_zero(1, sizeof **out);
    return *out ? HEL_OK : hel_fail_memory(sizeof **out);
}

void hel_utf8_stream_destroy(hel_utf8_stream **stream) {
    if (!stream || !*stream) return;
    hel_text_finish(&(*stream)->input);
    hel_text_finish(&(*stream)->output);
    hel_free(*stream);
    *stream = NULL;
}

// Table 3-7 of the Unicode Standard: how many bytes from `text` on could begin a character, and how long it would be.
// 0 where the first byte can begin none.
static size_t plausible_prefix(const unsigned char *text, size_t size, size_t *out_length) {
    unsigned char lead = text[0], low = 0x80, high = 0xbf;
    *out_length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (!*out_length) return 0;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    size_t at = 1;
    for (; at < size && at < *out_length && text[at] >= low && text[at] <= high; at++) {
        low = 0x80;
        high = 0xbf;
    }
    return at;
}

static hel_status hand_on(hel_utf8_stream *stream, bool at_end, const char **out_text, size_t *out_size) {
    const unsigned char *text = (const unsigned char *)stream->input.bytes;
    size_t size = stream->input.size, at = 0, length;
    hel_text_clear(&stream->output);
    while (at < size) {
        size_t have = plausible_prefix(text + at, size - at, &length);
        if (have && have < length && at + have == size && !at_end) break; // the rest may still come
        if (have && have == length) hel_text_append(&stream->output, text + at, length);
        else hel_text_append(&stream->output, "\xef\xbf\xbd", 3);
        at += have ? have : 1;
    }
    hel_text_append(&stream->output, "", 0);
    HEL_TRY(hel_text_ok(&stream->output));
    if (at) memmove(stream->input.bytes, text + at, size - at);
    stream->input.size = size - at;
    *out_text = stream->output.bytes;
    if (out_size) *out_size = stream->output.size;
    return HEL_OK;
}

hel_status hel_utf8_stream_push(hel_utf8_stream *stream, const void *bytes, size_t size, const char **out_text,
                                size_t *out_size) {
    if (!stream || (size && !bytes) || !out_text) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    stream->input.failed = stream->output.failed = false; // an earlier lack of memory does not stop the stream for good
    hel_text_append(&stream->input, bytes, size);
    HEL_TRY(hel_text_ok(&stream->input));
    return hand_on(stream, false, out_text, out_size);
}

hel_status hel_utf8_stream_flush(hel_utf8_stream *stream, const char **out_text, size_t *out_size) {
    if (!stream || !out_text) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    stream->output.failed = false;
    return hand_on(stream, true, out_text, out_size);
}
