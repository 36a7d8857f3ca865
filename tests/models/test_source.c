// SPDX-License-Identifier: Apache-2.0
// The same tiny model as Hugging Face folder, as GGUF and as llama2.c checkpoint must be one archive to its readers:
// same names, same rows, same configuration. The GGUF and llama2.c files are written here from the golden folder.
#include "support/folder.h"
#include "support/gguf_files.h"

#include "formats/gguf.h"
#include "formats/llama2c.h"
#include "models/hyper.h"
#include "models/source.h"

enum { LAYERS = 2, HIDDEN = 32, FFN = 48, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 8, VOCABULARY = 96 };

static char path[TESTS_PATH];
static hel_archive *golden;

static const struct { const char *hf, *gguf; uint32_t heads; } names[] = { // heads: rows in interleaved order
    {"input_layernorm.weight", "attn_norm.weight", 0}, {"self_attn.q_proj.weight", "attn_q.weight", HEADS},
    {"self_attn.k_proj.weight", "attn_k.weight", KV_HEADS}, {"self_attn.v_proj.weight", "attn_v.weight", 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0}, {"post_attention_layernorm.weight", "ffn_norm.weight", 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0}, {"mlp.down_proj.weight", "ffn_down.weight", 0}, {"mlp.up_proj.weight", "ffn_up.weight", 0},
};
enum { NAMES = sizeof names / sizeof *names };

static const hel_tensor_info *find_golden(const char *format, int layer) {
    char name[96];
    snprintf(name, sizeof name, "model.layers.%d.%s", layer, format);
    const hel_tensor_info *tensor = hel_archive_find(golden, layer < 0 ? format : name);
    assert_non_null(tensor);
    return tensor;
}

// The tensor's floats, rows of each head moved from half-split (all first halves of pairs, then all second ones) to
// interleaved order where it has heads.
static float *interleaved(const hel_tensor_info *tensor, uint32_t heads) {
    float *in = malloc(tensor->elements * 4), *out = malloc(tensor->elements * 4);
    assert_int_equal(hel_archive_read_f32(golden, tensor, 0, tensor->elements, in), HEL_OK);
    memcpy(out, in, tensor->elements * 4);
    uint64_t cols = tensor->rank == 2 ? tensor->shape[1] : 1;
    for (uint32_t h = 0; h < heads; h++)
        for (int pair = 0; pair < HEAD_DIM / 2; pair++)
            for (int second = 0; second < 2; second++)
                memcpy(out + (h * HEAD_DIM + (uint64_t)(2 * pair + second)) * cols,
                       in + (h * HEAD_DIM + (uint64_t)(second * HEAD_DIM / 2 + pair)) * cols, cols * 4);
    free(in);
    return out;
}

// ---------------------------------------------------------------- writing

static void add_gguf(gguf_file *file, const char *name, const hel_tensor_info *tensor, uint32_t heads) {
    uint64_t shape[2] = {tensor->shape[tensor->rank - 1], tensor->shape[0]};
    float *values = interleaved(tensor, heads);
    gguf_tensor(file, name, 0, tensor->rank, shape, values, tensor->elements * 4);
    free(values);
}

