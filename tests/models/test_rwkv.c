// SPDX-License-Identifier: Apache-2.0
// RWKV on the devices named by the first argument ("cpu", "opencl,cpu"): logits of an independent reference in double
// precision, logits that come with real checkpoints, tokens at once against steps, compression, failures that leave no trace.
#include "support/model_here.h"
#include "support/model_files.h"

#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

static const char *devices;

enum { TOKENS = 256 };

static uint32_t vocabulary_of(const hel_model *model) {
    hel_model_info info;
    hel_model_describe(model, &info);
    return info.vocabulary;
}

// As tests/models/rwkv_reference.py chooses them.
static void make_tokens(uint32_t tokens[TOKENS], uint32_t vocabulary) {
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = (7919 * i + 13) % vocabulary;
}

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

// ---------------------------------------------------------------- the reference, 256 tokens

static const char *const versions[] = {"4", "5.0", "5.1", "5.2", "6", "7"};
enum { VERSIONS = sizeof versions / sizeof *versions };

static float *read_logits(const char *name, uint32_t vocabulary, uint32_t tokens) {
    char path[TESTS_PATH];
    size_t size;
    support_data(path, name);
    float *logits = read_bytes(path, &size);
    assert_int_equal(size, (size_t)tokens * vocabulary * sizeof *logits);
    return logits;
}

static float *expected_logits(const char *version, uint32_t vocabulary) {
    char name[64];
    snprintf(name, sizeof name, "rwkv/rwkv%s.logits", version);
    return read_logits(name, vocabulary, TOKENS);
}

static hel_model *load_version(const char *version) {
    char name[64], path[TESTS_PATH];
    snprintf(name, sizeof name, "rwkv/rwkv%s.bin", version);
    support_data(path, name);
    return model_on(devices, path);
}

// The first tokens of the text at once, against a file of logits.
static void check_logits_of(const char *path, const char *logits_name, uint32_t count) {
    hel_model *model = model_on(devices, path);
    uint32_t tokens[TOKENS], vocabulary = vocabulary_of(model);
    make_tokens(tokens, vocabulary);
    float *expected = read_logits(logits_name, vocabulary, count);
    comparison c = {expected, vocabulary, 0};
    hel_context *context = context_of(model, 0, 0);
    assert_int_equal(hel_context_evaluate(context, tokens, count, 0, compare, &c), HEL_OK);
    print_message("%s on %s: largest difference %.2e\n", path, devices, c.worst);
    assert_true(c.worst <= 1e-4);
    free(expected);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void check_logits(const char *model_name, const char *logits_name, uint32_t count) {
    char path[TESTS_PATH];
    support_data(path, model_name);
    check_logits_of(path, logits_name, count);
}

static void test_reference(void **state) {
    (void)state;
    char model[64], logits[64];
    for (int v = 0; v < VERSIONS; v++) {
        snprintf(model, sizeof model, "rwkv/rwkv%s.bin", versions[v]);
        snprintf(logits, sizeof logits, "rwkv/rwkv%s.logits", versions[v]);
        check_logits(model, logits, TOKENS);
    }
}

// Parameters as they were trained, under the authors' names and under transformers', which has version 4 alone.
static void test_raw(void **state) {
    (void)state;
    check_logits("rwkv/rwkv5.0.safetensors", "rwkv/rwkv5.0.authors.logits", TOKENS);
    check_logits("rwkv/rwkv6.safetensors", "rwkv/rwkv6.logits", TOKENS);
    check_logits("rwkv/rwkv7.safetensors", "rwkv/rwkv7.logits", TOKENS);
    check_logits("rwkv/transformers", "rwkv/transformers/logits", 64);
}

// Whatever pieces a text comes in, and where passes end, the logits after it stay.
static void test_steps(void **state) {
    (void)state;
    static const uint32_t pieces[] = {1, 1, 9, 1, 48, 64, 1, 65, 66};
    for (int v = 0; v < VERSIONS; v++) {
        hel_model *model = load_version(versions[v]);
        uint32_t tokens[TOKENS], vocabulary = vocabulary_of(model), done = 0;
        make_tokens(tokens, vocabulary);
        float *expected = expected_logits(versions[v], vocabulary), *logits = malloc(vocabulary * sizeof *logits);
        hel_context *context = context_of(model, 0, 48);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            assert_int_equal(hel_context_logits(context, tokens + done, pieces[i], logits), HEL_OK);
            done += pieces[i];
            comparison c = {expected, vocabulary, 0};
            compare(&c, done - 1, 1, logits);
            assert_true(c.worst <= 1e-4);
        }
        assert_int_equal(done, TOKENS);
        free(expected);
        free(logits);
        hel_context_destroy(&context);
        hel_model_destroy(&model);
    }
}

