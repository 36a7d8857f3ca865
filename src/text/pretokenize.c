// SPDX-License-Identifier: Apache-2.0
#include "text/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "text/utf8.h"

// White space as Unicode has it: PCRE2 counts the Mongolian vowel separator too.
#define SPACE "[^\\S\\x{180e}]"
#define NOT_SPACE "[\\S\\x{180e}]"
#define TRAILING_SPACE SPACE "+(?!" NOT_SPACE ")|" SPACE "+"
// What is neither space, letter nor number; a lookahead, because a class cannot hold another one that has an exception.
#define OTHER "(?:(?!" SPACE ")[^\\p{L}\\p{N}])"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define QWEN2_LIKE(numbers) \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}++|" numbers "| ?" OTHER "++[\\r\\n]*+|" \
    SPACE "*[\\r\\n]++|" TRAILING_SPACE

// `regex` is the spelling in tokenizer.json, `pcre` what we run for it.
static const struct {
    hel_pattern pattern;
    const char *regex, *pcre;
} patterns[] = {
    {HEL_PATTERN_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}++| ?\\p{N}++| ?" OTHER "++|" TRAILING_SPACE},
    {HEL_PATTERN_QWEN2,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     QWEN2_LIKE("\\p{N}")},
    {HEL_PATTERN_LLAMA3,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     QWEN2_LIKE("\\p{N}{1,3}")},
    {HEL_PATTERN_DIGIT, NULL, "\\p{N}"},
    {HEL_PATTERN_DIGITS, NULL, "\\p{N}++"},
    {HEL_PATTERN_SPACES, NULL, " [^ ]*+"},
};

// Names of tokenizer.ggml.pre (llama.cpp, src/llama-vocab.cpp) whose patterns these are.
static const struct {
    const char *name;
    uint32_t count;
    hel_pattern patterns[2];
} gguf_names[] = {
    {"gpt-2", 1, {HEL_PATTERN_GPT2}},
    {"phi-2", 1, {HEL_PATTERN_GPT2}},
    {"olmo", 1, {HEL_PATTERN_GPT2}},
    {"smollm", 2, {HEL_PATTERN_DIGIT, HEL_PATTERN_GPT2}},
    {"starcoder", 2, {HEL_PATTERN_DIGIT, HEL_PATTERN_GPT2}},
    {"qwen2", 1, {HEL_PATTERN_QWEN2}},
    {"deepseek-r1-qwen", 1, {HEL_PATTERN_QWEN2}},
    {"llama-bpe", 1, {HEL_PATTERN_LLAMA3}},
    {"llama3", 1, {HEL_PATTERN_LLAMA3}},
    {"llama-v3", 1, {HEL_PATTERN_LLAMA3}},
};

// The patterns need few steps at each place; these stop what would run away all the same.
enum { MATCH_LIMIT = 100000000, HEAP_LIMIT_KIB = 1 << 20 };

static void *allocate(PCRE2_SIZE size, void *user) {
    (void)user;
    return hel_alloc(size);
}

static void release(void *memory, void *user) {
    (void)user;
    hel_free(memory);
}

void hel_pretokenizer_finish(hel_pretokenizer *pretokenizer) {
    for (uint32_t i = 0; i < pretokenizer->count; i++) pcre2_code_free(pretokenizer->stages[i].code);
    pcre2_match_context_free(pretokenizer->limits);
    pcre2_general_context_free(pretokenizer->memory);
    *pretokenizer = (hel_pretokenizer){0};
}