static void add_keys(gguf_file *file, const char *architecture) {
    static const struct { const char *key; uint32_t value; } sizes[] = {
        {"embedding_length", HIDDEN}, {"feed_forward_length", FFN}, {"block_count", LAYERS}, {"context_length", 128},
        {"attention.head_count", HEADS}, {"attention.head_count_kv", KV_HEADS}, {"rope.dimension_count", HEAD_DIM},
    };
    char key[64];
    gguf_text(file, "general.architecture", architecture);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, sizes[i].key);
        gguf_u32(file, key, sizes[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    gguf_f32(file, key, 1e-6f);
    gguf_u32(file, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(file, "tokenizer.ggml.eos_token_id", 2);
}

static void write_gguf(const char *architecture, bool interleave) {
    gguf_file file = {0};
    char name[64];
    add_keys(&file, architecture);
    add_gguf(&file, "token_embd.weight", find_golden("model.embed_tokens.weight", -1), 0);
    for (int l = 0; l < LAYERS; l++)
        for (int i = 0; i < NAMES; i++) {
            snprintf(name, sizeof name, "blk.%d.%s", l, names[i].gguf);
            add_gguf(&file, name, find_golden(names[i].hf, l), interleave ? names[i].heads : 0);
        }
    add_gguf(&file, "output_norm.weight", find_golden("model.norm.weight", -1), 0);
    add_gguf(&file, "output.weight", find_golden("lm_head.weight", -1), 0);
    gguf_write(&file, path, 3);
}

static void append_floats(hel_text *out, const hel_tensor_info *tensor, uint32_t heads) {
    float *values = interleaved(tensor, heads);
    hel_text_append(out, values, tensor->elements * 4);
    free(values);
}

static void write_llama2c(void) {
    hel_text out = {0};
    const int32_t header[7] = {HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, -VOCABULARY, 128};
    static const float rope[128 * HEAD_DIM];
    hel_text_append(&out, header, sizeof header);
    append_floats(&out, find_golden("model.embed_tokens.weight", -1), 0);
    for (int i = 0; i < NAMES; i++)
        for (int l = 0; l < LAYERS; l++) append_floats(&out, find_golden(names[i].hf, l), names[i].heads);
    append_floats(&out, find_golden("model.norm.weight", -1), 0);
    hel_text_append(&out, rope, sizeof rope);
    append_floats(&out, find_golden("lm_head.weight", -1), 0);
    write_bytes(path, out.bytes, out.size);
    hel_text_finish(&out);
}

// ---------------------------------------------------------------- comparing

static void check_tensors(hel_archive *archive) {
    for (size_t i = 0; i < golden->n_tensors; i++) {
        const hel_tensor_info *want = &golden->tensors[i], *got = hel_archive_find(archive, want->name);
        if (!got) print_error("%s is missing\n", want->name);
        assert_non_null(got);
        assert_int_equal(got->rank, want->rank);
        assert_memory_equal(got->shape, want->shape, sizeof got->shape);
        assert_int_equal(got->bytes, want->bytes);
        char *a = malloc(want->bytes), *b = malloc(want->bytes);
        assert_int_equal(hel_archive_read(golden, want, 0, a, want->bytes), HEL_OK);
        for (uint64_t at = 0; at < want->bytes; at += 100) { // pieces that begin and end inside rows
            size_t size = want->bytes - at < 100 ? (size_t)(want->bytes - at) : 100;
            assert_int_equal(hel_archive_read(archive, got, at, b + at, size), HEL_OK);
        }
        assert_memory_equal(a, b, want->bytes);
        free(a);
        free(b);
    }
    assert_int_equal(archive->n_tensors, golden->n_tensors);
}

static void check_config(hel_archive *archive, const char *model_type) {
    static const struct { const char *key; int64_t value; } whole[] = {
        {"hidden_size", HIDDEN}, {"intermediate_size", FFN}, {"num_hidden_layers", LAYERS}, {"num_attention_heads", HEADS},
        {"num_key_value_heads", KV_HEADS}, {"head_dim", HEAD_DIM}, {"vocab_size", VOCABULARY}, {"max_position_embeddings", 128},
        {"bos_token_id", 1}, {"eos_token_id", 2},
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        const json_t *value = json_object_get(archive->config, whole[i].key);
        if (!json_is_integer(value)) print_error("%s is missing\n", whole[i].key);
        assert_true(json_is_integer(value));
        assert_int_equal(json_integer_value(value), whole[i].value);
    }
    assert_string_equal(json_string_value(json_object_get(archive->config, "model_type")), model_type);
    assert_true(json_is_false(json_object_get(archive->config, "tie_word_embeddings")));
    assert_true(json_real_value(json_object_get(archive->config, "rope_theta")) == 10000.0);
    hel_hyper hyper;
    assert_int_equal(hel_hyper_parse(archive->config, path, &hyper), HEL_OK);
    assert_int_equal(hyper.kv_heads, KV_HEADS);
}

static void test_gguf(void **state) {
    (void)state;
    static const struct { const char *architecture; bool interleaved; } kinds[] = {{"llama", true}, {"qwen2", false}};
    for (int k = 0; k < 2; k++) {
        hel_archive *archive;
        uint64_t value;
        write_gguf(kinds[k].architecture, kinds[k].interleaved);
        assert_int_equal(hel_source_open(path, &archive), HEL_OK);
        assert_true(hel_archive_is_gguf(archive));
        assert_string_equal(archive->format->name, "GGUF v3");
        assert_int_equal(hel_gguf_get_u64(archive, "tokenizer.ggml.eos_token_id", &value), HEL_OK);
        assert_int_equal(value, 2);
        check_tensors(archive);
        check_config(archive, kinds[k].architecture);
        assert_true(json_real_value(json_object_get(archive->config, "rms_norm_eps")) == 1e-6);
        hel_archive_close(&archive);
    }
}

static void test_llama2c(void **state) {
    (void)state;
    hel_archive *archive;
    write_llama2c();
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    assert_false(hel_archive_is_gguf(archive));
    assert_non_null(hel_archive_llama2c(archive));
    assert_false(hel_archive_llama2c(archive)->tied);
    check_tensors(archive);
    check_config(archive, "llama");
    hel_archive_close(&archive);
}

static void test_unknown(void **state) {
    (void)state;
    hel_archive *archive;
    write_gguf("strange", false);
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    assert_null(archive->config);
    assert_non_null(hel_archive_find(archive, "blk.1.attn_q.weight"));
    assert_true(hel_archive_is_gguf(archive));
    hel_archive_close(&archive);
}

// A llama whose head count does not divide its rows, or that has no sizes at all.
static void test_refused(void **state) {
    (void)state;
    hel_archive *archive = NULL;
    gguf_file file = {0};
    add_keys(&file, "llama");
    add_gguf(&file, "token_embd.weight", find_golden("model.embed_tokens.weight", -1), 0);
    add_gguf(&file, "blk.0.attn_q.weight", find_golden("model.norm.weight", -1), 0);
    gguf_write(&file, path, 3);
    assert_int_equal(hel_source_open(path, &archive), HEL_OK); // 32 rows of 4 heads
    hel_archive_close(&archive);
    static const uint64_t six[2] = {4, 6};
    add_keys(&file, "llama");
    add_gguf(&file, "token_embd.weight", find_golden("model.embed_tokens.weight", -1), 0);
    gguf_tensor(&file, "blk.0.attn_q.weight", 0, 2, six, (float[24]){0}, 96);
    gguf_write(&file, path, 3);
    assert_int_equal(hel_source_open(path, &archive), HEL_ERROR_FORMAT);
    gguf_text(&file, "general.architecture", "llama");
    add_gguf(&file, "token_embd.weight", find_golden("model.embed_tokens.weight", -1), 0);
    gguf_write(&file, path, 3);
    assert_int_equal(hel_source_open(path, &archive), HEL_ERROR_FORMAT);
    assert_non_null(strstr(hel_error_message(), "llama.embedding_length"));
    assert_null(archive);
}

// ---------------------------------------------------------------- RWKV, whose mixes stand in one tensor

// Of version 7, a mix being a row of four numbers, all below 16 in 16 bits; layers are halved every `rescale`.
static void write_rwkv(uint32_t mixes, uint32_t head, uint32_t rescale) {
    static const struct { const char *key; uint32_t value; } sizes[] = {
        {"embedding_length", 4}, {"block_count", 2}, {"feed_forward_length", 8}, {"attention.decay_lora_rank", 1},
        {"attention.iclr_lora_rank", 1}, {"attention.value_residual_mix_lora_rank", 1}, {"attention.gate_lora_rank", 1}};
    static const uint16_t halves[16] = {0x3c00, 0x4000}; // 1, 2
    static const float floats[32] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const uint64_t rows[] = {4, 1, 1, mixes}, square[] = {4, 4}, embedding[] = {4, 3};
    char key[64];
    gguf_file file = {0};
    gguf_text(&file, "general.architecture", "rwkv7");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "rwkv7.%s", sizes[i].key);
        gguf_u32(&file, key, sizes[i].value);
    }
    gguf_u32(&file, "rwkv7.wkv.head_size", head);
    gguf_u32(&file, "rwkv7.rescale_every_n_layers", rescale);
    gguf_tensor(&file, "token_embd.weight", 0, 2, embedding, floats, 12 * sizeof *floats);
    gguf_tensor(&file, "blk.0.time_mix_lerp_fused.weight", 0, 4, rows, floats, 4 * mixes * sizeof *floats);
    gguf_tensor(&file, "blk.1.time_mix_output.weight", 1, 2, square, halves, sizeof halves);
    gguf_tensor(&file, "blk.1.time_mix_key.weight", 1, 2, square, halves, sizeof halves);
    gguf_write(&file, path, 3);
}

