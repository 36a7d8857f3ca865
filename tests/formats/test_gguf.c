// SPDX-License-Identifier: Apache-2.0
// Block types against blocks that are packed here from chosen codes, typed metadata, and headers that break each rule.
#include "support/folder.h"
#include "support/gguf_files.h"

#include "base/half.h"
#include "formats/gguf.h"

static char path[TESTS_PATH];

// ---------------------------------------------------------------- blocks: chosen codes -> bytes and expected values

typedef struct block {
    uint8_t bytes[256];
    float want[256];
    uint32_t elements, size;
} block;

static const float scale = 0.0625f, minimum = -0.375f; // exact in f16

static void put_half(uint8_t *at, float value) {
    uint16_t half = hel_float_to_f16(value);
    memcpy(at, &half, 2);
}

static int code(int i, int levels) { return (i * 37 + 11) % levels; } // 37 is prime to every count of levels used

// Nibbles of 32 elements: element i low, i + 16 high.
static void put_nibbles(uint8_t *at, int (*low4)(int i)) {
    for (int i = 0; i < 16; i++) at[i] = (uint8_t)(low4(i) | low4(i + 16) << 4);
}

static int code16(int i) { return code(i, 16); }
static int code32_low(int i) { return code(i, 32) & 15; }

static void put_fifth(uint8_t *at) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(code(i, 32) >> 4) << i;
    memcpy(at, &bits, 4);
}

static void make_q4_0(block *b) {
    b->size = 18;
    put_half(b->bytes, scale);
    put_nibbles(b->bytes + 2, code16);
    for (int i = 0; i < 32; i++) b->want[i] = scale * (float)(code(i, 16) - 8);
}

static void make_q4_1(block *b) {
    b->size = 20;
    put_half(b->bytes, scale);
    put_half(b->bytes + 2, minimum);
    put_nibbles(b->bytes + 4, code16);
    for (int i = 0; i < 32; i++) b->want[i] = scale * (float)code(i, 16) + minimum;
}

static void make_q5_0(block *b) {
    b->size = 22;
    put_half(b->bytes, scale);
    put_fifth(b->bytes + 2);
    put_nibbles(b->bytes + 6, code32_low);
    for (int i = 0; i < 32; i++) b->want[i] = scale * (float)(code(i, 32) - 16);
}

static void make_q5_1(block *b) {
    b->size = 24;
    put_half(b->bytes, scale);
    put_half(b->bytes + 2, minimum);
    put_fifth(b->bytes + 4);
    put_nibbles(b->bytes + 8, code32_low);
    for (int i = 0; i < 32; i++) b->want[i] = scale * (float)code(i, 32) + minimum;
}

static void make_q8_0(block *b) {
    b->size = 34;
    put_half(b->bytes, scale);
    for (int i = 0; i < 32; i++) {
        b->bytes[2 + i] = (uint8_t)(code(i, 256) - 128);
        b->want[i] = scale * (float)(code(i, 256) - 128);
    }
}

static void make_iq4_nl(block *b) {
    static const float levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    make_q4_0(b);
    for (int i = 0; i < 32; i++) b->want[i] = scale * levels[code(i, 16)];
}

// Six-bit scales and minima of eight parts.
static void put_scales(uint8_t *at) {
    for (int j = 0; j < 4; j++) {
        int scale_low = code(j, 64), scale_high = code(j + 4, 64), min_low = code(j + 20, 64), min_high = code(j + 24, 64);
        at[j] = (uint8_t)(scale_low | scale_high >> 4 << 6);
        at[j + 4] = (uint8_t)(min_low | min_high >> 4 << 6);
        at[j + 8] = (uint8_t)((scale_high & 15) | (min_high & 15) << 4);
    }
}

