// SPDX-License-Identifier: Apache-2.0
// Models of Hyena operators on the device of the first argument, against an independent reference in double precision
// (hyena_reference.py): at once, token by token, in pieces, after failed calls, compressed.
#include "support/model_here.h"
#include "support/model_files.h"
#include "support/npy_files.h"
#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

enum { TOKENS = 280, VOCABULARY = 16, LOGITS = TOKENS * VOCABULARY };

static const char *device_name = "cpu";
static uint32_t tokens[TOKENS];

static void copy(const char *name, const char *ending, const char *to) {
    char target[TESTS_PATH], from[64];
    snprintf(from, sizeof from, "hyena/%s%s", name, ending);
    support_join(target, folder, to);
    copy_data(from, target);
}

static float *expected_logits(const char *name) {
    char file[64];
    uint64_t count;
    snprintf(file, sizeof file, "hyena/%s.logits.npy", name);
    float *expected = npy_read(file, &count);
    assert_int_equal(count, LOGITS);
    return expected;
}

static hel_model *load_copied(const char *name) {
    copy(name, ".safetensors", "model.safetensors");
    copy(name, ".json", "config.json");
    return model_on(device_name, folder);
}

static bool collect(void *user, uint32_t first, uint32_t count, const float *logits) {
    memcpy((float *)user + (size_t)first * VOCABULARY, logits, count * VOCABULARY * sizeof *logits);
    return true;
}

static void evaluate(hel_context *context, uint32_t begin, uint32_t end, uint32_t step, float *out) {
    for (uint32_t at = begin; at < end; at += step) {
        uint32_t count = end - at < step ? end - at : step;
        if (hel_context_evaluate(context, tokens + at, count, 0, collect, out + (size_t)at * VOCABULARY))
            fail_msg("%s", hel_error_message());
    }
}

static void expect_near(const char *name, const char *how, const float *logits, const float *expected) {
    double worst = support_difference(logits, expected, LOGITS);
    print_message("%s on %s, %s: largest difference %.2e\n", name, device_name, how, worst);
    assert_true(worst <= 1e-4);
}

static void check(const char *name) {
    static const struct { uint32_t step; const char *how; } ways[] = {{TOKENS, "at once"}, {1, "one by one"}, {37, "37 at a time"}};
    static float logits[LOGITS];
    float *expected = expected_logits(name);
    hel_model *model = load_copied(name);
    hel_context *context = context_of(model, 0, TOKENS);
    for (int i = 0; i < 3; i++) {
        memset(logits, 0, sizeof logits);
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        evaluate(context, 0, TOKENS, ways[i].step, logits);
        expect_near(name, ways[i].how, logits, expected);
    }
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    free(expected);
}

static void test_hyenadna(void **state) { (void)state, check("hyenadna"); }
static void test_hyena(void **state) { (void)state, check("hyena"); }
static void test_striped(void **state) { (void)state, check("striped"); }

static bool refuse(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)user, (void)first, (void)count, (void)logits;
    return false;
}

// A cancelled call leaves no trace, wherever it was in the tiles of decoding.
static void test_taking_back(void **state) {
    (void)state;
    static const uint32_t places[] = {3, 127, 130, 200, 257};
    static float logits[LOGITS];
    float *expected = expected_logits("hyena");
    hel_model *model = load_copied("hyena");
    hel_context *context = context_of(model, 0, TOKENS);
    uint32_t at = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; at = places[i++]) {
        evaluate(context, at, places[i], places[i], logits);
        assert_int_equal(hel_context_evaluate(context, tokens, TOKENS - places[i], 0, refuse, NULL), HEL_ERROR_CANCELLED);
        assert_int_equal(hel_context_position(context), places[i]);
    }
    evaluate(context, at, TOKENS, 1, logits);
    expect_near("hyena", "with calls taken back", logits, expected);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    free(expected);
}

static void test_compressed(void **state) {
    (void)state;
    if (strcmp(device_name, "opencl") == 0) return; // compiling the forms of weights takes a minute there; forms_opencl has them
    static float logits[LOGITS];
    char path[TESTS_PATH];
    hel_model *model = load_copied("hyenadna");
    hel_model_destroy(&model);
    support_join(path, folder, "compressed.safetensors");
    hel_compress_params params = hel_compress_params_default();
    if (hel_compress(folder, path, &params, NULL)) fail_msg("%s", hel_error_message());
    model = model_on(device_name, path);
    hel_model_info info;
    hel_model_describe(model, &info);
    assert_int_equal(info.compressed, 2); // in_proj of both layers; other matrices are smaller than a codebook, filters are kept
    hel_context *context = context_of(model, 0, TOKENS);
    evaluate(context, 0, TOKENS, TOKENS, logits);
    float *expected = expected_logits("hyenadna");
    double both = 0, a = 0, b = 0;
    for (size_t i = 0; i < LOGITS; i++) both += (double)logits[i] * expected[i], a += pow(logits[i], 2), b += pow(expected[i], 2);
    print_message("hyenadna on %s, compressed: cosine %.5f\n", device_name, both / sqrt(a * b));
    assert_true(both / sqrt(a * b) > 0.99);
    free(expected);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static int set_up(void **state) {
    folder_make(state);
    uint64_t count;
    float *ids = npy_read("hyena/ids.npy", &count);
    assert_int_equal(count, TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = (uint32_t)ids[i];
    free(ids);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hyenadna), cmocka_unit_test(test_hyena), cmocka_unit_test(test_striped),
        cmocka_unit_test(test_taking_back), cmocka_unit_test(test_compressed),
    };
    return cmocka_run_group_tests_name(device_name, tests, set_up, folder_remove);
}
