// SPDX-License-Identifier: Apache-2.0
// GGUF vocabularies, with the texts and ids that llama.cpp keeps for them; and broken ones.
#include "text_support.h"

static hel_tokenizer *open_at(const char *model, const char *file) {
    hel_tokenizer *tokenizer;
    if (hel_tokenizer_open(model, file, &tokenizer)) fail_msg("%s", hel_error_message());
    return tokenizer;
}

// llama.cpp's own vocabulary tests: texts between separator lines, ids without a begin token.
static void expect_gguf(const char *name, uint32_t vocab_size, uint32_t bos, uint32_t eos) {
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char relative[128], path[TESTS_PATH], file[TESTS_PATH + 8];
    snprintf(relative, sizeof relative, "data/tokenizer/ggml-vocab-%s.gguf", name);
    SUPPORT_NEED_SHARED(path, relative);
    hel_tokenizer *tokenizer = open_at(NULL, path);
    assert_int_equal(hel_tokenizer_vocab_size(tokenizer), vocab_size);
    assert_int_equal(hel_tokenizer_bos(tokenizer), bos);
    assert_int_equal(hel_tokenizer_eos(tokenizer), eos);
    snprintf(file, sizeof file, "%s.out", path);
    text_lines expected = text_read_lines(file);
    snprintf(file, sizeof file, "%s.inp", path);
    size_t size;
    char *all = text_read(file, &size);
    for (int printed = 0; printed < 2; printed++) {
        char *at = all;
        size_t count = 0;
        for (char *end; (end = strstr(at, separator)); at = end + sizeof separator - 1) {
            char *text = hel_string_copy_n(at, (size_t)(end - at));
            text_expect_ids(tokenizer, &(text_line){text, (size_t)(end - at)}, HEL_BOS_NO,
                            expected.lines[count++].bytes, path);
            hel_free(text);
        }
        assert_true(count > 40 && count <= expected.count);
        if (!printed) tokenizer = text_reprint(tokenizer);
    }
    hel_free(all);
    text_free_lines(&expected);
    hel_tokenizer_destroy(&tokenizer);
}

static void test_gguf_gpt2(void **state) {
    (void)state;
    expect_gguf("gpt-2", 50257, 50256, 50256);
}

static void test_gguf_phi3(void **state) {
    (void)state;
    expect_gguf("phi-3", 32064, 1, 32000);
}

// --- small files made here, whole and broken ---

typedef struct gguf_file { unsigned char bytes[4096]; size_t size; uint64_t n_keys; } gguf_file;

static void put(gguf_file *file, const void *bytes, size_t size) {
    assert_true(file->size + size <= sizeof file->bytes);
    memcpy(file->bytes + file->size, bytes, size);
    file->size += size;
}

static void put_u32(gguf_file *file, uint32_t value) { put(file, &value, sizeof value); }
static void put_u64(gguf_file *file, uint64_t value) { put(file, &value, sizeof value); }

static void put_string(gguf_file *file, const char *text) {
    put_u64(file, strlen(text));
    put(file, text, strlen(text));
}

