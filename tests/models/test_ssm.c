// SPDX-License-Identifier: Apache-2.0
// Tiny models of Mamba, Falcon Mamba, Mamba-2 and Zamba2 on the devices of the first argument, against the logits that transformers gave
// (make_ssm.py): whole texts, single steps and uneven pieces; compressed against what the compressed weights decode to.
#include "support/model_here.h"
#include "support/npy_files.h"
#include "support/device_here.h"

#include <helicoid/helicoid.h>

#include "device/backend.h"
#include "models/model_internal.h"

enum { TOKENS = 45, VOCABULARY = 53, LOGITS = TOKENS * VOCABULARY };

static const char *devices = "cpu";
static const char *const cases[] = {"mamba", "mamba_untied", "falcon_mamba", "mamba2", "mamba2_tied", "zamba2", "zamba2_untied"};

static void read_ids(uint32_t ids[TOKENS]) {
    uint64_t count;
    float *values = npy_read("ssm/ids.npy", &count);
    assert_int_equal(count, TOKENS);
    for (int i = 0; i < TOKENS; i++) ids[i] = (uint32_t)values[i];
    free(values);
}

static bool collect(void *user, uint32_t first, uint32_t count, const float *logits) {
    memcpy((float *)user + first * VOCABULARY, logits, count * VOCABULARY * sizeof *logits);
    return true;
}

// All tokens in pieces of so many.
static void evaluate(hel_context *context, uint32_t piece, float out[LOGITS]) {
    uint32_t ids[TOKENS];
    read_ids(ids);
    assert_int_equal(hel_context_rewind(context, 0), HEL_OK);
    for (uint32_t at = 0; at < TOKENS; at += piece) {
        uint32_t count = piece < TOKENS - at ? piece : TOKENS - at;
        if (hel_context_evaluate(context, ids + at, count, 0, collect, out + at * VOCABULARY)) fail_msg("%s", hel_error_message());
    }
}

