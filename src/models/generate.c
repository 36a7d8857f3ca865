// SPDX-License-Identifier: Apache-2.0
// The loop: evaluate, pick, spell. Text passes through two filters: whole characters, and stop texts held back.
#include <helicoid/generate.h>

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/params.h"
#include "base/require.h"
#include "base/size.h"
#include "base/text.h"

void hel_generate_params_init(hel_generate_params *params, size_t struct_size) {
    hel_generate_params defaults = {.struct_size = sizeof defaults, .sampling = hel_sampling_default()};
    HEL_PARAMS_WRITE(params, struct_size, &defaults);
}

typedef struct generator {
    hel_context *context;
    const hel_tokenizer *tokenizer;
    const hel_generate_params *params;
    hel_sampler *sampler;
    hel_utf8_stream *characters;
    float *logits;
    uint32_t *history; // prompt and new tokens
    uint32_t length, prompt;
    hel_text text;     // all whole characters so far
    size_t shown;      // bytes of it that the caller has seen
    hel_finish finish;
    bool finished;
} generator;

static void finish_with(generator *g, hel_finish finish) {
    g->finish = finish;
    g->finished = true;
}

// Where the first stop text begins in what has not been shown yet, or the text's end.
static size_t find_stop(const generator *g) {
    size_t best = g->text.size;
    for (size_t i = 0; i < g->params->stop_count; i++) {
        size_t length = strlen(g->params->stop[i]);
        for (size_t at = g->shown; length && at + length <= g->text.size && at < best; at++)
            if (memcmp(g->text.bytes + at, g->params->stop[i], length) == 0) best = at;
    }
    return best;
}

// Bytes at the end that could be the beginning of a stop text.
static size_t held_back(const generator *g) {
    size_t most = 0;
    for (size_t i = 0; i < g->params->stop_count; i++) {
        size_t length = strlen(g->params->stop[i]);
        for (size_t tail = HEL_MIN(length ? length - 1 : 0, g->text.size - g->shown); tail > most; tail--)
            if (memcmp(g->text.bytes + g->text.size - tail, g->params->stop[i], tail) == 0) most = tail;
    }
    return most;
}

static void show(generator *g, uint32_t token, size_t end) {
    const char *text = g->text.bytes ? g->text.bytes + g->shown : "";
    size_t size = end - g->shown;
    g->shown = end;
    if (g->params->callback && !g->params->callback(g->params->user, token, text, size)) finish_with(g, HEL_FINISH_CALLBACK);
}

static hel_status spell(generator *g, uint32_t token) {
    if (!g->tokenizer) {
        show(g, token, 0);
        return HEL_OK;
    }
    const char *text;
    size_t size;
    const char *piece = hel_tokenizer_piece(g->tokenizer, token, &size);
    if (hel_tokenizer_is_special(g->tokenizer, token)) size = 0;
    HEL_TRY(hel_utf8_stream_push(g->characters, piece, size, &text, &size));
    hel_text_append(&g->text, text, size);
    HEL_TRY(hel_text_ok(&g->text));
    size_t stop = find_stop(g);
    if (stop < g->text.size) {
        g->text.size = stop;
        g->text.bytes[stop] = 0;
        show(g, token, stop);
        finish_with(g, HEL_FINISH_STOP);
        return HEL_OK;
    }
    show(g, token, g->text.size - held_back(g));
    return HEL_OK;
}

// An unfinished character and held-back text come out when nothing can follow.
static hel_status spell_rest(generator *g) {
    const char *text;
    size_t size;
    if (!g->tokenizer || g->finish == HEL_FINISH_STOP || g->finish == HEL_FINISH_CALLBACK) return HEL_OK;
    HEL_TRY(hel_utf8_stream_flush(g->characters, &text, &size));
    hel_text_append(&g->text, text, size);
    HEL_TRY(hel_text_ok(&g->text));
    if (g->text.size > g->shown) show(g, g->history[g->length - 1], g->text.size);
    return HEL_OK;
}

static bool ends_text(const generator *g, uint32_t token) {
    return !g->params->ignore_eos && g->tokenizer && hel_tokenizer_is_eos(g->tokenizer, token);
}

static hel_status step(generator *g, uint32_t most) {
    uint32_t token;
    HEL_TRY(hel_sampler_pick(g->sampler, g->logits, g->history, g->length, &token));
    if (ends_text(g, token)) {
        finish_with(g, HEL_FINISH_EOS);
        return HEL_OK;
    }
    g->history[g->length++] = token;
    HEL_TRY(spell(g, token));
    if (g->finished) return HEL_OK;
    if (g->length - g->prompt == most) {
        finish_with(g, most == g->params->max_tokens ? HEL_FINISH_LENGTH : HEL_FINISH_CONTEXT);
        return HEL_OK;
    }
    return hel_context_logits(g->context, &token, 1, g->logits);
}

