// SPDX-License-Identifier: Apache-2.0
// Checked arithmetic, parameter structs, half precision, threads, files, hashes, JSON.
#include "support/support.h"

#include <stdatomic.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/params.h"
#include "base/size.h"
#include "base/text.h"
#include "base/threads.h"

static void test_sizes(void **state) {
    (void)state;
    uint64_t out = 7;
    assert_true(hel_size_mul(1u << 31, 1u << 31, &out) && out == (uint64_t)1 << 62);
    assert_false(hel_size_mul((uint64_t)1 << 32, (uint64_t)1 << 32, &out));
    assert_true(out == (uint64_t)1 << 62);
    assert_false(hel_size_add(UINT64_MAX, 1, &out));
    assert_false(hel_size_align(UINT64_MAX - 2, 8, &out));
    assert_true(hel_size_align(9, 8, &out) && out == 16);
}

// A parameter struct as versions 1, 2 and 3 of a library might have it.
typedef struct params_v1 { size_t struct_size; uint64_t a; } params_v1;
typedef struct params_v2 { size_t struct_size; uint64_t a, b; } params_v2;
typedef struct params_v3 { size_t struct_size; uint64_t a, b, c; } params_v3;
static const params_v2 params_defaults = {sizeof(params_v2), 10, 20};

static void test_params_read(void **state) {
    (void)state;
    params_v2 values = params_defaults;
    assert_int_equal(HEL_PARAMS_READ(NULL, &values, "p"), HEL_OK);
    assert_true(values.a == 10 && values.b == 20);
    struct { params_v1 params; uint64_t behind; } older = {{sizeof(params_v1), 1}, 99};
    assert_int_equal(HEL_PARAMS_READ(&older, &values, "p"), HEL_OK);
    assert_true(values.struct_size == sizeof(params_v2) && values.a == 1 && values.b == 20);
    params_v3 newer = {sizeof newer, 3, 4, 0};
    assert_int_equal(HEL_PARAMS_READ(&newer, &values, "p"), HEL_OK);
    assert_true(values.struct_size == sizeof(params_v2) && values.a == 3 && values.b == 4);
    newer.c = 1;
    assert_int_equal(HEL_PARAMS_READ(&newer, &values, "p"), HEL_ERROR_ARGUMENT);
    static const size_t wrong[] = {0, 1, sizeof(size_t) - 1, sizeof(params_v2) - 1, 8192, SIZE_MAX - 7};
    for (size_t i = 0; i < HEL_COUNT(wrong); i++) {
        params_v2 given = {wrong[i], 1, 2};
        assert_int_equal(HEL_PARAMS_READ(&given, &values, "p"), HEL_ERROR_ARGUMENT);
    }
}

static void test_params_write(void **state) {
    (void)state;
    struct { params_v1 params; uint64_t behind; } older = {{7, 7}, 99};
    HEL_PARAMS_WRITE(&older.params, sizeof older.params, &params_defaults);
    assert_true(older.params.struct_size == sizeof(params_v1) && older.params.a == 10 && older.behind == 99);
    params_v3 newer = {7, 7, 7, 7};
    HEL_PARAMS_WRITE(&newer, sizeof newer, &params_defaults);
    assert_true(newer.struct_size == sizeof newer && newer.a == 10 && newer.b == 20 && newer.c == 0);
    HEL_PARAMS_WRITE(NULL, sizeof newer, &params_defaults);
    HEL_PARAMS_WRITE(&newer, 0, &params_defaults);
    assert_int_equal(newer.struct_size, sizeof newer);
}

// Every half value survives the way through float; halves of halves round to even.
static void test_half(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float value = hel_f16_to_float((uint16_t)h);
        if (isnan(value)) assert_true(isnan(hel_f16_to_float(hel_float_to_f16(value))));
        else assert_int_equal(hel_float_to_f16(value), h);
        float wide = hel_bf16_to_float((uint16_t)h);
        if (!isnan(wide)) assert_int_equal(hel_float_to_bf16(wide), h);
    }
    assert_int_equal(hel_float_to_f16(0x1p-25f), 0);
    assert_int_equal(hel_float_to_f16(0x1.8p-24f), 2);
    assert_int_equal(hel_float_to_f16(65520.0f), 0x7c00);
    assert_int_equal(hel_float_to_f16(65519.0f), 0x7bff);
    assert_int_equal(hel_float_to_f16(1.0f + 0x1p-11f), 0x3c00);
    assert_int_equal(hel_float_to_f16(1.0f + 0x1.8p-10f), 0x3c02);
}

static void count_item(void *user, uint64_t item, uint32_t thread) {
    (void)thread;
    atomic_fetch_add(&((atomic_uint *)user)[item], 1);
}

static void test_threads(void **state) {
    (void)state;
    for (uint32_t count = 1; count <= 5; count++) {
        hel_threads *threads;
        assert_int_equal(hel_threads_create(count, &threads), HEL_OK);
        assert_int_equal(hel_threads_count(threads), count);
        for (int round = 0; round < 200; round++) {
            atomic_uint seen[37] = {0};
            hel_threads_run(threads, 37, count_item, seen);
            for (int i = 0; i < 37; i++) assert_int_equal(atomic_load(&seen[i]), 1);
        }
        hel_threads_destroy(&threads);
        assert_null(threads);
    }
}

