// SPDX-License-Identifier: Apache-2.0
// Every form of a compressed weight against the matrix computed here in double precision, and golden checkpoints
// against matrices that an independent reader decoded (tests/data/golden/decoded).
#include "support/folder.h"
#include "support/model_files.h"

#include "formats/npy.h"
#include "formats/weight_desc.h"

enum { ROWS = 5, COLS = 12, RANK = 2 };

static char path[TESTS_PATH];

// ---------------------------------------------------------------- golden checkpoints

static void check_golden(const char *checkpoint, const char *module, const char *decoded) {
    char name[TESTS_PATH];
    hel_archive *archive, *expected;
    hel_weight_desc desc;
    support_data(name, decoded);
    assert_int_equal(hel_archive_open(name, &expected), HEL_OK);
    const hel_tensor_info *matrix = &expected->tensors[0];
    support_data(name, checkpoint);
    assert_int_equal(hel_archive_open(name, &archive), HEL_OK);
    assert_int_equal(hel_weight_desc_find(archive, module, matrix->shape[0], matrix->shape[1], &desc), HEL_OK);
    float *want, *got = malloc(matrix->bytes);
    assert_int_equal(hel_archive_read_all(expected, matrix, 1 << 20, (void **)&want), HEL_OK);
    for (uint64_t r = 0; r < desc.rows; r += 3) { // pieces of rows, as loading does
        uint64_t count = desc.rows - r < 3 ? desc.rows - r : 3;
        assert_int_equal(hel_weight_decode_rows(archive, &desc, r, count, got + r * desc.cols), HEL_OK);
    }
    assert_memory_equal(want, got, matrix->bytes);
    assert_int_equal(hel_weight_decode_rows(archive, &desc, desc.rows, 1, got), HEL_ERROR_ARGUMENT);
    hel_weight_desc_finish(&desc);
    hel_free(want);
    free(got);
    hel_archive_close(&archive);
    hel_archive_close(&expected);
}

static void test_golden(void **state) {
    (void)state;
    check_golden("golden/hxq_tiny_llama_k256", "model.layers.1.self_attn.k_proj", "golden/decoded/k256.k_proj.npy");
    check_golden("golden/hxq_tiny_llama_k256", "model.layers.1.mlp.down_proj", "golden/decoded/k256.down_proj.npy");
    check_golden("golden/hxq_tiny_llama_k320_12bit", "model.layers.1.self_attn.k_proj", "golden/decoded/k320.k_proj.npy");
    check_golden("golden/hxq_tiny_llama_k320_12bit", "model.layers.1.mlp.down_proj", "golden/decoded/k320.down_proj.npy");
}

static void test_modules(void **state) {
    (void)state;
    char name[TESTS_PATH];
    hel_archive *archive;
    hel_weight_desc desc;
    char **modules;
    size_t count;
    support_data(name, "golden/hxq_tiny_llama_k320_12bit");
    assert_int_equal(hel_archive_open(name, &archive), HEL_OK);
    assert_int_equal(hel_weight_modules(archive, &modules, &count), HEL_OK);
    assert_int_equal(count, 14);
    assert_string_equal(modules[0], "model.layers.0.mlp.down_proj");
    assert_null(modules[14]);
    assert_int_equal(hel_weight_desc_find(archive, modules[0], 0, 0, &desc), HEL_ERROR_UNSUPPORTED); // flat, no shape
    assert_int_equal(hel_weight_desc_find(archive, modules[0], 32, 46, &desc), HEL_ERROR_FORMAT);
    assert_int_equal(hel_weight_desc_find(archive, "model.layers.2.mlp.down_proj", 0, 0, &desc), HEL_ERROR_NOT_FOUND);
    assert_int_equal(hel_weight_desc_find(archive, "lm_head", 0, 0, &desc), HEL_OK);
    assert_int_equal(desc.store, HEL_INDEX_NONE);
    assert_int_equal(hel_weight_desc_stored_bytes(&desc), 96 * 32 * 2);
    hel_weight_desc_finish(&desc);
    assert_int_equal(hel_weight_desc_find(archive, "lm_head", 96, 31, &desc), HEL_ERROR_FORMAT);
    assert_int_equal(hel_weight_desc_find(archive, "model.norm", 0, 0, &desc), HEL_ERROR_FORMAT); // a vector
    hel_weight_modules_free(modules);
    hel_archive_close(&archive);
}

