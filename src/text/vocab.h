// SPDX-License-Identifier: Apache-2.0
// The tokens of a vocabulary: the bytes each stands for, and the way back from bytes to id.
// Bytes are what the text holds: byte-level alphabets are undone, and SentencePiece's U+2581 is a space.
#ifndef HEL_TEXT_VOCAB_H
#define HEL_TEXT_VOCAB_H

#include <helicoid/tokenizer.h>

#include "base/text.h"

// Values as in SentencePiece's model file and GGUF's tokenizer.ggml.token_type.
typedef enum hel_token_kind {
    HEL_TOKEN_HOLE = 0, // no token has this id
    HEL_TOKEN_NORMAL = 1,
    HEL_TOKEN_UNKNOWN = 2,
    HEL_TOKEN_CONTROL = 3,
    HEL_TOKEN_USER = 4, // matched verbatim in text, but has a text of its own
    HEL_TOKEN_UNUSED = 5,
    HEL_TOKEN_BYTE = 6,
} hel_token_kind;

typedef struct hel_token {
    uint32_t offset, size; // in hel_vocab.bytes
    uint32_t rank;         // place of its score, best first; equal scores share one; 0 where there are no scores
    float score;
    uint8_t kind;  // hel_token_kind
    bool in_model; // spelled in the model's alphabet, so that merging can make it; otherwise only matched verbatim
} hel_token;

typedef struct hel_vocab {
    hel_text bytes;
    hel_token *tokens;
    uint32_t count;
    uint32_t byte_ids[256]; // byte-level: token of each byte; SentencePiece-style: its fallback token
    uint32_t *slots;        // hash table of the ids in the model
    uint32_t slot_mask;
    uint64_t seed;
    uint32_t longest; // bytes of the longest token in the model
} hel_vocab;

// Longer pieces are refused, so that hashing a candidate costs a bounded time.
enum { HEL_LONGEST_PIECE = 1024 };

hel_status hel_vocab_init(hel_vocab *vocab, uint32_t count);
void hel_vocab_finish(hel_vocab *vocab);

// Sets token `id` < count, which must be a hole still. HEL_ERROR_FORMAT where it is not, or where bytes are too many.
hel_status hel_vocab_set(hel_vocab *vocab, uint32_t id, const void *bytes, size_t size, hel_token_kind kind,
                         bool in_model);

// Call once after the last set: makes the hash table, which refuses two model tokens of the same bytes.
hel_status hel_vocab_index(hel_vocab *vocab);

// Id of the model token with these bytes, HEL_TOKEN_NONE where there is none. Byte tokens are not found.
uint32_t hel_vocab_find(const hel_vocab *vocab, const void *bytes, size_t size);

// The same, only tokens that plain text may become.
uint32_t hel_vocab_find_text(const hel_vocab *vocab, const void *bytes, size_t size);

// Ranks from scores, best score first.
hel_status hel_vocab_rank(hel_vocab *vocab);

static inline const char *hel_vocab_bytes(const hel_vocab *vocab, uint32_t id) {
    return vocab->bytes.bytes + vocab->tokens[id].offset;
}

// A well-mixed hash under a seed that differs from run to run (it is made of an address), so that no file can be
// written to collide. Ids never depend on it.
uint64_t hel_vocab_hash(uint64_t seed, const void *bytes, size_t size);
uint64_t hel_vocab_mix(uint64_t seed, uint64_t value);

#endif