static void expect_values(hel_archive *archive, const char *name, uint64_t first, float a, float b) {
    const hel_tensor_info *tensor = hel_archive_find(archive, name);
    float values[2];
    if (!tensor) fail_msg("no tensor %s", name);
    assert_int_equal(hel_archive_read_f32(archive, tensor, first, 2, values), HEL_OK);
    if (values[0] != a || values[1] != b) fail_msg("%s: %g, %g", name, (double)values[0], (double)values[1]);
}

static void test_rwkv(void **state) {
    (void)state;
    hel_archive *archive;
    hel_hyper hyper;
    uint64_t value;
    write_rwkv(6, 2, 1);
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    assert_int_equal(archive->n_tensors, 3 + 6);
    expect_values(archive, "blocks.0.att.x_r", 2, 2, 3);
    expect_values(archive, "blocks.0.att.x_w", 0, 4, 5);
    expect_values(archive, "blocks.0.att.x_v", 0, 12, 0);
    expect_values(archive, "blocks.1.att.output.weight", 0, 2, 4); // halved once
    expect_values(archive, "blocks.1.att.key.weight", 0, 1, 2);
    assert_int_equal(hel_archive_find(archive, "blocks.0.att.x_g")->rank, 1);
    assert_int_equal(hel_gguf_get_u64(archive, "rwkv7.wkv.head_size", &value), HEL_OK); // behind two views
    assert_true(hel_source_origin(archive)->origin == NULL && hel_archive_is_gguf(hel_source_origin(archive)));
    assert_int_equal(hel_hyper_parse(archive->config, path, &hyper), HEL_OK);
    assert_int_equal(hyper.heads, 2);
    assert_int_equal(hyper.rwkv.version, 7);
    hel_archive_close(&archive);
    write_rwkv(6, 2, 0);
    assert_int_equal(hel_source_open(path, &archive), HEL_OK);
    expect_values(archive, "blocks.1.att.output.weight", 0, 1, 2);
    hel_archive_close(&archive);
    write_rwkv(4, 2, 0);
    assert_int_equal(hel_source_open(path, &archive), HEL_ERROR_FORMAT);
    assert_non_null(strstr(hel_error_message(), "neither five nor six rows"));
    write_rwkv(6, 3, 0);
    assert_int_equal(hel_source_open(path, &archive), HEL_ERROR_FORMAT);
    assert_non_null(strstr(hel_error_message(), "heads of 3"));
}

