// SPDX-License-Identifier: Apache-2.0
// Several contexts at once on one model, and numbers of threads: always the same bits. Argument: a device.
#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

#include "base/os.h"
#include "base/size.h"

static const char *device_name = "cpu";
static char source[TESTS_PATH];

enum { CONTEXTS = 4, TOKENS = 40, VOCABULARY = 512 };

typedef struct generation_job {
    const hel_model *model;
    uint32_t prompt;
    uint32_t tokens[TOKENS];
    float logits[VOCABULARY];
    hel_status status;
} generation_job;

static hel_model *load(uint32_t threads) {
    hel_model_params params = hel_model_params_default();
    params.devices = device_name;
    params.threads = threads;
    hel_model *model = NULL;
    assert_int_equal(hel_model_load(source, &params, &model), HEL_OK);
    return model;
}

// Generates, then takes the logits of one more token.
static hel_status work(generation_job *job) {
    hel_context_params params = hel_context_params_default();
    params.capacity = 64;
    hel_context *context = NULL;
    hel_generation generation = {0};
    hel_generate_params generate = hel_generate_params_default();
    generate.max_tokens = TOKENS;
    generate.ignore_eos = true;
    generate.sampling.temperature = 0.8f;
    generate.sampling.seed = job->prompt;
    uint32_t prompt[] = {1, job->prompt};
    hel_status status = hel_context_create(job->model, &params, &context);
    if (status == HEL_OK) status = hel_generate(context, prompt, 2, &generate, &generation);
    if (status == HEL_OK) memcpy(job->tokens, generation.tokens, sizeof job->tokens);
    if (status == HEL_OK) status = hel_context_logits(context, prompt, 2, job->logits);
    hel_generation_finish(&generation);
    hel_context_destroy(&context);
    return status;
}

static void run(void *user) {
    generation_job *job = user;
    job->status = work(job);
}

static void test_contexts(void **state) {
    (void)state;
    hel_model *model = load(0);
    generation_job alone[CONTEXTS], together[CONTEXTS];
    hel_os_thread *threads[CONTEXTS];
    for (uint32_t i = 0; i < CONTEXTS; i++) {
        alone[i] = together[i] = (generation_job){.model = model, .prompt = 300 + 7 * i};
        run(&alone[i]);
        assert_int_equal(alone[i].status, HEL_OK);
    }
    for (int i = 0; i < CONTEXTS; i++) assert_non_null(threads[i] = hel_os_thread_create(run, &together[i]));
    for (int i = 0; i < CONTEXTS; i++) hel_os_thread_join(&threads[i]);
    for (int i = 0; i < CONTEXTS; i++) {
        assert_int_equal(together[i].status, HEL_OK);
        assert_memory_equal(together[i].tokens, alone[i].tokens, sizeof alone[i].tokens);
        assert_memory_equal(together[i].logits, alone[i].logits, sizeof alone[i].logits);
    }
    hel_model_destroy(&model);
}

static void test_thread_counts(void **state) {
    (void)state;
    static generation_job results[8];
    for (uint32_t threads = 1; threads <= HEL_COUNT(results); threads++) {
        hel_model *model = load(threads);
        generation_job *job = &results[threads - 1];
        job->model = model;
        job->prompt = 310;
        run(job);
        hel_model_destroy(&model);
        assert_int_equal(job->status, HEL_OK);
        assert_memory_equal(job->tokens, results[0].tokens, sizeof job->tokens);
        assert_memory_equal(job->logits, results[0].logits, sizeof job->logits);
    }
}

static void read_file(const char *path, char **out, size_t *out_size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *out_size = (size_t)ftell(file);
    rewind(file);
    *out = malloc(*out_size);
    assert_int_equal(fread(*out, 1, *out_size, file), *out_size);
    fclose(file);
}

static void test_compress(void **state) {
    (void)state;
    char *first = NULL, path[TESTS_PATH];
    size_t first_size = 0;
    setenv("SOURCE_DATE_EPOCH", "1000000000", 1);
    for (uint32_t threads = 1; threads <= 4; threads++) {
        hel_compress_params params = hel_compress_params_default();
        params.threads = threads;
        params.overwrite = true;
        support_join(path, folder, "out.safetensors");
        assert_int_equal(hel_compress(source, path, &params, NULL), HEL_OK);
        char *bytes;
        size_t size;
        read_file(path, &bytes, &size);
        if (!first) {
            first = bytes;
            first_size = size;
            continue;
        }
        assert_int_equal(size, first_size);
        assert_memory_equal(bytes, first, size);
        free(bytes);
    }
    free(first);
}

static int set_up(void **state) {
    folder_make(state);
    support_data(source, "stories260K/stories260K.bin");
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    const hel_device *device;
    int missing = device_open_here(device_name, &device);
    if (missing) return missing;
    bool cpu = device->type == HEL_DEVICE_TYPE_CPU;
    hel_device_destroy(&device);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_contexts), cmocka_unit_test(test_thread_counts), cmocka_unit_test(test_compress)};
    const struct CMUnitTest contexts_only[] = {cmocka_unit_test(test_contexts)};
    return cpu ? cmocka_run_group_tests_name(device_name, tests, set_up, folder_remove)
               : cmocka_run_group_tests_name(device_name, contexts_only, set_up, folder_remove);
}
