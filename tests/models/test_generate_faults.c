// SPDX-License-Identifier: Apache-2.0
// Loading a model and generating from it while one allocation, or one driver call, fails: a status, nothing left over, and what
// survives still works. Allocations fail; built with an injector (tests/device/faults.h) the driver's calls do.
// Arguments: the number of parts (support/part.h) that the points of failure are dealt out to; a model of the test data, "" a
// compressed Llama, as without one; where allocations fail a device, "cpu" unless given.
#include "support/device_here.h"
#include "support/folder.h"
#include "support/model_files.h"
#include "support/part.h"

#include <helicoid/helicoid.h>

#ifdef WITH_INJECTOR
#include "device/faults.h"
#else
#include "support/failing_heap.h"
#endif

enum { TOKENS = 3, VOCABULARY = 512 };

static const uint32_t prompt[] = {1, 12, 7};

static test_part part = {0, 1}; // of the points that fail
static const char *model_name = "";

static char model_path[TESTS_PATH], cache[TESTS_PATH];
static uint32_t expected[TOKENS];

// ---------------------------------------------------------------- what fails

#ifdef WITH_INJECTOR
static const char *device_name(void) { return injector_device; }
static void fail_at(uint64_t n) { injector_fail_at(n); }
static uint64_t calls(void) { return injector_calls(); }
static uint64_t live(void) { return injector_live(); }
static uint64_t violations(void) { return injector_violations(); }
static void start_counting(void) {
    const hel_device *device; // loads the driver
    assert_int_equal(hel_device_open(injector_device, NULL, &device), HEL_OK);
    hel_device_destroy(&device);
    assert_true(injector_load());
}
static void finish_counting(void) {}
#else
static const char *place = "cpu";
static const hel_device *kept; // keeps the driver loaded: loading it anew for each point would take most of the time
static const char *device_name(void) { return place; }
static void fail_at(uint64_t n) { heap.fail_at = n ? heap.calls + (long)n : 0; }
static uint64_t calls(void) { return (uint64_t)heap.calls; }
static uint64_t live(void) { return (uint64_t)heap.live; }
static uint64_t violations(void) { return 0; }
static void start_counting(void) {
    heap_install();
    assert_int_equal(hel_device_open(place, NULL, &kept), HEL_OK);
}
static void finish_counting(void) {
    hel_device_destroy(&kept);
    hel_memory_set_hooks(NULL);
}
#endif

// ---------------------------------------------------------------- what is done

static hel_status load(hel_model **model, hel_context **context) {
    hel_model_params params = hel_model_params_default();
    params.devices = device_name();
    params.cache_directory = cache;
    params.threads = 1;
    params.precision = HEL_PRECISION_BF16; // where there are matrix units, their trial comes first
    params.tuning = HEL_TUNING_NEVER; // how much of it a run gets done depends on the time; test_tune has its failures
    hel_context_params context_params = hel_context_params_default();
    context_params.capacity = 32;
    hel_status status = hel_model_load(model_path, &params, model);
    return status == HEL_OK ? hel_context_create(*model, &context_params, context) : status;
}

static hel_status generate(hel_context *context) {
    hel_generate_params params = hel_generate_params_default();
    params.max_tokens = TOKENS;
    params.ignore_eos = true;
    hel_generation generation;
    hel_status status = hel_generate(context, prompt, 3, &params, &generation);
    if (status == HEL_OK) {
        assert_int_equal(generation.count, TOKENS);
        if (!expected[0]) memcpy(expected, generation.tokens, sizeof expected);
        assert_memory_equal(generation.tokens, expected, sizeof expected);
    }
    hel_generation_finish(&generation);
    return status;
}

static hel_status run_all(void) {
    hel_model *model = NULL;
    hel_context *context = NULL;
    hel_status status = load(&model, &context);
    if (status == HEL_OK) status = generate(context);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    return status;
}

static void test_whole(void **state) {
    (void)state;
    assert_int_equal(run_all(), HEL_OK);
    uint64_t before = calls(), rest = live();
    assert_int_equal(run_all(), HEL_OK);
    uint64_t total = calls() - before, failed = 0;
    assert_int_equal(live(), rest);
    for (uint64_t n = 1; n <= total; n++) {
        if (!part_has(part, n)) continue;
        fail_at(n);
        failed += run_all() != HEL_OK;
        fail_at(0);
        if (live() != rest) fail_msg("point %llu of %llu: %lld objects were not freed", (unsigned long long)n, (unsigned long long)total, (long long)(live() - rest));
    }
    print_message("%s: %llu of %llu points failed in turn, with a status\n", device_name(), (unsigned long long)failed, (unsigned long long)total);
    assert_true(failed > 50 / part.parts);
    assert_int_equal(run_all(), HEL_OK);
    assert_int_equal(violations(), 0);
}

