// SPDX-License-Identifier: Apache-2.0
// What every public function promises alike: parameter structs of other sizes.
#include "support/support.h"

#include <helicoid/helicoid.h>

#include "base/size.h"

static char model_path[TESTS_PATH];
static hel_model *model;
static hel_context *context;
static hel_tokenizer *tokenizer;

// ---------------------------------------------------------------- parameter structs

// A newer caller's struct: this library's, and one member more.
#define NEWER(type) struct { type values; uint64_t more; }

// Calls with the struct as it is, as a newer caller's with and without something unknown set, and without a size.
#define EXPECT_SIZES(type, call)                                                       \
    do {                                                                               \
        NEWER(type) given = {.values = type##_default()};                              \
        const type *params = &given.values;                                            \
        assert_int_equal(given.values.struct_size, sizeof(type));                      \
        assert_int_equal(call, HEL_OK);                                                \
        given.values.struct_size = sizeof given;                                       \
        assert_int_equal(call, HEL_OK);                                                \
        given.more = 1;                                                                \
        assert_int_equal(call, HEL_ERROR_ARGUMENT);                                    \
        assert_non_null(strstr(hel_error_message(), #type));                           \
        given.values.struct_size = 0;                                                  \
        assert_int_equal(call, HEL_ERROR_ARGUMENT);                                    \
    } while (0)

static hel_status open_device(const hel_device_params *params) {
    const hel_device *device = NULL;
    hel_status status = hel_device_open("cpu", params, &device);
    hel_device_destroy(&device);
    return status;
}

static hel_status load_model(const hel_model_params *params) {
    hel_model *loaded = NULL;
    hel_status status = hel_model_load(model_path, params, &loaded);
    hel_model_destroy(&loaded);
    return status;
}

static hel_status create_context(const hel_context_params *params) {
    hel_context *created = NULL;
    hel_status status = hel_context_create(model, params, &created);
    hel_context_destroy(&created);
    return status;
}

static hel_status create_sampler(const hel_sampling *sampling) {
    hel_sampler *sampler = NULL;
    hel_status status = hel_sampler_create(sampling, 8, &sampler);
    hel_sampler_destroy(&sampler);
    return status;
}

static hel_status generate(const hel_generate_params *params) {
    hel_generation made = {0};
    hel_status status = hel_context_rewind(context, 0);
    if (status == HEL_OK) status = hel_generate(context, (uint32_t[]){1, 2, 3}, 3, params, &made);
    hel_generation_finish(&made);
    return status;
}

static hel_status score(const hel_perplexity_params *params) {
    hel_perplexity_result result;
    return hel_perplexity(model, (uint32_t[]){1, 2, 3}, 3, params, &result);
}

static hel_status encode(const hel_encode_options *options) {
    uint32_t *ids = NULL;
    size_t count;
    hel_status status = hel_tokenizer_encode(tokenizer, "a", 1, options, &ids, &count);
    if (status == HEL_OK) hel_tokenizer_free(ids);
    return status;
}

static hel_status compress(const hel_compress_params *params) {
    char folder[TESTS_PATH], output[TESTS_PATH];
    support_folder(folder);
    support_join(output, folder, "out.safetensors");
    hel_status status = hel_compress(model_path, output, params, NULL);
    support_remove(folder);
    return status;
}

static hel_status export(const hel_export_params *params) {
    char folder[TESTS_PATH], output[TESTS_PATH];
    support_folder(folder);
    support_join(output, folder, "out.safetensors");
    hel_status status = hel_export(model_path, output, params, NULL);
    support_remove(folder);
    return status;
}

static void test_sizes(void **state) {
    (void)state;
    EXPECT_SIZES(hel_device_params, open_device(params));
    EXPECT_SIZES(hel_model_params, load_model(params));
    EXPECT_SIZES(hel_context_params, create_context(params));
    EXPECT_SIZES(hel_sampling, create_sampler(params));
    EXPECT_SIZES(hel_perplexity_params, score(params));
    EXPECT_SIZES(hel_encode_options, encode(params));
    EXPECT_SIZES(hel_compress_params, compress(params));
    EXPECT_SIZES(hel_export_params, export(params));
    EXPECT_SIZES(hel_generate_params, generate(params));
}

// A first version's hel_model_params that ended behind gpu_layers and threads.
static void test_older_caller(void **state) {
    (void)state;
    struct { size_t struct_size; const char *devices; uint32_t gpu_layers, threads; uint64_t garbage[8]; } older;
    memset(&older, 0xff, sizeof older);
    hel_model_params_init((hel_model_params *)(void *)&older, offsetof(hel_model_params, memory_limit));
    assert_int_equal(older.struct_size, offsetof(hel_model_params, memory_limit));
    assert_int_equal(older.gpu_layers, UINT32_MAX);
    for (size_t i = 0; i < HEL_COUNT(older.garbage); i++) assert_true(older.garbage[i] == UINT64_MAX);
    older.devices = "cpu";
    assert_int_equal(load_model((const hel_model_params *)(const void *)&older), HEL_OK);
}

static int set_up(void **state) {
    (void)state;
    support_data(model_path, "stories260K/stories260K.bin");
    hel_model_params params = hel_model_params_default();
    params.devices = "cpu";
    if (hel_model_load(model_path, &params, &model) || hel_context_create(model, NULL, &context)) return -1;
    return hel_tokenizer_open(model_path, NULL, &tokenizer);
}

static int tear_down(void **state) {
    (void)state;
    hel_tokenizer_destroy(&tokenizer);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_older_caller)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
