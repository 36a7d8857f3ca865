// SPDX-License-Identifier: Apache-2.0
// Broken and hostile tokenizer files, and every allocation failing once.
#include "text_support.h"

#include "base/size.h"

// --- the smallest tokenizer.json that is accepted, and ways to break it ---

#define BYTE_LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define SPM "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}"
#define MODEL(vocab, merges) "\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]}"
#define TEMPLATE(before, id) \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" before "{\"SpecialToken\":{\"id\":\"a\"}}]," \
    "\"special_tokens\":{\"a\":{\"ids\":[" id "]}}}"
#define AB "\"a\":0,\"b\":1,\"ab\":2"

static void test_smallest(void **state) {
    (void)state;
    static const char *const good[] = {
        "{" BYTE_LEVEL "," MODEL(AB, "\"a b\"") "}",
        "{" BYTE_LEVEL "," MODEL(AB, "[\"a\",\"b\"]") "}",
        "{" SPM "," MODEL(AB, "\"a b\"") "}",
        "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"add_prefix_space\":false}," MODEL(
            AB, "\"a b\"") "}",
    };
    static const text_line word = {"abab", 4};
    for (size_t i = 0; i < HEL_COUNT(good); i++) {
        hel_tokenizer *tokenizer;
        if (text_parse_json(good[i], strlen(good[i]), &tokenizer)) fail_msg("%s", hel_error_message());
        text_expect_ids(tokenizer, &word, HEL_BOS_DEFAULT, "2 2", good[i]);
        hel_tokenizer_destroy(&tokenizer);
    }
}

// A piece with a space inside: such a text must not be merged word by word.
static void test_piece_across_space(void **state) {
    (void)state;
#define SPACE "\xe2\x96\x81"
    static const char json[] = "{" SPM ","
                               MODEL("\"a\":0,\"b\":1,\"" SPACE "\":2,\"a" SPACE "\":3,\"a" SPACE "b\":4",
                                     "\"a " SPACE "\",\"a" SPACE " b\"") "}";
    static const text_line text = {"a ba b", 6};
    hel_tokenizer *tokenizer;
    if (text_parse_json(json, sizeof json - 1, &tokenizer)) fail_msg("%s", hel_error_message());
    text_expect_ids(tokenizer, &text, HEL_BOS_DEFAULT, "4 4", "across a space");
    hel_tokenizer_destroy(&tokenizer);
}

typedef struct bad_json { const char *text; hel_status status; const char *words; } bad_json;

