// SPDX-License-Identifier: Apache-2.0
// Chat prompts of the built-in families. Templates out of files are recognised by their markers, never executed.
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

// A prompt in the making: its text, and which stretches of it are the template's own.
typedef struct prompt {
    hel_text text;
    hel_text spans; // hel_span one after the other
    const char *bos, *eos; // spellings of the begin and end tokens
    size_t bos_size, eos_size;
    bool for_ids; // it will be encoded, so the template's begin token belongs to it
    bool begins;  // and is there
} prompt;

// Stretches that touch become one, so that a token may be put together from several strings of the template.
static void markup(prompt *p, const char *bytes, size_t size) {
    hel_span span = {p->text.size, p->text.size + size};
    hel_text_append(&p->text, bytes, size);
    if (p->spans.size) {
        hel_span last;
        memcpy(&last, p->spans.bytes + p->spans.size - sizeof last, sizeof last);
        if (last.end == span.begin) {
            span.begin = last.begin;
            p->spans.size -= sizeof last;
        }
    }
    hel_text_append(&p->spans, &span, sizeof span);
}

// Strings of the template in turn, up to a NULL.
static void markup_all(prompt *p, const char *first, ...) {
    va_list arguments;
    va_start(arguments, first);
    for (const char *bytes = first; bytes; bytes = va_arg(arguments, const char *)) markup(p, bytes, strlen(bytes));
    va_end(arguments);
}

static void content(prompt *p, const char *bytes) { hel_text_append(&p->text, bytes, strlen(bytes)); }

// What Python's str.strip() takes away, which is the templates' trim filter: White_Space and four separators.
static bool is_blank(int32_t codepoint) {
    return hel_utf8_is_space(codepoint) || (codepoint >= 0x1c && codepoint <= 0x1f);
}

// From the first character that is no blank to behind the last one; empty where all are blanks.
static hel_span trim(const char *bytes) {
    size_t size = strlen(bytes), length;
    hel_span inner = {0, 0};
    for (size_t at = 0; at < size; at += length) {
        if (is_blank(hel_utf8_next(bytes + at, size - at, &length))) continue;
        if (!inner.end) inner.begin = at;
        inner.end = at + length;
    }
    return inner;
}

static void trimmed_content(prompt *p, const char *bytes) {
    hel_span inner = trim(bytes);
    hel_text_append(&p->text, bytes + inner.begin, inner.end - inner.begin);
}

static void format_chatml(prompt *p, const hel_chat_message *messages, size_t count, bool answer) {
    for (size_t i = 0; i < count; i++) {
        markup_all(p, "<|im_start|>", messages[i].role, "\n", NULL);
        content(p, messages[i].content);
        markup_all(p, "<|im_end|>\n", NULL);
    }
    if (answer) markup_all(p, "<|im_start|>assistant\n", NULL);
}

static void format_llama3(prompt *p, const hel_chat_message *messages, size_t count, bool answer) {
    for (size_t i = 0; i < count; i++) {
        markup_all(p, "<|start_header_id|>", messages[i].role, "<|end_header_id|>\n\n", NULL);
        trimmed_content(p, messages[i].content);
        markup_all(p, "<|eot_id|>", NULL);
    }
    if (answer) markup_all(p, "<|start_header_id|>assistant<|end_header_id|>\n\n", NULL);
}

static void format_zephyr(prompt *p, const hel_chat_message *messages, size_t count, bool answer) {
    for (size_t i = 0; i < count; i++) {
        markup_all(p, "<|", messages[i].role, "|>\n", NULL);
        content(p, messages[i].content);
        markup(p, p->eos, p->eos_size);
        markup_all(p, "\n", NULL);
    }
    if (answer) markup_all(p, "<|assistant|>\n", NULL);
}

// The system's message and the user's first, which the template trims as one.
static void llama2_opening(prompt *p, const hel_chat_message messages[2]) {
    hel_span inner = trim(messages[1].content);
    markup_all(p, "<<SYS>>\n", NULL);
    content(p, messages[0].content);
    markup_all(p, "\n<</SYS>>", inner.end ? "\n\n" : "", NULL);
    hel_text_append(&p->text, messages[1].content, inner.end);
}

// Every turn but the first brings its begin token. The answer begins at [/INST].
static void format_llama2(prompt *p, const hel_chat_message *messages, size_t count) {
    size_t first = count && !strcmp(messages[0].role, "system");
    for (size_t i = first; i < count; i++) {
        if (!strcmp(messages[i].role, "user")) {
            if (i > first) markup(p, p->bos, p->bos_size);
            markup_all(p, "[INST] ", NULL);
            if (first && i == first) llama2_opening(p, messages);
            else trimmed_content(p, messages[i].content);
            markup_all(p, " [/INST]", NULL);
        } else {
            markup_all(p, " ", NULL);
            trimmed_content(p, messages[i].content);
            markup_all(p, " ", NULL);
            markup(p, p->eos, p->eos_size);
        }
    }
}

static hel_status check_roles(hel_chat_family family, const hel_chat_message *messages, size_t count, bool answer) {
    size_t turn = 0;
    for (size_t i = 0; i < count; i++) {
        const char *role = messages[i].role;
        if (!role || !messages[i].content) return hel_fail(HEL_ERROR_ARGUMENT, "message %zu has no role or content", i);
        bool system = !strcmp(role, "system"), user = !strcmp(role, "user");
        if (!system && !user && strcmp(role, "assistant"))
            return hel_fail(HEL_ERROR_ARGUMENT, "message %zu: role \"%s\" is none of system, user, assistant", i, role);
        if (system && i) return hel_fail(HEL_ERROR_ARGUMENT, "message %zu: only the first may be the system's", i);
        if (family == HEL_CHAT_LLAMA2 && !system && user != (turn++ % 2 == 0))
            return hel_fail(HEL_ERROR_ARGUMENT, "message %zu: user and assistant must alternate, the user first", i);
    }
    if (family == HEL_CHAT_LLAMA2 && (!turn || (answer && turn % 2 == 0)))
        return hel_fail(HEL_ERROR_ARGUMENT, "a Llama 2 prompt ends with a user's message");
    return HEL_OK;
}