// ---------------------------------------------------------------- real checkpoints

static const uint32_t prompt[] = {'"', 'i', 'n'};

static void check_real(const char *version) {
    char path[TESTS_PATH], name[128], logits_path[TESTS_PATH];
    size_t size;
    snprintf(name, sizeof name, "data/lm_rwkv/tiny-rwkv-%s-FP32.bin", version);
    SUPPORT_NEED_SHARED(path, name);
    snprintf(name, sizeof name, "data/lm_rwkv/expected-logits-%s.bin", version);
    SUPPORT_NEED_SHARED(logits_path, name);
    float *expected = read_bytes(logits_path, &size), logits[256];
    assert_int_equal(size, sizeof logits);
    hel_model *model = model_on(devices, path);
    hel_context *context = context_of(model, 0, 0);
    assert_int_equal(hel_context_logits(context, prompt, 3, logits), HEL_OK);
    double worst = support_difference(logits, expected, 256);
    print_message("%s on %s: largest difference %.2e\n", version, devices, worst);
    assert_true(worst <= 1e-4);
    free(expected);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void test_real_4(void **state) { (void)state, check_real("4v0-660K"); }
static void test_real_7(void **state) { (void)state, check_real("7v0-834K"); }

// ---------------------------------------------------------------- compressed

static const char text[] = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness";

typedef struct kept_logits {
    float *values;
    uint32_t vocabulary;
} kept_logits;

static bool keep(void *user, uint32_t first, uint32_t count, const float *logits) {
    kept_logits *to = user;
    memcpy(to->values + (size_t)first * to->vocabulary, logits, (size_t)count * to->vocabulary * sizeof *logits);
    return true;
}

// Logits of the text; *out_compressed counts matrices with a codebook.
static float *logits_of(const char *path, size_t *out_count, uint32_t *out_compressed) {
    hel_model *model = model_on(devices, path);
    hel_model_info info;
    hel_model_describe(model, &info);
    uint32_t tokens[sizeof text], count = sizeof text - 1;
    for (uint32_t i = 0; i < count; i++) tokens[i] = (unsigned char)text[i] % info.vocabulary;
    kept_logits to = {malloc((size_t)count * info.vocabulary * sizeof(float)), info.vocabulary};
    hel_context *context = context_of(model, 0, 0);
    assert_int_equal(hel_context_evaluate(context, tokens, count, 0, keep, &to), HEL_OK);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    *out_count = (size_t)count * info.vocabulary;
    *out_compressed = info.compressed;
    return to.values;
}

static double cosine(const float *a, const float *b, size_t count) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < count; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
    return ab / sqrt(aa * bb);
}

static void check_compressed(const char *source, uint32_t matrices) {
    char path[TESTS_PATH];
    support_join(path, folder, "compressed.safetensors");
    assert_int_equal(hel_compress(source, path, NULL, NULL), HEL_OK);
    size_t count, again;
    uint32_t none, compressed;
    float *dense = logits_of(source, &count, &none), *small = logits_of(path, &again, &compressed);
    assert_int_equal(again, count);
    assert_int_equal(none, 0);
    assert_int_equal(compressed, matrices);
    print_message("%s on %s, k = 256: cosine %.7f\n", source, devices, cosine(dense, small, count));
    assert_true(cosine(dense, small, count) >= 0.999);
    free(dense);
    free(small);
    support_remove(path);
}

static void check_compressed_real(const char *version, uint32_t matrices) {
    char source[TESTS_PATH], name[128];
    snprintf(name, sizeof name, "data/lm_rwkv/tiny-rwkv-%s-FP32.bin", version);
    SUPPORT_NEED_SHARED(source, name);
    check_compressed(source, matrices);
}

