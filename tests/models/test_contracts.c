// SPDX-License-Identifier: Apache-2.0
// What every public function promises alike: parameter structs of other sizes, NULL where something is needed.
#include "support/support.h"

#include <signal.h>
#include <sys/wait.h>

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

// ---------------------------------------------------------------- NULL

// Calls in a child, so that one that crashes is named.
static void expect(const char *call, bool broken_rule, int how) {
#ifdef HEL_DEBUG_ABORT
    bool good = broken_rule ? WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT : WIFEXITED(how) && WEXITSTATUS(how) == 0;
#else
    (void)broken_rule;
    bool good = WIFEXITED(how) && WEXITSTATUS(how) == 0;
#endif
    if (!good) fail_msg("%s: %s %d", call, WIFSIGNALED(how) ? "signal" : "exit", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
}

#define IN_CHILD(call, good, broken_rule)                  \
    do {                                                   \
        int how = 0;                                       \
        pid_t child = fork();                              \
        if (child == 0) _exit((good) ? 0 : 1);             \
        assert_int_equal(waitpid(child, &how, 0), child);  \
        expect(call, broken_rule, how);                    \
    } while (0)

// A broken rule of a function with a status, which aborts in a build that asks for it or (PLAINLY) never; of one
// without a status, which then gives `value` or nothing; and what is allowed.
#define REFUSED(call) IN_CHILD(#call, (call) == HEL_ERROR_ARGUMENT, true)
#define GIVES(call, value) IN_CHILD(#call, (call) == (value), true)
#define IGNORED(call) IN_CHILD(#call, ((call), true), true)
#define ACCEPTED(call) IN_CHILD(#call, ((call), true), false)
#define REFUSED_PLAINLY(call) IN_CHILD(#call, (call) == HEL_ERROR_ARGUMENT, false)

static const uint32_t ids[] = {1, 2};
static float logits[512];
static char bytes[4];

static void test_null_device(void **state) {
    (void)state;
    const hel_device *device = hel_model_device(model, 0);
    hel_device_entry *list;
    hel_buffer *buffer = NULL, *none = NULL, *made;
    hel_kernel *kernel = NULL;
    size_t count;
    uint64_t ticket;
    void *address;
    assert_int_equal(hel_buffer_create(device, 64, &buffer), HEL_OK);
    assert_int_equal(hel_kernel_get(device, "add", NULL, 0, &kernel), HEL_OK);
    const hel_binding bindings[3] = {{.buffer = NULL}, {.buffer = buffer}, {.buffer = buffer}};
    const uint32_t words[2] = {0, 1};
    REFUSED(hel_device_list(NULL, &count));
    REFUSED(hel_device_list(&list, NULL));
    ACCEPTED(hel_device_list_free(NULL));
    REFUSED(hel_device_open(NULL, NULL, &device));
    REFUSED(hel_device_open("cpu", NULL, NULL));
    REFUSED(hel_device_open_best(NULL, NULL));
    ACCEPTED(hel_device_destroy(NULL));
    ACCEPTED(hel_device_memory(device, NULL, NULL));
    IGNORED(hel_device_memory(NULL, &ticket, &ticket));
    REFUSED(hel_buffer_create(NULL, 64, &made));
    REFUSED(hel_buffer_create(device, 64, NULL));
    ACCEPTED(hel_buffer_destroy(device, NULL));
    ACCEPTED(hel_buffer_destroy(device, &none));
    IGNORED(hel_buffer_destroy(NULL, &buffer));
    GIVES(hel_buffer_size(NULL), 0);
    REFUSED(hel_buffer_map(NULL, buffer, &address));
    REFUSED(hel_buffer_map(device, NULL, &address));
    REFUSED(hel_buffer_map(device, buffer, NULL));
    REFUSED(hel_buffer_write(NULL, HEL_QUEUE_COMPUTE, buffer, 0, bytes, 4));
    REFUSED(hel_buffer_write(device, HEL_QUEUE_COMPUTE, NULL, 0, bytes, 4));
    REFUSED(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, NULL, 4));
    REFUSED(hel_buffer_read(NULL, HEL_QUEUE_COMPUTE, buffer, 0, bytes, 4));
    REFUSED(hel_buffer_read(device, HEL_QUEUE_COMPUTE, NULL, 0, bytes, 4));
    REFUSED(hel_buffer_read(device, HEL_QUEUE_COMPUTE, buffer, 0, NULL, 4));
    REFUSED(hel_buffer_copy(NULL, HEL_QUEUE_COMPUTE, buffer, 0, buffer, 8, 4));
    REFUSED(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, NULL, 0, buffer, 8, 4));
    REFUSED(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, buffer, 0, NULL, 8, 4));
    REFUSED(hel_buffer_fill(NULL, buffer, 0, 4, 0));
    REFUSED(hel_buffer_fill(device, NULL, 0, 4, 0));
    REFUSED(hel_kernel_get(NULL, "add", NULL, 0, &kernel));
    REFUSED(hel_kernel_get(device, NULL, NULL, 0, &kernel));
    REFUSED(hel_kernel_get(device, "add", NULL, 1, &kernel));
    REFUSED(hel_kernel_get(device, "add", NULL, 0, NULL));
    REFUSED(hel_dispatch(NULL, kernel, bindings, 3, words, sizeof words, 1, 0));
    REFUSED(hel_dispatch(device, NULL, bindings, 3, words, sizeof words, 1, 0));
    REFUSED(hel_dispatch(device, kernel, NULL, 3, words, sizeof words, 1, 0));
    REFUSED(hel_dispatch(device, kernel, bindings, 3, NULL, sizeof words, 1, 0));
    REFUSED(hel_dispatch(device, kernel, bindings, 3, words, sizeof words, 1, 0));
    REFUSED(hel_device_flush(NULL));
    REFUSED(hel_device_mark(NULL, HEL_QUEUE_COMPUTE, &ticket));
    REFUSED(hel_device_mark(device, HEL_QUEUE_COMPUTE, NULL));
    REFUSED(hel_device_wait(NULL, 0, 0));
    REFUSED(hel_device_wait_idle(NULL, HEL_QUEUE_COMPUTE));
    REFUSED(hel_device_wait_on(NULL, HEL_QUEUE_COMPUTE, 0));
    REFUSED(hel_timer_query(NULL, 0, &ticket));
    REFUSED(hel_timer_query(device, 0, NULL));
    hel_buffer_destroy(device, &buffer);
}

