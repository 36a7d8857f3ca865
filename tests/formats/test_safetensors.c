// SPDX-License-Identifier: Apache-2.0
// Every rule of the safetensors header, sharded folders, self-contained files, and what the writer lays out.
#include "support/folder.h"
#include "support/model_files.h"

#include "base/file.h"

static char path[TESTS_PATH];

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

// The 23 probes of which the reference accepts the first three.
static const struct probe {
    const char *what, *header;
    size_t data;
    hel_status status;
    const char *words; // must stand in the message
} probes[] = {
    {"duplicate key", "{" A "," A "}", 8, HEL_ERROR_FORMAT, "duplicate"},
    {"leading blank", " {" A "}", 8, HEL_ERROR_FORMAT, "begin with '{'"},
    {"path with ..", "{\"../../x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "../../x"},
    {"absolute path", "{\"/x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "/x"},
    {"hole", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, HEL_ERROR_FORMAT, "hole"},
    {"overlap", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3,
     HEL_ERROR_FORMAT, "overlap"},
    {"trailing bytes", "{" A "}", 9, HEL_ERROR_FORMAT, "after the last tensor"},
    {"short data", "{" A "}", 7, HEL_ERROR_FORMAT, "data_offsets"},
    {"unknown dtype", "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, HEL_ERROR_FORMAT, "dtype"},
    {"metadata is no string", "{\"__metadata__\":{\"x\":1}," A "}", 8, HEL_ERROR_FORMAT, "__metadata__"},
    {"metadata is no object", "{\"__metadata__\":[]," A "}", 8, HEL_ERROR_FORMAT, "__metadata__"},
    {"bad UTF-8", "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "JSON"},
    {"shape overflow", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, HEL_ERROR_FORMAT, "overflow"},
    {"byte overflow", "{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, HEL_ERROR_FORMAT, "overflow"},
    {"shape mismatch", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, HEL_ERROR_FORMAT, "match"},
    {"begin above end", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, HEL_ERROR_FORMAT, "data_offsets"},
    {"negative offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, HEL_ERROR_FORMAT, "data_offsets"},
    {"negative dimension", "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "shape"},
    {"float dimension", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "shape"},
    {"no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "shape"},
    {"text behind", "{" A "}x", 8, HEL_ERROR_FORMAT, "JSON"},
    {"not an object", "[1]", 0, HEL_ERROR_FORMAT, "'{'"},
    {"empty name", "{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HEL_ERROR_FORMAT, "name"},
    {"blanks behind", "{" A "}   ", 8, HEL_OK, ""},
    {"empty tensors", "{\"z\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[8,8]}," A ",\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]}}", 9, HEL_OK, ""},
};

static void test_probes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        hel_archive *archive = NULL;
        write_safetensors_text(path, probes[i].header, strlen(probes[i].header), probes[i].data);
        hel_status status = hel_safetensors_open(path, &archive);
        if (status != probes[i].status) print_error("%s: %s\n", probes[i].what, hel_error_message());
        assert_int_equal(status, probes[i].status);
        if (status != HEL_OK && !strstr(hel_error_message(), probes[i].words)) print_error("%s: %s\n", probes[i].what, hel_error_message());
        if (status != HEL_OK) assert_non_null(strstr(hel_error_message(), probes[i].words));
        if (status != HEL_OK) assert_non_null(strstr(hel_error_message(), path));
        hel_archive_close(&archive);
    }
}

static void test_lengths(void **state) {
    (void)state;
    static const uint64_t lengths[] = {0, 1, 100, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7, 100000001};
    hel_archive *archive;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        memcpy(bytes, &lengths[i], 8);
        write_bytes(path, bytes, sizeof bytes);
        assert_int_equal(hel_safetensors_open(path, &archive), HEL_ERROR_FORMAT);
    }
    for (size_t size = 0; size < 8; size++) {
        write_bytes(path, "\2\0\0\0\0\0\0\0", size);
        assert_int_equal(hel_safetensors_open(path, &archive), HEL_ERROR_FORMAT);
        assert_int_equal(hel_archive_open(path, &archive), HEL_ERROR_FORMAT);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    static const float floats[6] = {1, -2, 3.5f, 0, 1e30f, -0.0f};
    static const uint16_t halves[3] = {0x3c00, 0xc000, 0x7bff}, brains[2] = {0x3f80, 0xc040};
    static const double doubles[2] = {0.1, -1e300};
    static const int64_t longs[2] = {-5, 7};
    static const int8_t bytes[3] = {-128, 0, 127};
    const test_tensor tensors[] = {
        {"d", HEL_F64, 1, {2}, doubles}, {"l", HEL_I64, 1, {2}, longs}, {"f", HEL_F32, 2, {2, 3}, floats},
        {"h", HEL_F16, 1, {3}, halves},  {"b", HEL_BF16, 1, {2}, brains}, {"i", HEL_I8, 1, {3}, bytes},
    };
    json_t *metadata = json_pack("{s:s, s:s, s:s}", "config", "{\"model_type\":\"x\"}", "tokenizer", "T\xc3\xa9", "tokenizer_config", "C");
    write_safetensors(path, tensors, 6, metadata);
    json_decref(metadata);
    hel_archive *archive;
    float out[6];
    assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
    assert_string_equal(archive->format->name, "safetensors");
    assert_int_equal(archive->n_tensors, 6);
    assert_string_equal(archive->tokenizer_text, "T\xc3\xa9");
    assert_int_equal(archive->tokenizer_size, 3);
    assert_string_equal(archive->tokenizer_config_text, "C");
    assert_string_equal(json_string_value(json_object_get(archive->config, "model_type")), "x");
    assert_null(hel_archive_find(archive, "none"));
    const hel_tensor_info *f = hel_archive_find(archive, "f");
    assert_int_equal(f->rank, 2);
    assert_int_equal(hel_archive_read_f32(archive, f, 1, 5, out), HEL_OK);
    assert_memory_equal(out, floats + 1, 20);
    assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "h"), 0, 3, out), HEL_OK);
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 65504);
    assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "b"), 0, 2, out), HEL_OK);
    assert_true(out[0] == 1 && out[1] == -3);
    assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "d"), 0, 2, out), HEL_OK);
    assert_true(out[0] == 0.1f && isinf(out[1]));
    assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "l"), 0, 2, out), HEL_OK);
    assert_true(out[0] == -5 && out[1] == 7);
    assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "i"), 0, 3, out), HEL_OK);
    assert_true(out[0] == -128 && out[2] == 127);
    assert_int_equal(hel_archive_read_f32(archive, f, 4, 3, out), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_archive_read(archive, f, 2, out, 4), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_archive_read(archive, f, 24, out, 4), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_archive_read(archive, f, UINT64_MAX - 3, out, 8), HEL_ERROR_ARGUMENT);
    void *all;
    assert_int_equal(hel_archive_read_all(archive, f, 23, &all), HEL_ERROR_FORMAT);
    assert_int_equal(hel_archive_read_all(archive, f, 24, &all), HEL_OK);
    assert_memory_equal(all, floats, 24);
    hel_free(all);
    hel_archive_close(&archive);
    assert_null(archive);
}

