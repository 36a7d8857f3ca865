// SPDX-License-Identifier: Apache-2.0
// Passes of one token, replayed: the bits of passes that are dispatched kernel by kernel, whatever comes between, and
// nothing in a recording that could go stale. Argument: a device, one that records.
#include "support/device_here.h"
#include "support/folder.h"
#include "support/model_here.h"

#include "base/error.h"
#include "base/size.h"
#include "device/backend.h"
#include "models/context.h"

enum { CAPACITY = 160, VOCABULARY = 512 };

static const char *device_name = "vulkan";
static char dense_path[TESTS_PATH], compressed_path[TESTS_PATH];

static hel_model *load(const char *path) {
    hel_model *model = model_on(device_name, path);
    assert_true(hel_model_device(model, 0)->features.recording);
    return model;
}

static hel_context *new_context(const hel_model *model, bool no_recording) {
    hel_context_params params = hel_context_params_default();
    params.capacity = CAPACITY;
    params.batch = 24;
    params.no_recording = no_recording;
    hel_context *context = NULL;
    assert_int_equal(hel_context_create(model, &params, &context), HEL_OK);
    return context;
}

static uint32_t token_at(uint32_t i) { return (i * 7919u + 13u) % VOCABULARY; }

// ---------------------------------------------------------------- the same bits

// Rewinds to `from` and evaluates `count` tokens, `step` at a time; the last logits go to `out`.
typedef struct part {
    uint32_t from, count, step;
} part;

static const part parts[] = {
    {0, 5, 5},      {5, 70, 1},   // over the ends of two pages
    {10, 3, 1},     {13, 60, 60}, // in three batches
    {73, 30, 1},    {0, 4, 1},      {4, 1, 1},  {5, 2, 2},
    {3, 31, 1},     {34, 126, 126}, {159, 1, 1} // the last position
};

static void evaluate(hel_context *context, const part *p, uint32_t seed, float out[VOCABULARY]) {
    uint32_t tokens[CAPACITY];
    assert_int_equal(hel_context_rewind(context, p->from), HEL_OK);
    for (uint32_t i = 0; i < p->count; i++) tokens[i] = token_at(seed + p->from + i);
    for (uint32_t done = 0; done < p->count; done += p->step)
        assert_int_equal(hel_context_logits(context, tokens + done, p->step, out), HEL_OK);
}

// Three contexts take turns on one device: two that replay, with other tokens, and one that does not.
static void test_bits(void **state) {
    (void)state;
    float first[VOCABULARY], second[VOCABULARY], plain[VOCABULARY];
    hel_model *model = load(compressed_path);
    hel_context *a = new_context(model, false), *b = new_context(model, false), *c = new_context(model, true);
    for (size_t i = 0; i < HEL_COUNT(parts); i++) {
        evaluate(a, &parts[i], 1, first);
        evaluate(b, &parts[i], 2, second);
        evaluate(c, &parts[i], 1, plain);
        if (memcmp(first, plain, sizeof plain)) fail_msg("part %zu: replays give other logits", i);
    }
    assert_non_null(a->replay.recording);
    assert_null(c->replay.recording);
    assert_int_equal(hel_context_rewind(c, 0), HEL_OK);
    for (size_t i = 0; i < HEL_COUNT(parts); i++) evaluate(c, &parts[i], 2, plain);
    assert_memory_equal(second, plain, sizeof plain);
    hel_context_destroy(&a);
    evaluate(b, &parts[5], 2, second);
    evaluate(c, &parts[5], 2, plain);
    assert_memory_equal(second, plain, sizeof plain);
    hel_context_destroy(&b);
    hel_context_destroy(&c);
    hel_model_destroy(&model);
}

static bool refuse_logits(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)user, (void)first, (void)count, (void)logits;
    return false;
}

// Layers that keep states: single tokens between longer passes, calls that are taken back, new beginnings.
static void test_states(void **state) {
    (void)state;
    enum { STATE_VOCABULARY = 29 };
    static const uint32_t steps[] = {1, 1, 5, 1, 1, 1, 30, 1, 24, 1, 1};
    char path[TESTS_PATH];
    float recorded[STATE_VOCABULARY], plain[STATE_VOCABULARY];
    support_data(path, "rwkv/rwkv7.bin");
    hel_model *model = load(path);
    hel_context *a = new_context(model, false), *b = new_context(model, true);
    for (int round = 0; round < 2; round++) {
        uint32_t tokens[30], done = 0;
        for (size_t i = 0; i < HEL_COUNT(steps); i++) {
            for (uint32_t j = 0; j < steps[i]; j++) tokens[j] = token_at(done + j) % STATE_VOCABULARY;
            assert_int_equal(hel_context_evaluate(a, tokens, steps[i], 0, refuse_logits, NULL), HEL_ERROR_CANCELLED);
            assert_int_equal(hel_context_logits(a, tokens, steps[i], recorded), HEL_OK);
            assert_int_equal(hel_context_logits(b, tokens, steps[i], plain), HEL_OK);
            assert_memory_equal(recorded, plain, sizeof plain);
            done += steps[i];
        }
        assert_int_equal(hel_context_rewind(a, 0), HEL_OK);
        assert_int_equal(hel_context_rewind(b, 0), HEL_OK);
    }
    assert_non_null(a->replay.recording);
    hel_context_destroy(&a);
    hel_context_destroy(&b);
    hel_model_destroy(&model);
}

