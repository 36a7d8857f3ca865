// SPDX-License-Identifier: Apache-2.0
// Ids against the tokenizers library, ways back to text, options, and time that does not run away.
#include "text_support.h"

#include "base/os.h"
#include "base/size.h"

static text_lines texts;

static int read_texts(void **state) {
    (void)state;
    texts = text_read_texts();
    return texts.count ? 0 : -1;
}

static int drop_texts(void **state) {
    (void)state;
    text_free_lines(&texts);
    return 0;
}

static void expect_with_reprint(hel_tokenizer *tokenizer, const char *ids_name) {
    char path[TESTS_PATH];
    support_data(path, ids_name);
    text_expect_all(tokenizer, &texts, path, HEL_BOS_DEFAULT);
    tokenizer = text_reprint(tokenizer);
    text_expect_all(tokenizer, &texts, path, HEL_BOS_DEFAULT);
    tokenizer = text_reprint(tokenizer);
    text_expect_all(tokenizer, &texts, path, HEL_BOS_DEFAULT);
    hel_tokenizer_destroy(&tokenizer);
}

static void test_ids_of_json(void **state) {
    (void)state;
    static const char *const names[] = {"smollm", "qwen2", "llama3", "metaspace_first", "metaspace_split"};
    for (size_t i = 0; i < HEL_COUNT(names); i++) {
        char name[64], path[TESTS_PATH];
        snprintf(name, sizeof name, "tokenizer/%s.json", names[i]);
        support_data(path, name);
        hel_tokenizer *tokenizer = text_open_json(path);
        snprintf(name, sizeof name, "tokenizer/%s.ids", names[i]);
        expect_with_reprint(tokenizer, name);
    }
}

// The expected ids come from the tokenizer.json that is printed for it, read by the tokenizers library.
static void test_ids_of_llama2c(void **state) {
    (void)state;
    expect_with_reprint(text_open_llama2c(), "tokenizer/tok512.ids");
}

static void test_ids_of_lm_wiki(void **state) {
    (void)state;
    char path[TESTS_PATH];
    SUPPORT_NEED_SHARED(path, "data/lm_wiki/tokenizer.json");
    expect_with_reprint(text_open_json(path), "tokenizer/lm_wiki.ids");
}

static void test_ids_of_gpt_neox(void **state) {
    (void)state;
    char path[TESTS_PATH];
    SUPPORT_NEED_SHARED(path, "data/tokenizer/gpt_neox_20B_tokenizer.json");
    expect_with_reprint(text_open_json(path), "tokenizer/gpt_neox.ids");
}

static hel_tokenizer *open_data(const char *name) {
    char path[TESTS_PATH];
    support_data(path, name);
    return text_open_json(path);
}

// What comes back is the text, where nothing normalizes it and every byte has a token.
static void test_decode(void **state) {
    (void)state;
    hel_tokenizer *tokenizers[] = {open_data("tokenizer/llama3.json"), text_open_llama2c()};
    for (size_t t = 0; t < HEL_COUNT(tokenizers); t++) {
        for (size_t i = 0; i < texts.count; i++) {
            // SentencePiece's visible space comes back as a space, and a prefix space follows each control token.
            const char *bytes = texts.lines[i].bytes;
            if (t == 1 && (strstr(bytes, "\xe2\x96\x81") || strstr(bytes, "s>") || strstr(bytes, "<unk>"))) continue;
            size_t count, size;
            uint32_t *ids = text_encode(tokenizers[t], texts.lines[i].bytes, texts.lines[i].size, HEL_BOS_NO, &count);
            char *text;
            assert_int_equal(hel_tokenizer_decode(tokenizers[t], ids, count, true, &text, &size), HEL_OK);
            assert_int_equal(size, texts.lines[i].size);
            assert_memory_equal(text, texts.lines[i].bytes, size);
            hel_tokenizer_free(text);
            hel_tokenizer_free(ids);
        }
        hel_tokenizer_destroy(&tokenizers[t]);
    }
}

static void test_broken_utf8_is_kept(void **state) {
    (void)state;
    static const char broken[] = "ab\xff\xfe caf\xc3 \xe2\x82 \xed\xa0\x80 \xf4\x90\x80\x80 \xc0\x80 end\xf0\x9f\x98";
    hel_tokenizer *tokenizers[] = {open_data("tokenizer/llama3.json"), open_data("tokenizer/qwen2.json"),
                                   text_open_llama2c(), open_data("tokenizer/metaspace_split.json")};
    for (size_t t = 0; t < HEL_COUNT(tokenizers); t++) {
        size_t count, size;
        uint32_t *ids = text_encode(tokenizers[t], broken, sizeof broken - 1, HEL_BOS_NO, &count);
        char *text;
        assert_int_equal(hel_tokenizer_decode(tokenizers[t], ids, count, false, &text, &size), HEL_OK);
        assert_int_equal(size, sizeof broken - 1);
        assert_memory_equal(text, broken, size);
        hel_tokenizer_free(text);
        hel_tokenizer_free(ids);
        hel_tokenizer_destroy(&tokenizers[t]);
    }
}