static void make_k(block *b, int levels, uint8_t *high, uint8_t *nibbles) {
    b->elements = 256;
    put_half(b->bytes, 0.03125f);
    put_half(b->bytes + 2, 0.25f);
    put_scales(b->bytes + 4);
    for (int i = 0; i < 256; i++) {
        int part = i / 32, q = code(i, levels);
        nibbles[i / 64 * 32 + i % 32] |= (uint8_t)((q & 15) << (part % 2 ? 4 : 0));
        if (high) high[i % 32] |= (uint8_t)(q >> 4 << part);
        b->want[i] = 0.03125f * (float)code(part, 64) * (float)q - 0.25f * (float)code(part + 20, 64);
    }
}

static void make_q4_k(block *b) {
    b->size = 144;
    make_k(b, 16, NULL, b->bytes + 16);
}

static void make_q5_k(block *b) {
    b->size = 176;
    make_k(b, 32, b->bytes + 16, b->bytes + 48);
}

static void make_q6_k(block *b) {
    b->size = 210;
    b->elements = 256;
    put_half(b->bytes + 208, 0.001953125f);
    for (int j = 0; j < 16; j++) b->bytes[192 + j] = (uint8_t)(code(j, 256) - 128);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, quarter = i % 128 / 32, q = code(i, 64);
        b->bytes[half * 64 + (quarter & 1) * 32 + i % 32] |= (uint8_t)((q & 15) << (quarter >> 1) * 4);
        b->bytes[128 + half * 32 + i % 32] |= (uint8_t)(q >> 4 << quarter * 2);
        b->want[i] = 0.001953125f * (float)(code(i / 16, 256) - 128) * (float)(q - 32);
    }
}

static const struct { const char *name; uint32_t type; void (*make)(block *b); } kinds[] = {
    {"Q4_0", 2, make_q4_0}, {"Q4_1", 3, make_q4_1}, {"Q5_0", 6, make_q5_0}, {"Q5_1", 7, make_q5_1},   {"Q8_0", 8, make_q8_0},
    {"Q4_K", 12, make_q4_k}, {"Q5_K", 13, make_q5_k}, {"Q6_K", 14, make_q6_k}, {"IQ4_NL", 20, make_iq4_nl},
};

static void test_blocks(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        block b = {.elements = 32};
        kinds[k].make(&b);
        enum { BLOCKS = 150 }; // more than one piece of the reader for the large ones
        uint8_t *bytes = calloc(BLOCKS, b.size);
        for (int i = 0; i < BLOCKS; i++) memcpy(bytes + (size_t)i * b.size, b.bytes, b.size);
        gguf_file file = {0};
        const uint64_t shape[2] = {b.elements * 3, BLOCKS / 3};
        gguf_tensor(&file, "t", kinds[k].type, 2, shape, bytes, (size_t)BLOCKS * b.size);
        gguf_write(&file, path, 2 + k % 2);
        free(bytes);
        hel_archive *archive;
        assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
        assert_string_equal(archive->format->name, k % 2 ? "GGUF v3" : "GGUF v2");
        const hel_tensor_info *tensor = hel_archive_find(archive, "t");
        assert_string_equal(tensor->stored_as, kinds[k].name);
        assert_int_equal(tensor->dtype, HEL_F16);
        assert_int_equal(tensor->shape[0], BLOCKS / 3);
        assert_int_equal(tensor->shape[1], b.elements * 3);
        uint16_t *halves = malloc(tensor->bytes);
        assert_int_equal(hel_archive_read(archive, tensor, 0, halves, tensor->bytes), HEL_OK);
        for (uint64_t i = 0; i < tensor->elements; i++) assert_int_equal(halves[i], hel_float_to_f16(b.want[i % b.elements]));
        uint16_t part[70]; // neither end on a block
        for (uint64_t first = 0; first < 70; first++) {
            assert_int_equal(hel_archive_read(archive, tensor, first * 2, part, (70 - first) * 2), HEL_OK);
            assert_memory_equal(part, halves + first, (70 - first) * 2);
        }
        free(halves);
        hel_archive_close(&archive);
    }
}

// ---------------------------------------------------------------- metadata

