// SPDX-License-Identifier: Apache-2.0
// A model on the device of the first argument, without tuning, tuned, and with what tuning remembered: the same tokens and
// the same bits of logits each time, and nothing tried the second time.
#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

enum { TOKENS = 24, PROMPT = 20, VOCABULARY = 512 };

static const char *device_name;
static char model_path[TESTS_PATH], cache[TESTS_PATH];
static int tried, refused;

static void listen(void *user, hel_log_level level, const char *message) {
    (void)user, (void)level;
    tried += strstr(message, "linear_mat") != NULL;
    refused += strstr(message, "not tuned") != NULL;
}

typedef struct outcome {
    uint32_t tokens[TOKENS];
    float logits[VOCABULARY]; // behind a prompt
} outcome;

static void run(hel_tuning tuning, outcome *out) {
    hel_model_params params = hel_model_params_default();
    params.devices = device_name;
    params.cache_directory = cache;
    params.tuning = tuning;
    hel_model *model;
    hel_context *context;
    hel_generation generation;
    uint32_t prompt[PROMPT];
    tried = refused = 0;
    for (uint32_t i = 0; i < PROMPT; i++) prompt[i] = 300 + i * 7;
    assert_int_equal(hel_model_load(model_path, &params, &model), HEL_OK);
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    assert_int_equal(hel_context_logits(context, prompt, PROMPT, out->logits), HEL_OK);
    assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
    hel_generate_params generate = hel_generate_params_default();
    generate.max_tokens = TOKENS;
    generate.ignore_eos = true;
    assert_int_equal(hel_generate(context, prompt, 3, &generate, &generation), HEL_OK);
    assert_int_equal(generation.count, TOKENS);
    memcpy(out->tokens, generation.tokens, sizeof out->tokens);
    hel_generation_finish(&generation);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void expect_same(const outcome *a, const outcome *b) {
    assert_memory_equal(a->tokens, b->tokens, sizeof a->tokens);
    assert_memory_equal(a->logits, b->logits, sizeof a->logits);
}

static void test_generation(void **state) {
    (void)state;
    outcome plain, tuned, again, off;
    run(HEL_TUNING_NEVER, &plain);
    assert_int_equal(tried, 0);
    run(HEL_TUNING_ALWAYS, &tuned);
    print_message("%s: %d products tried, %d of them in vain\n", device_name, tried, refused);
    assert_true(tried > 0);
    bool whole = refused == 0; // within the time that tuning has
    run(HEL_TUNING_ALWAYS, &again);
    if (whole) assert_int_equal(tried, 0);
    run(HEL_TUNING_NEVER, &off);
    assert_int_equal(tried, 0);
    expect_same(&plain, &tuned);
    expect_same(&plain, &again);
    expect_same(&plain, &off);
}

static bool stop(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    *(int *)user += done == total;
    return *(int *)user < 2; // all is read, and then
}

static void test_cancel(void **state) {
    (void)state;
    int asked = 0;
    hel_model_params params = hel_model_params_default();
    params.devices = device_name;
    params.cache_directory = "";
    params.tuning = HEL_TUNING_ALWAYS;
    params.progress = stop;
    params.user = &asked;
    hel_model *model;
    assert_int_equal(hel_model_load(model_path, &params, &model), HEL_ERROR_CANCELLED);
    assert_null(model);
    assert_string_equal(hel_error_message(), "tuning was cancelled");
}

static int set_up(void **state) {
    char source[TESTS_PATH];
    folder_make(state);
    support_join(model_path, folder, "model.safetensors");
    support_join(cache, folder, "cache");
    support_data(source, "stories260K/stories260K.bin");
    hel_status status = hel_compress(source, model_path, NULL, NULL);
    hel_log_set(listen, NULL, HEL_LOG_INFO);
    return status == HEL_OK ? 0 : -1;
}

static int tear_down(void **state) {
    hel_log_set(NULL, NULL, HEL_LOG_ERROR);
    return folder_remove(state);
}

int main(int argc, char **argv) {
    device_name = argc > 1 ? argv[1] : "vulkan";
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generation), cmocka_unit_test(test_cancel)};
    return cmocka_run_group_tests_name("tuning", tests, set_up, tear_down);
}
