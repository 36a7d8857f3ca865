// SPDX-License-Identifier: Apache-2.0
// Tokenizers: text to token ids and back, whole-character streaming, chat prompts.
//
// Three families are read, the first two from tokenizer.json (Hugging Face), from GGUF metadata or from a llama2.c tokenizer file:
//   - byte-level BPE with merge ranks (GPT-2, GPT-NeoX, SmolLM, Qwen2, Llama 3);
//   - SentencePiece-style BPE with byte fallback, by scores or by merges (Llama 2, TinyLlama, Phi-3, llama2.c);
//   - the longest token at each place (RWKV), from its vocabulary files ("91 'Z' 1") or from tokenizer.json, which calls it
//     WordPiece over bytes; RWKV models of 256 tokens need no file, as their ids are bytes.
// Anything that these files may ask for beyond that (Unigram, WordPiece of words, unknown normalizers or patterns) is refused
// with HEL_ERROR_UNSUPPORTED when the tokenizer is opened.
//
// Sources of the methods: R. Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016);
// A. Radford et al., GPT-2 (byte-level BPE, 2019); T. Kudo and J. Richardson, SentencePiece (2018).
#ifndef HELICOID_TOKENIZER_H
#define HELICOID_TOKENIZER_H

#include <helicoid/common.h>