// ---------------------------------------------------------------- forms made here

typedef struct weight_form {
    const char *what;
    hel_index_store store;
    uint32_t k, d;
    bool flat, sidecar, alias, svd, channels, groups;
} weight_form;

static const weight_form forms[] = {
    {"u8", HEL_INDEX_U8, 256, 1, .sidecar = true},
    {"u8 few codes, alias", HEL_INDEX_U8, 7, 1, .sidecar = true, .alias = true},
    {"u8 flat", HEL_INDEX_U8, 16, 1, .flat = true},
    {"2-D", HEL_INDEX_U8, 256, 2, .sidecar = true},
    {"4-D", HEL_INDEX_U16, 4096, 4, .sidecar = true, .svd = true},
    {"u16", HEL_INDEX_U16, 65536, 1, .sidecar = true},
    {"u16 flat", HEL_INDEX_U16, 300, 1, .flat = true},
    {"12 bits", HEL_INDEX_PACK12, 320, 1, .flat = true, .sidecar = true},
    {"12 bits 2-D", HEL_INDEX_PACK12, 4096, 2, .flat = true, .svd = true},
    {"12 bits 4-D, odd count", HEL_INDEX_PACK12, 512, 4, .flat = true, .channels = true},
    {"6 bits", HEL_INDEX_PACK6, 64, 1, .sidecar = true},
    {"5 bits", HEL_INDEX_PACK5, 32, 1, .channels = true},
    {"4 bits 2-D", HEL_INDEX_PACK4, 16, 2, .sidecar = true},
    {"all at once", HEL_INDEX_U8, 200, 2, .sidecar = true, .svd = true, .channels = true, .groups = true},
};

static uint32_t bits_of(hel_index_store store) {
    return store == HEL_INDEX_PACK4 ? 4 : store == HEL_INDEX_PACK5 ? 5 : store == HEL_INDEX_PACK6 ? 6 : store == HEL_INDEX_PACK12 ? 12 : store == HEL_INDEX_U16 ? 16 : 8;
}

typedef struct matrix {
    float codebook[65536], u[ROWS * RANK], s[RANK], vt[RANK * COLS], channels[COLS], groups[ROWS * 3];
    uint16_t indices[ROWS * COLS];
    uint8_t packed[ROWS * COLS * 2];
    uint32_t packed_row, packed_size;
    int64_t positions[5];
    float values[5];
    double w[ROWS * COLS];
} matrix;

static float random_float(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return (float)(int32_t)*seed * 0x1p-31f;
}

static void set_bits(uint8_t *bytes, uint64_t at, uint32_t bits, uint32_t value) {
    for (uint32_t b = 0; b < bits; b++) bytes[(at + b) / 8] |= (uint8_t)((value >> b & 1) << (at + b) % 8);
}

// Indices as the file has them: one stream for 12 bits, rows that begin at a byte for the others.
static void pack(const weight_form *form, matrix *m) {
    uint32_t per_row = COLS / form->d, bits = bits_of(form->store);
    bool stream = form->store == HEL_INDEX_PACK12;
    m->packed_row = (per_row * bits + 7) / 8;
    m->packed_size = stream ? (ROWS * per_row + 1) / 2 * 3 : ROWS * m->packed_row;
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t c = 0; c < per_row; c++)
            set_bits(m->packed, stream ? (uint64_t)(r * per_row + c) * 12 : (uint64_t)r * m->packed_row * 8 + c * bits, bits, m->indices[r * per_row + c]);
}