static void test_null_model(void **state) {
    (void)state;
    hel_model *loaded;
    hel_model_info info;
    hel_context *created;
    REFUSED(hel_model_load(NULL, NULL, &loaded));
    REFUSED(hel_model_load(model_path, NULL, NULL));
    ACCEPTED(hel_model_destroy(NULL));
    IGNORED(hel_model_describe(NULL, &info));
    IGNORED(hel_model_describe(model, NULL));
    GIVES(hel_model_device(NULL, 0), NULL);
    GIVES(hel_model_device(model, 1), NULL);
    GIVES(hel_model_tokenizer(NULL), NULL);
    REFUSED(hel_context_create(NULL, NULL, &created));
    REFUSED(hel_context_create(model, NULL, NULL));
    ACCEPTED(hel_context_destroy(NULL));
    GIVES(hel_context_model(NULL), NULL);
    GIVES(hel_context_capacity(NULL), 0);
    GIVES(hel_context_position(NULL), 0);
    GIVES(hel_context_cache_bytes(NULL), 0);
    REFUSED(hel_context_rewind(NULL, 0));
    REFUSED(hel_context_evaluate(NULL, ids, 1, 1, NULL, NULL));
    REFUSED(hel_context_evaluate(context, NULL, 1, 1, NULL, NULL));
    REFUSED(hel_context_evaluate(context, ids, 1, 0, NULL, NULL));
    REFUSED(hel_context_logits(NULL, ids, 1, logits));
    REFUSED(hel_context_logits(context, NULL, 1, logits));
    REFUSED(hel_context_logits(context, ids, 0, logits));
    REFUSED(hel_context_logits(context, ids, 1, NULL));
}

