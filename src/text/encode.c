// SPDX-License-Identifier: Apache-2.0
// Text to ids: added tokens are cut out, what lies between them is normalized, split into words, and merged.
#include "base/error.h"
#include "base/memory.h"
#include "base/params.h"
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

typedef struct encoder {
    const hel_tokenizer *tokenizer;
    hel_text part; // normalized
    hel_bpe_scratch scratch;
    hel_ids ids;
} encoder;

static hel_status encode_word(void *user, const char *word, size_t size) {
    encoder *e = user;
    size_t begin = 0;
    for (size_t at = 1; e->tokenizer->words_end_before_spaces && at < size; at++) {
        if (word[at] != ' ' || word[at - 1] == ' ') continue;
        HEL_TRY(hel_bpe_encode(&e->tokenizer->bpe, &e->tokenizer->vocab, &e->scratch, word + begin, at - begin, &e->ids));
        begin = at;
    }
    return hel_bpe_encode(&e->tokenizer->bpe, &e->tokenizer->vocab, &e->scratch, word + begin, size - begin, &e->ids);
}

static hel_status encode_words(encoder *e, const char *text, size_t size) {
    return hel_pretokenizer_run(&e->tokenizer->pretokenizer, text, size, encode_word, e);
}

// A stretch without tokens of the raw text.
static hel_status encode_part(encoder *e, const char *text, size_t size, bool first_part) {
    hel_text_clear(&e->part);
    if (!size) return HEL_OK;
    HEL_TRY(hel_tokenizer_normalize(e->tokenizer, text, size, first_part, &e->part));
    size_t begin = 0, at = 0;
    while (e->tokenizer->normalized.count && at < e->part.size) {
        const hel_added_token *token = hel_added_match(&e->tokenizer->normalized, &e->tokenizer->vocab,
                                                       e->part.bytes + at, e->part.size - at, 0);
        if (!token) {
            at++;
            continue;
        }
        HEL_TRY(encode_words(e, e->part.bytes + begin, at - begin));
        hel_ids_append(&e->ids, token->id);
        begin = at += token->size;
    }
    return encode_words(e, e->part.bytes + begin, e->part.size - begin);
}

static size_t spaces_at_begin(const char *text, size_t size) {
    size_t at = 0, length;
    for (; at < size && hel_utf8_is_space(hel_utf8_next(text + at, size - at, &length)); at += length) continue;
    return at;
}

// Size of the text without white space at its end.
static size_t without_spaces_at_end(const char *text, size_t size) {
    while (size) {
        size_t begin = size - 1, length;
        while (begin && size - begin < 4 && ((unsigned char)text[begin] & 0xc0) == 0x80) begin--;
        if (!hel_utf8_is_space(hel_utf8_next(text + begin, size - begin, &length)) || begin + length != size) break;
        size = begin;
    }
    return size;
}

static hel_status encode_text(encoder *e, const char *text, size_t size, const hel_span *control, size_t n_control) {
    size_t begin = 0, span = 0;
    for (size_t at = 0; at < size;) {
        while (span < n_control && control[span].end <= at) span++;
        size_t control_size = span < n_control && control[span].begin <= at ? control[span].end - at : 0;
        const hel_added_token *token =
            hel_added_match(&e->tokenizer->raw, &e->tokenizer->vocab, text + at, size - at, control_size);
        if (!token) {
            at++;
            continue;
        }
        size_t part = at - begin;
        if (token->strip_left) part = without_spaces_at_end(text + begin, part);
        HEL_TRY(encode_part(e, text + begin, part, begin == 0));
        hel_ids_append(&e->ids, token->id);
        at += token->size;
        if (token->strip_right) at += spaces_at_begin(text + at, size - at);
        begin = at;
    }
    return encode_part(e, text + begin, size - begin, begin == 0);
}

hel_status hel_tokenizer_encode_spans(const hel_tokenizer *tokenizer, const char *text, size_t size, hel_bos add_bos,
                                      const hel_span *control, size_t n_control, uint32_t **out_ids,
                                      size_t *out_count) {
    if (!tokenizer || (size && !text) || !out_ids || !out_count)
        return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    if (size > INT32_MAX) return hel_fail(HEL_ERROR_ARGUMENT, "a text of %zu bytes is too long", size);
    bool bos = add_bos == HEL_BOS_YES || (add_bos == HEL_BOS_DEFAULT && tokenizer->add_bos);
    if (bos && tokenizer->bos == HEL_TOKEN_NONE)
        return hel_fail(HEL_ERROR_ARGUMENT, "the tokenizer has no begin token");
    encoder e = {.tokenizer = tokenizer};
    if (bos) hel_ids_append(&e.ids, tokenizer->bos);
    hel_status status = encode_text(&e, text, size, control, n_control);
    if (status == HEL_OK) status = hel_ids_ok(&e.ids);
    if (status == HEL_OK && !e.ids.ids && !(e.ids.ids = hel_alloc(sizeof *e.ids.ids)))
        status = hel_fail_memory(sizeof *e.ids.ids);
    hel_text_finish(&e.part);
    hel_bpe_scratch_finish(&e.scratch);
    if (status) {
        hel_free(e.ids.ids);
        return status;
    }
    *out_ids = e.ids.ids;
    *out_count = e.ids.count;
    return HEL_OK;
}

static const hel_encode_options defaults = {sizeof(hel_encode_options), HEL_BOS_DEFAULT, false};

void hel_encode_options_init(hel_encode_options *options, size_t struct_size) {
    HEL_PARAMS_WRITE(options, struct_size, &defaults);
}

hel_status hel_tokenizer_encode(const hel_tokenizer *tokenizer, const char *text, size_t size,
                                const hel_encode_options *options, uint32_t **out_ids, size_t *out_count) {
    hel_encode_options chosen = defaults;
    HEL_TRY(HEL_PARAMS_READ(options, &chosen, "hel_encode_options"));
    if ((unsigned)chosen.add_bos > HEL_BOS_NO) return hel_fail(HEL_ERROR_ARGUMENT, "add_bos is not a hel_bos");
    hel_span whole = {0, size};
    return hel_tokenizer_encode_spans(tokenizer, text, size, chosen.add_bos, &whole, chosen.parse_special, out_ids,
                                      out_count);
}
