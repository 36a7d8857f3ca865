// SPDX-License-Identifier: Apache-2.0
// A small LLaMA in every form of compressed weight, run on the device of the first argument, against the same model
// dense on the CPU. The dense matrices are decoded here, from docs/formats.md, not by the library. The second argument is
// the number of parts (support/part.h) that the forms are dealt out to.
#include "support/model_files.h"
#include "support/device_here.h"
#include "support/folder.h"
#include "support/part.h"

#include <helicoid/helicoid.h>

#include "base/half.h"

enum { HIDDEN = 32, FFN = 48, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 8, VOCABULARY = 96, MATRICES = 7, TOKENS = 21 };

static const struct matrix {
    const char *module;
    uint32_t rows, cols;
} matrices[MATRICES] = {
    {"model.layers.0.self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN}, {"model.layers.0.self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN},
    {"model.layers.0.self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN}, {"model.layers.0.self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM},
    {"model.layers.0.mlp.gate_proj", FFN, HIDDEN}, {"model.layers.0.mlp.up_proj", FFN, HIDDEN},
    {"model.layers.0.mlp.down_proj", HIDDEN, FFN},
};

typedef enum extras { SIDECAR = 1, SVD = 2, CHANNEL_SCALES = 4, GROUP_SCALES = 8, BIAS = 16 } extras;

static const struct form {
    const char *name;
    uint32_t k, d;
    hel_dtype dtype; // of the indices; U8 with k > 256: 12-bit pairs
    int extras;
} forms[] = {
    {"2-D", 64, 2, HEL_U8, 0},          {"4-D", 256, 4, HEL_U8, 0},          {"4-D u16", 700, 4, HEL_U16, SIDECAR},
    {"2-D 12 bit", 320, 2, HEL_U8, 0},  {"12 bit", 320, 1, HEL_U8, SIDECAR}, {"u16", 5000, 1, HEL_U16, 0},
    {"i16", 300, 1, HEL_I16, SIDECAR},  {"16 codes", 16, 1, HEL_U8, SIDECAR}, {"32 codes", 32, 1, HEL_U8, 0},
    {"64 codes", 50, 1, HEL_U8, BIAS},  {"svd", 256, 1, HEL_U8, SIDECAR | SVD}, {"channel scales", 256, 1, HEL_U8, SIDECAR | CHANNEL_SCALES},
    {"all", 200, 2, HEL_U8, SIDECAR | SVD | CHANNEL_SCALES | GROUP_SCALES | BIAS},
};

static const char *device_name = "cpu";
static uint64_t random_state;