static void test_null_generate(void **state) {
    (void)state;
    hel_sampler *sampler, *made;
    hel_generation generation = {0};
    hel_perplexity_result result;
    uint32_t token;
    assert_int_equal(hel_sampler_create(NULL, 512, &sampler), HEL_OK);
    REFUSED(hel_sampler_create(NULL, 0, &made));
    REFUSED(hel_sampler_create(NULL, 512, NULL));
    ACCEPTED(hel_sampler_destroy(NULL));
    REFUSED(hel_sampler_pick(NULL, logits, ids, 1, &token));
    REFUSED(hel_sampler_pick(sampler, NULL, ids, 1, &token));
    REFUSED(hel_sampler_pick(sampler, logits, NULL, 1, &token));
    REFUSED(hel_sampler_pick(sampler, logits, ids, 1, NULL));
    REFUSED(hel_generate(NULL, ids, 1, NULL, &generation));
    REFUSED(hel_generate(context, NULL, 1, NULL, &generation));
    REFUSED_PLAINLY(hel_generate(context, ids, 0, NULL, &generation));
    REFUSED(hel_generate(context, ids, 1, NULL, NULL));
    const char *const holes[] = {"stop", NULL};
    hel_generate_params params = hel_generate_params_default();
    params.stop_count = 2;
    REFUSED(hel_generate(context, ids, 1, &params, &generation));
    params.stop = holes;
    REFUSED(hel_generate(context, ids, 1, &params, &generation));
    ACCEPTED(hel_generation_finish(NULL));
    REFUSED(hel_perplexity(NULL, ids, 2, NULL, &result));
    REFUSED(hel_perplexity(model, NULL, 2, NULL, &result));
    REFUSED(hel_perplexity(model, ids, 2, NULL, NULL));
    hel_sampler_destroy(&sampler);
}

