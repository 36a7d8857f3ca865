// SPDX-License-Identifier: Apache-2.0
// The LLaMA runtime on the devices named by the first argument ("cpu", "opencl", "vulkan", "cpu,vulkan"): recorded
// greedy ids, prefill against single steps, golden logits of compressed checkpoints, failures that leave no trace. The
// second argument is the number of parts (support/part.h) that the lengths of a prefill are dealt out to.
#include "support/model_here.h"
#include "support/npy_files.h"
#include "support/device_here.h"
#include "support/part.h"

#include <helicoid/helicoid.h>

#include "base/error.h"
#include "base/memory.h"

static const char *devices;

enum { RECORDED = 256 };

static void read_recorded(uint32_t ids[RECORDED]) {
    char path[TESTS_PATH];
    support_data(path, "stories260K/greedy_ids.txt");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i < RECORDED; i++) assert_int_equal(fscanf(file, "%u", &ids[i]), 1);
    fclose(file);
}

// The ids were made by tests/models/llama_reference.py, in double precision.
static void test_recorded_ids(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    uint32_t recorded[RECORDED], bos = 1;
    read_recorded(recorded);
    hel_model *model = model_on(devices, path);
    hel_context *context = context_of(model, 512, 0);
    hel_generate_params params = hel_generate_params_default();
    params.max_tokens = RECORDED;
    params.ignore_eos = true;
    for (int round = 0; round < 2; round++) {
        hel_generation generation;
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        assert_int_equal(hel_generate(context, &bos, 1, &params, &generation), HEL_OK);
        assert_int_equal(generation.count, RECORDED);
        assert_memory_equal(generation.tokens, recorded, sizeof recorded);
        assert_int_equal(generation.finish, HEL_FINISH_LENGTH);
        hel_generation_finish(&generation);
    }
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void greedy_ids(const char *path, const char *where, uint32_t ids[RECORDED]) {
    const char *before = devices;
    devices = where;
    hel_model *model = model_on(devices, path);
    devices = before;
    hel_context *context = context_of(model, 512, 0);
    hel_generate_params params = hel_generate_params_default();
    params.max_tokens = RECORDED;
    params.ignore_eos = true;
    hel_generation generation;
    uint32_t bos = 1;
    assert_int_equal(hel_generate(context, &bos, 1, &params, &generation), HEL_OK);
    assert_int_equal(generation.count, RECORDED);
    memcpy(ids, generation.tokens, RECORDED * sizeof *ids);
    hel_generation_finish(&generation);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

// Compressed, the model says on every device what it says on the CPU.
static void test_compressed_ids(void **state) {
    (void)state;
    char source[TESTS_PATH], folder[TESTS_PATH], path[TESTS_PATH];
    uint32_t on_cpu[RECORDED], here[RECORDED];
    support_data(source, "stories260K/stories260K.bin");
    support_folder(folder);
    support_join(path, folder, "model.safetensors");
    assert_int_equal(hel_compress(source, path, NULL, NULL), HEL_OK);
    greedy_ids(path, "cpu", on_cpu);
    greedy_ids(path, devices, here);
    assert_memory_equal(here, on_cpu, sizeof here);
    support_remove(folder);
}

static test_part part = {0, 1}; // of the lengths

// Evaluating n tokens at once gives the logits of n single steps, whatever pages and batches they cross.
static void test_prefill(void **state) {
    (void)state;
    enum { LONGEST = 300 };
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_model *model = model_on(devices, path);
    hel_model_info info;
    hel_model_describe(model, &info);
    uint32_t tokens[LONGEST];
    for (uint32_t i = 0; i < LONGEST; i++) tokens[i] = i ? (i * 7919u + 13u) % info.vocabulary : 1;
    float *steps = malloc((size_t)LONGEST * info.vocabulary * sizeof(float)), *logits = malloc(info.vocabulary * sizeof(float));
    hel_context *context = context_of(model, LONGEST, 0);
    for (uint32_t i = 0; i < LONGEST; i++)
        assert_int_equal(hel_context_logits(context, &tokens[i], 1, steps + (size_t)i * info.vocabulary), HEL_OK);
    double worst = 0;
    for (uint32_t n = 1; n <= LONGEST; n++) {
        if (!part_has(part, n)) continue;
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        assert_int_equal(hel_context_logits(context, tokens, n, logits), HEL_OK);
        worst = support_worse(worst, support_difference(logits, steps + (size_t)(n - 1) * info.vocabulary, info.vocabulary));
    }
    print_message("%s: largest difference %.2e\n", devices, worst);
    assert_true(worst <= 1e-4);
    free(steps);
    free(logits);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

// ---------------------------------------------------------------- golden checkpoints

typedef struct comparison {
    const float *expected;
    uint32_t vocabulary;
    double worst;
} comparison;

static bool compare(void *user, uint32_t first, uint32_t count, const float *logits) {
    comparison *c = user;
    size_t n = (size_t)count * c->vocabulary;
    c->worst = support_worse(c->worst, support_difference(logits, c->expected + (size_t)first * c->vocabulary, n));
    return true;
}

static void check_golden(const char *folder) {
    char path[TESTS_PATH], name[256];
    uint64_t n_ids, n_logits;
    float *ids = npy_read("golden/hxq_tiny_llama_k256/x.npy", &n_ids);
    snprintf(name, sizeof name, "golden/%s/logits_decoded.npy", folder);
    float *expected = npy_read(name, &n_logits);
    snprintf(name, sizeof name, "golden/%s", folder);
    support_data(path, name);
    hel_model *model = model_on(devices, path);
    hel_model_info info;
    hel_model_describe(model, &info);
    assert_int_equal(n_logits, n_ids * info.vocabulary);
    assert_true(info.compressed > 0);
    uint32_t tokens[256];
    assert_true(n_ids <= 256);
    for (uint64_t i = 0; i < n_ids; i++) tokens[i] = (uint32_t)ids[i];
    hel_context *context = context_of(model, 128, 0);
    comparison c = {expected, info.vocabulary, 0};
    assert_int_equal(hel_context_evaluate(context, tokens, (uint32_t)n_ids, 0, compare, &c), HEL_OK);
    print_message("%s on %s: largest difference %.2e\n", folder, devices, c.worst);
    assert_true(c.worst <= 1e-4);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    free(ids);
    free(expected);
}

static void test_golden_k256(void **state) { (void)state, check_golden("hxq_tiny_llama_k256"); }
static void test_golden_k320(void **state) { (void)state, check_golden("hxq_tiny_llama_k320_12bit"); }

// ---------------------------------------------------------------- rules and cancelling

static bool refuse(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)user, (void)first, (void)count, (void)logits;
    return false;
}

static void test_rules(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_model *model = model_on(devices, path);
    hel_context *context = context_of(model, 16, 0);
    uint32_t tokens[20] = {1, 2, 3}, high = 512;
    assert_int_equal(hel_context_evaluate(context, &high, 1, 1, NULL, NULL), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_context_evaluate(context, tokens, 17, 17, NULL, NULL), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_context_evaluate(context, tokens, 3, 3, NULL, NULL), HEL_OK);
    assert_int_equal(hel_context_position(context), 3);
    assert_int_equal(hel_context_evaluate(context, tokens, 2, 0, refuse, NULL), HEL_ERROR_CANCELLED);
    assert_int_equal(hel_context_position(context), 3);
    assert_int_equal(hel_context_rewind(context, 4), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_context_evaluate(context, tokens, 13, 13, NULL, NULL), HEL_OK);
    assert_int_equal(hel_context_evaluate(context, tokens, 1, 1, NULL, NULL), HEL_ERROR_ARGUMENT);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    assert_int_equal(hel_model_load("/nonexistent", NULL, &model), HEL_ERROR_NOT_FOUND);
}

int main(int argc, char **argv) {
    devices = argc > 1 ? argv[1] : "cpu";
    if (argc > 2) part = part_of(0, (uint32_t)atoi(argv[2]));
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(devices, ","), devices);
    if (!device_here(name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_ids), cmocka_unit_test(test_compressed_ids), cmocka_unit_test(test_prefill), cmocka_unit_test(test_golden_k256),
        cmocka_unit_test(test_golden_k320),  cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests_name(devices, tests, NULL, NULL);
}