static void test_sha256(void **state) {
    (void)state;
    uint8_t digest[HEL_SHA256_SIZE];
    char text[HEL_SHA256_TEXT];
    assert_int_equal(hel_sha256_of("abc", 3, digest), HEL_OK);
    hel_sha256_text(digest, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hel_sha256 *hash;
    assert_int_equal(hel_sha256_create(&hash), HEL_OK);
    for (int round = 0; round < 2; round++) {
        hel_sha256_update(hash, "a", 1);
        hel_sha256_update(hash, "bc", 2);
        uint8_t again[HEL_SHA256_SIZE];
        assert_int_equal(hel_sha256_finish(hash, again), HEL_OK);
        assert_memory_equal(digest, again, sizeof digest);
    }
    hel_sha256_destroy(&hash);
}

static void test_files(void **state) {
    (void)state;
    char directory[TESTS_PATH];
    support_folder(directory);
    char *path;
    assert_int_equal(hel_path_join(directory, "file.bin", &path), HEL_OK);
    assert_int_equal(hel_file_write_all(path, false, "hello", 5), HEL_OK);
    assert_int_equal(hel_file_write_all(path, false, "other", 5), HEL_ERROR_EXISTS);
    hel_file file;
    char bytes[8];
    assert_int_equal(hel_file_open(path, &file), HEL_OK);
    assert_int_equal(hel_file_read(&file, 1, bytes, 4), HEL_OK);
    assert_memory_equal(bytes, "ello", 4);
    assert_int_equal(hel_file_read(&file, 2, bytes, 4), HEL_ERROR_FORMAT);
    assert_non_null(strstr(hel_error_message(), "ends early"));
    assert_int_equal(hel_file_read(&file, UINT64_MAX, bytes, 4), HEL_ERROR_FORMAT);
    hel_file_close(&file);

    hel_writer writer;
    assert_int_equal(hel_writer_open("/dev/null", true, false, &writer), HEL_ERROR_ARGUMENT); // no file to be replaced
    assert_int_equal(hel_writer_open(path, true, false, &writer), HEL_OK);
    hel_writer_append(&writer, "abc", 3);
    hel_writer_abandon(&writer, true);
    assert_int_equal(hel_writer_open(path, true, true, &writer), HEL_OK);
    assert_int_equal(writer.size, 3);
    hel_writer_append(&writer, "def", 3);
    assert_int_equal(hel_writer_commit(&writer), HEL_OK);
    char *text;
    size_t size;
    assert_int_equal(hel_file_read_all(path, 5, &text, &size), HEL_ERROR_FORMAT);
    assert_int_equal(hel_file_read_all(path, 6, &text, &size), HEL_OK);
    assert_string_equal(text, "abcdef");
    hel_free(text);
    support_remove(directory);
    hel_free(path);
    assert_int_equal(hel_file_open("/nonexistent/x", &file), HEL_ERROR_NOT_FOUND);
}

static void test_paths(void **state) {
    (void)state;
    char *parent;
    static const char *cases[][3] = {{"a/b", "a", "b"}, {"b", ".", "b"}, {"/b", "/", "b"}, {"a//b", "a", "b"}, {"a/b/", "a", "b/"}};
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        assert_string_equal(hel_path_name(cases[i][0]), cases[i][2]);
        assert_int_equal(hel_path_parent(cases[i][0], &parent), HEL_OK);
        assert_string_equal(parent, cases[i][1]);
        hel_free(parent);
    }
}

static void test_json(void **state) {
    (void)state;
    static const char *bad[] = {"{\"a\":1,\"a\":2}", "{} x", "{\"a\":01}", "\"\xff\"", "{\"a\":99999999999999999999}", ""};
    json_t *value;
    for (size_t i = 0; i < HEL_COUNT(bad); i++)
        assert_int_equal(hel_json_parse(bad[i], strlen(bad[i]), "test", 0, &value), HEL_ERROR_FORMAT);
    assert_int_equal(hel_json_parse("{\"n\":5,\"f\":1.5,\"s\":\"x\",\"b\":true}", 32, "test", 0, &value), HEL_OK);
    uint64_t n;
    double f;
    assert_int_equal(hel_json_get_u64(value, "n", 0, &n), HEL_OK);
    assert_int_equal(n, 5);
    assert_int_equal(hel_json_get_u64(value, "s", 0, &n), HEL_ERROR_FORMAT);
    assert_int_equal(hel_json_get_f64(value, "f", 0, &f), HEL_OK);
    assert_true(f == 1.5);
    assert_int_equal(hel_json_get_u64(value, "missing", 9, &n), HEL_OK);
    assert_int_equal(n, 9);
    json_decref(value);
}

// What Python writes for no limit is read as a number, and written as it was.
static void test_json_infinity(void **state) {
    (void)state;
    static const char text[] = "{\"limits\":[0.0,Infinity,-Infinity],\"s\":\"1e308 \\\" Infinity\",\"n\":1.1e308}";
    json_t *value;
    char *printed;
    size_t size;
    assert_int_equal(hel_json_parse_config(text, strlen(text), "test", &value), HEL_OK);
    assert_true(json_number_value(json_array_get(json_object_get(value, "limits"), 1)) == 1e308);
    assert_string_equal(json_string_value(json_object_get(value, "s")), "1e308 \" Infinity");
    assert_int_equal(hel_json_print_config(value, 0, &printed, &size), HEL_OK);
    assert_string_equal(printed, text);
    assert_int_equal(size, strlen(text));
    hel_free(printed);
    json_decref(value);
}

static void test_text(void **state) {
    (void)state;
    hel_text text = {0};
    for (int i = 0; i < 1000; i++) hel_text_print(&text, "%d,", i);
    assert_int_equal(hel_text_ok(&text), HEL_OK);
    assert_int_equal(text.size, 3890);
    assert_int_equal(strlen(text.bytes), 3890);
    hel_text_finish(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params_read), cmocka_unit_test(test_params_write),
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_half),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_sha256), cmocka_unit_test(test_files), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_json),  cmocka_unit_test(test_json_infinity), cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
