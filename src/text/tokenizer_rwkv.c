// SPDX-License-Identifier: Apache-2.0
// The vocabulary files of RWKV (rwkv_vocab_v20230424.txt, "World"): a line for each token, its id, its bytes as a Python literal
// and their number, as in "91 'Z' 1" or "200 b'\xc7' 1". A text becomes the longest token at each place; id 0 ends a text.
// GGUF has the same tokens, as the insides of literals of bytes. And the tokenizer of models of bytes, whose ids are the bytes
// themselves.
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "text/tokenizer_internal.h"

enum { N_BYTES = 256, MAX_ID = 1 << 22 };

typedef struct cursor {
    const char *name, *bytes;
    size_t at, size;
} cursor;

#define BREAK(in, ...) hel_fail_file(HEL_ERROR_FORMAT, (in)->name, (in)->at, __VA_ARGS__)

static int peek(const cursor *in) { return in->at < in->size ? (unsigned char)in->bytes[in->at] : -1; }

static hel_status expect(cursor *in, char character, const char *what) {
    if (peek(in) != character) return BREAK(in, "%s should be here", what);
    in->at++;
    return HEL_OK;
}

static hel_status take_number(cursor *in, uint32_t most, uint32_t *out) {
    uint32_t value = 0;
    if (peek(in) < '0' || peek(in) > '9') return BREAK(in, "a number should be here");
    for (; peek(in) >= '0' && peek(in) <= '9'; in->at++) {
        value = 10 * value + (uint32_t)(peek(in) - '0');
        if (value > most) return BREAK(in, "a number above %u", most);
    }
    *out = value;
    return HEL_OK;
}

static hel_status take_hex(cursor *in, int digits, uint32_t *out) {
    uint32_t value = 0;
    for (int i = 0; i < digits; i++, in->at++) {
        int c = peek(in);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return BREAK(in, "%d hexadecimal digits should be here", digits);
        value = 16 * value + (uint32_t)digit;
    }
    *out = value;
    return HEL_OK;
}

static void append_utf8(uint32_t c, hel_text *out) {
    unsigned char bytes[4] = {(unsigned char)c};
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; size > 1 && i-- > 0; c >>= 6) bytes[i] = (unsigned char)(i ? 0x80 | (c & 63) : leads[size] | c);
    hel_text_append(out, bytes, size);
}

// What follows a backslash.
static hel_status take_escape(cursor *in, bool is_bytes, hel_text *out) {
    static const char plain[] = "\\'\"ntrabfv", meant[] = "\\'\"\n\t\r\a\b\f\v";
    uint32_t value = 0;
    int kind = peek(in);
    in->at++;
    const char *known = kind > 0 ? strchr(plain, kind) : NULL;
    if (known) {
        hel_text_append(out, &meant[known - plain], 1);
        return HEL_OK;
    }
    if (kind == 'x') HEL_TRY(take_hex(in, 2, &value));
    else if (kind == 'u' && !is_bytes) HEL_TRY(take_hex(in, 4, &value));
    else if (kind == 'U' && !is_bytes) HEL_TRY(take_hex(in, 8, &value));
    else return BREAK(in, "an unknown escape sequence");
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return BREAK(in, "U+%x is no character", value);
    if (is_bytes) hel_text_append(out, &(unsigned char){(unsigned char)value}, 1);
    else append_utf8(value, out);
    return HEL_OK;
}

static hel_status take_character(cursor *in, bool is_bytes, hel_text *out) {
    int c = peek(in);
    if (is_bytes && c >= 0x80) return BREAK(in, "a byte above 127 in a literal of bytes");
    in->at++;
    if (c == '\\') return take_escape(in, is_bytes, out);
    hel_text_append(out, &(unsigned char){(unsigned char)c}, 1);
    return HEL_OK;
}

static hel_status take_literal(cursor *in, hel_text *out) {
    bool is_bytes = peek(in) == 'b';
    if (is_bytes) in->at++;
    int quote = peek(in);
    if (quote != '\'' && quote != '"') return BREAK(in, "a quotation mark should be here");
    for (in->at++; peek(in) != quote;) {
        if (peek(in) < 0 || peek(in) == '\n') return BREAK(in, "the literal does not end");
        HEL_TRY(take_character(in, is_bytes, out));
    }
    in->at++;
    return hel_text_ok(out);
}

