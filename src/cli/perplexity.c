// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli/input.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/runner.h"
#include "cli/verbs.h"

static json_t *result_json(const cli_options *options, const hel_model *model, const hel_perplexity_result *result) {
    char *devices = runner_devices(model);
    json_t *root = json_pack("{s:f, s:I, s:i, s:s}", "perplexity", result->perplexity, "tokens",
                             (json_int_t)result->tokens, "chunks", (int)result->chunks, "device",
                             devices ? devices : "");
    free(devices);
    if (root && options->against) {
        json_object_set_new(root, "against_perplexity", json_real(result->against_perplexity));
        json_object_set_new(root, "kl_divergence", json_real(result->kl_divergence));
        json_object_set_new(root, "top1_agreement", json_real(result->top1_agreement));
    }
    return root;
}

static int print_result(const cli_options *options, const hel_perplexity_result *result) {
    printf("perplexity      %.4f  over %llu tokens in %u windows\n", result->perplexity,
           (unsigned long long)result->tokens, result->chunks);
    if (options->against) {
        printf("against         %.4f  (%s)\n", result->against_perplexity, options->against);
        printf("KL divergence   %.4g nats\n", result->kl_divergence);
        printf("top-1 agreement %.2f %%\n", 100 * result->top1_agreement);
    }
    return report_end(options);
}

static int score(const cli_options *options, const hel_model *model, const hel_model *against, const uint32_t *ids,
                 uint32_t count) {
    hel_perplexity_params params = hel_perplexity_params_default();
    params.context = (uint32_t)options->context;
    params.stride = (uint32_t)options->stride;
    params.chunks = (uint32_t)options->chunks;
    params.against = against;
    params.progress = progress_report;
    hel_perplexity_result result;
    progress_start(options, PROGRESS_TOKENS);
    int code = report_status(options, hel_perplexity(model, ids, count, &params, &result));
    progress_clear();
    if (code != EXIT_OK) return code;
    return options->json ? report_json(options, result_json(options, model, &result)) : print_result(options, &result);
}

int run_perplexity(const cli_options *options) {
    if (!options->text_file) return report_usage(options, "give the text with -f TEXT");
    hel_model *model = NULL, *against = NULL;
    uint32_t *ids = NULL, count = 0;
    char *text = NULL;
    size_t size = 0;
    int code = input_read(options, options->text_file, &text, &size);
    if (code == EXIT_OK) code = runner_load(options, options->model, &model);
    if (code == EXIT_OK && !hel_model_tokenizer(model))
        code = report_error(options, EXIT_FAILED, "%s has no tokenizer; name one with --tokenizer", options->model);
    if (code == EXIT_OK && options->against) code = runner_load(options, options->against, &against);
    if (code == EXIT_OK) code = input_encode(options, hel_model_tokenizer(model), text, size, &ids, &count);
    if (code == EXIT_OK) code = score(options, model, against, ids, count);
    free(text);
    free(ids);
    hel_model_destroy(&against);
    hel_model_destroy(&model);
    return code;
}
