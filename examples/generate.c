// SPDX-License-Identifier: Apache-2.0
// Loads a model, dense or compressed, and lets it continue a prompt:
//   cc generate.c $(pkg-config --cflags --libs helicoid) -o generate
//   ./generate MODEL "Once upon a time" 100
#include <helicoid/helicoid.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, hel_error_message());
    return EXIT_FAILURE;
}

// Called for each new token with the text that became complete with it; false would stop.
static bool print_text(void *user, uint32_t token, const char *text, size_t size) {
    (void)user, (void)token;
    fwrite(text, 1, size, stdout);
    fflush(stdout);
    return true;
}

static int generate(const hel_model *model, const char *prompt, uint32_t count) {
    uint32_t *tokens = NULL;
    size_t n_tokens = 0;
    hel_context *context = NULL;
    hel_generation generation = {0};
    int code = EXIT_SUCCESS;

    hel_generate_params params = hel_generate_params_default();
    params.max_tokens = count;
    params.callback = print_text;

    if (hel_tokenizer_encode(hel_model_tokenizer(model), prompt, strlen(prompt), NULL, &tokens, &n_tokens) != HEL_OK)
        code = fail("tokenize");
    else if (hel_context_create(model, NULL, &context) != HEL_OK)
        code = fail("context");
    else if (hel_generate(context, tokens, (uint32_t)n_tokens, &params, &generation) != HEL_OK)
        code = fail("generate");
    else
        printf("\n");

    hel_generation_finish(&generation);
    hel_context_destroy(&context);
    hel_tokenizer_free(tokens);
    return code;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL PROMPT [COUNT]\n", argv[0]);
        return 2;
    }
    hel_model_params params = hel_model_params_default(); // the best device
    hel_model *model = NULL;
    if (hel_model_load(argv[1], &params, &model) != HEL_OK) return fail(argv[1]);
    int code = EXIT_FAILURE;
    if (!hel_model_tokenizer(model)) fprintf(stderr, "%s: the model has no tokenizer\n", argv[1]);
    else code = generate(model, argv[2], argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64);
    hel_model_destroy(&model);
    return code;
}
