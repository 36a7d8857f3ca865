// SPDX-License-Identifier: Apache-2.0
// One model with the rows of q and k in both orders: half-split, as the library brings GGUF and llama2.c files into, and
// interleaved with "rope_interleave" in config.json. Both must say the same.
#include "support/support.h"

#include <helicoid/helicoid.h>

#include "base/file.h"
#include "base/memory.h"
#include "models/hyper.h"
#include "models/source.h"

static char halves[TESTS_PATH], pairs[TESTS_PATH];

static void copy_file(const char *name) {
    char from[TESTS_PATH], to[TESTS_PATH], *bytes;
    size_t size;
    support_join(from, halves, name);
    support_join(to, pairs, name);
    assert_int_equal(hel_file_read_all(from, 64 << 20, &bytes, &size), HEL_OK);
    assert_int_equal(hel_file_write_all(to, true, bytes, size), HEL_OK);
    hel_free(bytes);
}

// Row i of a head's first half becomes row 2 i, row i of the second 2 i + 1.
static void interleave(char *data, const hel_tensor_info *tensor, uint32_t head_dim) {
    uint64_t row_bytes = tensor->bytes / tensor->shape[0], half = head_dim / 2;
    char *old = malloc(tensor->bytes);
    assert_non_null(old);
    memcpy(old, data, tensor->bytes);
    for (uint64_t r = 0; r < tensor->shape[0]; r++) {
        uint64_t i = r % head_dim, to = r - i + (i < half ? 2 * i : 2 * (i - half) + 1);
        memcpy(data + to * row_bytes, old + r * row_bytes, row_bytes);
    }
    free(old);
}

static void interleave_weights(void) {
    char path[TESTS_PATH], *bytes;
    size_t size;
    hel_archive *archive;
    hel_hyper hyper;
    support_join(path, pairs, "model.safetensors");
    assert_int_equal(hel_file_read_all(path, 64 << 20, &bytes, &size), HEL_OK);
    assert_int_equal(hel_source_open(halves, &archive), HEL_OK);
    assert_int_equal(hel_hyper_parse(archive->config, halves, &hyper), HEL_OK);
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &archive->tensors[i];
        if (strstr(tensor->name, ".q_proj.weight") || strstr(tensor->name, ".k_proj.weight"))
            interleave(bytes + tensor->offset, tensor, hyper.head_dim);
    }
    hel_archive_close(&archive);
    assert_int_equal(hel_file_write_all(path, true, bytes, size), HEL_OK);
    hel_free(bytes);
}

static void set_key(void) {
    char path[TESTS_PATH];
    json_error_t error;
    support_join(path, pairs, "config.json");
    json_t *config = json_load_file(path, 0, &error);
    assert_non_null(config);
    json_object_set_new(config, "rope_interleave", json_true());
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

static float *logits_of(const char *path) {
    static const uint32_t tokens[] = {1, 403, 407, 261, 378, 300, 12, 77};
    hel_model_params params = hel_model_params_default();
    params.devices = "cpu";
    hel_model *model;
    hel_context *context;
    float *logits = malloc(512 * sizeof *logits);
    assert_int_equal(hel_model_load(path, &params, &model), HEL_OK);
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    assert_int_equal(hel_context_logits(context, tokens, 8, logits), HEL_OK);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
    return logits;
}

static void test_layouts(void **state) {
    (void)state;
    char source[TESTS_PATH];
    support_data(source, "stories260K/stories260K.bin");
    hel_export_params params = hel_export_params_default();
    params.overwrite = true;
    assert_int_equal(hel_export(source, halves, &params, NULL), HEL_OK);
    copy_file("config.json");
    copy_file("model.safetensors");
    interleave_weights();
    float *expected = logits_of(halves), *without_key = logits_of(pairs);
    set_key();
    float *with_key = logits_of(pairs);
    assert_true(support_difference(expected, without_key, 512) > 0.1);
    assert_true(support_difference(expected, with_key, 512) < 1e-4);
    free(expected);
    free(without_key);
    free(with_key);
}

static int set_up(void **state) {
    (void)state;
    support_folder(halves);
    support_folder(pairs);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(halves);
    support_remove(pairs);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