#ifdef __cplusplus
extern "C" {
#endif

// Thread-safety: a tokenizer never changes after it was opened; any number of threads may use one at once.
typedef struct hel_tokenizer hel_tokenizer;

// Stands for "no such token". Ids are 0 ... hel_tokenizer_vocab_size() - 1.
#define HEL_TOKEN_NONE UINT32_MAX

// --- opening ---

// Opens the tokenizer of a model (folder, GGUF, .safetensors with a tokenizer inside, llama2.c checkpoint with
// tokenizer.bin or tok<vocabulary>.bin beside it, rwkv.cpp checkpoint with rwkv_vocab_v20230424.txt beside it). `tokenizer_path`
// names a separate file instead (tokenizer.json, GGUF, llama2.c tokenizer or RWKV vocabulary, told apart by content);
// tokenizer_config.json beside a tokenizer.json is read too.
// Either path may be NULL, not both. *out is freed with hel_tokenizer_destroy.
// Statuses: ARGUMENT, NOT_FOUND (the model has no tokenizer), FORMAT, UNSUPPORTED, IO, MEMORY. Blocks on files.
HEL_API hel_status hel_tokenizer_open(const char *model_path, const char *tokenizer_path, hel_tokenizer **out);

// Frees and sets *tokenizer to NULL; accepts NULL and a pointer to NULL. Thread-safety: no other call with the tokenizer
// may run or follow.
HEL_API void hel_tokenizer_destroy(hel_tokenizer **tokenizer);

// Frees what an encode, decode, format or print function of this header handed out; accepts NULL.
HEL_API void hel_tokenizer_free(void *memory);

// --- what it is --- (without a tokenizer: 0, false, HEL_TOKEN_NONE, "")

// Number of ids, holes included. A model's embedding may have more rows than that.
HEL_API uint32_t hel_tokenizer_vocab_size(const hel_tokenizer *tokenizer);

// Token that begins a text, the first token that ends one, token for what cannot be spelled; HEL_TOKEN_NONE if absent.
HEL_API uint32_t hel_tokenizer_bos(const hel_tokenizer *tokenizer);
HEL_API uint32_t hel_tokenizer_eos(const hel_tokenizer *tokenizer);
HEL_API uint32_t hel_tokenizer_unk(const hel_tokenizer *tokenizer);

// Whether generation ends at `id`: the end-of-text ids of the file and the end-of-turn tokens of the known chat
// families (<|im_end|>, <|eot_id|>, <|end|> and others) where they are special tokens.
HEL_API bool hel_tokenizer_is_eos(const hel_tokenizer *tokenizer, uint32_t id);

// Whether HEL_BOS_DEFAULT puts the begin token first, as the file asks.
HEL_API bool hel_tokenizer_adds_bos(const hel_tokenizer *tokenizer);

// True for control tokens, which have no text of their own in decoded output.
HEL_API bool hel_tokenizer_is_special(const hel_tokenizer *tokenizer, uint32_t id);

// Bytes that `id` stands for (a part of a UTF-8 character is possible; the literal spelling for special tokens).
// Not zero-terminated; lives as long as the tokenizer. Unknown ids and holes give size 0, never NULL.
HEL_API const char *hel_tokenizer_piece(const hel_tokenizer *tokenizer, uint32_t id, size_t *out_size);

// --- text to ids ---

typedef enum hel_bos {
    HEL_BOS_DEFAULT = 0, // as the tokenizer's file says
    HEL_BOS_YES = 1,
    HEL_BOS_NO = 2,
} hel_bos;

typedef struct hel_encode_options {
    size_t struct_size;
    hel_bos add_bos;
    // Whether spellings of control tokens in the text ("<|im_end|>") become those tokens. Off, they are plain text,
    // which is right for text from strangers. Added tokens that are not control tokens are always recognised.
    bool parse_special;
} hel_encode_options;

// BOS as the file says, control tokens not parsed.
HEL_API void hel_encode_options_init(hel_encode_options *options, size_t struct_size);
HEL_DEFAULT(hel_encode_options)

// Ids of `size` bytes of UTF-8. Bytes that are not UTF-8 are kept: each becomes the token of that byte (the unknown
// token, or nothing, where a vocabulary has neither). `options` may be NULL. *out_ids (never NULL on success, also for
// 0 ids) is freed with hel_tokenizer_free. Time grows as n log n with the text.
// Statuses: ARGUMENT (also BOS asked for where there is none, or a text of 2 GiB), MEMORY.
HEL_API hel_status hel_tokenizer_encode(const hel_tokenizer *tokenizer, const char *text, size_t size,
                                        const hel_encode_options *options, uint32_t **out_ids, size_t *out_count);

// --- ids to text ---

// Bytes of a whole list of ids, one zero byte behind them; freed with hel_tokenizer_free. Control tokens are left out
// unless `with_special`. The space that a SentencePiece-style tokenizer puts before a text is taken off again.
// Nothing is repaired: ids that end inside a character give a part of it. Statuses: ARGUMENT (id out of range), MEMORY.
HEL_API hel_status hel_tokenizer_decode(const hel_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                        bool with_special, char **out_text, size_t *out_size);

// Hands on whole UTF-8 characters of a text that arrives in pieces. Thread-safety: one thread at a time per stream.
typedef struct hel_utf8_stream hel_utf8_stream;

// An empty stream, freed with hel_utf8_stream_destroy. Statuses: ARGUMENT, MEMORY.
HEL_API hel_status hel_utf8_stream_create(hel_utf8_stream **out);

// Frees the stream and what it handed on. Nulls the handle, accepts NULL and a pointer to NULL.
HEL_API void hel_utf8_stream_destroy(hel_utf8_stream **stream);

// Takes `size` bytes; *out_text gets what is complete now (possibly nothing), valid UTF-8, zero-terminated, valid until
// the next call. Bytes that can begin no character become U+FFFD, one for each maximal part of a broken character
// (Unicode 15.0, section 3.9, "U+FFFD Substitution of Maximal Subparts"). Statuses: ARGUMENT, MEMORY.
HEL_API hel_status hel_utf8_stream_push(hel_utf8_stream *stream, const void *bytes, size_t size, const char **out_text,
                                        size_t *out_size);

// Ends the text: an unfinished character becomes U+FFFD. *out_text as above. The stream may be used anew.
// Statuses: ARGUMENT, MEMORY.
HEL_API hel_status hel_utf8_stream_flush(hel_utf8_stream *stream, const char **out_text, size_t *out_size);

// --- chat ---

typedef enum hel_chat_family {
    HEL_CHAT_NONE = 0, // not a chat model that we know; as an argument: the tokenizer's own family
    HEL_CHAT_CHATML,   // <|im_start|>role\ncontent<|im_end|>\n
    HEL_CHAT_LLAMA2,   // [INST] <<SYS>>\nsystem\n<</SYS>>\n\nuser [/INST] assistant </s><s>
    HEL_CHAT_LLAMA3,   // <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
    HEL_CHAT_ZEPHYR,   // <|role|>\ncontent</s>\n
} hel_chat_family;

typedef struct hel_chat_message {
    const char *role;    // "system" (first only), "user" or "assistant"
    const char *content; // UTF-8
} hel_chat_message;

// Family of the tokenizer, from the markers in its chat template's text, or from its special tokens where it has no
// template. A template is never executed.
HEL_API hel_chat_family hel_tokenizer_chat_family(const hel_tokenizer *tokenizer);
HEL_API const char *hel_chat_family_name(hel_chat_family family); // "chatml", "llama2", "llama3", "zephyr", "none"

// The prompt as text, without the begin token that encoding adds. With `add_generation_prompt` it ends where the
// assistant's answer begins. No default system message is invented. *out_text is zero-terminated, freed with
// hel_tokenizer_free. Statuses: ARGUMENT (unknown role, or an order of roles that the family cannot express),
// UNSUPPORTED (HEL_CHAT_NONE and the tokenizer has no known family), MEMORY.
HEL_API hel_status hel_chat_format(const hel_tokenizer *tokenizer, hel_chat_family family,
                                   const hel_chat_message *messages, size_t count, bool add_generation_prompt,
                                   char **out_text, size_t *out_size);

// The prompt as ids. The begin token is there for Llama 2 and 3, whose templates have it, and else by the tokenizer's
// default. Control tokens are recognised in the template's own text only, so that no message can forge the end of its
// turn. Statuses as above; freed with hel_tokenizer_free.
HEL_API hel_status hel_chat_encode(const hel_tokenizer *tokenizer, hel_chat_family family,
                                   const hel_chat_message *messages, size_t count, bool add_generation_prompt,
                                   uint32_t **out_ids, size_t *out_count);

// --- writing ---

// The tokenizer as a standard tokenizer.json, whatever it was read from; zero-terminated, freed with
// hel_tokenizer_free. Vocabularies with scores get the merges that the scores imply, so that readers of merges give the
// same ids (exact where the scores of pieces are distinct, as SentencePiece's trainer makes them).
// Statuses: ARGUMENT, MEMORY.
HEL_API hel_status hel_tokenizer_print_json(const hel_tokenizer *tokenizer, char **out_text, size_t *out_size);

// The tokenizer_config.json that belongs to it: begin, end and unknown token, chat template (copied as text);
// zero-terminated, freed with hel_tokenizer_free. Statuses: ARGUMENT, MEMORY.
HEL_API hel_status hel_tokenizer_print_config_json(const hel_tokenizer *tokenizer, char **out_text, size_t *out_size);

#ifdef __cplusplus
}
#endif

#endif
