// SPDX-License-Identifier: Apache-2.0
// Logits of tiny models on the device of the first argument, against those that transformers gave (make_recorded.py):
// scaled RoPE beyond the original context, and biases on q, k and v.
#include "support/model_files.h"
#include "support/npy_files.h"
#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

#include "base/json.h"

enum { TOKENS = 80, ORIGINAL = 32, VOCABULARY = 64, LOGITS = TOKENS * VOCABULARY };

static const char *device_name = "cpu";

static void copy(const char *from, const char *to) {
    char source[TESTS_PATH], target[TESTS_PATH], name[64];
    size_t size;
    snprintf(name, sizeof name, "recorded/%s", from);
    support_data(source, name);
    support_join(target, folder, to);
    void *bytes = read_bytes(source, &size);
    write_bytes(target, bytes, size);
    free(bytes);
}

// Leaves `key` out of the copied config.json.
static void drop_from_config(const char *key) {
    char path[TESTS_PATH], *text;
    json_t *config;
    size_t size;
    support_join(path, folder, "config.json");
    assert_int_equal(hel_json_read_file(path, 1 << 16, &config), HEL_OK);
    assert_int_equal(json_object_del(config, key), 0);
    assert_int_equal(hel_json_print(config, 0, &text, &size), HEL_OK);
    write_bytes(path, text, size);
    hel_free(text);
    json_decref(config);
}

static bool collect(void *user, uint32_t first, uint32_t count, const float *logits) {
    memcpy((float *)user + first * VOCABULARY, logits, count * VOCABULARY * sizeof *logits);
    return true;
}

static void evaluate(uint32_t step, float out[LOGITS]) {
    hel_model_params params = hel_model_params_default();
    params.devices = device_name;
    hel_model *model = NULL;
    hel_context *context = NULL;
    if (hel_model_load(folder, &params, &model)) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    uint64_t count;
    float *ids = npy_read("recorded/ids.npy", &count);
    uint32_t tokens[TOKENS];
    assert_int_equal(count, TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = (uint32_t)ids[i];
    for (uint32_t at = 0; at < TOKENS; at += step)
        assert_int_equal(hel_context_evaluate(context, tokens + at, step, 0, collect, out + at * VOCABULARY), HEL_OK);
    free(ids);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static double largest_difference(const float *a, const float *b, uint32_t from) {
    size_t first = (size_t)from * VOCABULARY;
    return support_difference(a + first, b + first, LOGITS - first);
}

static void check(const char *name, const char *weights) {
    static float logits[LOGITS];
    static const uint32_t steps[] = {TOKENS, 1};
    char file[64];
    uint64_t count;
    copy(weights, "model.safetensors");
    snprintf(file, sizeof file, "%s.json", name);
    copy(file, "config.json");
    snprintf(file, sizeof file, "recorded/%s.logits.npy", name);
    float *expected = npy_read(file, &count);
    assert_int_equal(count, LOGITS);
    for (int i = 0; i < 2; i++) {
        evaluate(steps[i], logits);
        double worst = largest_difference(logits, expected, 0);
        print_message("%s on %s, %u at a time: largest difference %.2e\n", name, device_name, steps[i], worst);
        assert_true(worst <= 1e-4);
    }
    if (strcmp(name, "qwen2_bias")) { // the scaling matters here, or the recording would show nothing
        drop_from_config("rope_scaling");
        evaluate(TOKENS, logits);
        assert_true(largest_difference(logits, expected, ORIGINAL) > 0.1);
    }
    free(expected);
}

static void test_linear(void **state) { (void)state, check("llama_linear", "llama.safetensors"); }
static void test_llama3(void **state) { (void)state, check("llama_llama3", "llama.safetensors"); }
static void test_qwen2_bias(void **state) { (void)state, check("qwen2_bias", "qwen2.safetensors"); }

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear), cmocka_unit_test(test_llama3), cmocka_unit_test(test_qwen2_bias),
    };
    return cmocka_run_group_tests_name(device_name, tests, folder_make, folder_remove);
}