// Without logits nothing waits: replays are queued behind each other while the last ones are pending.
static void test_queued(void **state) {
    (void)state;
    float recorded[VOCABULARY], plain[VOCABULARY];
    hel_model *model = load(dense_path);
    for (int round = 0; round < 2; round++) {
        hel_context *context = new_context(model, round > 0);
        uint32_t token;
        for (uint32_t i = 0; i < 40; i++) {
            token = token_at(i);
            assert_int_equal(hel_context_evaluate(context, &token, 1, 1, NULL, NULL), HEL_OK);
        }
        assert_int_equal(hel_context_logits(context, &token, 1, round ? plain : recorded), HEL_OK);
        hel_context_destroy(&context);
    }
    assert_memory_equal(recorded, plain, sizeof plain);
    hel_model_destroy(&model);
}

// ---------------------------------------------------------------- nothing can go stale

// What the model would dispatch for the next token; the caller's.
static hel_recorded_dispatch *calls_now(hel_context *context, uint32_t *out_count) {
    hel_exec *exec = &context->pass.stages[0].exec;
    hel_recording *recording;
    hel_exec_reset(exec);
    hel_exec_record_begin(exec);
    context->pass.count = 1;
    hel_network_forward(&context->model->network, &context->pass);
    *out_count = exec->n_calls;
    hel_recorded_dispatch *copy = malloc(exec->n_calls * sizeof *copy);
    memcpy(copy, exec->calls, exec->n_calls * sizeof *copy);
    assert_int_equal(hel_exec_record_end(exec, &recording), HEL_OK);
    hel_recording_destroy(exec->device, &recording);
    return copy;
}

static void assert_same_call(const hel_recorded_dispatch *a, const hel_recorded_dispatch *b) {
    assert_ptr_equal(a->kernel, b->kernel);
    assert_int_equal(a->groups, b->groups);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->params_size, b->params_size);
    assert_memory_equal(a->params, b->params, a->params_size);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_ptr_equal(a->bindings[i].buffer, b->bindings[i].buffer);
        assert_int_equal(a->bindings[i].offset, b->bindings[i].offset);
        assert_int_equal(a->bindings[i].size, b->bindings[i].size);
    }
}

// At every position, after every kind of pass, the model asks for the same dispatches: an operator that puts the position
// or the token into parameters, bindings or its number of groups would show here.
static void test_same_calls(void **state) {
    (void)state;
    float logits[VOCABULARY];
    hel_model *model = load(compressed_path);
    hel_context *context = new_context(model, false);
    uint32_t count, later;
    hel_recorded_dispatch *first = calls_now(context, &count);
    assert_true(count > 5 * 10); // layers, dispatches of each
    for (size_t i = 0; i < HEL_COUNT(parts); i++) {
        evaluate(context, &parts[i], 3, logits);
        hel_recorded_dispatch *now = calls_now(context, &later);
        assert_int_equal(later, count);
        for (uint32_t j = 0; j < count; j++) assert_same_call(&first[j], &now[j]);
        free(now);
    }
    free(first);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static hel_status refuse(const hel_device *device, const hel_checked_dispatch *dispatches, uint32_t count,
                         hel_recording **out) {
    (void)device, (void)dispatches, (void)count, (void)out;
    return hel_fail(HEL_ERROR_DEVICE, "not today");
}

// A driver that does not record after all: every token comes out all the same.
static void test_refusing_driver(void **state) {
    (void)state;
    float refused[VOCABULARY], plain[VOCABULARY];
    hel_model *model = load(dense_path);
    hel_device_base *base = hel_device_base_of(hel_model_device(model, 0));
    const hel_device_functions *functions = base->functions;
    hel_device_functions refusing = *functions;
    hel_context *a = new_context(model, false), *b = new_context(model, true);
    refusing.recording_create = refuse;
    base->functions = &refusing;
    for (size_t i = 0; i < 3; i++) evaluate(a, &parts[i], 4, refused);
    base->functions = functions;
    for (size_t i = 0; i < 3; i++) evaluate(b, &parts[i], 4, plain);
    assert_memory_equal(refused, plain, sizeof plain);
    assert_null(a->replay.recording);
    hel_context_destroy(&a);
    hel_context_destroy(&b);
    hel_model_destroy(&model);
}

// What cannot be recorded is refused instead of being left out of the recording.
static void test_host_values(void **state) {
    (void)state;
    hel_model *model = load(dense_path);
    hel_context *context = new_context(model, false);
    hel_exec *exec = &context->pass.stages[0].exec;
    float value[1] = {1};
    for (int upload = 0; upload < 2; upload++) {
        hel_recording *recording;
        hel_exec_reset(exec);
        hel_exec_record_begin(exec);
        hel_tensor x = hel_exec_tensor(exec, 1, 1);
        if (upload) hel_exec_upload(exec, x, value);
        else hel_exec_download(exec, x, value);
        assert_int_equal(hel_exec_record_end(exec, &recording), HEL_ERROR_INTERNAL);
        assert_null(recording);
    }
    uint32_t token = 1;
    float logits[VOCABULARY];
    assert_int_equal(hel_context_logits(context, &token, 1, logits), HEL_OK);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static int set_up(void **state) {
    folder_make(state);
    support_data(dense_path, "stories260K/stories260K.bin");
    support_join(compressed_path, folder, "model.safetensors");
    return hel_compress(dense_path, compressed_path, NULL, NULL) == HEL_OK ? 0 : -1;
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),        cmocka_unit_test(test_queued),          cmocka_unit_test(test_same_calls),
        cmocka_unit_test(test_host_values), cmocka_unit_test(test_refusing_driver), cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests_name(device_name, tests, set_up, folder_remove);
}