static void test_layout(void **state) {
    (void)state;
    char *header;
    size_t size;
    hel_safetensors_entry twice[2] = {{.name = "a", .rank = 1, .shape = {1}}, {.name = "a", .rank = 1, .shape = {1}}};
    assert_int_equal(hel_safetensors_layout(twice, 2, NULL, &header, &size), HEL_ERROR_ARGUMENT);
    hel_safetensors_entry huge = {.name = "a", .rank = 2, .shape = {UINT32_MAX, (uint64_t)1 << 40}};
    assert_int_equal(hel_safetensors_layout(&huge, 1, NULL, &header, &size), HEL_ERROR_ARGUMENT);
    hel_safetensors_entry odd[2] = {{.name = "a", .dtype = HEL_U8, .rank = 1, .shape = {3}}, {.name = "b", .dtype = HEL_F32, .rank = 1, .shape = {2}}};
    assert_int_equal(hel_safetensors_layout(odd, 2, NULL, &header, &size), HEL_OK);
    assert_int_equal(odd[1].offset, 3);
    assert_int_equal(size % 8, 0);
    assert_int_equal(header[8], '{');
    hel_free(header);
}

// Two shards and an index, which is then broken in each way.
static hel_status open_sharded(const char *index) {
    char name[TESTS_PATH + 64];
    hel_archive *archive = NULL;
    snprintf(name, sizeof name, "%s/model.safetensors.index.json", folder);
    write_bytes(name, index, strlen(index));
    hel_status status = hel_archive_open(folder, &archive);
    if (status == HEL_OK) {
        float value;
        assert_string_equal(archive->format->name, "Hugging Face folder");
        assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "b"), 0, 1, &value), HEL_OK);
        assert_true(value == 2);
        assert_int_equal(hel_archive_read_f32(archive, hel_archive_find(archive, "a"), 0, 1, &value), HEL_OK);
        assert_true(value == 1);
    }
    hel_archive_close(&archive);
    return status;
}

static void test_shards(void **state) {
    (void)state;
    char name[TESTS_PATH + 64];
    static const float one = 1, two = 2;
    snprintf(name, sizeof name, "%s/model-1.safetensors", folder);
    write_safetensors(name, &(test_tensor){"a", HEL_F32, 1, {1}, &one}, 1, NULL);
    snprintf(name, sizeof name, "%s/model-2.safetensors", folder);
    write_safetensors(name, &(test_tensor){"b", HEL_F32, 1, {1}, &two}, 1, NULL);
    snprintf(name, sizeof name, "%s/sub", folder);
    assert_int_equal(open_sharded("{\"weight_map\":{\"b\":\"model-2.safetensors\",\"a\":\"model-1.safetensors\"}}"), HEL_OK);
    assert_int_equal(open_sharded("{\"weight_map\":{\"b\":\"model-1.safetensors\",\"a\":\"model-1.safetensors\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"c\":\"model-2.safetensors\",\"a\":\"model-1.safetensors\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":\"../model-1.safetensors\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":\"/etc/passwd\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":\"sub/model-1.safetensors\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":\"..\"}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":7}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{}}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{}"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("[]"), HEL_ERROR_FORMAT);
    assert_int_equal(open_sharded("{\"weight_map\":{\"a\":\"model-3.safetensors\"}}"), HEL_ERROR_NOT_FOUND);
}

static int make_path(void **state) {
    folder_make(state);
    support_join(path, folder, "file.safetensors");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes), cmocka_unit_test(test_lengths), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout), cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, make_path, folder_remove);
}
