// SPDX-License-Identifier: Apache-2.0
// Tokenizers found through models and files: llama2.c neighbours, Hugging Face folders.
#include "text_support.h"

static hel_tokenizer *open_at(const char *model, const char *file) {
    hel_tokenizer *tokenizer;
    if (hel_tokenizer_open(model, file, &tokenizer)) fail_msg("%s", hel_error_message());
    return tokenizer;
}

static void copy_file(const char *from, const char *folder, const char *name) {
    char to[TESTS_PATH];
    size_t size;
    char *bytes = text_read(from, &size);
    support_join(to, folder, name);
    assert_int_equal(hel_file_write_all(to, false, bytes, size), HEL_OK);
    hel_free(bytes);
}

static void test_beside_llama2c(void **state) {
    (void)state;
    static const text_line hello = {"Hello", 5};
    char model[TESTS_PATH], vocab[TESTS_PATH], folder[TESTS_PATH], path[TESTS_PATH];
    support_data(model, "stories260K/stories260K.bin");
    support_data(vocab, "stories260K/tok512.bin");
    hel_tokenizer *tokenizer = open_at(model, NULL); // tok512.bin
    text_expect_ids(tokenizer, &hello, HEL_BOS_DEFAULT, "1 346 306 414", "beside");
    hel_tokenizer_destroy(&tokenizer);
    tokenizer = open_at(NULL, vocab);
    text_expect_ids(tokenizer, &hello, HEL_BOS_DEFAULT, "1 346 306 414", "alone");
    hel_tokenizer_destroy(&tokenizer);

    support_folder(folder);
    copy_file(model, folder, "model.bin");
    support_join(path, folder, "model.bin");
    assert_int_equal(hel_tokenizer_open(path, NULL, &tokenizer), HEL_ERROR_NOT_FOUND);
    tokenizer = open_at(path, vocab);
    hel_tokenizer_destroy(&tokenizer);
    copy_file(vocab, folder, "tokenizer.bin");
    tokenizer = open_at(path, NULL);
    assert_int_equal(hel_tokenizer_vocab_size(tokenizer), 512);
    hel_tokenizer_destroy(&tokenizer);
    support_remove(folder);
}

static void test_bad_arguments(void **state) {
    (void)state;
    hel_tokenizer *tokenizer;
    assert_int_equal(hel_tokenizer_open(NULL, NULL, &tokenizer), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_tokenizer_open(NULL, "/nonexistent/tokenizer.json", &tokenizer), HEL_ERROR_NOT_FOUND);
    char path[TESTS_PATH];
    support_data(path, "tokenizer/README.md"); // neither JSON nor GGUF nor llama2.c
    assert_int_equal(hel_tokenizer_open(NULL, path, &tokenizer), HEL_ERROR_FORMAT);
    assert_null(tokenizer);
}

// The model in a folder of its own, with the tokenizer's two files.
static void test_folder(void **state) {
    (void)state;
    char path[TESTS_PATH], file[TESTS_PATH], ids[TESTS_PATH];
    SUPPORT_NEED_SHARED(path, "data/lm_wiki");
    support_join(file, path, "tokenizer.json");
    support_data(ids, "tokenizer/lm_wiki.ids");
    text_lines texts = text_read_texts();
    hel_tokenizer *tokenizers[] = {open_at(path, NULL), open_at(NULL, file), open_at(path, file)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hel_tokenizer_eos(tokenizers[i]), 0);
        assert_int_equal(hel_tokenizer_bos(tokenizers[i]), 0);
        assert_false(hel_tokenizer_adds_bos(tokenizers[i]));
        text_expect_all(tokenizers[i], &texts, ids, HEL_BOS_DEFAULT);
        hel_tokenizer_destroy(&tokenizers[i]);
    }
    text_free_lines(&texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_llama2c), cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