static hel_status make_contexts(hel_pretokenizer *pretokenizer) {
    if (!pretokenizer->memory) pretokenizer->memory = pcre2_general_context_create(allocate, release, NULL);
    if (!pretokenizer->memory) return hel_fail_memory(sizeof(void *));
    if (!pretokenizer->limits) pretokenizer->limits = pcre2_match_context_create(pretokenizer->memory);
    if (!pretokenizer->limits) return hel_fail_memory(sizeof(void *));
    pcre2_set_match_limit(pretokenizer->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(pretokenizer->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(pretokenizer->limits, HEAP_LIMIT_KIB);
    return HEL_OK;
}

static hel_status compile(const hel_pretokenizer *pretokenizer, const char *text, void **out) {
    int error;
    PCRE2_SIZE offset;
    pcre2_compile_context *context = pcre2_compile_context_create(pretokenizer->memory);
    if (!context) return hel_fail_memory(sizeof(void *));
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        if (error == PCRE2_ERROR_HEAP_FAILED) return hel_fail_memory(strlen(text));
        PCRE2_UCHAR words[128];
        pcre2_get_error_message(error, words, sizeof words);
        return hel_fail(HEL_ERROR_UNSUPPORTED, "this PCRE2 refuses the pattern %s at %zu: %s", text, offset,
                        (char *)words);
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // where it cannot, matching is slower and the same
    *out = code;
    return HEL_OK;
}

hel_status hel_pretokenizer_add(hel_pretokenizer *pretokenizer, hel_pattern pattern) {
    if (pretokenizer->count == HEL_MAX_PATTERNS)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "more than %d patterns in turn", HEL_MAX_PATTERNS);
    HEL_TRY(make_contexts(pretokenizer));
    struct pretokenizer_stage *stage = &pretokenizer->stages[pretokenizer->count];
    for (size_t i = 0; i < HEL_COUNT(patterns); i++)
        if (patterns[i].pattern == pattern) HEL_TRY(compile(pretokenizer, patterns[i].pcre, &stage->code));
    stage->pattern = pattern;
    pretokenizer->count++;
    return HEL_OK;
}

bool hel_pattern_from_regex(const char *regex, hel_pattern *out) {
    for (size_t i = 0; i < HEL_COUNT(patterns); i++) {
        if (!patterns[i].regex || strcmp(patterns[i].regex, regex)) continue;
        *out = patterns[i].pattern;
        return true;
    }
    return false;
}

const char *hel_pattern_regex(hel_pattern pattern) {
    for (size_t i = 0; i < HEL_COUNT(patterns); i++)
        if (patterns[i].pattern == pattern) return patterns[i].regex;
    return NULL;
}

hel_status hel_pretokenizer_add_gguf(hel_pretokenizer *pretokenizer, const char *name) {
    for (size_t i = 0; i < HEL_COUNT(gguf_names); i++) {
        if (strcmp(gguf_names[i].name, name)) continue;
        for (uint32_t p = 0; p < gguf_names[i].count; p++)
            HEL_TRY(hel_pretokenizer_add(pretokenizer, gguf_names[i].patterns[p]));
        return HEL_OK;
    }
    return hel_fail(HEL_ERROR_UNSUPPORTED, "tokenizer.ggml.pre \"%s\" is not supported", name);
}

typedef struct splitting {
    const hel_pretokenizer *pretokenizer;
    pcre2_match_data *match;
    hel_word_callback word;
    void *user;
} splitting;

// Matches of the stage's pattern and what lies between them go to the next stage, each as a text of its own.
static hel_status split(const splitting *s, uint32_t stage, const char *text, size_t size) {
    if (stage == s->pretokenizer->count) return s->word(s->user, text, size);
    for (size_t at = 0; at < size;) {
        int found = pcre2_match(s->pretokenizer->stages[stage].code, (PCRE2_SPTR)text, size, at, PCRE2_NO_UTF_CHECK,
                                s->match, s->pretokenizer->limits);
        if (found == PCRE2_ERROR_NOMATCH) return split(s, stage + 1, text + at, size - at);
        if (found == PCRE2_ERROR_NOMEMORY) return hel_fail_memory(size);
        if (found < 0)
            return hel_fail(HEL_ERROR_UNSUPPORTED, "splitting into words: PCRE2 error %d at byte %zu", found, at);
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(s->match);
        size_t first = ends[0], last = ends[1];
        if (first > at) HEL_TRY(split(s, stage + 1, text + at, first - at));
        if (last == first) return hel_fail(HEL_ERROR_INTERNAL, "a pattern matches nothing");
        HEL_TRY(split(s, stage + 1, text + first, last - first));
        at = last;
    }
    return HEL_OK;
}

hel_status hel_pretokenizer_run(const hel_pretokenizer *pretokenizer, const char *text, size_t size,
                                hel_word_callback word, void *user) {
    if (!pretokenizer->count) return size ? word(user, text, size) : HEL_OK;
    splitting s = {pretokenizer, pcre2_match_data_create(1, pretokenizer->memory), word, user};
    if (!s.match) return hel_fail_memory(sizeof(void *));
    hel_status status = HEL_OK;
    for (size_t at = 0, length; at < size && !status; at += length) {
        length = hel_utf8_span(text + at, size - at, true);
        if (length) status = split(&s, 0, text + at, length);
        else status = word(user, text + at, length = hel_utf8_span(text + at, size - at, false));
    }
    pcre2_match_data_free(s.match);
    return status;
}
