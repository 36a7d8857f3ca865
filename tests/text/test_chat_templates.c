// SPDX-License-Identifier: Apache-2.0
// Chat prompts against what transformers makes with the official templates (tests/data/chat, made by make_chat.py): the
// family that a template is taken for, the prompt's text, and its ids, which are what --chat evaluates.
#include "text_support.h"

#include "base/json.h"

enum { MOST_MESSAGES = 8, MOST_IDS = 1024 };

static const char *member(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

// `bare`: without the post-processor that puts a begin token before a text.
static hel_tokenizer *open_family(const json_t *family, bool bare) {
    char path[TESTS_PATH], *text, *config;
    json_t *root;
    size_t size;
    hel_tokenizer *tokenizer;
    support_data(path, member(family, "tokenizer"));
    assert_int_equal(hel_json_read_file(path, 1 << 20, &root), HEL_OK);
    assert_int_equal(json_array_extend(json_object_get(root, "added_tokens"), json_object_get(family, "added_tokens")), 0);
    if (bare) assert_int_equal(json_object_set_new(root, "post_processor", json_null()), 0);
    assert_int_equal(hel_json_print(root, 0, &text, &size), HEL_OK);
    assert_int_equal(hel_json_print(json_object_get(family, "config"), 0, &config, NULL), HEL_OK);
    hel_tokenizer_json_source source = {"test.json", text, size, config, NULL};
    if (hel_tokenizer_read_json(&source, &tokenizer)) fail_msg("%s", hel_error_message());
    hel_free(config);
    hel_free(text);
    json_decref(root);
    return tokenizer;
}

static size_t read_messages(const json_t *talk, hel_chat_message out[MOST_MESSAGES]) {
    size_t i;
    const json_t *messages = json_object_get(talk, "messages"), *message;
    assert_in_range(json_array_size(messages), 1, MOST_MESSAGES);
    json_array_foreach(messages, i, message)
        out[i] = (hel_chat_message){member(message, "role"), member(message, "content")};
    return json_array_size(messages);
}

// The text leaves out the begin token, which is the encoder's.
static void check_text(const hel_tokenizer *tokenizer, const json_t *family, const json_t *talk) {
    hel_chat_message messages[MOST_MESSAGES];
    const char *expected = member(talk, "text"), *bos = member(json_object_get(family, "config"), "bos_token");
    char *text;
    size_t count = read_messages(talk, messages), size;
    if (!strncmp(expected, bos, strlen(bos))) expected += strlen(bos);
    if (hel_chat_format(tokenizer, HEL_CHAT_NONE, messages, count, true, &text, &size)) fail_msg("%s", hel_error_message());
    if (strcmp(text, expected))
        fail_msg("%s, %s:\n\"%s\", not\n\"%s\"", member(family, "family"), member(talk, "name"), text, expected);
    assert_int_equal(size, strlen(text));
    hel_tokenizer_free(text);
}

static size_t read_ids(const hel_tokenizer *tokenizer, const char *text, uint32_t out[MOST_IDS]) {
    size_t count = 0;
    char *next;
    for (unsigned long id = strtoul(text, &next, 10); next != text; id = strtoul(text = next, &next, 10)) {
        // transformers has no begin token where the template has none; here it is there where the tokenizer adds one
        if (!count && hel_tokenizer_adds_bos(tokenizer) && id != hel_tokenizer_bos(tokenizer))
            out[count++] = hel_tokenizer_bos(tokenizer);
        assert_true(count < MOST_IDS);
        out[count++] = (uint32_t)id;
    }
    return count;
}

static void check_ids(const hel_tokenizer *tokenizer, const json_t *family, const json_t *talk) {
    hel_chat_message messages[MOST_MESSAGES];
    uint32_t expected[MOST_IDS], *ids;
    size_t n_expected = read_ids(tokenizer, member(talk, "ids"), expected), count = read_messages(talk, messages), n_ids;
    if (hel_chat_encode(tokenizer, HEL_CHAT_NONE, messages, count, true, &ids, &n_ids)) fail_msg("%s", hel_error_message());
    for (size_t i = 0; i < n_ids && i < n_expected; i++)
        if (ids[i] != expected[i])
            fail_msg("%s, %s: id %zu is %u, not %u", member(family, "family"), member(talk, "name"), i, ids[i], expected[i]);
    assert_int_equal(n_ids, n_expected);
    hel_tokenizer_free(ids);
}

typedef void check(const hel_tokenizer *tokenizer, const json_t *family, const json_t *talk);

static void for_each_talk(check *check_talk, bool bare) {
    char path[TESTS_PATH];
    json_t *families;
    size_t i, j;
    const json_t *family, *talk;
    support_data(path, "chat/expected.json");
    if (hel_json_read_file(path, 1 << 20, &families)) fail_msg("%s", hel_error_message());
    assert_int_equal(json_array_size(families), 4);
    json_array_foreach(families, i, family) {
        hel_tokenizer *tokenizer = open_family(family, bare);
        assert_string_equal(hel_chat_family_name(hel_tokenizer_chat_family(tokenizer)), member(family, "family"));
        assert_true(json_array_size(json_object_get(family, "talks")) >= 2);
        json_array_foreach(json_object_get(family, "talks"), j, talk) check_talk(tokenizer, family, talk);
        hel_tokenizer_destroy(&tokenizer);
    }
    json_decref(families);
}

static void test_texts(void **state) { (void)state, for_each_talk(check_text, false); }
static void test_ids(void **state) { (void)state, for_each_talk(check_ids, false); }
static void test_ids_bare(void **state) { (void)state, for_each_talk(check_ids, true); }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_ids), cmocka_unit_test(test_ids_bare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