static void load_anew(hel_model **model, hel_context **context) {
    hel_context_destroy(context);
    hel_model_destroy(model);
    assert_int_equal(load(model, context), HEL_OK);
}

// A context that saw a failure goes on, unless the device says that it is lost.
static void test_handle_stays_usable(void **state) {
    (void)state;
    hel_model *model = NULL;
    hel_context *context = NULL;
    assert_int_equal(load(&model, &context), HEL_OK);
    assert_int_equal(generate(context), HEL_OK);
    uint64_t before = calls();
    assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
    assert_int_equal(generate(context), HEL_OK);
    uint64_t total = calls() - before;
    for (uint64_t n = 1; n <= total; n++) {
        if (!part_has(part, n)) continue;
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        fail_at(n);
        bool gone = generate(context) == HEL_ERROR_DEVICE_LOST;
        fail_at(0);
        if (gone) load_anew(&model, &context);
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        hel_status status = generate(context);
        if (status != HEL_OK) fail_msg("after point %llu of %llu: %s", (unsigned long long)n, (unsigned long long)total, hel_error_message());
    }
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

// What a failed call did to the states of the given model is taken back: the next one gives the bits that it would have given.
static void test_taken_back(void **state) {
    (void)state;
    if (!*model_name) skip(); // Llama has none
    hel_model *model = NULL;
    hel_context *context = NULL;
    float wanted[VOCABULARY] = {0}, logits[VOCABULARY] = {0};
    uint64_t total = 0, failed = 0;
    assert_int_equal(load(&model, &context), HEL_OK);
    for (uint64_t n = 0; n <= total; n++) { // 0: nothing fails
        if (n && !part_has(part, n)) continue;
        assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
        assert_int_equal(hel_context_evaluate(context, prompt, 2, 2, NULL, NULL), HEL_OK);
        uint64_t before = calls();
        fail_at(n);
        hel_status status = hel_context_logits(context, prompt + 2, 1, n ? logits : wanted);
        fail_at(0);
        if (!n) total = calls() - before;
        if (!n) continue;
        failed += status != HEL_OK;
        if (status == HEL_ERROR_DEVICE_LOST) {
            load_anew(&model, &context);
            assert_int_equal(hel_context_evaluate(context, prompt, 2, 2, NULL, NULL), HEL_OK);
        }
        if (status != HEL_OK) assert_int_equal(hel_context_position(context), 2);
        if (status != HEL_OK) assert_int_equal(hel_context_logits(context, prompt + 2, 1, logits), HEL_OK);
        assert_memory_equal(logits, wanted, sizeof wanted);
    }
    print_message("%s: %llu of %llu calls failed\n", device_name(), (unsigned long long)failed, (unsigned long long)total);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

// A file or a folder as it is, or the files of a folder by their name.
static void find_model(void) {
    char name[64], weights[TESTS_PATH];
    support_data(model_path, model_name);
    if (access(model_path, R_OK) == 0) return;
    support_join(weights, folder, "model.safetensors");
    snprintf(name, sizeof name, "%s.safetensors", model_name);
    copy_data(name, weights);
    support_join(model_path, folder, "config.json");
    snprintf(name, sizeof name, "%s.json", model_name);
    copy_data(name, model_path);
    memcpy(model_path, folder, sizeof model_path);
}

static int set_up(void **state) {
    char source[TESTS_PATH];
    folder_make(state);
    support_join(cache, folder, "cache");
    hel_status status = HEL_OK;
    if (*model_name) find_model();
    else {
        support_data(source, "stories260K/stories260K.bin");
        support_join(model_path, folder, "model.safetensors");
        status = hel_compress(source, model_path, NULL, NULL);
    }
    start_counting();
    return status == HEL_OK ? 0 : -1;
}

static int tear_down(void **state) {
    finish_counting();
    return folder_remove(state);
}

int main(int argc, char **argv) {
    if (argc > 1) part = part_of(0, (uint32_t)atoi(argv[1]));
    if (argc > 2) model_name = argv[2];
#ifndef WITH_INJECTOR
    if (argc > 3) place = argv[3];
#endif
    if (!device_here(device_name())) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_handle_stays_usable),
                                       cmocka_unit_test(test_taken_back)};
    return cmocka_run_group_tests_name(device_name(), tests, set_up, tear_down);
}