static uint32_t next_random(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static float next_value(void) { return ((float)next_random(2001) - 1000.0f) / 5000.0f; }

// ---------------------------------------------------------------- a file being put together

typedef struct builder {
    test_tensor tensors[64];
    char names[64][80];
    size_t count;
    void *owned[128];
    size_t n_owned;
} builder;

static void *keep(builder *b, size_t size) {
    assert_true(b->n_owned < 128);
    return b->owned[b->n_owned++] = calloc(1, size);
}

static void add(builder *b, const char *module, const char *part, hel_dtype dtype, uint64_t rows, uint64_t cols, const void *values) {
    assert_true(b->count < 64);
    snprintf(b->names[b->count], sizeof b->names[0], "%s.%s", module, part);
    b->tensors[b->count] = (test_tensor){b->names[b->count], dtype, cols ? 2 : 1, {rows, cols}, values};
    b->count++;
}

static float *random_floats(builder *b, size_t count) {
    float *values = keep(b, count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = next_value();
    return values;
}

static void release(builder *b) {
    for (size_t i = 0; i < b->n_owned; i++) free(b->owned[i]);
}

static void write_model(builder *b, const char *path) {
    json_t *metadata = json_object();
    char config[512];
    snprintf(config, sizeof config,
             "{\"model_type\":\"llama\",\"hidden_size\":%d,\"intermediate_size\":%d,\"num_hidden_layers\":1,\"num_attention_heads\":%d,"
             "\"num_key_value_heads\":%d,\"vocab_size\":%d,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true}",
             HIDDEN, FFN, HEADS, KV_HEADS, VOCABULARY);
    json_object_set_new(metadata, "config", json_string(config));
    write_safetensors(path, b->tensors, b->count, metadata);
    json_decref(metadata);
}

// ---------------------------------------------------------------- one matrix in one form, and what it stands for

// Indices as the file holds them.
static void add_indices(builder *b, const struct form *form, const struct matrix *m, const uint16_t *indices, size_t count) {
    uint64_t per_row = m->cols / form->d;
    if (form->dtype != HEL_U8) {
        uint16_t *words = keep(b, count * 2);
        memcpy(words, indices, count * 2);
        add(b, m->module, "indices", form->dtype, m->rows, per_row, words);
        return;
    }
    uint8_t *bytes = keep(b, count * 2);
    if (form->k <= 256) {
        for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)indices[i];
        add(b, m->module, "indices", HEL_U8, m->rows, per_row, bytes);
        return;
    }
    for (size_t i = 0; i < count; i += 2) {
        uint32_t low = indices[i], high = i + 1 < count ? indices[i + 1] : 0;
        bytes[i / 2 * 3] = (uint8_t)low;
        bytes[i / 2 * 3 + 1] = (uint8_t)(low >> 8 | (high & 15) << 4);
        bytes[i / 2 * 3 + 2] = (uint8_t)(high >> 4);
    }
    add(b, m->module, "indices", HEL_U8, count / 2 * 3, 0, bytes);
}

static void add_sidecar(builder *b, const struct matrix *m, double *dense) {
    enum { COUNT = 9 };
    int64_t *positions = keep(b, COUNT * sizeof *positions);
    float *values = keep(b, COUNT * sizeof *values);
    for (int i = 0; i < COUNT; i++) {
        positions[i] = i == COUNT - 1 ? positions[0] : next_random(m->rows * m->cols); // the first one comes again
        values[i] = 3 * next_value();
        dense[positions[i]] = values[i];
    }
    add(b, m->module, "sidecar_positions", HEL_I64, COUNT, 0, positions);
    add(b, m->module, "sidecar_values", HEL_F32, COUNT, 0, values);
}

static void add_svd(builder *b, const struct matrix *m, double *dense) {
    enum { RANK = 3 };
    const float *u = random_floats(b, m->rows * RANK), *s = random_floats(b, RANK), *vt = random_floats(b, RANK * m->cols);
    for (uint32_t r = 0; r < m->rows; r++)
        for (uint32_t c = 0; c < m->cols; c++)
            for (int j = 0; j < RANK; j++) dense[r * m->cols + c] += (double)u[r * RANK + j] * s[j] * vt[j * m->cols + c];
    add(b, m->module, "svd_U", HEL_F32, m->rows, RANK, u);
    add(b, m->module, "svd_s", HEL_F32, RANK, 0, s);
    add(b, m->module, "svd_Vt", HEL_F32, RANK, m->cols, vt);
}

// Adds the matrix to `compressed` in its form and to `plain` as floats.
static void add_matrix(const struct form *form, const struct matrix *m, builder *compressed, builder *plain) {
    size_t elements = (size_t)m->rows * m->cols, count = elements / form->d, groups = m->cols / 8;
    uint16_t *indices = keep(compressed, count * 2);
    double *dense = keep(plain, elements * sizeof *dense);
    const float *codebook = random_floats(compressed, (size_t)form->k * form->d);
    const float *scales = random_floats(compressed, m->rows * groups);
    for (size_t i = 0; i < count; i++) indices[i] = (uint16_t)next_random(form->k);
    for (size_t i = 0; i < elements; i++) {
        dense[i] = codebook[indices[i / form->d] * form->d + i % form->d];
        if (form->extras & GROUP_SCALES) dense[i] *= scales[i / m->cols * groups + i % m->cols / 8];
    }
    add(compressed, m->module, "codebook", HEL_F32, form->k, form->d == 1 ? 0 : form->d, codebook);
    add_indices(compressed, form, m, indices, count);
    if (form->extras & GROUP_SCALES) add(compressed, m->module, "group_scales", HEL_F32, m->rows, groups, scales);
    if (form->extras & SIDECAR) add_sidecar(compressed, m, dense);
    if (form->extras & SVD) add_svd(compressed, m, dense);
    if (form->extras & CHANNEL_SCALES) {
        float *channels = random_floats(compressed, m->cols);
        for (uint32_t c = 0; c < m->cols; c++) channels[c] += 1.0f;
        for (size_t i = 0; i < elements; i++) dense[i] /= channels[i % m->cols];
        add(compressed, m->module, "channel_scales", HEL_F32, m->cols, 0, channels);
    }
    if (form->extras & BIAS) {
        const float *bias = random_floats(compressed, m->rows);
        add(compressed, m->module, "bias", HEL_F32, m->rows, 0, bias);
        add(plain, m->module, "bias", HEL_F32, m->rows, 0, bias);
    }
    float *rounded = keep(plain, elements * sizeof *rounded);
    for (size_t i = 0; i < elements; i++) rounded[i] = (float)dense[i];
    add(plain, m->module, "weight", HEL_F32, m->rows, m->cols, rounded);
}

static void add_rest(builder *owner, builder *a, builder *b) {
    static const struct { const char *module; uint64_t rows, cols; } rest[] = {
        {"model.embed_tokens", VOCABULARY, HIDDEN}, {"model.norm", HIDDEN, 0},
        {"model.layers.0.input_layernorm", HIDDEN, 0}, {"model.layers.0.post_attention_layernorm", HIDDEN, 0}};
    for (size_t i = 0; i < 4; i++) {
        float *values = random_floats(owner, rest[i].rows * (rest[i].cols ? rest[i].cols : 1));
        for (uint64_t j = 0; !rest[i].cols && j < rest[i].rows; j++) values[j] += 1.0f;
        add(a, rest[i].module, "weight", HEL_F32, rest[i].rows, rest[i].cols, values);
        add(b, rest[i].module, "weight", HEL_F32, rest[i].rows, rest[i].cols, values);
    }
}

// ---------------------------------------------------------------- running

static bool collect(void *user, uint32_t first, uint32_t count, const float *logits) {
    memcpy((float *)user + first * VOCABULARY, logits, count * VOCABULARY * sizeof *logits);
    return true;
}

static void evaluate(const char *path, const char *device, uint32_t step, float *out) {
    hel_model_params params = hel_model_params_default();
    params.devices = device;
    hel_model *model = NULL;
    hel_context *context = NULL;
    hel_status status = hel_model_load(path, &params, &model);
    if (status != HEL_OK) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    uint32_t tokens[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = (i * 31 + 5) % VOCABULARY;
    for (uint32_t at = 0; at < TOKENS; at += step) {
        uint32_t count = TOKENS - at < step ? TOKENS - at : step;
        assert_int_equal(hel_context_evaluate(context, tokens + at, count, 0, collect, out + at * VOCABULARY), HEL_OK);
    }
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void check_form(const struct form *form, size_t seed) {
    static float expected[TOKENS * VOCABULARY], logits[TOKENS * VOCABULARY];
    static builder compressed, plain;
    char path[TESTS_PATH], plain_path[TESTS_PATH];
    compressed = plain = (builder){.count = 0};
    random_state = seed;
    for (size_t i = 0; i < MATRICES; i++) {
        // Not every matrix has every part: files hold what their writer found worth it.
        struct form here = *form;
        if (i % 3) here.extras &= ~(SVD | CHANNEL_SCALES | GROUP_SCALES);
        add_matrix(&here, &matrices[i], &compressed, &plain);
    }
    add_rest(&compressed, &compressed, &plain);
    support_join(path, folder, "form.safetensors");
    support_join(plain_path, folder, "plain.safetensors");
    write_model(&compressed, path);
    write_model(&plain, plain_path);
    evaluate(plain_path, "cpu", TOKENS, expected);
    // The matrix-vector kernel at one token, the tiled product, and, where compiling costs nothing, the former at several.
    static const uint32_t steps[] = {1, TOKENS, 7};
    for (size_t i = 0; i < (strcmp(device_name, "cpu") ? 2 : 3); i++) {
        evaluate(path, device_name, steps[i], logits);
        double worst = support_difference(logits, expected, TOKENS * VOCABULARY);
        if (!(worst <= 1e-4)) fail_msg("%s on %s, %u tokens at a time: logits differ by %g", form->name, device_name, steps[i], worst);
    }
    release(&compressed);
    release(&plain);
}

static test_part part = {0, 1}; // of the forms

static void test_forms(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (part_has(part, i)) check_form(&forms[i], i + 1);
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (argc > 2) part = part_of(0, (uint32_t)atoi(argv[2]));
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms)};
    return cmocka_run_group_tests_name(device_name, tests, folder_make, folder_remove);
}