enum { TYPE_U32 = 4, TYPE_I32 = 5, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static void put_key(gguf_file *file, const char *key, uint32_t type) {
    file->n_keys++;
    put_string(file, key);
    put_u32(file, type);
}

static void put_key_string(gguf_file *file, const char *key, const char *value) {
    put_key(file, key, TYPE_STRING);
    put_string(file, value);
}

static void put_key_u32(gguf_file *file, const char *key, uint32_t value) {
    put_key(file, key, TYPE_U32);
    put_u32(file, value);
}

static void put_array(gguf_file *file, const char *key, uint32_t type, uint64_t count) {
    put_key(file, key, TYPE_ARRAY);
    put_u32(file, type);
    put_u64(file, count);
}

static void put_strings(gguf_file *file, const char *key, const char *const *values) {
    uint64_t count = 0;
    while (values[count]) count++;
    put_array(file, key, TYPE_STRING, count);
    for (uint64_t i = 0; i < count; i++) put_string(file, values[i]);
}

// One vocabulary, of which a case changes one thing. NULL and 0 mean that the key is left out.
typedef struct gguf_case {
    const char *model, *pre;
    const char *tokens[8], *merges[3];
    uint32_t n_types, n_scores;
    int32_t last_type;
    float last_score;
    uint32_t bos;
    hel_status status;
    const char *words;
} gguf_case;

static hel_status open_case(const gguf_case *c, hel_tokenizer **out) {
    gguf_file file = {.size = 24};
    if (c->model) put_key_string(&file, "tokenizer.ggml.model", c->model);
    if (c->pre) put_key_string(&file, "tokenizer.ggml.pre", c->pre);
    if (c->tokens[0]) put_strings(&file, "tokenizer.ggml.tokens", c->tokens);
    if (c->merges[0]) put_strings(&file, "tokenizer.ggml.merges", c->merges);
    if (c->n_types) put_array(&file, "tokenizer.ggml.token_type", TYPE_I32, c->n_types);
    for (uint32_t i = 0; i < c->n_types; i++) put_u32(&file, i + 1 < c->n_types ? i ? 1 : 3 : (uint32_t)c->last_type);
    if (c->n_scores) put_array(&file, "tokenizer.ggml.scores", TYPE_F32, c->n_scores);
    for (uint32_t i = 0; i < c->n_scores; i++)
        put(&file, i + 1 < c->n_scores ? &(float){-(float)i} : &c->last_score, 4);
    put_key_u32(&file, "tokenizer.ggml.bos_token_id", c->bos);
    memcpy(file.bytes, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    memcpy(file.bytes + 16, &file.n_keys, 8);
    char folder[TESTS_PATH], path[TESTS_PATH];
    support_folder(folder);
    support_join(path, folder, "vocab.gguf");
    assert_int_equal(hel_file_write_all(path, false, file.bytes, file.size), HEL_OK);
    *out = NULL;
    hel_status status = hel_tokenizer_open(NULL, path, out);
    support_remove(folder);
    return status;
}

#define BPE .model = "gpt2", .pre = "smollm", .tokens = {"<s>", "a", "b", "ab", "1"}, .merges = {"a b"}
#define SPM                                                                                                            \
    .model = "llama", .tokens = {"<s>", "a", "b", "\xe2\x96\x81", "ab"}, .n_types = 5, .n_scores = 5, .last_type = 1
// The insides of Python literals; the longest token at each place is taken.
#define RWKV .model = "rwkv", .tokens = {"<s>", "a", "\\n", "ab", "\\xc3", "\\xa9", "'"}, .n_types = 7, .last_type = 1

static void test_small(void **state) {
    (void)state;
    static const text_line text = {"ab11ab", 6}, spaced = {"ab ab", 5}, escaped = {"ab\na\xc3\xa9'", 7};
    hel_tokenizer *tokenizer;
    if (open_case(&(gguf_case){BPE}, &tokenizer)) fail_msg("%s", hel_error_message());
    text_expect_ids(tokenizer, &text, HEL_BOS_DEFAULT, "3 4 4 3", "byte-level");
    text_expect_ids(tokenizer, &text, HEL_BOS_YES, "0 3 4 4 3", "byte-level");
    hel_tokenizer_destroy(&tokenizer);
    if (open_case(&(gguf_case){SPM}, &tokenizer)) fail_msg("%s", hel_error_message());
    text_expect_ids(tokenizer, &spaced, HEL_BOS_DEFAULT, "0 3 4 3 4", "SentencePiece-style");
    hel_tokenizer_destroy(&tokenizer);
    if (open_case(&(gguf_case){RWKV}, &tokenizer)) fail_msg("%s", hel_error_message());
    text_expect_ids(tokenizer, &escaped, HEL_BOS_DEFAULT, "3 2 1 4 5 6", "RWKV");
    text_expect_ids(tokenizer, &escaped, HEL_BOS_YES, "0 3 2 1 4 5 6", "RWKV");
    hel_tokenizer_destroy(&tokenizer);
}

static void test_broken(void **state) {
    (void)state;
    static const gguf_case cases[] = {
        {.model = "gpt2", .pre = "smollm", .status = HEL_ERROR_NOT_FOUND, .words = "tokens"},
        {.tokens = {"a"}, .status = HEL_ERROR_UNSUPPORTED, .words = "tokenizer.ggml.model"},
        {.model = "bert", .tokens = {"a"}, .status = HEL_ERROR_UNSUPPORTED, .words = "bert"},
        {.model = "gpt2", .tokens = {"a"}, .status = HEL_ERROR_UNSUPPORTED, .words = "tokenizer.ggml.pre is missing"},
        {.model = "gpt2", .pre = "nowhere", .tokens = {"a"}, .status = HEL_ERROR_UNSUPPORTED, .words = "nowhere"},
        {.model = "gpt2", .pre = "gpt-2", .tokens = {"a"}, .status = HEL_ERROR_NOT_FOUND, .words = "merges"},
        {.model = "gpt2", .pre = "gpt-2", .tokens = {"a", "b", "a"}, .status = HEL_ERROR_FORMAT, .words = "same piece"},
        {.model = "gpt2", .pre = "gpt-2", .tokens = {"a", "\xff"}, .status = HEL_ERROR_FORMAT, .words = "not UTF-8"},
        {.model = "gpt2",
         .pre = "gpt-2",
         .tokens = {"a", "b"},
         .merges = {"a b"},
         .status = HEL_ERROR_FORMAT,
         .words = "makes a piece"},
        {.model = "gpt2",
         .pre = "gpt-2",
         .tokens = {"a", "b"},
         .merges = {"ab"},
         .status = HEL_ERROR_FORMAT,
         .words = "two pieces"},
        {BPE, .n_types = 4, .last_type = 1, .status = HEL_ERROR_FORMAT, .words = "4 entries for 5 tokens"},
        {BPE, .n_types = 5, .last_type = 7, .status = HEL_ERROR_FORMAT, .words = "unknown type 7"},
        {BPE, .n_types = 5, .last_type = -1, .status = HEL_ERROR_FORMAT, .words = "unknown type -1"},
        {BPE, .n_types = 5, .last_type = 6, .status = HEL_ERROR_FORMAT, .words = "byte type"},
        {BPE, .bos = 5, .status = HEL_ERROR_FORMAT, .words = "begin token 5"},
        {.model = "llama", .tokens = {"a"}, .status = HEL_ERROR_FORMAT, .words = "scores is missing"},
        {.model = "llama",
         .tokens = {"a", "b"},
         .n_scores = 1,
         .status = HEL_ERROR_FORMAT,
         .words = "1 entries for 2 tokens"},
        {.model = "rwkv", .tokens = {"<s>", "\\q"}, .status = HEL_ERROR_FORMAT, .words = "unknown escape"},
        {.model = "rwkv", .tokens = {"<s>", "\\x4"}, .status = HEL_ERROR_FORMAT, .words = "2 hexadecimal digits"},
        {SPM, .last_score = NAN, .status = HEL_ERROR_FORMAT, .words = "not a number"},
        {.model = "llama",
         .tokens = {"<s>", "<0xZZ>"},
         .n_types = 2,
         .n_scores = 2,
         .last_type = 6,
         .status = HEL_ERROR_FORMAT,
         .words = "no byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hel_tokenizer *tokenizer;
        hel_status status = open_case(&cases[i], &tokenizer);
        if (status != cases[i].status || !strstr(hel_error_message(), cases[i].words))
            fail_msg("case %zu: %s, \"%s\"", i, hel_status_name(status), hel_error_message());
        assert_null(tokenizer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_gpt2),
        cmocka_unit_test(test_gguf_phi3),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
