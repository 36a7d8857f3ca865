// SPDX-License-Identifier: Apache-2.0
// The memory that a model is said to need: against what running it takes, and how it spreads over two devices.
// Argument: "fake_cuda" for what a GPU's driver says of its memory.
#include "support/support.h"

#include <helicoid/helicoid.h>

#include "base/os.h"
#include "base/size.h"
#include "models/context.h"
#include "models/needs.h"
#include "models/source.h"

static void measure(const char *path, hel_needs *out) {
    hel_archive *archive;
    hel_hyper hyper;
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    assert_int_equal(hel_hyper_parse(archive->config, path, &hyper), HEL_OK);
    assert_int_equal(hel_needs_measure(archive, &hyper, out), HEL_OK);
    hel_archive_close(&archive);
}

// Never less than what is allocated, and not much more.
static void test_against_device(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_needs needs;
    measure(path, &needs);
    hel_model_params params = hel_model_params_default();
    params.devices = "cpu";
    hel_model *model;
    hel_context *context;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    uint64_t weights, all, said_weights, said_context;
    uint32_t places[64] = {0};
    hel_device_memory(hel_model_device(model, 0), &weights, NULL);
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    hel_device_memory(hel_model_device(model, 0), &all, NULL);
    said_weights = hel_needs_weights_on(&needs, places, 0);
    said_context = hel_needs_context_on(&needs, places, 0);
    assert_true(said_weights >= weights && said_weights < weights + weights / 10);
    assert_true(said_weights + said_context >= all && said_weights + said_context < all + all / 4);
    assert_true(needs.cache_bytes[0] * needs.layers == hel_context_cache_bytes(context));
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    hel_needs_finish(&needs);
}

static uint64_t layer_bytes[4] = {10, 20, 30, 40}, cache_bytes[4] = {2, 2, 2, 2}, shared_bytes[4];
static uint32_t owners[4] = {0, 1, 2, 3};
static const hel_needs tied = {.layers = 4, .layer_bytes = layer_bytes, .shared_bytes = shared_bytes, .owners = owners,
                               .embedding_bytes = 1000, .head_bytes = 1000, .tied = true, .cache_bytes = cache_bytes, .scratch_bytes = 5};

static void test_tied_head(void **state) {
    (void)state;
    const uint32_t one[] = {0, 0, 0, 0}, two[] = {0, 0, 1, 1};
    assert_int_equal(hel_needs_weights_on(&tied, one, 0), 1100);
    assert_int_equal(hel_needs_context_on(&tied, one, 0), 13);
    assert_int_equal(hel_needs_context_on(&tied, one, 1), 0);
    assert_int_equal(hel_needs_weights_on(&tied, two, 0), 1030);
    assert_int_equal(hel_needs_weights_on(&tied, two, 1), 1070);
    assert_int_equal(hel_needs_total(&tied), 1100);
    hel_needs untied = tied;
    untied.tied = false;
    assert_int_equal(hel_needs_weights_on(&untied, one, 0), 2100);
    assert_int_equal(hel_needs_total(&untied), 2100);
}

// Bytes of the blocks that layers of Zamba2 use in turn, by the tensors' names.
static uint64_t bytes_of_blocks(const char *path) {
    hel_archive *archive;
    uint64_t bytes = 0;
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const char *name = archive->tensors[i].name;
        if (strstr(name, ".shared_transformer.") && !strstr(name, "_adapter_list.")) bytes += archive->tensors[i].bytes;
    }
    hel_archive_close(&archive);
    return bytes;
}

// A device holds a block once for all its layers, each device for itself.
static void test_shared(void **state) {
    (void)state;
    static const uint32_t one[3], without[3] = {1}, both[3] = {0, 0, 1}; // layers 1 and 2 use the same block
    char path[TESTS_PATH];
    support_data(path, "ssm/zamba2_untied");
    hel_needs needs;
    measure(path, &needs);
    uint64_t blocks = bytes_of_blocks(path), whole = hel_needs_weights_on(&needs, one, 0);
    assert_int_equal(needs.layers, 3);
    assert_true(blocks > 0);
    assert_int_equal(whole, hel_needs_total(&needs));
    assert_int_equal(hel_needs_weights_on(&needs, without, 0) + hel_needs_weights_on(&needs, without, 1), whole);
    assert_int_equal(hel_needs_weights_on(&needs, both, 0) + hel_needs_weights_on(&needs, both, 1), whole + blocks);
    hel_needs_finish(&needs);
}

// Layers of different sizes, which an average would miscount.
static void test_spill(void **state) {
    (void)state;
    static const struct { uint64_t budget; uint32_t staying; } cases[] = {
        {1113, 4}, {1112, 3}, {1071, 3}, {1070, 2}, {1039, 2}, {1038, 1}, {1017, 1}, {1016, 0}, {0, 0}};
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        uint32_t places[4] = {0};
        assert_int_equal(hel_needs_spill(&tied, cases[i].budget, places), cases[i].staying);
        for (uint32_t l = 0; l < 4; l++) assert_int_equal(places[l], l >= cases[i].staying);
    }
}

static void test_refusal(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_model_params params = hel_model_params_default();
    params.devices = "cpu";
    params.memory_limit = 100000;
    hel_model *model;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_ERROR_MEMORY);
    assert_null(model);
    assert_non_null(strstr(hel_error_message(), "the weights need 1.04 MB and 100 kB may be used"));
}

