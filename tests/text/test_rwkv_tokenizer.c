// SPDX-License-Identifier: Apache-2.0
// RWKV's vocabulary files and models of bytes: recorded ids (made by make_rwkv.py), a round through tokenizer.json, and files
// that break each rule.
#include "text_support.h"

static hel_tokenizer *open_world(void) {
    char path[TESTS_PATH];
    hel_tokenizer *tokenizer = NULL;
    support_data(path, "tokenizer/rwkv_world.txt");
    if (hel_tokenizer_open(NULL, path, &tokenizer)) fail_msg("%s", hel_error_message());
    return tokenizer;
}

static size_t from_hex(const char *hex, size_t digits, char *out) {
    for (size_t i = 0; i < digits / 2; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        out[i] = (char)value;
    }
    return digits / 2;
}

static void expect_ids(const hel_tokenizer *tokenizer, const char *text, size_t size, const char *expected) {
    uint32_t *ids;
    size_t count, decoded_size;
    char *decoded;
    assert_int_equal(hel_tokenizer_encode(tokenizer, text, size, NULL, &ids, &count), HEL_OK);
    for (size_t i = 0; i < count; i++) {
        char *end;
        assert_int_equal(ids[i], strtoul(expected, &end, 10));
        expected = end;
    }
    assert_int_equal(strspn(expected, " "), strlen(expected));
    assert_int_equal(hel_tokenizer_decode(tokenizer, ids, count, false, &decoded, &decoded_size), HEL_OK);
    assert_int_equal(decoded_size, size);
    assert_memory_equal(decoded, text, size);
    hel_tokenizer_free(decoded);
    hel_tokenizer_free(ids);
}

static void expect_recorded(const hel_tokenizer *tokenizer) {
    char path[TESTS_PATH], text[4096];
    support_data(path, "tokenizer/rwkv_world.expected");
    text_lines lines = text_read_lines(path);
    assert_true(lines.count >= 40);
    for (size_t i = 0; i + 1 < lines.count; i += 2) {
        assert_true(lines.lines[i].size / 2 <= sizeof text);
        expect_ids(tokenizer, text, from_hex(lines.lines[i].bytes, lines.lines[i].size, text), lines.lines[i + 1].bytes);
    }
    text_free_lines(&lines);
}

static void test_world(void **state) {
    (void)state;
    hel_tokenizer *tokenizer = open_world();
    assert_int_equal(hel_tokenizer_eos(tokenizer), 0);
    assert_int_equal(hel_tokenizer_bos(tokenizer), HEL_TOKEN_NONE);
    expect_recorded(tokenizer);
    hel_tokenizer_destroy(&tokenizer);
}

// As tokenizer.json it says the same.
static void test_printed(void **state) {
    (void)state;
    char *text;
    hel_tokenizer *tokenizer = open_world(), *again = NULL;
    hel_tokenizer_json_source source = {.name = "printed"};
    assert_int_equal(hel_tokenizer_print_json(tokenizer, &text, &source.size), HEL_OK);
    source.text = text;
    if (hel_tokenizer_read_json(&source, &again)) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_tokenizer_vocab_size(again), hel_tokenizer_vocab_size(tokenizer));
    expect_recorded(again);
    hel_tokenizer_free(text);
    hel_tokenizer_destroy(&again);
    hel_tokenizer_destroy(&tokenizer);
}

static void test_bytes(void **state) {
    (void)state;
    char text[256], expected[256 * 4 + 16] = "";
    for (size_t i = 0, used = 0; i < 256; i++) {
        text[i] = (char)i;
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%u ", (unsigned)i);
    }
    hel_tokenizer *tokenizer = NULL;
    assert_int_equal(hel_tokenizer_make_bytes(&tokenizer), HEL_OK);
    assert_int_equal(hel_tokenizer_vocab_size(tokenizer), 256);
    expect_ids(tokenizer, text, sizeof text, expected);
    hel_tokenizer_destroy(&tokenizer);
}

static void test_rules(void **state) {
    (void)state;
    static const struct { const char *text; hel_status status; } files[] = {
        {"1 'a' 1\n2 'b' 1\n", HEL_OK},
        {"1 'a' 1\r\n2 \"it's\" 4", HEL_OK},
        {"1 '\\x41\\u00e9\\U0001f642\\t\\\\\\'' 10\n", HEL_OK},
        {"1 b'\\xff\\x00a' 3\n", HEL_OK},
        {"", HEL_ERROR_FORMAT},
        {"1 'a' 2\n", HEL_ERROR_FORMAT}, // a wrong length
        {"0 'a' 1\n", HEL_ERROR_FORMAT}, // ends a text
        {"1 '' 0\n", HEL_ERROR_FORMAT},
        {"1 'a' 1\n1 'b' 1\n", HEL_ERROR_FORMAT},
        {"1 'a' 1\n2 'a' 1\n", HEL_ERROR_FORMAT},
        {"1 'a 1\n", HEL_ERROR_FORMAT},
        {"1 a 1\n", HEL_ERROR_FORMAT},
        {"1'a' 1\n", HEL_ERROR_FORMAT},
        {"x 'a' 1\n", HEL_ERROR_FORMAT},
        {"1 'a' 1 \n", HEL_ERROR_FORMAT},
        {"1 '\\q' 1\n", HEL_ERROR_FORMAT},
        {"1 '\\x4' 1\n", HEL_ERROR_FORMAT},
        {"1 b'\\u0041' 1\n", HEL_ERROR_FORMAT},
        {"1 b'\xc3\xa9' 2\n", HEL_ERROR_FORMAT},
        {"1 '\\ud800' 3\n", HEL_ERROR_FORMAT},
        {"1 '\\U00110000' 4\n", HEL_ERROR_FORMAT},
        {"99999999999 'a' 1\n", HEL_ERROR_FORMAT},
        {"4000000 'a' 1\n", HEL_ERROR_FORMAT}, // an id beyond all that are there
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        hel_tokenizer *tokenizer = NULL;
        hel_status status = hel_tokenizer_read_rwkv("file", files[i].text, strlen(files[i].text), &tokenizer);
        if (status != files[i].status) print_error("%s\n", files[i].text);
        assert_int_equal(status, files[i].status);
        hel_tokenizer_destroy(&tokenizer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_world), cmocka_unit_test(test_printed), cmocka_unit_test(test_bytes), cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