static const bad_json bad[] = {
    {"", HEL_ERROR_FORMAT, "JSON"},
    {"[]", HEL_ERROR_FORMAT, "no \"model\""},
    {"{\"model\":7}", HEL_ERROR_FORMAT, "no \"model\""},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"merges\":[]}}", HEL_ERROR_UNSUPPORTED, "no vocab"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}}", HEL_ERROR_UNSUPPORTED, "Unigram"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", HEL_ERROR_UNSUPPORTED, "WordPiece"},
    {"{" BYTE_LEVEL "," MODEL("", "") "}", HEL_ERROR_FORMAT, "empty"},
    {"{" MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED, "neither byte-level"},
    {"{" BYTE_LEVEL "," SPM "," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED, "both byte-level"},
    // ids
    {"{" BYTE_LEVEL "," MODEL("\"a\":-1", "") "}", HEL_ERROR_FORMAT, "no valid id"},
    {"{" BYTE_LEVEL "," MODEL("\"a\":\"0\"", "") "}", HEL_ERROR_FORMAT, "no valid id"},
    {"{" BYTE_LEVEL "," MODEL("\"a\":4294967295", "") "}", HEL_ERROR_FORMAT, "no valid id"},
    {"{" BYTE_LEVEL "," MODEL("\"a\":4294967294", "") "}", HEL_ERROR_FORMAT, "an id of 4294967294"},
    {"{" BYTE_LEVEL "," MODEL("\"a\":0,\"b\":0", "") "}", HEL_ERROR_FORMAT, "given twice"},
    {"{" BYTE_LEVEL "," MODEL("\"a\":0,\"a\":1", "") "}", HEL_ERROR_FORMAT, "duplicate"},
    {"{" SPM "," MODEL("\" a\":0,\"\xe2\x96\x81"
                       "a\":1",
                       "") "}",
     HEL_ERROR_FORMAT, "same piece"},
    // merges
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", HEL_ERROR_FORMAT, "no merges"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"a c\"") "}", HEL_ERROR_FORMAT, "not in the vocabulary"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"b a\"") "}", HEL_ERROR_FORMAT, "not in the vocabulary"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"ab\"") "}", HEL_ERROR_FORMAT, "two pieces"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"a b c\"") "}", HEL_ERROR_FORMAT, "two pieces"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\" b\"") "}", HEL_ERROR_FORMAT, "two pieces"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"\"") "}", HEL_ERROR_FORMAT, "two pieces"},
    {"{" BYTE_LEVEL "," MODEL(AB, "[\"a\"]") "}", HEL_ERROR_FORMAT, "no pair"},
    {"{" BYTE_LEVEL "," MODEL(AB, "[\"a\",3]") "}", HEL_ERROR_FORMAT, "no pair"},
    {"{" BYTE_LEVEL "," MODEL(AB, "7") "}", HEL_ERROR_FORMAT, "no pair"},
    {"{" BYTE_LEVEL "," MODEL(AB, "\"a b\",\"a b\"") "}", HEL_ERROR_FORMAT, "same pair"},
    {"{" BYTE_LEVEL "," MODEL(AB, "[\"a\",\"\xe4\xb8\xad\"]") "}", HEL_ERROR_FORMAT, "alphabet"},
    // added tokens
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":5}]," MODEL(AB, "") "}", HEL_ERROR_FORMAT, "no content"},
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]," MODEL(AB, "") "}", HEL_ERROR_FORMAT,
     "has id 1"},
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]," MODEL(AB, "") "}", HEL_ERROR_FORMAT,
     "given twice"},
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":4,\"content\":\"x\"}]," MODEL(AB, "") "}",
     HEL_ERROR_FORMAT, "same text"},
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"single_word\":true}]," MODEL(AB, "") "}",
     HEL_ERROR_UNSUPPORTED, "single_word"},
    {"{" BYTE_LEVEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"special\":1}]," MODEL(AB, "") "}",
     HEL_ERROR_FORMAT, "special"},
    // parts of the pipeline
    {"{\"normalizer\":{\"type\":\"Lowercase\"}," BYTE_LEVEL "," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED, "Lowercase"},
    {"{\"normalizer\":{}," BYTE_LEVEL "," MODEL(AB, "") "}", HEL_ERROR_FORMAT, "no type"},
    {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED, "Whitespace"},
    {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED, "add_prefix_space"},
    {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+$\"},\"behavior\":\"Isolated\"}," MODEL(
         AB, "") "}",
     HEL_ERROR_UNSUPPORTED, "Split pattern"},
    {"{\"post_processor\":{\"type\":\"BertProcessing\"}," BYTE_LEVEL "," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED,
     "BertProcessing"},
    {"{" TEMPLATE("", "9") "," BYTE_LEVEL "," MODEL(AB, "") "}", HEL_ERROR_FORMAT, "id 9"},
    {"{" TEMPLATE("{\"Sequence\":{}},", "0") "," BYTE_LEVEL "," MODEL(AB, "") "}", HEL_ERROR_UNSUPPORTED,
     "before the text"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}",
     HEL_ERROR_UNSUPPORTED, "dropout"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"x\",\"vocab\":{\"a\":0},\"merges\":[]}}",
     HEL_ERROR_FORMAT, "\"x\" is not in the vocabulary"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0},\"merges\":[]}}",
     HEL_ERROR_UNSUPPORTED, "end_of_word_suffix"},
    {"{" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"fuse_unk\":3,\"vocab\":{\"a\":0},\"merges\":[]}}", HEL_ERROR_FORMAT,
     "fuse_unk"},
};

static void test_bad_json(void **state) {
    (void)state;
    for (size_t i = 0; i < HEL_COUNT(bad); i++) {
        hel_tokenizer *tokenizer = NULL;
        hel_status status = text_parse_json(bad[i].text, strlen(bad[i].text), &tokenizer);
        if (status != bad[i].status || !strstr(hel_error_message(), bad[i].words)
            || !strstr(hel_error_message(), "test.json"))
            fail_msg("%s: %s, \"%s\"", bad[i].text, hel_status_name(status), hel_error_message());
        assert_null(tokenizer);
    }
}

