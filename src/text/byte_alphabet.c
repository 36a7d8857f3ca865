// SPDX-License-Identifier: Apache-2.0
// GPT-2's alphabet: printable Latin-1 characters stand for their own byte, the other bytes, in order, for the
// characters from U+0100 on (bytes_to_unicode in openai/gpt-2, src/encoder.py).
#include <utf8proc.h>

#include "text/tokenizer_internal.h"
#include "text/utf8.h"

static bool stands_for_itself(uint32_t byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

// Bytes below `byte` that stand not for themselves.
static uint32_t moved_below(uint32_t byte) {
    uint32_t count = 0;
    for (uint32_t b = 0; b < byte; b++) count += !stands_for_itself(b);
    return count;
}

static int byte_of(int32_t codepoint) {
    if (codepoint >= 0 && codepoint < 0x100) return stands_for_itself((uint32_t)codepoint) ? codepoint : -1;
    for (uint32_t byte = 0, moved = 0x100; byte < 0x100; byte++) {
        if (stands_for_itself(byte)) continue;
        if ((int32_t)moved++ == codepoint) return (int)byte;
    }
    return -1;
}

bool hel_alphabet_append_bytes(const char *piece, size_t size, hel_text *out) {
    size_t before = out->size;
    for (size_t at = 0, length; at < size; at += length) {
        int byte = byte_of(hel_utf8_next(piece + at, size - at, &length));
        if (byte < 0) {
            out->size = before;
            return false;
        }
        unsigned char value = (unsigned char)byte;
        hel_text_append(out, &value, 1);
    }
    return true;
}

void hel_alphabet_append_piece(const char *bytes, size_t size, hel_text *out) {
    for (size_t i = 0; i < size; i++) {
        uint32_t byte = (unsigned char)bytes[i];
        utf8proc_uint8_t character[4];
        utf8proc_int32_t codepoint = (utf8proc_int32_t)(stands_for_itself(byte) ? byte : 0x100 + moved_below(byte));
        hel_text_append(out, character, (size_t)utf8proc_encode_char(codepoint, character));
    }
}