static void test_options(void **state) {
    (void)state;
    hel_tokenizer *tokenizer = text_open_llama2c();
    static const text_line hello = {"Hello", 5}, empty = {"", 0}, special = {"</s>", 4};
    assert_int_equal(hel_tokenizer_vocab_size(tokenizer), 512);
    assert_int_equal(hel_tokenizer_bos(tokenizer), 1);
    assert_int_equal(hel_tokenizer_eos(tokenizer), 2);
    assert_int_equal(hel_tokenizer_unk(tokenizer), 0);
    assert_true(hel_tokenizer_is_eos(tokenizer, 2) && !hel_tokenizer_is_eos(tokenizer, 1));
    assert_true(hel_tokenizer_is_special(tokenizer, 1) && !hel_tokenizer_is_special(tokenizer, 300));
    assert_true(hel_tokenizer_adds_bos(tokenizer));
    text_expect_ids(tokenizer, &hello, HEL_BOS_DEFAULT, "1 346 306 414", "Hello");
    text_expect_ids(tokenizer, &hello, HEL_BOS_YES, "1 346 306 414", "Hello");
    text_expect_ids(tokenizer, &hello, HEL_BOS_NO, "346 306 414", "Hello");
    text_expect_ids(tokenizer, &empty, HEL_BOS_NO, "", "empty");
    text_expect_ids(tokenizer, &special, HEL_BOS_NO, "2", "</s> parsed");
    uint32_t *ids;
    size_t count, size;
    assert_int_equal(hel_tokenizer_encode(tokenizer, "</s>", 4, NULL, &ids, &count), HEL_OK);
    for (size_t i = 1; i < count; i++) assert_false(hel_tokenizer_is_special(tokenizer, ids[i]));
    assert_true(count > 2);
    hel_tokenizer_free(ids);
    assert_memory_equal(hel_tokenizer_piece(tokenizer, 13, &size), "\n", 1); // byte 0x0a has id 3 + 10
    assert_int_equal(size, 1);
    assert_non_null(hel_tokenizer_piece(tokenizer, 512, &size));
    assert_int_equal(size, 0);
    char *text;
    assert_int_equal(hel_tokenizer_decode(tokenizer, (uint32_t[]){512}, 1, false, &text, NULL), HEL_ERROR_ARGUMENT);
    hel_tokenizer_destroy(&tokenizer);
    hel_tokenizer_destroy(&tokenizer);
    tokenizer = open_data("tokenizer/qwen2.json");
    hel_encode_options options = hel_encode_options_default();
    options.add_bos = HEL_BOS_YES;
    assert_int_equal(hel_tokenizer_encode(tokenizer, "x", 1, &options, &ids, &count), HEL_ERROR_ARGUMENT);
    options.struct_size = 0;
    assert_int_equal(hel_tokenizer_encode(tokenizer, "x", 1, &options, &ids, &count), HEL_ERROR_ARGUMENT);
    assert_true(hel_tokenizer_is_eos(tokenizer, 0) && hel_tokenizer_is_eos(tokenizer, 2)); // <|endoftext|>, <|im_end|>
    hel_tokenizer_destroy(&tokenizer);
}

static double seconds_to_encode(const hel_tokenizer *tokenizer, const char *text, size_t size) {
    uint64_t begin = hel_os_time_ns();
    size_t count;
    hel_tokenizer_free(text_encode(tokenizer, text, size, HEL_BOS_NO, &count));
    return (double)(hel_os_time_ns() - begin) * 1e-9;
}

// Nothing is quadratic: a quadratic method takes minutes for 400 KB of one letter, ours some hundredths of a second.
static void test_long_runs(void **state) {
    (void)state;
    enum { SIZE = 400000 };
    static const char *const patterns[] = {
        "a", " ", "\n", "7", "'", "<|", " \n", "a\xcc\x81\xcc\xa3", "\xe4\xb8\xad", "\xff", "<|endoftext|>", "\r\n "};
    hel_tokenizer *tokenizers[] = {open_data("tokenizer/llama3.json"), open_data("tokenizer/qwen2.json"),
                                   text_open_llama2c(), open_data("tokenizer/smollm.json"),
                                   open_data("tokenizer/metaspace_split.json")};
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t p = 0; p < HEL_COUNT(patterns); p++) {
        for (size_t i = 0; i < SIZE; i++) text[i] = patterns[p][i % strlen(patterns[p])];
        for (size_t t = 0; t < HEL_COUNT(tokenizers); t++)
            assert_true(seconds_to_encode(tokenizers[t], text, SIZE) < 10);
    }
    free(text);
    for (size_t t = 0; t < HEL_COUNT(tokenizers); t++) hel_tokenizer_destroy(&tokenizers[t]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_json),    cmocka_unit_test(test_ids_of_llama2c),
        cmocka_unit_test(test_ids_of_lm_wiki), cmocka_unit_test(test_ids_of_gpt_neox),
        cmocka_unit_test(test_decode),         cmocka_unit_test(test_broken_utf8_is_kept),
        cmocka_unit_test(test_options),        cmocka_unit_test(test_long_runs),
    };
    return cmocka_run_group_tests(tests, read_texts, drop_texts);
}