// One line; the text is cleared first.
static hel_status take_line(cursor *in, uint32_t *out_id, hel_text *out) {
    uint32_t size;
    size_t begin = in->at;
    hel_text_clear(out);
    HEL_TRY(take_number(in, MAX_ID - 1, out_id));
    HEL_TRY(expect(in, ' ', "a space"));
    HEL_TRY(take_literal(in, out));
    HEL_TRY(expect(in, ' ', "a space"));
    HEL_TRY(take_number(in, HEL_LONGEST_PIECE, &size));
    if (peek(in) == '\r') in->at++;
    if (peek(in) >= 0) HEL_TRY(expect(in, '\n', "the end of the line"));
    if (size == out->size && size && *out_id) return HEL_OK;
    in->at = begin;
    return BREAK(in, "token %u has %zu bytes, the line says %u; both are above 0", *out_id, out->size, size);
}

// Walks the file once; with `tokenizer` NULL it checks and finds the highest id.
static hel_status walk(const cursor *start, hel_tokenizer *tokenizer, uint32_t *out_highest) {
    cursor in = *start;
    hel_text text = {0};
    hel_status status = HEL_OK;
    uint32_t id = 0, highest = 0, lines = 0;
    for (; in.at < in.size && status == HEL_OK; lines++) {
        status = take_line(&in, &id, &text);
        highest = HEL_MAX(highest, id);
        if (status == HEL_OK && tokenizer)
            status = hel_vocab_set(&tokenizer->vocab, id, text.bytes, text.size, HEL_TOKEN_NORMAL, true);
    }
    hel_text_finish(&text);
    if (status == HEL_OK && (!lines || highest > 2 * (uint64_t)lines + N_BYTES))
        status = hel_fail_file(HEL_ERROR_FORMAT, in.name, in.size, "%u tokens, but an id of %u", lines, highest);
    *out_highest = highest;
    return status;
}

void hel_tokenizer_begin_rwkv(hel_tokenizer *tokenizer) {
    tokenizer->bpe.byte_level = tokenizer->bpe.longest_match = true;
    tokenizer->bpe.unknown = 0;
}

hel_status hel_tokenizer_set_rwkv(hel_tokenizer *tokenizer, const char *name, uint32_t id, const char *literal, size_t size) {
    cursor in = {name, literal, 0, size};
    hel_text text = {0};
    hel_status status = HEL_OK;
    while (status == HEL_OK && in.at < in.size) status = take_character(&in, true, &text);
    if (status == HEL_OK) status = hel_text_ok(&text);
    if (status == HEL_OK) status = hel_vocab_set(&tokenizer->vocab, id, text.bytes, text.size, HEL_TOKEN_NORMAL, true);
    hel_text_finish(&text);
    return status;
}

hel_status hel_tokenizer_seal_rwkv(hel_tokenizer *tokenizer) {
    HEL_TRY(hel_tokenizer_seal(tokenizer));
    return hel_longest_init(&tokenizer->vocab, &tokenizer->bpe.longest);
}

static hel_status fill(const cursor *start, hel_tokenizer *tokenizer) {
    static const char end[] = "<|endoftext|>";
    uint32_t highest;
    HEL_TRY(hel_vocab_set(&tokenizer->vocab, 0, end, sizeof end - 1, HEL_TOKEN_CONTROL, false));
    HEL_TRY(hel_added_add(&tokenizer->raw, 0, end, sizeof end - 1, false, false));
    hel_tokenizer_begin_rwkv(tokenizer);
    hel_tokenizer_add_eos(tokenizer, 0);
    HEL_TRY(walk(start, tokenizer, &highest));
    return hel_tokenizer_seal_rwkv(tokenizer);
}

hel_status hel_tokenizer_read_rwkv(const char *name, const char *bytes, size_t size, hel_tokenizer **out) {
    cursor start = {name, bytes, 0, size};
    hel_tokenizer *tokenizer = NULL;
    uint32_t highest;
    HEL_TRY(walk(&start, NULL, &highest));
    HEL_TRY(hel_tokenizer_create(highest + 1, &tokenizer));
    hel_status status = fill(&start, tokenizer);
    if (status == HEL_OK) *out = tokenizer;
    else hel_tokenizer_destroy(&tokenizer);
    return status;
}

hel_status hel_tokenizer_make_bytes(hel_tokenizer **out) {
    hel_tokenizer *tokenizer = NULL;
    HEL_TRY(hel_tokenizer_create(N_BYTES, &tokenizer));
    hel_status status = HEL_OK;
    tokenizer->bpe.byte_level = true;
    for (uint32_t id = 0; id < N_BYTES && status == HEL_OK; id++)
        status = hel_vocab_set(&tokenizer->vocab, id, &(unsigned char){(unsigned char)id}, 1, HEL_TOKEN_NORMAL, true);
    if (status == HEL_OK) status = hel_merges_init(&tokenizer->bpe.merges, 0);
    if (status == HEL_OK) status = hel_tokenizer_seal(tokenizer);
    if (status == HEL_OK) *out = tokenizer;
    else hel_tokenizer_destroy(&tokenizer);
    return status;
}
