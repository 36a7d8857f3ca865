// SPDX-License-Identifier: Apache-2.0
// Damaged files: every truncation and every flipped bit of files up to 4 KiB, samples of larger ones. A truncation is
// refused with a message that names the file; a flip is refused or gives an archive whose every tensor can be read.
#include "support/folder.h"
#include "support/gguf_files.h"

#include <fcntl.h>

#include "formats/weight_desc.h"
#include "models/source.h"

enum { SMALL = 4096, SAMPLES = 400 };

static char path[TESTS_PATH];

// Reads all tensors, and decodes all compressed modules as far as they are whole.
static void use(hel_archive *archive) {
    static char bytes[1 << 16];
    static float rows[1 << 16];
    char **modules;
    size_t count;
    for (size_t i = 0; i < archive->n_tensors; i++) {
        const hel_tensor_info *tensor = &archive->tensors[i];
        size_t size = tensor->bytes < sizeof bytes ? (size_t)tensor->bytes : sizeof bytes;
        hel_status status = hel_archive_read(archive, tensor, 0, bytes, size);
        if (status != HEL_OK) print_error("%s: %s\n", tensor->name, hel_error_message());
        assert_int_equal(status, HEL_OK);
    }
    assert_int_equal(hel_weight_modules(archive, &modules, &count), HEL_OK);
    for (size_t i = 0; i < count; i++) {
        hel_weight_desc desc;
        if (hel_weight_desc_find(archive, modules[i], 0, 0, &desc) != HEL_OK) continue;
        if (desc.cols < sizeof rows / sizeof *rows) hel_weight_decode_rows(archive, &desc, 0, 1, rows);
        hel_weight_desc_finish(&desc);
    }
    hel_weight_modules_free(modules);
}

static void check_truncation(const char *bytes, size_t size) {
    hel_archive *archive = NULL;
    write_bytes(path, bytes, size);
    hel_status status = hel_source_open(path, &archive);
    if (status == HEL_OK) print_error("%zu bytes are accepted\n", size);
    assert_true(status == HEL_ERROR_FORMAT || status == HEL_ERROR_UNSUPPORTED);
    assert_non_null(strstr(hel_error_message(), path));
    assert_null(archive);
}

static void check_flip(int file, char *bytes, size_t at, int bit) {
    hel_archive *archive = NULL;
    char flipped = (char)(bytes[at] ^ 1 << bit);
    assert_int_equal(pwrite(file, &flipped, 1, (off_t)at), 1);
    if (hel_source_open(path, &archive) == HEL_OK) use(archive);
    else assert_null(archive);
    hel_archive_close(&archive);
    assert_int_equal(pwrite(file, bytes + at, 1, (off_t)at), 1);
}

static void damage(const char *from) {
    size_t size;
    char *bytes = read_bytes(from, &size);
    uint32_t seed = 1;
    if (size <= SMALL)
        for (size_t i = 0; i < size; i++) check_truncation(bytes, i);
    for (int i = 0; size > SMALL && i < SAMPLES; i++) check_truncation(bytes, (seed = seed * 1664525 + 1013904223) % size);
    write_bytes(path, bytes, size);
    hel_archive *archive = NULL;
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    use(archive);
    hel_archive_close(&archive);
    int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    if (size <= SMALL)
        for (size_t i = 0; i < size * 8; i++) check_flip(file, bytes, i / 8, (int)(i % 8));
    for (int i = 0; size > SMALL && i < 4 * SAMPLES; i++) { // half of them in the header
        seed = seed * 1664525 + 1013904223;
        check_flip(file, bytes, (seed >> 3) % (i % 2 ? SMALL : size), (int)(seed & 7));
    }
    close(file);
    free(bytes);
}

static void damage_made(void (*make)(const char *name)) {
    char name[TESTS_PATH + 16];
    snprintf(name, sizeof name, "%s.whole", path);
    make(name);
    damage(name);
}

// ---------------------------------------------------------------- small files of each format

static void make_hxq(const char *name) {
    static const float codes[16] = {1, 2, 3, 4};
    static const uint8_t indices[24] = {1, 2, 3};
    static const int64_t positions[2] = {3, 20};
    const test_tensor tensors[] = {
        {"m.sidecar_positions", HEL_I64, 1, {2}, positions}, {"m.codebook", HEL_F32, 2, {8, 2}, codes}, {"m.sidecar_values", HEL_F32, 1, {2}, codes},
        {"n.weight", HEL_F16, 2, {2, 2}, codes}, {"m.indices", HEL_U8, 2, {4, 6}, indices},
    };
    json_t *metadata = json_pack("{s:s}", "config", "{\"quantization_config\":{\"module_index_bits\":{\"x\":6}}}");
    write_safetensors(name, tensors, 5, metadata);
    json_decref(metadata);
}

static void make_gguf(const char *name) {
    gguf_file file = {0};
    static const uint64_t plain[2] = {4, 2}, rows[2] = {32, 2};
    static const uint8_t blocks[40] = {1, 2, 3};
    gguf_text(&file, "general.architecture", "llama");
    static const char *const keys[] = {"embedding_length", "feed_forward_length", "block_count", "context_length", "attention.head_count"};
    for (int i = 0; i < 5; i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", keys[i]);
        gguf_u32(&file, key, i == 4 ? 1 : 2);
    }
    gguf_key(&file, "tokenizer.ggml.tokens", 9);
    put_u32(&file.head, 8);
    put_u64(&file.head, 2);
    put_string(&file.head, "a");
    put_string(&file.head, "bc");
    gguf_tensor(&file, "token_embd.weight", 0, 2, plain, blocks, 32);
    gguf_tensor(&file, "blk.0.attn_q.weight", 0, 2, plain, blocks, 32);
    gguf_tensor(&file, "rope_freqs.weight", 3, 2, rows, blocks, 40);
    gguf_write(&file, name, 3);
}

static void make_llama2c(const char *name) {
    const int32_t header[7] = {4, 6, 1, 2, 1, -5, 3};
    hel_text out = {0};
    hel_text_append(&out, header, sizeof header);
    size_t floats = 5 * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 24 * 3 + 4 + 3 * 2 + 5 * 4;
    for (size_t i = 0; i < floats; i++) hel_text_append(&out, &(float){(float)i}, 4);
    write_bytes(name, out.bytes, out.size);
    hel_text_finish(&out);
}

static void test_hxq(void **state) {
    (void)state;
    damage_made(make_hxq);
}

static void test_gguf(void **state) {
    (void)state;
    damage_made(make_gguf);
}

static void test_llama2c(void **state) {
    (void)state;
    damage_made(make_llama2c);
}

static void damage_data(const char *data) {
    char name[TESTS_PATH];
    support_data(name, data);
    damage(name);
}

static void test_rwkvcpp(void **state) {
    (void)state;
    damage_data("tiny/rwkvcpp.bin");
}

static void test_npy(void **state) {
    (void)state;
    damage_data("golden/hxq_tiny_llama_k256/x.npy");
}

static void test_golden(void **state) {
    (void)state;
    damage_data("golden/hxq_tiny_llama_k256/model.safetensors");
    damage_data("golden/hxq_tiny_llama_k320_12bit/model.safetensors");
    damage_data("golden/hxq_tiny_llama_src/model.safetensors");
}

static int make_path(void **state) {
    folder_make(state);
    support_join(path, folder, "damaged");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hxq), cmocka_unit_test(test_gguf), cmocka_unit_test(test_llama2c), cmocka_unit_test(test_rwkvcpp), cmocka_unit_test(test_npy),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, make_path, folder_remove);
}
