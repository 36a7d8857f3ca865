// SPDX-License-Identifier: Apache-2.0
// Splits text into the words that BPE never merges across, by one or more patterns in turn.
// Only known patterns are run, never one out of a file: the dialects of regular expressions differ, and a pattern may
// be made to take for ever.
#ifndef HEL_TEXT_PRETOKENIZE_H
#define HEL_TEXT_PRETOKENIZE_H

#include <helicoid/common.h>

typedef enum hel_pattern {
    HEL_PATTERN_GPT2,
    HEL_PATTERN_QWEN2,
    HEL_PATTERN_LLAMA3,
    HEL_PATTERN_DIGIT,  // every digit alone
    HEL_PATTERN_DIGITS, // runs of digits
    HEL_PATTERN_SPACES, // before every space (Metaspace with split)
} hel_pattern;

enum { HEL_MAX_PATTERNS = 4 };

typedef struct hel_pretokenizer {
    struct pretokenizer_stage {
        hel_pattern pattern;
        void *code; // pcre2_code
    } stages[HEL_MAX_PATTERNS];
    uint32_t count; // 0: a text is one word
    void *memory;   // pcre2_general_context: our allocator
    void *limits;   // pcre2_match_context
} hel_pretokenizer;

void hel_pretokenizer_finish(hel_pretokenizer *pretokenizer);
hel_status hel_pretokenizer_add(hel_pretokenizer *pretokenizer, hel_pattern pattern);

// The known pattern of a tokenizer.json's regular expression, as it is spelled there; false where there is none.
bool hel_pattern_from_regex(const char *regex, hel_pattern *out);
const char *hel_pattern_regex(hel_pattern pattern); // the spelling to write, NULL for digits and spaces
// Adds the patterns of a GGUF's tokenizer.ggml.pre; HEL_ERROR_UNSUPPORTED for an unknown name.
hel_status hel_pretokenizer_add_gguf(hel_pretokenizer *pretokenizer, const char *name);

// Calls `word` for each word in order until it fails. Bytes that are not UTF-8 form words of their own.
typedef hel_status (*hel_word_callback)(void *user, const char *word, size_t size);
hel_status hel_pretokenizer_run(const hel_pretokenizer *pretokenizer, const char *text, size_t size,
                                hel_word_callback word, void *user);

#endif
