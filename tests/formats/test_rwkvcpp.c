// SPDX-License-Identifier: Apache-2.0
// Checkpoints of rwkv.cpp: what a small one holds, what real ones hold, and files that break each rule.
#include "support/folder.h"
#include "support/model_files.h"

#include "base/text.h"
#include "formats/rwkvcpp.h"

static char path[TESTS_PATH];

// ---------------------------------------------------------------- reading

static void expect_values(hel_archive *archive, const char *name, uint32_t rank, uint64_t rows, float first, float step) {
    float values[32];
    const hel_tensor_info *tensor = hel_archive_find(archive, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->rank, rank);
    assert_int_equal(tensor->shape[0], rows);
    assert_true(tensor->elements <= 32);
    assert_int_equal(hel_archive_read_f32(archive, tensor, 0, tensor->elements, values), HEL_OK);
    for (uint64_t i = 0; i < tensor->elements; i++) assert_true(values[i] == first + step * (float)i);
}

static void test_values(void **state) {
    (void)state;
    char name[TESTS_PATH];
    hel_archive *archive;
    support_data(name, "tiny/rwkvcpp.bin");
    assert_int_equal(hel_archive_open(name, &archive), HEL_OK);
    const hel_rwkvcpp_header *header = hel_archive_rwkvcpp(archive);
    assert_non_null(header);
    assert_true(header->version == 101 && header->vocabulary == 4 && header->hidden == 2 && header->layers == 1);
    assert_int_equal(archive->n_tensors, 11);
    expect_values(archive, "emb.weight", 2, 4, 0, 1);
    expect_values(archive, "blocks.0.ln0.weight", 1, 2, 8, 1);
    static const char *const mixes[] = {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"};
    for (int i = 0; i < 6; i++) {
        char mix[64];
        snprintf(mix, sizeof mix, "blocks.0.att.%s", mixes[i]);
        expect_values(archive, mix, 3, 1, 10 + 2 * (float)i, 1);
    }
    assert_null(hel_archive_find(archive, "blocks.0.att.x_rwkvag"));
    expect_values(archive, "blocks.0.att.key.weight", 2, 2, 22, 1);
    expect_values(archive, "blocks.0.ffn.key.weight", 2, 1, 0, 0.5f);
    assert_string_equal(hel_archive_find(archive, "blocks.0.ffn.key.weight")->stored_as, "Q8_0");
    expect_values(archive, "head.weight", 2, 4, 30, 1);
    hel_archive_close(&archive);
}

static void test_real(void **state) {
    (void)state;
    static const struct { const char *file; uint32_t version, hidden, layers; size_t tensors; } files[] = {
        {"data/lm_rwkv/tiny-rwkv-4v0-660K-FP32.bin", 100, 128, 4, 4 + 2 + 4 * 18},
        {"data/lm_rwkv/tiny-rwkv-7v0-834K-FP32.bin", 101, 64, 12, 4 + 2 + 12 * 33 - 3},
    };
    for (size_t i = 0; i < 2; i++) {
        char name[TESTS_PATH];
        hel_archive *archive;
        SUPPORT_NEED_SHARED(name, files[i].file);
        assert_int_equal(hel_archive_open(name, &archive), HEL_OK);
        const hel_rwkvcpp_header *header = hel_archive_rwkvcpp(archive);
        assert_true(header->version == files[i].version && header->vocabulary == 256);
        assert_true(header->hidden == files[i].hidden && header->layers == files[i].layers);
        assert_int_equal(archive->n_tensors, files[i].tensors);
        hel_archive_close(&archive);
    }
}

// ---------------------------------------------------------------- rules

typedef struct described {
    uint32_t rank, type, shape[4];
    const char *name;
    size_t bytes; // of data
} described;

static void put_words(hel_text *out, const uint32_t *words, size_t count) { hel_text_append(out, words, count * sizeof *words); }

static void put_tensor(hel_text *out, const described *tensor) {
    uint32_t words[] = {tensor->rank, (uint32_t)strlen(tensor->name), tensor->type};
    put_words(out, words, 3);
    put_words(out, tensor->shape, tensor->rank < 4 ? tensor->rank : 4);
    hel_text_append(out, tensor->name, strlen(tensor->name));
    for (size_t i = 0; i < tensor->bytes; i++) hel_text_append(out, "", 1);
}

static const described embedding = {2, 0, {2, 4}, "emb.weight", 32}, head = {2, 0, {2, 4}, "head.weight", 32};

static hel_status open_with(const uint32_t header[6], const described *tensors, size_t count) {
    hel_text bytes = {0};
    hel_archive *archive = NULL;
    put_words(&bytes, header, 6);
    for (size_t i = 0; i < count; i++) put_tensor(&bytes, &tensors[i]);
    write_bytes(path, bytes.bytes, bytes.size);
    hel_text_finish(&bytes);
    hel_status status = hel_archive_open(path, &archive);
    if (status != HEL_OK) assert_non_null(strstr(hel_error_message(), path));
    hel_archive_close(&archive);
    return status;
}

static void test_header_rules(void **state) {
    (void)state;
    static const struct { uint32_t words[6]; hel_status status; } headers[] = {
        {{0x67676d66, 101, 4, 2, 1, 0}, HEL_OK},
        {{0x67676d66, 100, 4, 2, 1, 1}, HEL_OK},
        {{0x67676d66, 99, 4, 2, 1, 0}, HEL_ERROR_UNSUPPORTED},
        {{0x67676d66, 102, 4, 2, 1, 0}, HEL_ERROR_UNSUPPORTED},
        {{0x67676d66, 101, 0, 2, 1, 0}, HEL_ERROR_FORMAT},
        {{0x67676d66, 101, 5, 2, 1, 0}, HEL_ERROR_FORMAT}, // the embedding has 4 rows
        {{0x67676d66, 101, 4, 3, 1, 0}, HEL_ERROR_FORMAT},
        {{0x67676d66, 101, 4, UINT32_MAX, 1, 0}, HEL_ERROR_FORMAT},
        {{0x67676d66, 101, 4, 2, 0, 0}, HEL_ERROR_FORMAT},
        {{0x67676d66, 101, 4, 2, 5000, 0}, HEL_ERROR_FORMAT},
        {{0x67676d66, 101, 4, 2, 1, 4}, HEL_ERROR_UNSUPPORTED}, // a removed type
        {{0x67676d66, 100, 4, 2, 1, 2}, HEL_ERROR_UNSUPPORTED}, // blocks of the first version
    };
    const described ends[] = {embedding, head};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        assert_int_equal(open_with(headers[i].words, ends, 2), headers[i].status);
    assert_int_equal(open_with(headers[0].words, &embedding, 1), HEL_ERROR_FORMAT);
    assert_int_equal(open_with(headers[0].words, &head, 1), HEL_ERROR_FORMAT);
}

static void test_tensor_rules(void **state) {
    (void)state;
    static const uint32_t header[6] = {0x67676d66, 101, 4, 2, 1, 0}, old[6] = {0x67676d66, 100, 4, 2, 1, 0};
    static const char long_name[] = "blocks.0.a.name.that.takes.more.than.sixty.three.bytes.to.write.down";
    static const struct { described tensor; hel_status status; } tensors[] = {
        {{1, 0, {2}, "blocks.0.ln0.weight", 8}, HEL_OK},
        {{2, 8, {32, 2}, "blocks.0.att.key.weight", 48}, HEL_OK},
        {{0, 0, {0}, "a", 4}, HEL_ERROR_FORMAT},
        {{4, 0, {1, 1, 1, 1}, "a", 4}, HEL_ERROR_FORMAT},
        {{1, 10, {2}, "a", 8}, HEL_ERROR_UNSUPPORTED},
        {{1, 0, {0}, "a", 0}, HEL_ERROR_FORMAT},
        {{1, 0, {2}, "", 8}, HEL_ERROR_FORMAT},
        {{1, 0, {2}, long_name, 8}, HEL_ERROR_FORMAT},
        {{1, 0, {2}, "a b", 8}, HEL_ERROR_FORMAT},
        {{1, 0, {2}, "emb.weight", 8}, HEL_ERROR_FORMAT},          // twice
        {{1, 0, {2}, "blocks.1.ln1.weight", 8}, HEL_ERROR_FORMAT}, // of one layer
        {{1, 0, {2}, "blocks.x.ln1.weight", 8}, HEL_ERROR_FORMAT},
        {{1, 0, {2}, "a", 7}, HEL_ERROR_FORMAT},                   // the file ends early
        {{3, 0, {INT32_MAX, INT32_MAX, INT32_MAX}, "a", 8}, HEL_ERROR_FORMAT},
        {{2, 8, {31, 1}, "a", 24}, HEL_ERROR_FORMAT},              // no whole block
        {{3, 0, {2, 1, 6}, "blocks.0.att.x_rwkvag", 48}, HEL_OK},
        {{3, 0, {2, 1, 5}, "blocks.0.att.x_rwkvag", 40}, HEL_ERROR_FORMAT},
        {{3, 0, {2, 2, 6}, "blocks.0.att.x_rwkvag", 96}, HEL_ERROR_FORMAT},
        {{3, 8, {32, 1, 6}, "blocks.0.att.x_rwkvag", 144}, HEL_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const described all[] = {embedding, head, tensors[i].tensor};
        assert_int_equal(open_with(header, all, 3), tensors[i].status);
    }
    const described all[] = {embedding, head, {2, 8, {32, 2}, "blocks.0.att.key.weight", 48}};
    assert_int_equal(open_with(old, all, 3), HEL_ERROR_UNSUPPORTED);
}

static int make_path(void **state) {
    folder_make(state);
    support_join(path, folder, "file.bin");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_real), cmocka_unit_test(test_header_rules),
        cmocka_unit_test(test_tensor_rules),
    };
    return cmocka_run_group_tests(tests, make_path, folder_remove);
}