static void test_metadata(void **state) {
    (void)state;
    gguf_file file = {0};
    hel_archive *archive;
    gguf_text(&file, "general.architecture", "strange");
    gguf_u32(&file, "number", 7);
    gguf_f32(&file, "real", 0.5f);
    gguf_key(&file, "negative", 5);
    put_u32(&file.head, (uint32_t)-3);
    gguf_key(&file, "yes", 7);
    hel_text_append(&file.head, "\1", 1);
    gguf_key(&file, "bytes", 8); // not UTF-8, with a zero inside
    put_u64(&file.head, 3);
    hel_text_append(&file.head, "a\0\xff", 3);
    gguf_key(&file, "tokens", 9);
    put_u32(&file.head, 8);
    put_u64(&file.head, 3);
    put_string(&file.head, "x");
    put_string(&file.head, "");
    put_string(&file.head, "yz");
    gguf_key(&file, "scores", 9);
    put_u32(&file.head, 6);
    put_u64(&file.head, 2);
    hel_text_append(&file.head, (float[]){1.5f, -2}, 8);
    gguf_write(&file, path, 3);
    assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
    assert_true(hel_archive_is_gguf(archive));
    uint64_t whole;
    double real;
    hel_gguf_string text;
    assert_int_equal(hel_gguf_get_u64(archive, "number", &whole), HEL_OK);
    assert_int_equal(whole, 7);
    assert_int_equal(hel_gguf_get_u64(archive, "yes", &whole), HEL_OK);
    assert_int_equal(whole, 1);
    assert_int_equal(hel_gguf_get_u64(archive, "negative", &whole), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_get_u64(archive, "real", &whole), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_get_u64(archive, "tokens", &whole), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_get_u64(archive, "none", &whole), HEL_ERROR_NOT_FOUND);
    assert_int_equal(hel_gguf_get_f64(archive, "negative", &real), HEL_OK);
    assert_true(real == -3);
    assert_int_equal(hel_gguf_get_f64(archive, "bytes", &real), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_get_string(archive, "bytes", &text), HEL_OK);
    assert_int_equal(text.size, 3);
    assert_memory_equal(text.bytes, "a\0\xff", 3);
    assert_int_equal(hel_gguf_get_string(archive, "number", &text), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_array_size(archive, "tokens", &whole), HEL_OK);
    assert_int_equal(whole, 3);
    assert_int_equal(hel_gguf_array_string(archive, "tokens", 2, &text), HEL_OK);
    assert_true(text.size == 2 && memcmp(text.bytes, "yz", 2) == 0);
    assert_int_equal(hel_gguf_array_string(archive, "tokens", 3, &text), HEL_ERROR_NOT_FOUND);
    assert_int_equal(hel_gguf_array_string(archive, "scores", 0, &text), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_array_f64(archive, "scores", 1, &real), HEL_OK);
    assert_true(real == -2);
    assert_int_equal(hel_gguf_array_f64(archive, "tokens", 1, &real), HEL_ERROR_FORMAT);
    assert_int_equal(hel_gguf_array_f64(archive, "number", 0, &real), HEL_ERROR_FORMAT);
    assert_int_equal(json_integer_value(json_object_get(archive->metadata, "number")), 7);
    assert_null(json_object_get(archive->metadata, "bytes"));
    hel_archive_close(&archive);
}

// ---------------------------------------------------------------- broken files

static const uint64_t four[1] = {4};
static const float floats[32] = {1, 2, 3, 4};

static hel_status open_file(gguf_file *file) {
    hel_archive *archive = NULL;
    gguf_write(file, path, 3);
    hel_status status = hel_archive_open(path, &archive);
    if (status != HEL_OK) assert_non_null(strstr(hel_error_message(), path));
    hel_archive_close(&archive);
    return status;
}