// A context that no memory could hold is refused before anything is allocated, and a smaller one works then.
static void test_context_room(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_model_params params = hel_model_params_default();
    hel_context_params shape = hel_context_params_default();
    params.devices = "cpu";
    hel_model *model;
    hel_context *context;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    shape.capacity = UINT32_C(1) << 31;
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_ERROR_DEVICE_MEMORY);
    assert_non_null(strstr(hel_error_message(), "context of 2147483648 positions"));
    shape.capacity = 1 << 27; // each binding fits, all of them take 160 GiB
    if (hel_os_memory_free() < (uint64_t)128 << 30)
        assert_int_equal(hel_context_create(model, &shape, &context), HEL_ERROR_MEMORY);
    shape.capacity = 64;
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_OK);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void count_warning(void *user, hel_log_level level, const char *message) {
    (void)level, (void)message;
    ++*(int *)user;
}

// A model of states alone has no end: a long context takes no more than a short one.
static void test_no_end(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "ssm/mamba");
    hel_model_params params = hel_model_params_default();
    hel_context_params shape = hel_context_params_default();
    params.devices = "cpu";
    shape.batch = 8;
    hel_model *model;
    hel_model_info info;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    hel_model_describe(model, &info);
    assert_int_equal(info.context_length, 0);
    uint64_t before, after[2];
    int warnings = 0;
    hel_log_set(count_warning, &warnings, HEL_LOG_WARNING);
    hel_device_memory(hel_model_device(model, 0), &before, NULL);
    for (int i = 0; i < 2; i++) {
        hel_context *context;
        shape.capacity = i ? 1000000000 : 0;
        assert_int_equal(hel_context_create(model, &shape, &context), HEL_OK);
        assert_int_equal(hel_context_capacity(context), i ? 1000000000 : 2048);
        assert_null(context->pass.stages[0].cache.table);
        hel_device_memory(hel_model_device(model, 0), &after[i], NULL);
        assert_int_equal(hel_context_logits(context, (const uint32_t[]){1, 2, 3}, 3, (float[53]){0}), HEL_OK);
        hel_context_destroy(&context);
    }
    hel_log_set(NULL, NULL, HEL_LOG_ERROR);
    assert_int_equal(warnings, 0);
    assert_true(after[0] > before);
    assert_int_equal(after[0], after[1]);
    hel_model_destroy(&model);
}

// A device that claims less than it has: the caches, the activations and the loops of a context are measured by it.
static void test_device_limits(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    hel_model_params params = hel_model_params_default();
    hel_context_params shape = hel_context_params_default();
    params.devices = "cpu";
    shape.capacity = 512;
    shape.batch = 16;
    hel_model *model;
    hel_context *context;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    hel_device *device = (hel_device *)(uintptr_t)hel_model_device(model, 0);
    const hel_device_limits own = device->limits;

    device->limits.max_binding = 512 * 4 * 8 * sizeof(float); // keys of a layer
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_OK);
    hel_context_destroy(&context);
    device->limits.max_binding -= 4;
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_ERROR_DEVICE_MEMORY);
    assert_non_null(strstr(hel_error_message(), "a context of 512 positions"));

    shape.capacity = 64;
    shape.batch = 64;
    device->limits.max_binding = 64 * 172 * sizeof(float) - 4; // one of the feed-forward's products
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_ERROR_DEVICE_MEMORY);
    assert_non_null(strstr(hel_error_message(), "a context of 64 positions, 64 at a time: 64 rows of 172"));

    device->limits = own;
    device->limits.loop_iterations = 1000;
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_OK);
    hel_context_destroy(&context);
    shape.capacity = 1000;
    assert_int_equal(hel_context_create(model, &shape, &context), HEL_ERROR_UNSUPPORTED);
    assert_non_null(strstr(hel_error_message(), "at most 576 positions, not 1000"));
    device->limits = own;
    hel_model_destroy(&model);
}

static uint32_t devices_used(const char *path) {
    hel_model_params params = hel_model_params_default();
    params.devices = "cuda";
    hel_model *model;
    hel_model_info info;
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    hel_model_describe(model, &info);
    hel_model_destroy(&model);
    return info.devices;
}

// What others have of a GPU is not there for layers: the fake driver says that it is so much.
static void test_full_gpu(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/stories260K.bin");
    assert_int_equal(devices_used(path), 1);
    setenv("FAKE_CUDA_FREE", "1500000", 1);
    assert_int_equal(devices_used(path), 2);
    unsetenv("FAKE_CUDA_FREE");
    assert_int_equal(devices_used(path), 1);
}

int main(int argc, char **argv) {
    const struct CMUnitTest on_fake_cuda[] = {cmocka_unit_test(test_full_gpu)};
    if (argc > 1 && strcmp(argv[1], "fake_cuda") == 0) return cmocka_run_group_tests(on_fake_cuda, NULL, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_device), cmocka_unit_test(test_tied_head), cmocka_unit_test(test_shared),
                                       cmocka_unit_test(test_spill), cmocka_unit_test(test_refusal), cmocka_unit_test(test_context_room),
                                       cmocka_unit_test(test_no_end), cmocka_unit_test(test_device_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