static void test_null_tokenizer(void **state) {
    (void)state;
    hel_tokenizer *opened;
    hel_utf8_stream *stream;
    uint32_t *made;
    const char *part;
    char *text;
    size_t size;
    const hel_chat_message messages[] = {{"user", NULL}};
    assert_int_equal(hel_utf8_stream_create(&stream), HEL_OK);
    REFUSED_PLAINLY(hel_tokenizer_open(NULL, NULL, &opened));
    REFUSED_PLAINLY(hel_tokenizer_open(model_path, NULL, NULL));
    ACCEPTED(hel_tokenizer_destroy(NULL));
    ACCEPTED(hel_tokenizer_free(NULL));
    GIVES(hel_tokenizer_vocab_size(NULL), 0);
    GIVES(hel_tokenizer_bos(NULL), HEL_TOKEN_NONE);
    GIVES(hel_tokenizer_eos(NULL), HEL_TOKEN_NONE);
    GIVES(hel_tokenizer_unk(NULL), HEL_TOKEN_NONE);
    GIVES(hel_tokenizer_is_eos(NULL, 0), false);
    GIVES(hel_tokenizer_adds_bos(NULL), false);
    GIVES(hel_tokenizer_is_special(NULL, 0), false);
    GIVES(*hel_tokenizer_piece(NULL, 0, &size), 0);
    ACCEPTED(hel_tokenizer_piece(tokenizer, 0, NULL));
    GIVES(hel_tokenizer_chat_family(NULL), HEL_CHAT_NONE);
    REFUSED_PLAINLY(hel_tokenizer_encode(NULL, "a", 1, NULL, &made, &size));
    REFUSED_PLAINLY(hel_tokenizer_encode(tokenizer, NULL, 1, NULL, &made, &size));
    REFUSED_PLAINLY(hel_tokenizer_encode(tokenizer, "a", 1, NULL, NULL, &size));
    REFUSED_PLAINLY(hel_tokenizer_encode(tokenizer, "a", 1, NULL, &made, NULL));
    REFUSED_PLAINLY(hel_tokenizer_decode(NULL, ids, 1, false, &text, &size));
    REFUSED_PLAINLY(hel_tokenizer_decode(tokenizer, NULL, 1, false, &text, &size));
    REFUSED_PLAINLY(hel_tokenizer_decode(tokenizer, ids, 1, false, NULL, &size));
    REFUSED_PLAINLY(hel_utf8_stream_create(NULL));
    ACCEPTED(hel_utf8_stream_destroy(NULL));
    REFUSED_PLAINLY(hel_utf8_stream_push(NULL, bytes, 1, &part, &size));
    REFUSED_PLAINLY(hel_utf8_stream_push(stream, NULL, 1, &part, &size));
    REFUSED_PLAINLY(hel_utf8_stream_push(stream, bytes, 1, NULL, &size));
    REFUSED_PLAINLY(hel_utf8_stream_flush(NULL, &part, &size));
    REFUSED_PLAINLY(hel_utf8_stream_flush(stream, NULL, &size));
    REFUSED_PLAINLY(hel_chat_format(NULL, HEL_CHAT_CHATML, NULL, 0, true, &text, &size));
    REFUSED_PLAINLY(hel_chat_format(tokenizer, HEL_CHAT_CHATML, NULL, 1, true, &text, &size));
    REFUSED_PLAINLY(hel_chat_format(tokenizer, HEL_CHAT_CHATML, messages, 1, true, &text, &size));
    REFUSED_PLAINLY(hel_chat_format(tokenizer, HEL_CHAT_CHATML, NULL, 0, true, NULL, &size));
    REFUSED_PLAINLY(hel_chat_encode(NULL, HEL_CHAT_CHATML, NULL, 0, true, &made, &size));
    REFUSED_PLAINLY(hel_chat_encode(tokenizer, HEL_CHAT_CHATML, NULL, 0, true, NULL, &size));
    REFUSED_PLAINLY(hel_chat_encode(tokenizer, HEL_CHAT_CHATML, NULL, 0, true, &made, NULL));
    REFUSED_PLAINLY(hel_tokenizer_print_json(NULL, &text, &size));
    REFUSED_PLAINLY(hel_tokenizer_print_json(tokenizer, NULL, &size));
    REFUSED_PLAINLY(hel_tokenizer_print_config_json(NULL, &text, &size));
    REFUSED_PLAINLY(hel_tokenizer_print_config_json(tokenizer, NULL, &size));
    hel_utf8_stream_destroy(&stream);
}

static void test_null_files(void **state) {
    (void)state;
    char *text;
    REFUSED_PLAINLY(hel_compress(NULL, "out", NULL, NULL));
    REFUSED_PLAINLY(hel_compress(model_path, NULL, NULL, NULL));
    ACCEPTED(hel_compress_report_finish(NULL));
    REFUSED_PLAINLY(hel_verify(NULL, NULL, NULL, NULL));
    REFUSED_PLAINLY(hel_info_json(NULL, &text));
    REFUSED_PLAINLY(hel_info_json(model_path, NULL));
    ACCEPTED(hel_info_free(NULL));
    REFUSED_PLAINLY(hel_export(NULL, "out", NULL, NULL));
    REFUSED_PLAINLY(hel_export(model_path, NULL, NULL, NULL));
    ACCEPTED(hel_memory_set_hooks(NULL));
    ACCEPTED(hel_log_set(NULL, NULL, HEL_LOG_DEBUG));
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_older_caller),   cmocka_unit_test(test_null_device),
        cmocka_unit_test(test_null_model),    cmocka_unit_test(test_null_generate), cmocka_unit_test(test_null_tokenizer),
        cmocka_unit_test(test_null_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