// A tensor declared as said, with 16 bytes of data behind.
static hel_status open_tensor(const char *name, uint32_t type, uint32_t rank, const uint64_t *shape, uint64_t offset) {
    gguf_file file = {0};
    gguf_tensor(&file, name, type, rank, shape, floats, 16);
    memcpy(file.head.bytes + file.head.size - 8, &offset, 8);
    return open_file(&file);
}

static void test_tensors(void **state) {
    (void)state;
    static const uint64_t wide[4] = {(uint64_t)1 << 40, (uint64_t)1 << 40, 1, 1}, bytes_wrap[1] = {(uint64_t)1 << 62}, zero[1] = {0},
                          negative[1] = {UINT64_MAX}, five[5] = {1, 1, 1, 1, 1}, half_block[1] = {16}, eight[1] = {8};
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = 0;
    assert_int_equal(open_tensor("t", 0, 1, four, 0), HEL_OK);
    assert_int_equal(open_tensor("t", 0, 2, wide, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 1, bytes_wrap, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 1, zero, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 1, negative, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 5, five, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 0, five, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 2, 1, half_block, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 1, eight, 0), HEL_ERROR_FORMAT);      // more than the file has
    assert_int_equal(open_tensor("t", 1, 1, four, 0), HEL_ERROR_FORMAT);       // less: bytes behind
    assert_int_equal(open_tensor("t", 0, 1, four, 32), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 0, 1, four, UINT64_MAX - 31), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("t", 10, 1, four, 0), HEL_ERROR_UNSUPPORTED); // Q2_K
    assert_int_equal(open_tensor("t", UINT32_MAX, 1, four, 0), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(open_tensor("", 0, 1, four, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor("a b", 0, 1, four, 0), HEL_ERROR_FORMAT);
    assert_int_equal(open_tensor(long_name, 0, 1, four, 0), HEL_ERROR_FORMAT);
    gguf_file file = {0};
    gguf_tensor(&file, "t", 0, 1, four, floats, 16);
    gguf_tensor(&file, "t", 0, 1, four, floats, 16);
    assert_int_equal(open_file(&file), HEL_ERROR_FORMAT);
}

// A value of `type` and of the bytes given, then whether it opens.
static hel_status open_value(const char *key, uint32_t type, const void *bytes, size_t size) {
    gguf_file file = {0};
    gguf_key(&file, key, type);
    hel_text_append(&file.head, bytes, size);
    return open_file(&file);
}

static hel_status open_array(uint32_t type, uint64_t count, size_t size) {
    gguf_file file = {0};
    gguf_key(&file, "array", 9);
    put_u32(&file.head, type);
    put_u64(&file.head, count);
    for (size_t i = 0; i < size; i++) hel_text_append(&file.head, "", 1);
    return open_file(&file);
}

static void test_values(void **state) {
    (void)state;
    static const uint64_t long_string[1] = {UINT64_MAX}, past_end[1] = {64};
    assert_int_equal(open_value("k", 4, "\1\0\0\0", 4), HEL_OK);
    assert_int_equal(open_value("k", 13, "\1\0\0\0\0\0\0\0", 8), HEL_ERROR_FORMAT);
    assert_int_equal(open_value("k", 7, "\2", 1), HEL_ERROR_FORMAT);
    assert_int_equal(open_value("k", 8, long_string, 8), HEL_ERROR_FORMAT);
    assert_int_equal(open_value("k", 8, past_end, 8), HEL_ERROR_FORMAT);
    assert_int_equal(open_value("", 4, "\1\0\0\0", 4), HEL_ERROR_FORMAT);
    assert_int_equal(open_value("k\n", 4, "\1\0\0\0", 4), HEL_ERROR_FORMAT);
    assert_int_equal(open_array(4, 2, 8), HEL_OK);
    assert_int_equal(open_array(9, 1, 64), HEL_ERROR_FORMAT);               // arrays of arrays
    assert_int_equal(open_array(4, 3, 8), HEL_ERROR_FORMAT);
    assert_int_equal(open_array(10, ((uint64_t)1 << 61) + 1, 8), HEL_ERROR_FORMAT); // 8 * count wraps to 8
    assert_int_equal(open_array(8, (uint64_t)1 << 32, 16), HEL_ERROR_FORMAT);
    assert_int_equal(open_array(8, 2, 16), HEL_OK);
    static const struct { uint32_t value; hel_status status; } alignments[] = {
        {32, HEL_OK}, {8, HEL_OK}, {0, HEL_ERROR_FORMAT}, {1, HEL_ERROR_FORMAT}, {24, HEL_ERROR_FORMAT}, {0x80000000u, HEL_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
        assert_int_equal(open_value("general.alignment", 4, &alignments[i].value, 4), alignments[i].status);
    assert_int_equal(open_value("general.alignment", 6, "\0\0\0\x42", 4), HEL_ERROR_FORMAT); // a float
    gguf_file file = {0};
    gguf_u32(&file, "k", 1);
    gguf_u32(&file, "k", 2);
    assert_int_equal(open_file(&file), HEL_ERROR_FORMAT);
}

static void test_heads(void **state) {
    (void)state;
    static const struct { uint32_t version; uint64_t tensors, values; hel_status status; } heads[] = {
        {3, 0, 0, HEL_OK},
        {1, 0, 0, HEL_ERROR_UNSUPPORTED},
        {4, 0, 0, HEL_ERROR_UNSUPPORTED},
        {0x03000000, 0, 0, HEL_ERROR_UNSUPPORTED}, // the other byte order
        {3, 1, 0, HEL_ERROR_FORMAT},
        {3, 0, 1, HEL_ERROR_FORMAT},
        {3, UINT64_MAX, 0, HEL_ERROR_FORMAT},
        {3, 0, UINT64_MAX, HEL_ERROR_FORMAT},
        {3, (uint64_t)1 << 58, (uint64_t)1 << 60, HEL_ERROR_FORMAT}, // counts whose tables' sizes wrap
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        hel_archive *archive = NULL;
        hel_text bytes = {0};
        hel_text_append(&bytes, "GGUF", 4);
        put_u32(&bytes, heads[i].version);
        put_u64(&bytes, heads[i].tensors);
        put_u64(&bytes, heads[i].values);
        write_bytes(path, bytes.bytes, bytes.size);
        hel_text_finish(&bytes);
        assert_int_equal(hel_archive_open(path, &archive), heads[i].status);
        hel_archive_close(&archive);
    }
}

// Vocabularies of llama.cpp: sizes of the token tables, first and last pieces.
static void test_vocabulary(void **state) {
    (void)state;
    char name[TESTS_PATH];
    SUPPORT_NEED_SHARED(name, "data/tokenizer/ggml-vocab-gpt-2.gguf");
    hel_archive *archive;
    uint64_t count;
    hel_gguf_string text;
    assert_int_equal(hel_archive_open(name, &archive), HEL_OK);
    assert_int_equal(archive->n_tensors, 0);
    assert_int_equal(hel_gguf_array_size(archive, "tokenizer.ggml.tokens", &count), HEL_OK);
    assert_int_equal(count, 50257);
    assert_int_equal(hel_gguf_array_string(archive, "tokenizer.ggml.tokens", 50256, &text), HEL_OK);
    assert_true(text.size == 13 && memcmp(text.bytes, "<|endoftext|>", 13) == 0);
    assert_null(json_object_get(archive->metadata, "tokenizer.ggml.tokens"));
    assert_string_equal(json_string_value(json_object_get(archive->metadata, "tokenizer.ggml.model")), "gpt2");
    hel_archive_close(&archive);
}

static int make_path(void **state) {
    folder_make(state);
    support_join(path, folder, "file.gguf");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_metadata), cmocka_unit_test(test_tensors), cmocka_unit_test(test_values),
        cmocka_unit_test(test_heads), cmocka_unit_test(test_vocabulary),
    };
    return cmocka_run_group_tests(tests, make_path, folder_remove);
}