// Divisors as Llama 3.1's published parameters give them (by wavelength), and others that no parameters give.
static void test_rope_divisors(void **state) {
    (void)state;
    for (int right = 0; right < 2; right++) {
        static const uint64_t shape[1] = {HEAD_DIM / 2};
        float divisors[HEAD_DIM / 2];
        gguf_file file = {0};
        hel_archive *archive;
        add_keys(&file, "llama");
        gguf_f32(&file, "llama.rope.freq_base", 500000);
        for (int i = 0; i < HEAD_DIM / 2; i++) {
            double wavelength = 2 * 3.14159265358979323846 * pow(500000, 2.0 * i / HEAD_DIM), smooth = (8192 / wavelength - 1) / (4 - 1);
            divisors[i] = (float)(wavelength < 8192.0 / 4 ? 1 : wavelength > 8192 ? 8 : 1 / ((1 - smooth) / 8 + smooth));
        }
        if (!right) divisors[1] = 3;
        add_gguf(&file, "token_embd.weight", find_golden("model.embed_tokens.weight", -1), 0);
        gguf_tensor(&file, "rope_freqs.weight", 0, 1, shape, divisors, sizeof divisors);
        gguf_write(&file, path, 3);
        assert_int_equal(hel_source_open(path, &archive), HEL_OK);
        const json_t *scaling = json_object_get(archive->config, "rope_scaling");
        assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), right ? "llama3" : "longrope");
        if (right) assert_true(json_real_value(json_object_get(scaling, "factor")) == 8);
        hel_hyper hyper;
        assert_int_equal(hel_hyper_parse(archive->config, path, &hyper), right ? HEL_OK : HEL_ERROR_UNSUPPORTED);
        hel_archive_close(&archive);
    }
}

static int set_up(void **state) {
    char name[TESTS_PATH];
    folder_make(state);
    snprintf(path, sizeof path, "%.4000s/model", folder);
    support_data(name, "golden/hxq_tiny_llama_src");
    return hel_archive_open(name, &golden);
}

static int tear_down(void **state) {
    hel_archive_close(&golden);
    return folder_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf), cmocka_unit_test(test_llama2c), cmocka_unit_test(test_unknown), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rope_divisors), cmocka_unit_test(test_rwkv),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