static void test_compressed_4(void **state) { (void)state, check_compressed_real("4v0-660K", 4 * 7); }
static void test_compressed_7(void **state) { (void)state, check_compressed_real("7v0-834K", 12 * 6); }

// Most matrices are too small to gain anything; what is made ready is written down so.
static void test_compressed_raw(void **state) {
    (void)state;
    char source[TESTS_PATH];
    support_data(source, "rwkv/rwkv6.safetensors");
    check_compressed(source, 4);
    support_data(source, "rwkv/transformers");
    check_compressed(source, 0);
}

// ---------------------------------------------------------------- exported

static void export_to(const char *name, const char *output) {
    char source[TESTS_PATH];
    support_data(source, name);
    if (hel_export(source, output, NULL, NULL)) fail_msg("%s: %s", name, hel_error_message());
}

static void expect_same_tensors(hel_archive *a, hel_archive *b) {
    static float values[2][4096];
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const hel_tensor_info *from = &a->tensors[i], *to = hel_archive_find(b, from->name);
        if (!to) fail_msg("no tensor %s", from->name);
        assert_int_equal(from->rank, to->rank);
        assert_memory_equal(from->shape, to->shape, from->rank * sizeof *from->shape);
        assert_true(from->elements <= 4096);
        assert_int_equal(hel_archive_read_f32(a, from, 0, from->elements, values[0]), HEL_OK);
        assert_int_equal(hel_archive_read_f32(b, to, 0, from->elements, values[1]), HEL_OK);
        assert_true(support_difference(values[0], values[1], from->elements) <= 1e-6);
    }
}

// Version 4 has the names, shapes and values that transformers' class reads, whatever file it came from.
static void test_exported(void **state) {
    (void)state;
    char out[TESTS_PATH], source[TESTS_PATH];
    hel_archive *before, *after;
    support_join(out, folder, "from_transformers");
    export_to("rwkv/transformers", out);
    check_logits_of(out, "rwkv/transformers/logits", 64);
    support_data(source, "rwkv/transformers");
    assert_int_equal(hel_archive_open(source, &before), HEL_OK);
    assert_int_equal(hel_archive_open(out, &after), HEL_OK);
    expect_same_tensors(before, after);
    assert_string_equal(json_string_value(json_object_get(after->config, "model_type")), "rwkv");
    assert_string_equal(json_string_value(json_array_get(json_object_get(after->config, "architectures"), 0)), "RwkvForCausalLM");
    assert_int_equal(json_integer_value(json_object_get(after->config, "context_length")), 256);
    hel_archive_close(&before);
    hel_archive_close(&after);
    support_join(out, folder, "from_rwkvcpp");
    export_to("rwkv/rwkv4.bin", out);
    check_logits_of(out, "rwkv/rwkv4.logits", TOKENS);
    support_join(out, folder, "rwkv7");
    export_to("rwkv/rwkv7.safetensors", out);
    check_logits_of(out, "rwkv/rwkv7.logits", TOKENS);
}

// ---------------------------------------------------------------- what is refused

typedef struct refused_tensor {
    const char *name;
    uint32_t rank;
} refused_tensor;

static void check_refused(const refused_tensor *names, size_t count, const char *config, hel_status status) {
    static const float values[16];
    test_tensor tensors[8];
    char path[TESTS_PATH];
    for (size_t i = 0; i < count; i++)
        tensors[i] = (test_tensor){.name = names[i].name, .dtype = HEL_F32, .rank = names[i].rank,
                                   .shape = {names[i].rank > 1 ? 4 : 16, 4}, .values = values};
    support_join(path, folder, "model.safetensors");
    write_safetensors(path, tensors, count, NULL);
    support_join(path, folder, "config.json");
    write_bytes(path, config, strlen(config));
    hel_model *model = NULL;
    assert_int_equal(hel_model_load(folder, NULL, &model), status);
    assert_null(model);
}

#define TRANSFORMERS {"rwkv.embeddings.weight", 2}, {"rwkv.blocks.0.attention.key.weight", 2}, {"rwkv.blocks.0.feed_forward.key.weight", 2}
#define AUTHORS {"emb.weight", 2}, {"blocks.0.ln0.weight", 1}, {"blocks.0.att.key.weight", 2}, {"blocks.0.ffn.key.weight", 2}