static void make(const weight_form *form, matrix *m) {
    uint32_t seed = form->k * 31 + form->d, per_row = COLS / form->d;
    memset(m, 0, sizeof *m);
    for (uint32_t i = 0; i < form->k && i * form->d < 65536; i++)
        for (uint32_t j = 0; j < form->d; j++) m->codebook[i * form->d + j] = random_float(&seed);
    for (uint32_t i = 0; i < ROWS * per_row; i++) m->indices[i] = (uint16_t)((uint32_t)(random_float(&seed) * 1e6f + 2e6f) % form->k);
    m->indices[0] = (uint16_t)(form->k - 1);
    for (int i = 0; i < ROWS * RANK; i++) m->u[i] = random_float(&seed);
    for (int i = 0; i < RANK; i++) m->s[i] = random_float(&seed);
    for (int i = 0; i < RANK * COLS; i++) m->vt[i] = random_float(&seed);
    for (int i = 0; i < COLS; i++) m->channels[i] = 1.5f + random_float(&seed);
    for (int i = 0; i < ROWS * 3; i++) m->groups[i] = 1.5f + random_float(&seed);
    static const int64_t positions[5] = {59, 0, 17, 17, 0}; // two are repeated: the last counts
    memcpy(m->positions, positions, sizeof positions);
    for (int i = 0; i < 5; i++) m->values[i] = 10.0f + (float)i;
    pack(form, m);
    for (uint32_t i = 0; i < ROWS * COLS; i++) {
        uint32_t r = i / COLS, c = i % COLS;
        double w = m->codebook[m->indices[r * per_row + c / form->d] * form->d + c % form->d];
        if (form->groups) w *= m->groups[r * 3 + c / 4];
        if (form->sidecar) w = i == 59 ? 10 : i == 17 ? 13 : i == 0 ? 14 : w;
        for (int j = 0; form->svd && j < RANK; j++) w += (double)m->u[r * RANK + j] * m->s[j] * m->vt[j * COLS + c];
        m->w[i] = form->channels ? w / m->channels[c] : w;
    }
}

static void write_form(const weight_form *form, const matrix *m) {
    uint32_t per_row = COLS / form->d, bits = bits_of(form->store);
    bool wide = form->store == HEL_INDEX_U16;
    test_tensor t[16] = {{"m.codebook", HEL_F32, form->d == 1 ? 1 : 2, {form->k, form->d}, m->codebook}};
    size_t n = 1;
    t[n++] = (test_tensor){"m.indices", wide ? HEL_U16 : HEL_U8, 2, {ROWS, wide ? per_row : m->packed_row}, m->packed};
    if (form->flat) t[1].rank = 1, t[1].shape[0] = wide ? ROWS * per_row : m->packed_size;
    if (form->sidecar) t[n++] = (test_tensor){form->alias ? "m.sidecar_indices" : "m.sidecar_positions", HEL_I64, 1, {5}, m->positions};
    if (form->sidecar) t[n++] = (test_tensor){"m.sidecar_values", HEL_F32, 1, {5}, m->values};
    if (form->svd) t[n++] = (test_tensor){"m.svd_U", HEL_F32, 2, {ROWS, RANK}, m->u};
    if (form->svd) t[n++] = (test_tensor){"m.svd_s", HEL_F32, 1, {RANK}, m->s};
    if (form->svd) t[n++] = (test_tensor){"m.svd_Vt", HEL_F32, 2, {RANK, COLS}, m->vt};
    if (form->channels) t[n++] = (test_tensor){"m.channel_scales", HEL_F32, 1, {COLS}, m->channels};
    if (form->groups) t[n++] = (test_tensor){"m.group_scales", HEL_F32, 2, {ROWS, 3}, m->groups};
    t[n++] = (test_tensor){"m.weight.extra", HEL_F32, 1, {1}, m->values}; // an unknown neighbour
    char config[128];
    snprintf(config, sizeof config, bits < 8 ? "{\"quantization_config\":{\"module_index_bits\":{\"m\":%u}}}" : "{}", bits);
    json_t *metadata = json_pack("{s:s}", "config", config);
    write_safetensors(path, t, n, metadata);
    json_decref(metadata);
}

static void test_forms(void **state) {
    (void)state;
    matrix *m = malloc(sizeof *m);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        hel_archive *archive;
        hel_weight_desc desc;
        float got[ROWS * COLS];
        make(&forms[f], m);
        write_form(&forms[f], m);
        assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
        hel_status status = hel_weight_desc_find(archive, "m", ROWS, COLS, &desc);
        if (status != HEL_OK) print_error("%s: %s\n", forms[f].what, hel_error_message());
        assert_int_equal(status, HEL_OK);
        assert_int_equal(desc.store, forms[f].store);
        assert_int_equal(desc.k, forms[f].k);
        assert_int_equal(desc.d, forms[f].d);
        assert_int_equal(hel_weight_decode_rows(archive, &desc, 0, 1, got), HEL_OK);
        assert_int_equal(hel_weight_decode_rows(archive, &desc, 1, ROWS - 1, got + COLS), HEL_OK);
        for (int i = 0; i < ROWS * COLS; i++) {
            if (!(fabs(got[i] - m->w[i]) <= 1e-6 * (1 + fabs(m->w[i])))) print_error("%s: element %d: %g, %g\n", forms[f].what, i, got[i], m->w[i]);
            assert_true(fabs(got[i] - m->w[i]) <= 1e-6 * (1 + fabs(m->w[i])));
        }
        hel_outlier *outliers;
        size_t count;
        assert_int_equal(hel_weight_read_sidecar(archive, &desc, &outliers, &count), HEL_OK);
        assert_int_equal(count, forms[f].sidecar ? 3 : 0);
        if (count) assert_true(outliers[1].row == 1 && outliers[1].col == 5 && outliers[1].value == 13);
        hel_free(outliers);
        hel_weight_desc_finish(&desc);
        hel_archive_close(&archive);
    }
    free(m);
}

