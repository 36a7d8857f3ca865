// SPDX-License-Identifier: Apache-2.0
// Loading and running a model of Hyena operators, and the operator by itself, while one allocation fails: a status, nothing left over.
#include "support/model_files.h"
#include "support/failing_heap.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

enum { TOKENS = 131, VOCABULARY = 16, WIDTH = 12 }; // past a tile

static hel_device_params quiet;

static void copy(const char *name, const char *to) {
    char target[TESTS_PATH];
    support_join(target, folder, to);
    copy_data(name, target);
}

static hel_status evaluate(const hel_model *model) {
    static const uint32_t tokens[TOKENS] = {1, 2, 3};
    float logits[VOCABULARY];
    hel_context *context = NULL;
    hel_context_params params = hel_context_params_default();
    params.capacity = TOKENS + 1;
    hel_status status = hel_context_create(model, &params, &context);
    if (status == HEL_OK) status = hel_context_logits(context, tokens, TOKENS - 4, logits);
    for (int i = 4; status == HEL_OK && i > 0; i--) status = hel_context_logits(context, tokens + TOKENS - i, 1, logits);
    hel_context_destroy(&context);
    return status;
}

static hel_status run_model(void) {
    hel_model_params params = hel_model_params_default();
    hel_model *model = NULL;
    params.devices = "cpu";
    params.threads = 1;
    hel_status status = hel_model_load(folder, &params, &model);
    if (status == HEL_OK) status = evaluate(model);
    hel_model_destroy(&model);
    return status;
}

static hel_status run_operator(void) {
    static float x[2 * 10 * WIDTH], y[2 * 10 * WIDTH];
    char path[TESTS_PATH];
    const hel_device *device = NULL;
    hel_hyena *hyena = NULL;
    hel_hyena_params params = hel_hyena_params_default();
    params.prefix = "hyena.backbone.layers.0.mixer.";
    support_join(path, folder, "model.safetensors");
    hel_status status = hel_device_open("cpu", &quiet, &device);
    if (status == HEL_OK) status = hel_hyena_create(device, path, &params, &hyena);
    if (status == HEL_OK) status = hel_hyena_forward(hyena, 2, 10, x, y);
    hel_hyena_destroy(&hyena);
    hel_device_destroy(&device);
    return status;
}

static void fail_each(hel_status (*run)(void), const char *name) {
    assert_int_equal(run(), HEL_OK);
    long before = heap.calls, rest = heap.live, failed = 0;
    assert_int_equal(run(), HEL_OK);
    long total = heap.calls - before;
    assert_int_equal(heap.live, rest);
    for (long n = 1; n <= total; n++) {
        heap.fail_at = heap.calls + n;
        failed += run() != HEL_OK;
        heap.fail_at = 0;
        if (heap.live != rest) fail_msg("%s: allocation %ld of %ld: %ld were not freed", name, n, total, heap.live - rest);
    }
    print_message("%s: %ld of %ld allocations failed in turn, with a status\n", name, failed, total);
    assert_true(failed > 50);
}

static void test_model(void **state) { (void)state, fail_each(run_model, "model"); }
static void test_operator(void **state) { (void)state, fail_each(run_operator, "operator"); }

static int set_up(void **state) {
    folder_make(state);
    copy("hyena/hyenadna.safetensors", "model.safetensors");
    copy("hyena/hyenadna.json", "config.json");
    quiet = hel_device_params_default();
    quiet.threads = 1;
    heap_install();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model), cmocka_unit_test(test_operator)};
    return cmocka_run_group_tests(tests, set_up, folder_remove);
}