static hel_status prepare(generator *g, const uint32_t *prompt, uint32_t vocabulary, uint32_t most) {
    g->history = hel_alloc_array((size_t)g->prompt + most, sizeof *g->history);
    if (!g->history) return hel_fail_memory(((size_t)g->prompt + most) * sizeof *g->history);
    memcpy(g->history, prompt, g->prompt * sizeof *prompt);
    g->length = g->prompt;
    g->logits = hel_alloc_array(vocabulary, sizeof *g->logits);
    if (!g->logits) return hel_fail_memory(vocabulary * sizeof *g->logits);
    HEL_TRY(hel_sampler_create(&g->params->sampling, vocabulary, &g->sampler));
    return hel_utf8_stream_create(&g->characters);
}

static double seconds_since(uint64_t start) { return (double)(hel_os_time_ns() - start) * 1e-9; }

static hel_status run(generator *g, const uint32_t *prompt, uint32_t vocabulary, uint32_t most, hel_generation *out) {
    HEL_TRY(prepare(g, prompt, vocabulary, most));
    uint64_t start = hel_os_time_ns();
    HEL_TRY(hel_context_logits(g->context, prompt, g->prompt, g->logits));
    out->prompt_seconds = seconds_since(start);
    start = hel_os_time_ns();
    if (!most) finish_with(g, HEL_FINISH_LENGTH);
    while (!g->finished) HEL_TRY(step(g, most));
    out->generation_seconds = seconds_since(start);
    return spell_rest(g);
}

// What was made so far is the caller's, also after an error.
static hel_status hand_over(generator *g, hel_generation *out) {
    uint32_t count = g->length - g->prompt;
    out->prompt_tokens = g->prompt;
    out->finish = g->finish;
    out->tokens = hel_alloc_array(count, sizeof *out->tokens);
    out->text = hel_string_copy_n(g->text.bytes ? g->text.bytes : "", g->text.size);
    if (!out->tokens || !out->text) return hel_fail_memory(g->text.size + count * sizeof *out->tokens);
    if (count) memcpy(out->tokens, g->history + g->prompt, count * sizeof *out->tokens);
    out->count = count;
    out->text_size = g->text.size;
    return HEL_OK;
}

hel_status hel_generate(hel_context *context, const uint32_t *prompt, uint32_t count, const hel_generate_params *params,
                        hel_generation *out) {
    HEL_REQUIRE(out);
    *out = (hel_generation){0};
    HEL_REQUIRE(context && (prompt || !count));
    if (!count) return hel_fail(HEL_ERROR_ARGUMENT, "the prompt needs at least one token");
    hel_generate_params values = hel_generate_params_default();
    HEL_TRY(HEL_PARAMS_READ(params, &values, "hel_generate_params"));
    HEL_REQUIRE(values.stop || !values.stop_count);
    for (size_t i = 0; i < values.stop_count; i++) HEL_REQUIRE(values.stop[i]);
    hel_model_info info;
    hel_model_describe(hel_context_model(context), &info);
    if (info.labels) return hel_fail(HEL_ERROR_UNSUPPORTED, "this model labels tokens, it does not continue them");
    uint32_t room = hel_context_capacity(context) - hel_context_position(context);
    if (count > room) return hel_fail(HEL_ERROR_ARGUMENT, "a prompt of %u tokens does not fit in %u positions", count, room);
    // The last new token is never evaluated, so one more than the free positions can be made.
    uint32_t most = room - count + 1;
    if (values.max_tokens) most = HEL_MIN(most, values.max_tokens);
    generator g = {.context = context,
                   .tokenizer = hel_model_tokenizer(hel_context_model(context)),
                   .params = &values,
                   .prompt = count};
    hel_status status = run(&g, prompt, info.vocabulary, most, out);
    hel_status handed = g.history ? hand_over(&g, out) : HEL_OK;
    hel_sampler_destroy(&g.sampler);
    hel_utf8_stream_destroy(&g.characters);
    hel_text_finish(&g.text);
    hel_free(g.history);
    hel_free(g.logits);
    return status != HEL_OK ? status : handed;
}

void hel_generation_finish(hel_generation *generation) {
    if (!generation) return;
    hel_free(generation->tokens);
    hel_free(generation->text);
    *generation = (hel_generation){0};
}