static void logits_of(const char *path, uint32_t piece, float out[LOGITS]) {
    hel_model *model = model_on(devices, path);
    hel_context *context = NULL;
    if (hel_context_create(model, NULL, &context)) fail_msg("%s", hel_error_message());
    evaluate(context, piece, out);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static double difference(const float *a, const float *b) {
    return support_difference(a, b, LOGITS);
}

static void path_of(const char *name, char path[TESTS_PATH]) {
    char folder[64];
    snprintf(folder, sizeof folder, "ssm/%s", name);
    support_data(path, folder);
}

// Each value of the file once, wherever and how often it lies on devices.
static void check_parameters(const char *path, const hel_model *model) {
    hel_archive *archive;
    hel_model_info info;
    uint64_t count = 0;
    assert_int_equal(hel_archive_open(path, &archive), HEL_OK);
    for (size_t i = 0; i < archive->n_tensors; i++) count += archive->tensors[i].elements;
    hel_archive_close(&archive);
    hel_model_describe(model, &info);
    assert_int_equal(info.parameters, count);
}

static void check_logits(const char *name) {
    static float whole[LOGITS], pieces[LOGITS];
    static const uint32_t sizes[] = {1, 2, 7, 44};
    char path[TESTS_PATH], file[64];
    uint64_t count;
    path_of(name, path);
    snprintf(file, sizeof file, "ssm/%s/logits.npy", name);
    float *expected = npy_read(file, &count);
    assert_int_equal(count, LOGITS);
    hel_model *model = model_on(devices, path);
    hel_context *context = NULL;
    check_parameters(path, model);
    if (hel_context_create(model, NULL, &context)) fail_msg("%s", hel_error_message());
    evaluate(context, TOKENS, whole);
    double off = difference(whole, expected);
    print_message("%s on %s: off by %.2e\n", name, devices, off);
    assert_true(off <= 1e-3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        evaluate(context, sizes[i], pieces);
        assert_true(difference(pieces, whole) <= 1e-4);
    }
    free(expected);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

static void test_logits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_logits(cases[i]);
}

// A compressed model gives the logits of what it decodes to.
static void check_compressed(const char *name) {
    static float compressed[LOGITS], decoded[LOGITS];
    char path[TESTS_PATH], folder[TESTS_PATH], small[TESTS_PATH], dense[TESTS_PATH];
    hel_compress_params params = hel_compress_params_default();
    hel_export_params exported = hel_export_params_default();
    params.k = 16;
    params.packed = true;
    params.sidecar = false;
    path_of(name, path);
    support_folder(folder);
    support_join(small, folder, "small");
    support_join(dense, folder, "dense");
    if (hel_compress(path, small, &params, NULL)) fail_msg("%s", hel_error_message());
    if (hel_export(small, dense, &exported, NULL)) fail_msg("%s", hel_error_message());
    hel_model *model = model_on(devices, small);
    hel_model_info info;
    hel_model_describe(model, &info);
    assert_true(info.compressed >= 2);
    hel_model_destroy(&model);
    logits_of(small, TOKENS, compressed);
    logits_of(dense, TOKENS, decoded);
    print_message("%s on %s: %u matrices compressed, off by %.2e\n", name, devices, info.compressed, difference(compressed, decoded));
    assert_true(difference(compressed, decoded) <= 1e-4);
    support_remove(folder);
}

static void test_compressed(void **state) {
    (void)state;
    check_compressed("mamba");
    check_compressed("mamba2_tied");
    check_compressed("zamba2");
}

// A block that several layers use lies once on each device.
static void test_shared(void **state) {
    (void)state;
    char path[TESTS_PATH];
    path_of("zamba2", path);
    hel_model *model = model_on(devices, path);
    const hel_layer *layers = model->network.layers;
    assert_ptr_equal(layers[1].shared == layers[4].shared, layers[1].place == layers[4].place);
    assert_ptr_not_equal(layers[1].shared, layers[2].shared);
    assert_int_equal(layers[4].owner, 1);
    assert_null(layers[0].shared);
    hel_model_destroy(&model);
}

static hel_status refuse_fill(const hel_device *device, hel_buffer *buffer, uint64_t offset, uint64_t size, uint32_t word) {
    (void)device, (void)buffer, (void)offset, (void)size, (void)word;
    return hel_fail(HEL_ERROR_DEVICE, "no");
}

static hel_status refuse_copy(const hel_device *device, hel_queue queue, hel_buffer *to, uint64_t to_offset, hel_buffer *from,
                              uint64_t from_offset, uint64_t size) {
    (void)device, (void)queue, (void)to, (void)to_offset, (void)from, (void)from_offset, (void)size;
    return hel_fail(HEL_ERROR_DEVICE, "no");
}

typedef struct breaking {
    hel_device_base *base;
    const hel_device_functions *functions; // from the first logits on
} breaking;

static bool refuse_and_break(void *user, uint32_t first, uint32_t count, const float *logits) {
    const breaking *b = user;
    (void)first, (void)count, (void)logits;
    b->base->functions = b->functions;
    return false;
}

// States that could not be cleared, or taken back, are not gone on from.
static void test_lost(void **state) {
    (void)state;
    static float fresh[LOGITS], again[LOGITS];
    char path[TESTS_PATH];
    uint32_t ids[TOKENS];
    read_ids(ids);
    path_of("mamba", path);
    hel_model *model = model_on(devices, path);
    hel_context *context = NULL;
    assert_int_equal(hel_context_create(model, NULL, &context), HEL_OK);
    evaluate(context, TOKENS, fresh);
    hel_device_base *base = hel_device_base_of(hel_model_device(model, 0));
    const hel_device_functions *own = base->functions;
    hel_device_functions failing = *own;
    failing.buffer_fill = refuse_fill;
    failing.buffer_copy = refuse_copy;
    breaking broken = {base, &failing};
    assert_int_equal(hel_context_evaluate(context, ids, 1, 0, refuse_and_break, &broken), HEL_ERROR_CANCELLED);
    assert_int_equal(hel_context_rewind(context, 1), HEL_ERROR_DEVICE);
    assert_non_null(strstr(hel_error_message(), "only be rewound to 0"));
    assert_int_equal(hel_context_rewind(context, 0), HEL_ERROR_DEVICE);
    base->functions = own;
    assert_int_equal(hel_context_evaluate(context, ids, 1, 0, collect, again), HEL_ERROR_DEVICE);
    assert_non_null(strstr(hel_error_message(), "rewind it to 0"));
    evaluate(context, TOKENS, again);
    assert_memory_equal(again, fresh, sizeof fresh);
    hel_context_destroy(&context);
    hel_model_destroy(&model);
}

int main(int argc, char **argv) {
    if (argc > 1) devices = argv[1];
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(devices, ","), devices);
    if (!device_here(name)) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_compressed), cmocka_unit_test(test_shared),
                                       cmocka_unit_test(test_lost)};
    return cmocka_run_group_tests_name(devices, tests, NULL, NULL);
}
