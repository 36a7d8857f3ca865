// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_console.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

typedef struct stream {
    bool silent; // --json prints the text once, at the end
    bool failed; // standard output takes no more
} stream;

static bool on_token(void *user, uint32_t token, const char *text, size_t size) {
    (void)token;
    stream *to = user;
    if (!to->silent && size) to->failed = fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0;
    return !to->failed && !interrupted();
}

static hel_generate_params params_of(const cli_options *options, stream *to) {
    hel_generate_params params = hel_generate_params_default();
    params.max_tokens = (uint32_t)options->count;
    params.ignore_eos = options->ignore_eos;
    params.sampling.temperature = (float)options->temperature;
    params.sampling.top_k = (uint32_t)options->top_k;
    params.sampling.top_p = (float)options->top_p;
    params.sampling.min_p = (float)options->min_p;
    params.sampling.repetition_penalty = (float)options->repetition_penalty;
    params.sampling.repetition_window = (uint32_t)options->repetition_window;
    params.sampling.seed = options->seed;
    params.stop = options->stop;
    while (options->stop && options->stop[params.stop_count]) params.stop_count++;
    params.callback = on_token;
    params.user = to;
    return params;
}

static double per_second(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

// The first token comes out of the prompt's own evaluation.
static double generation_speed(const hel_generation *made) {
    return made->count > 1 ? per_second(made->count - 1, made->generation_seconds) : 0;
}

static const char *finish_name(hel_finish finish) {
    static const char *const names[] = {"length", "eos", "stop", "interrupted", "context"};
    return names[finish];
}

static json_t *generation_json(const hel_model *model, const hel_generation *made) {
    json_t *ids = json_array();
    for (uint32_t i = 0; ids && i < made->count; i++) json_array_append_new(ids, json_integer(made->tokens[i]));
    char *devices = runner_devices(model);
    json_t *root = json_pack(
        "{s:s%, s:o, s:s, s:i, s:f, s:i, s:f, s:I, s:I, s:s}", "text", made->text, made->text_size, "token_ids", ids,
        "device", devices ? devices : "", "prompt_tokens", (int)made->prompt_tokens, "prompt_tokens_per_second",
        per_second(made->prompt_tokens, made->prompt_seconds), "generated_tokens", (int)made->count,
        "tokens_per_second", generation_speed(made), "peak_host_bytes",
        (json_int_t)hel_os_memory_peak(), "peak_device_bytes", (json_int_t)runner_device_peak(model), "finish",
        finish_name(made->finish));
    free(devices);
    return root;
}

static void print_speed(const cli_options *options, const hel_model *model, const hel_generation *made) {
    if (options->quiet) return;
    if (made->finish == HEL_FINISH_CONTEXT) report_note(options, "the context is full; -c makes a larger one");
    char *devices = runner_devices(model), memory[32];
    report_info(options, "%s: prompt %u tokens, %.1f tokens/s; generated %u tokens, %.1f tokens/s; %s on devices",
                devices ? devices : "", made->prompt_tokens, per_second(made->prompt_tokens, made->prompt_seconds),
                made->count, generation_speed(made), hel_bytes_text(memory, runner_device_peak(model)));
    free(devices);
}

static int generate(const cli_options *options, const hel_model *model, const uint32_t *prompt, uint32_t count) {
    hel_context_params shape = hel_context_params_default();
    shape.capacity = (uint32_t)options->context;
    hel_context *context = NULL;
    hel_status status = hel_context_create(model, &shape, &context);
    stream to = {.silent = options->json};
    hel_generation made = {0};
    if (status == HEL_OK) {
        hel_generate_params params = params_of(options, &to);
        status = hel_generate(context, prompt, count, &params, &made);
    }
    int code = report_status(options, status);
    if (code == EXIT_OK && !options->json) {
        putchar('\n');
        code = report_end(options);
        print_speed(options, model, &made);
    } else if (code == EXIT_OK) code = report_json(options, generation_json(model, &made));
    if (code == EXIT_OK && interrupted()) code = EXIT_INTERRUPTED;
    hel_generation_finish(&made);
    hel_context_destroy(&context);
    return code;
}

int run_generate(const cli_options *options) {
    if (!options->prompt == !options->tokens) return report_usage(options, "give either -p TEXT or --tokens IDS");
    if (options->chat && (options->tokens || options->bos))
        return report_usage(options, "--chat takes a text and sets the begin token itself");
    if (options->system && !options->chat) return report_usage(options, "--system needs --chat");
    hel_model *model = NULL;
    uint32_t *prompt = NULL, count = 0;
    int code = runner_load(options, options->model, &model);
    if (code == EXIT_OK) code = input_tokens(options, hel_model_tokenizer(model), &prompt, &count);
    if (code == EXIT_OK) code = generate(options, model, prompt, count);
    free(prompt);
    hel_model_destroy(&model);
    return code;
}