static void test_bad_configs(void **state) {
    (void)state;
    static const char good[] = "{" BYTE_LEVEL "," MODEL(AB, "") "}";
    static const struct { const char *tokenizer_config, *config, *words; } cases[] = {
        {"{\"eos_token\":\"nowhere\"}", NULL, "\"nowhere\" is not in the vocabulary"},
        {"{", NULL, "JSON"},
        {NULL, "{\"eos_token_id\":3}", "end token 3"},
        {NULL, "{\"bos_token_id\":4294967294}", "begin token"},
        {NULL, "{\"eos_token_id\":[0,\"x\"]}", "no token id"},
        {NULL, "{\"eos_token_id\":-1}", "no token id"},
    };
    for (size_t i = 0; i < HEL_COUNT(cases); i++) {
        hel_tokenizer *tokenizer = NULL;
        json_t *config = cases[i].config ? json_loads(cases[i].config, 0, NULL) : NULL;
        hel_tokenizer_json_source source = {"test.json", good, sizeof good - 1, cases[i].tokenizer_config, config};
        assert_int_equal(hel_tokenizer_read_json(&source, &tokenizer), HEL_ERROR_FORMAT);
        if (!strstr(hel_error_message(), cases[i].words)) fail_msg("%zu: %s", i, hel_error_message());
        json_decref(config);
    }
    json_t *config = json_loads("{\"bos_token_id\":0,\"eos_token_id\":[1,2]}", 0, NULL);
    hel_tokenizer_json_source source = {
        "test.json", good, sizeof good - 1,
        "{\"model_max_length\":1000000000000000019884624838656,\"eos_token\":{\"content\":\"ab\"}}", config};
    hel_tokenizer *tokenizer;
    assert_int_equal(hel_tokenizer_read_json(&source, &tokenizer), HEL_OK);
    assert_int_equal(hel_tokenizer_bos(tokenizer), 0);
    assert_int_equal(hel_tokenizer_eos(tokenizer), 2);
    assert_true(hel_tokenizer_is_eos(tokenizer, 1));
    hel_tokenizer_destroy(&tokenizer);
    json_decref(config);
}

// Uses what a parser let through; it must be whole.
static void exercise(hel_tokenizer *tokenizer) {
    static const char text[] = "Once upon a time <s> </s> \xff 12 \xe4\xb8\xad";
    size_t count, size;
    uint32_t *ids = text_encode(tokenizer, text, sizeof text - 1, HEL_BOS_DEFAULT, &count);
    char *out;
    assert_int_equal(hel_tokenizer_decode(tokenizer, ids, count, true, &out, &size), HEL_OK);
    hel_tokenizer_free(out);
    assert_int_equal(hel_tokenizer_print_json(tokenizer, &out, &size), HEL_OK);
    hel_tokenizer_free(out);
    hel_tokenizer_free(ids);
}

static void test_damaged_json(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "tokenizer/qwen2.json");
    size_t size;
    char *text = text_read(path, &size);
    for (size_t cut = 0; cut < size; cut += 11) {
        hel_tokenizer *tokenizer;
        char *copy = malloc(cut + 1); // so that a sanitizer sees reads past the end
        memcpy(copy, text, cut);
        assert_int_equal(text_parse_json(copy, cut, &tokenizer), HEL_ERROR_FORMAT);
        free(copy);
    }
    for (size_t at = 0; at < size; at += 7) {
        hel_tokenizer *tokenizer = NULL;
        text[at] ^= (char)(1 << at % 8);
        if (text_parse_json(text, size, &tokenizer) == HEL_OK) exercise(tokenizer);
        hel_tokenizer_destroy(&tokenizer);
        text[at] ^= (char)(1 << at % 8);
    }
    hel_free(text);
}