static void test_refused(void **state) {
    (void)state;
    static const refused_tensor version_5[] = {TRANSFORMERS, {"rwkv.blocks.0.attention.ln_x.weight", 1}}, version_4[] = {TRANSFORMERS},
                                flat_factor[] = {AUTHORS, {"blocks.0.att.r_k", 2}, {"blocks.0.att.w1", 1}},
                                other_names[] = {{"model.layers.0.attn.x_r", 1}};
    check_refused(version_5, 4, "{\"model_type\": \"rwkv5\"}", HEL_ERROR_UNSUPPORTED);
    check_refused(version_4, 3, "{\"model_type\": \"rwkv\", \"layer_norm_epsilon\": 1e-6}", HEL_ERROR_UNSUPPORTED);
    check_refused(flat_factor, 6, "{}", HEL_ERROR_FORMAT);
    check_refused(other_names, 1, "{\"model_type\": \"rwkv7\"}", HEL_ERROR_UNSUPPORTED);
}

// ---------------------------------------------------------------- states

static bool refuse(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)user, (void)first, (void)count, (void)logits;
    return false;
}

static bool refuse_later(void *user, uint32_t first, uint32_t count, const float *logits) {
    (void)user, (void)count, (void)logits;
    return first == 0;
}

// A call that fails, at once or after batches that went well, leaves the states as they were: what follows has the same bits as
// without it. Rewinding goes to the beginning or nowhere.
static void test_states(void **state) {
    (void)state;
    enum { BATCH = 6, FIRST = 5, SECOND = 8 };
    for (int v = 0; v < VERSIONS; v++) {
        hel_model *model = load_version(versions[v]);
        uint32_t tokens[TOKENS], vocabulary = vocabulary_of(model);
        make_tokens(tokens, vocabulary);
        size_t size = vocabulary * sizeof(float);
        float *logits = malloc(size), *plain = malloc(size);
        hel_context *context = context_of(model, 0, BATCH), *untouched = context_of(model, 0, BATCH);
        for (int round = 0; round < 2; round++) {
            for (uint32_t at = 0; at < 3 * (FIRST + SECOND); at += FIRST + SECOND) {
                assert_int_equal(hel_context_evaluate(context, tokens + at, FIRST, FIRST, NULL, NULL), HEL_OK);
                assert_int_equal(hel_context_evaluate(context, tokens + at, 3, 0, refuse, NULL), HEL_ERROR_CANCELLED);
                assert_int_equal(hel_context_evaluate(context, tokens + at, 3 * BATCH, 0, refuse_later, NULL), HEL_ERROR_CANCELLED);
                assert_int_equal(hel_context_position(context), at + FIRST);
                assert_int_equal(hel_context_logits(context, tokens + at + FIRST, SECOND, logits), HEL_OK);
                assert_int_equal(hel_context_evaluate(untouched, tokens + at, FIRST, FIRST, NULL, NULL), HEL_OK);
                assert_int_equal(hel_context_logits(untouched, tokens + at + FIRST, SECOND, plain), HEL_OK);
                assert_memory_equal(logits, plain, size);
            }
            assert_int_equal(hel_context_rewind(context, 7), HEL_ERROR_UNSUPPORTED);
            assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
            assert_int_equal(hel_context_rewind(untouched, 0), HEL_OK);
        }
        free(logits);
        free(plain);
        hel_context_destroy(&context);
        hel_context_destroy(&untouched);
        hel_model_destroy(&model);
    }
}

int main(int argc, char **argv) {
    devices = argc > 1 ? argv[1] : "cpu";
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(devices, ","), devices);
    if (!device_here(name)) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),    cmocka_unit_test(test_raw),          cmocka_unit_test(test_steps), cmocka_unit_test(test_real_4), cmocka_unit_test(test_real_7),
        cmocka_unit_test(test_compressed_4), cmocka_unit_test(test_compressed_7), cmocka_unit_test(test_compressed_raw), cmocka_unit_test(test_exported),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests_name(devices, tests, folder_make, folder_remove);
}