// ---------------------------------------------------------------- what must be refused

static hel_status decode(const test_tensor *tensors, size_t count) {
    hel_archive *archive;
    hel_weight_desc desc;
    float got[16];
    write_safetensors(path, tensors, count, NULL);
    assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
    hel_status status = hel_weight_desc_find(archive, "m", 0, 0, &desc);
    if (status == HEL_OK) status = hel_weight_decode_rows(archive, &desc, 0, desc.rows, got);
    hel_weight_desc_finish(&desc);
    hel_archive_close(&archive);
    return status;
}

static void test_refused(void **state) {
    (void)state;
    static const float floats[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t indices[8] = {0, 1, 2, 1, 0, 2, 1, 0};
    static const int64_t outside[1] = {8}, negative[1] = {-1};
    const test_tensor codebook = {"m.codebook", HEL_F32, 1, {3}, floats}, index = {"m.indices", HEL_U8, 2, {2, 4}, indices};
    const test_tensor value = {"m.sidecar_values", HEL_F32, 1, {1}, floats};
    assert_int_equal(decode((test_tensor[]){codebook, index}, 2), HEL_OK);
    const test_tensor broken[][4] = {
        {{"m.codebook", HEL_F32, 1, {2}, floats}, index},                                  // index 2 of 2 codes
        {{"m.codebook", HEL_F32, 1, {0}, floats}, index},
        {{"m.codebook", HEL_F32, 2, {2, 3}, floats}, index},                               // 3-D
        {{"m.codebook", HEL_U8, 1, {3}, indices}, index},
        {codebook, {"m.indices", HEL_F32, 2, {2, 4}, floats}},
        {codebook, {"m.indices", HEL_U8, 3, {2, 2, 2}, indices}},
        {codebook, {"m.indices", HEL_U8, 2, {0, 4}, indices}},
        {codebook, {"m.indices", HEL_U8, 2, {4, 0}, indices}},
        {codebook, index, value},                                                          // values without positions
        {codebook, index, value, {"m.sidecar_positions", HEL_I64, 1, {1}, outside}},
        {codebook, index, value, {"m.sidecar_positions", HEL_I64, 1, {1}, negative}},
        {codebook, index, {"m.sidecar_values", HEL_F32, 1, {2}, floats}, {"m.sidecar_positions", HEL_I64, 1, {1}, outside}},
        {codebook, index, {"m.bias", HEL_F32, 1, {3}, floats}},
        {codebook, index, {"m.channel_scales", HEL_F32, 1, {2}, floats}},
        {codebook, index, {"m.group_scales", HEL_F32, 2, {2, 3}, floats}},
        {codebook, index, {"m.svd_U", HEL_F32, 2, {2, 1}, floats}},                        // one factor of three
        {{"m.weight", HEL_F32, 2, {0, 4}, floats}},
        {{"m.weight", HEL_U8, 2, {2, 4}, indices}},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        size_t count = 0;
        while (count < 4 && broken[i][count].name) count++;
        hel_status status = decode(broken[i], count);
        if (status != HEL_ERROR_FORMAT) print_error("case %zu: %d\n", i, status);
        assert_int_equal(status, HEL_ERROR_FORMAT);
        assert_non_null(strstr(hel_error_message(), path));
    }
}

static int make_path(void **state) {
    folder_make(state);
    support_join(path, folder, "file.safetensors");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_modules), cmocka_unit_test(test_forms), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_path, folder_remove);
}
