// SPDX-License-Identifier: Apache-2.0
// A tokenizer's parts, for its readers and writers; and how one is found for a model.
#ifndef HEL_TEXT_TOKENIZER_INTERNAL_H
#define HEL_TEXT_TOKENIZER_INTERNAL_H

#include <helicoid/tokenizer.h>

#include "formats/archive.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

// The space that SentencePiece-style tokenizers put before a text or before each part between added tokens.
typedef enum hel_prefix_space {
    HEL_PREFIX_NONE,
    HEL_PREFIX_ALWAYS,          // each part ("Prepend" normalizer, GGUF, llama2.c)
    HEL_PREFIX_UNLESS_SPACE,    // each part that does not begin with a space (Metaspace, "always")
    HEL_PREFIX_FIRST_PART_ONLY, // the text's first part, if it does not begin with a space (Metaspace, "first")
} hel_prefix_space;

enum { HEL_MAX_EOS = 16 };

struct hel_tokenizer {
    hel_vocab vocab;
    hel_bpe bpe;
    hel_added raw;        // matched in the text as it comes
    hel_added normalized; // matched after normalization
    hel_pretokenizer pretokenizer;
    hel_prefix_space prefix; // not byte-level only
    bool nfc;
    bool words_end_before_spaces; // no merge ever joins a space to what stands before it
    bool add_bos;
    uint32_t bos, eos[HEL_MAX_EOS], n_eos;
    char *chat_template; // NULL where there is none
    hel_chat_family family;
};

// --- making one (pieces.c); readers call these in this order ---
// A shell of holes; `bpe`, `prefix` and so on are the reader's to set.
hel_status hel_tokenizer_create(uint32_t vocab_size, hel_tokenizer **out);
// Sets a token from its spelling in the file, which is in the byte-level alphabet, with U+2581 for spaces, or, for
// control and user-defined tokens, verbatim (to be matched they must go into `raw` or `normalized` too). `in_model`:
// it is part of the model's vocabulary. Spellings that are no UTF-8 are HEL_ERROR_FORMAT.
hel_status hel_tokenizer_set_piece(hel_tokenizer *tokenizer, uint32_t id, const char *piece, size_t size,
                                   hel_token_kind kind, bool in_model);
void hel_tokenizer_add_eos(hel_tokenizer *tokenizer, uint32_t id);
// Indexes what the reader filled in, checks ids and finds the end-of-turn tokens and the chat family.
hel_status hel_tokenizer_seal(hel_tokenizer *tokenizer);
// Only after sealing. Spellings as above.
hel_status hel_tokenizer_add_merge(hel_tokenizer *tokenizer, const char *left, size_t left_size, const char *right,
                                   size_t right_size);
// The same for "left right".
hel_status hel_tokenizer_add_merge_line(hel_tokenizer *tokenizer, const char *line, size_t size);

// Id of the token that is spelled so and is matched verbatim, HEL_TOKEN_NONE where there is none.
uint32_t hel_tokenizer_find_special(const hel_tokenizer *tokenizer, const char *spelling);

// --- normalization (spm.c) ---
// Appends what merging sees of a part of a text: NFC, U+2581 as a space, the prefix space.
hel_status hel_tokenizer_normalize(const hel_tokenizer *tokenizer, const char *text, size_t size, bool first_part,
                                   hel_text *out);
// Appends SentencePiece's spelling (U+2581) as text (spaces), and the other way round.
void hel_spm_append_text(const char *piece, size_t size, hel_text *out);
void hel_spm_append_piece(const char *text, size_t size, hel_text *out);
// Whether a text may be merged word by word, a word ending where a space follows something else, with the same result.
bool hel_spm_words_end_before_spaces(const hel_tokenizer *tokenizer);
bool hel_spm_byte_piece(const char *piece, size_t size, uint8_t *out); // "<0x0A>"
// The merges that the scores of the vocabulary imply, in order; *out is freed with hel_free.
hel_status hel_spm_derive_merges(const hel_vocab *vocab, hel_merge **out, size_t *out_count);

// --- the byte-level alphabet of GPT-2 (byte_alphabet.c) ---
// Appends the bytes that a piece in the alphabet stands for; false, with nothing appended, where it is not in it.
bool hel_alphabet_append_bytes(const char *piece, size_t size, hel_text *out);
void hel_alphabet_append_piece(const char *bytes, size_t size, hel_text *out);

// --- encoding ---
typedef struct hel_span { size_t begin, end; } hel_span;
// As hel_tokenizer_encode, with control tokens recognised only inside the given stretches, which are in order.
hel_status hel_tokenizer_encode_spans(const hel_tokenizer *tokenizer, const char *text, size_t size, hel_bos add_bos,
                                      const hel_span *control, size_t n_control, uint32_t **out_ids, size_t *out_count);

// --- chat (chat.c) ---
hel_chat_family hel_chat_detect(const hel_tokenizer *tokenizer);

// --- readers; `name` is the file that errors speak of ---
typedef struct hel_tokenizer_json_source {
    const char *name;
    const char *text; // tokenizer.json
    size_t size;
    const char *tokenizer_config; // tokenizer_config.json or NULL
    const json_t *config;         // the model's config.json or NULL: bos_token_id, eos_token_id
} hel_tokenizer_json_source;
hel_status hel_tokenizer_read_json(const hel_tokenizer_json_source *source, hel_tokenizer **out);
hel_status hel_tokenizer_read_gguf(const hel_archive *archive, hel_tokenizer **out);
// `vocab_size` 0: as many as the file has; otherwise it must have that many.
hel_status hel_tokenizer_read_llama2c(const char *name, const char *bytes, size_t size, uint32_t vocab_size,
                                      hel_tokenizer **out);

// A vocabulary of RWKV in parts, for readers: what it takes for granted, a token of text from what stands between the quotation
// marks of a Python literal of bytes, and the end in place of hel_tokenizer_seal.
void hel_tokenizer_begin_rwkv(hel_tokenizer *tokenizer);
hel_status hel_tokenizer_set_rwkv(hel_tokenizer *tokenizer, const char *name, uint32_t id, const char *literal, size_t size);
hel_status hel_tokenizer_seal_rwkv(hel_tokenizer *tokenizer);

// A vocabulary file of RWKV; and ids that are the bytes.
hel_status hel_tokenizer_read_rwkv(const char *name, const char *bytes, size_t size, hel_tokenizer **out);
hel_status hel_tokenizer_make_bytes(hel_tokenizer **out);

// The tokenizer of an opened model, or of `tokenizer_path` where that is not NULL (tokenizer_open.c).
// HEL_ERROR_NOT_FOUND where the model has none.
hel_status hel_tokenizer_from_archive(const hel_archive *archive, const char *tokenizer_path, hel_tokenizer **out);

#endif
