// SPDX-License-Identifier: Apache-2.0
// Tokenizers of llama2.c (github.com/karpathy/llama2.c, tokenizer.py export): int32 length of the longest piece, then
// for each token f32 score, int32 length, bytes. There is no count, and by convention ids 0, 1, 2 are <unk>, <s>, </s>
// and ids 3 ... 258 the bytes.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "text/tokenizer_internal.h"

enum { FIRST_PIECE = 4, FIRST_BYTE = 3, N_BYTES = 256 };

static uint32_t u32_at(const char *bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

// Walks the file once; with `tokenizer` NULL it checks and counts.
static hel_status walk(const char *name, const char *bytes, size_t size, hel_tokenizer *tokenizer,
                       uint32_t *out_count) {
    uint32_t id = 0;
    for (size_t at = FIRST_PIECE, length; at < size; at += 8 + length, id++) {
        if (size - at < 8)
            return hel_fail_file(HEL_ERROR_FORMAT, name, at, "token %u: file ends inside its score or length", id);
        length = u32_at(bytes + at + 4);
        if (length > size - at - 8)
            return hel_fail_file(HEL_ERROR_FORMAT, name, at + 4, "token %u of %zu bytes runs past the end", id, length);
        float score = hel_bits_float(u32_at(bytes + at));
        if (isnan(score)) return hel_fail_file(HEL_ERROR_FORMAT, name, at, "token %u: score is not a number", id);
        if (!tokenizer) continue;
        const char *piece = bytes + at + 8;
        static const char *const control[FIRST_BYTE] = {"<unk>", "<s>", "</s>"};
        if (id < FIRST_BYTE) {
            HEL_TRY(hel_tokenizer_set_piece(tokenizer, id, control[id], strlen(control[id]), HEL_TOKEN_CONTROL, true));
            HEL_TRY(hel_added_add(&tokenizer->raw, id, control[id], strlen(control[id]), false, false));
        } else {
            hel_token_kind kind = id < FIRST_BYTE + N_BYTES ? HEL_TOKEN_BYTE : HEL_TOKEN_NORMAL;
            HEL_TRY(hel_tokenizer_set_piece(tokenizer, id, piece, length, kind, true));
        }
        tokenizer->vocab.tokens[id].score = score;
    }
    *out_count = id;
    return HEL_OK;
}

hel_status hel_tokenizer_read_llama2c(const char *name, const char *bytes, size_t size, uint32_t vocab_size,
                                      hel_tokenizer **out) {
    hel_tokenizer *tokenizer = NULL;
    uint32_t count = 0;
    if (size < FIRST_PIECE) return hel_fail_file(HEL_ERROR_FORMAT, name, 0, "too short for a llama2.c tokenizer");
    HEL_TRY(walk(name, bytes, size, NULL, &count));
    if (count < FIRST_BYTE + N_BYTES)
        return hel_fail_file(HEL_ERROR_FORMAT, name, size, "%u tokens; a llama2.c tokenizer begins with %d", count,
                             FIRST_BYTE + N_BYTES);
    if (vocab_size && vocab_size != count)
        return hel_fail_file(HEL_ERROR_FORMAT, name, size, "%u tokens, but the model has %u", count, vocab_size);
    HEL_TRY(hel_tokenizer_create(count, &tokenizer));
    tokenizer->bpe.by_scores = tokenizer->bpe.byte_fallback = tokenizer->bpe.fuse_unknown = true;
    tokenizer->bpe.unknown = 0;
    tokenizer->prefix = HEL_PREFIX_ALWAYS;
    tokenizer->bos = 1;
    tokenizer->add_bos = true;
    hel_tokenizer_add_eos(tokenizer, 2);
    hel_status status = walk(name, bytes, size, tokenizer, &count);
    if (status == HEL_OK) status = hel_tokenizer_seal(tokenizer);
    if (status) {
        hel_error_prefix("%s: ", name);
        hel_tokenizer_destroy(&tokenizer);
        return status;
    }
    *out = tokenizer;
    return HEL_OK;
}