static void test_damaged_llama2c(void **state) {
    (void)state;
    char path[TESTS_PATH];
    support_data(path, "stories260K/tok512.bin");
    size_t size;
    char *bytes = text_read(path, &size);
    hel_tokenizer *tokenizer = NULL;
    for (size_t cut = 0; cut < size; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, bytes, cut);
        assert_int_equal(hel_tokenizer_read_llama2c("cut", copy, cut, 512, &tokenizer), HEL_ERROR_FORMAT);
        free(copy);
    }
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= (char)(1 << at % 8);
        if (hel_tokenizer_read_llama2c("flipped", bytes, size, 512, &tokenizer) == HEL_OK && at % 16 == 0)
            exercise(tokenizer);
        hel_tokenizer_destroy(&tokenizer);
        bytes[at] ^= (char)(1 << at % 8);
    }
    hel_free(bytes);
}

// --- allocations ---

static size_t live_blocks, until_failure;

static void *failing_resize(void *user, void *pointer, size_t size) {
    (void)user;
    if (until_failure && --until_failure == 0) return NULL;
    void *block = realloc(pointer, size);
    if (block && !pointer) live_blocks++;
    return block;
}

static void counting_release(void *user, void *pointer) {
    (void)user;
    if (pointer) live_blocks--;
    free(pointer);
}

static hel_status open_and_use(const char *json, size_t json_size, const char *llama2c, size_t llama2c_size) {
    hel_tokenizer *tokenizer = NULL;
    hel_utf8_stream *stream = NULL;
    char *text = NULL;
    const char *part;
    uint32_t *ids = NULL;
    size_t count;
    static const hel_chat_message messages[] = {{"user", "Hello e\xcc\x81 there 123"}};
    hel_status status = json ? text_parse_json(json, json_size, &tokenizer)
                             : hel_tokenizer_read_llama2c("tok512.bin", llama2c, llama2c_size, 512, &tokenizer);
    if (status == HEL_OK) status = hel_chat_encode(tokenizer, HEL_CHAT_ZEPHYR, messages, 1, true, &ids, &count);
    if (status == HEL_OK) status = hel_tokenizer_decode(tokenizer, ids, count, true, &text, NULL);
    hel_tokenizer_free(text);
    hel_tokenizer_free(ids);
    if (status == HEL_OK) status = hel_utf8_stream_create(&stream);
    if (status == HEL_OK) status = hel_utf8_stream_push(stream, "abc", 3, &part, &count);
    hel_utf8_stream_destroy(&stream);
    text = NULL;
    if (status == HEL_OK) status = hel_tokenizer_print_json(tokenizer, &text, NULL);
    hel_tokenizer_free(text);
    text = NULL;
    if (status == HEL_OK) status = hel_tokenizer_print_config_json(tokenizer, &text, NULL);
    hel_tokenizer_free(text);
    hel_tokenizer_destroy(&tokenizer);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    static const char *const names[] = {"tokenizer/qwen2.json", "tokenizer/metaspace_split.json",
                                        "stories260K/tok512.bin"};
    for (size_t i = 0; i < HEL_COUNT(names); i++) {
        char path[TESTS_PATH];
        support_data(path, names[i]);
        size_t size;
        char *read = text_read(path, &size), *bytes = malloc(size);
        memcpy(bytes, read, size);
        hel_free(read);
        hel_memory_set_hooks(&(hel_memory_hooks){failing_resize, counting_release, NULL});
        size_t failures = 0, survived = 0;
        // The first 200 allocations one by one, then in growing steps: the vocabulary has thousands of alike ones.
        for (size_t n = 1;; n += n < 200 ? 1 : n / 50, failures++) {
            until_failure = n;
            hel_status status = i < 2 ? open_and_use(bytes, size, NULL, 0) : open_and_use(NULL, 0, bytes, size);
            assert_int_equal(live_blocks, 0);
            if (until_failure) break; // there were not that many
            survived += status == HEL_OK; // PCRE2 does without its just-in-time compiler
            assert_true(status == HEL_OK || status == HEL_ERROR_MEMORY);
        }
        until_failure = 0;
        hel_memory_set_hooks(NULL);
        assert_true(failures > 100);
        assert_true(survived < 12);
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smallest),       cmocka_unit_test(test_piece_across_space),
        cmocka_unit_test(test_bad_json),       cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_damaged_json),   cmocka_unit_test(test_damaged_llama2c),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