// Llama's templates begin with the begin token. As a part of the text it is what decides about a space after it.
static void begin(const hel_tokenizer *tokenizer, hel_chat_family family, prompt *p) {
    const hel_added_token *token = NULL;
    if (p->bos_size) token = hel_added_match(&tokenizer->raw, &tokenizer->vocab, p->bos, p->bos_size, p->bos_size);
    bool spelled = token && token->size == p->bos_size && token->id == tokenizer->bos;
    p->begins = p->for_ids && spelled && (family == HEL_CHAT_LLAMA2 || family == HEL_CHAT_LLAMA3);
    if (p->begins) markup(p, p->bos, p->bos_size);
}

static hel_status format(const hel_tokenizer *tokenizer, hel_chat_family family, const hel_chat_message *messages,
                         size_t count, bool answer, prompt *out) {
    if (!tokenizer || (count && !messages)) return hel_fail(HEL_ERROR_ARGUMENT, "a pointer is NULL");
    if (family == HEL_CHAT_NONE) family = tokenizer->family;
    HEL_TRY(check_roles(family, messages, count, answer));
    *out = (prompt){.bos = "<s>", .eos = "</s>", .bos_size = 3, .eos_size = 4, .for_ids = out->for_ids};
    if (tokenizer->n_eos) out->eos = hel_tokenizer_piece(tokenizer, tokenizer->eos[0], &out->eos_size);
    if (tokenizer->bos != HEL_TOKEN_NONE) out->bos = hel_tokenizer_piece(tokenizer, tokenizer->bos, &out->bos_size);
    hel_text_append(&out->text, "", 0);
    begin(tokenizer, family, out);
    switch (family) {
    case HEL_CHAT_CHATML: format_chatml(out, messages, count, answer); break;
    case HEL_CHAT_LLAMA2: format_llama2(out, messages, count); break;
    case HEL_CHAT_LLAMA3: format_llama3(out, messages, count, answer); break;
    case HEL_CHAT_ZEPHYR: format_zephyr(out, messages, count, answer); break;
    default: return hel_fail(HEL_ERROR_UNSUPPORTED, "the tokenizer belongs to no chat family that is built in");
    }
    HEL_TRY(hel_text_ok(&out->text));
    return hel_text_ok(&out->spans);
}

static void finish(prompt *p) {
    hel_text_finish(&p->text);
    hel_text_finish(&p->spans);
}

hel_status hel_chat_format(const hel_tokenizer *tokenizer, hel_chat_family family, const hel_chat_message *messages,
                           size_t count, bool add_generation_prompt, char **out_text, size_t *out_size) {
    if (!out_text) return hel_fail(HEL_ERROR_ARGUMENT, "out_text is NULL");
    prompt p = {0};
    hel_status status = format(tokenizer, family, messages, count, add_generation_prompt, &p);
    if (status == HEL_OK) {
        *out_text = p.text.bytes;
        if (out_size) *out_size = p.text.size;
        p.text = (hel_text){0};
    }
    finish(&p);
    return status;
}

hel_status hel_chat_encode(const hel_tokenizer *tokenizer, hel_chat_family family, const hel_chat_message *messages,
                           size_t count, bool add_generation_prompt, uint32_t **out_ids, size_t *out_count) {
    prompt p = {.for_ids = true};
    hel_status status = format(tokenizer, family, messages, count, add_generation_prompt, &p);
    if (status == HEL_OK) {
        size_t n_spans = p.spans.size / sizeof(hel_span);
        status = hel_tokenizer_encode_spans(tokenizer, p.text.bytes, p.text.size, p.begins ? HEL_BOS_NO : HEL_BOS_DEFAULT,
                                            (const hel_span *)(const void *)p.spans.bytes, n_spans, out_ids, out_count);
    }
    finish(&p);
    return status;
}

const char *hel_chat_family_name(hel_chat_family family) {
    switch (family) {
    case HEL_CHAT_CHATML: return "chatml";
    case HEL_CHAT_LLAMA2: return "llama2";
    case HEL_CHAT_LLAMA3: return "llama3";
    case HEL_CHAT_ZEPHYR: return "zephyr";
    case HEL_CHAT_NONE: break;
    }
    return "none";
}

// What marks a family; a template with another family's end-of-turn token is none of ours.
hel_chat_family hel_chat_detect(const hel_tokenizer *tokenizer) {
    const char *template = tokenizer->chat_template;
    if (template) {
        if (strstr(template, "<|im_start|>")) return HEL_CHAT_CHATML;
        if (strstr(template, "<|start_header_id|>")) return HEL_CHAT_LLAMA3;
        if (strstr(template, "[INST]") && strstr(template, "<<SYS>>")) return HEL_CHAT_LLAMA2;
        if (strstr(template, "<|user|>") && strstr(template, "<|assistant|>") && strstr(template, "eos_token")
            && !strstr(template, "<|end|>")) return HEL_CHAT_ZEPHYR;
        return HEL_CHAT_NONE;
    }
    if (hel_tokenizer_find_special(tokenizer, "<|im_start|>") != HEL_TOKEN_NONE) return HEL_CHAT_CHATML;
    if (hel_tokenizer_find_special(tokenizer, "<|start_header_id|>") != HEL_TOKEN_NONE) return HEL_CHAT_LLAMA3;
    return HEL_CHAT_NONE;
}
