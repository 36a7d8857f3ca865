// SPDX-License-Identifier: Apache-2.0
// What an output may not do: replace its own source under any name, be written by two at once, or trust a journal.
#include "small_model.h"

#include <helicoid/compress.h>

#include "base/hash.h"
#include "base/size.h"
#include "vq/sidecar.h"

typedef struct fixture {
    char folder[TESTS_PATH], model[TESTS_PATH], weights[TESTS_PATH], file[TESTS_PATH], out[TESTS_PATH];
} fixture;

static fixture f;

static int set_up(void **state) {
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    support_folder(f.folder);
    support_join(f.model, f.folder, "model");
    support_join(f.weights, f.model, "model.safetensors");
    support_join(f.file, f.folder, "out.safetensors");
    support_join(f.out, f.folder, "out");
    assert_true(hel_os_directory_create(f.model));
    small_model_write(f.model, false);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(f.folder);
    return 0;
}

// ---------------------------------------------------------------- the source stays

static void refuse_own_output(const char *model, const char *output) {
    hel_compress_params compress = hel_compress_params_default();
    hel_export_params export = hel_export_params_default();
    compress.overwrite = export.overwrite = true;
    assert_int_equal(hel_compress(model, output, &compress, NULL), HEL_ERROR_ARGUMENT);
    assert_non_null(strstr(hel_error_message(), "would replace the model"));
    assert_int_equal(hel_export(model, output, &export, NULL), HEL_ERROR_ARGUMENT);
}

static void test_own_source(void **state) {
    (void)state;
    char link_name[TESTS_PATH], dotted[TESTS_PATH];
    support_join(link_name, f.folder, "link.safetensors");
    support_join(dotted, f.folder, "model/../model/");
    assert_int_equal(symlink(f.weights, link_name), 0);
    refuse_own_output(f.model, f.model);
    refuse_own_output(f.model, dotted);
    refuse_own_output(f.model, f.weights);
    refuse_own_output(f.weights, link_name);
    refuse_own_output(link_name, f.weights);
    assert_int_equal(hel_compress(f.weights, f.file, NULL, NULL), HEL_OK); // it is whole
}

// ---------------------------------------------------------------- the config stays

// transformers cannot run with 1e308 where its own config had no limit.
static void test_config(void **state) {
    (void)state;
    char model[TESTS_PATH], config[TESTS_PATH], *text;
    size_t size;
    support_data(model, "ssm/mamba2");
    support_join(config, f.out, "config.json");
    if (hel_export(model, f.out, NULL, NULL)) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_file_read_all(config, 1 << 16, &text, &size), HEL_OK);
    assert_non_null(strstr(text, "Infinity"));
    assert_null(strstr(text, "1e308"));
    hel_free(text);
    support_remove(f.out);
}

// ---------------------------------------------------------------- patterns

static void keep_warning(void *user, hel_log_level level, const char *message) {
    (void)level;
    snprintf(user, 256, "%s", message);
}

// The warning of compressing with one pattern to include; "" without.
static void warning_of(const char *pattern, char out[256]) {
    const char *const patterns[] = {pattern, NULL};
    hel_compress_params params = hel_compress_params_default();
    params.include = patterns;
    params.overwrite = true;
    out[0] = 0;
    hel_log_set(keep_warning, out, HEL_LOG_WARNING);
    assert_int_equal(hel_compress(f.model, f.out, &params, NULL), HEL_OK);
    hel_log_set(NULL, NULL, HEL_LOG_ERROR);
}

static void test_useless_patterns(void **state) {
    (void)state;
    char warning[256];
    warning_of("*no such tensor*", warning);
    assert_non_null(strstr(warning, "matches no tensor"));
    warning_of("*norm.weight", warning);
    assert_non_null(strstr(warning, "matches nothing that is compressed"));
    assert_non_null(strstr(warning, "not a matrix"));
    warning_of("*.q_proj.weight", warning);
    assert_string_equal(warning, "");
    support_remove(f.out);
}

// ---------------------------------------------------------------- one writer

static void check_locked(const char *output, const char *lock_path) {
    hel_lock lock;
    assert_int_equal(hel_lock_take(lock_path, output, &lock), HEL_OK);
    assert_int_equal(hel_compress(f.model, output, NULL, NULL), HEL_ERROR_EXISTS);
    assert_non_null(strstr(hel_error_message(), "another process"));
    assert_int_equal(hel_export(f.model, output, NULL, NULL), HEL_ERROR_EXISTS);
    hel_lock_drop(&lock);
    assert_int_equal(hel_compress(f.model, output, NULL, NULL), HEL_OK);
    assert_false(hel_path_exists(lock_path));
}

static void test_one_writer(void **state) {
    (void)state;
    char lock[TESTS_PATH];
    support_join(lock, f.folder, "out.safetensors.part.lock");
    check_locked(f.file, lock);
    support_join(lock, f.folder, "out.part.lock");
    check_locked(f.out, lock);
}

// A lock that a killed process left is nobody's.
static void test_left_lock(void **state) {
    (void)state;
    char lock[TESTS_PATH];
    support_join(lock, f.folder, "out.part.lock");
    assert_int_equal(hel_file_write_all(lock, false, "", 0), HEL_OK);
    assert_int_equal(hel_compress(f.model, f.out, NULL, NULL), HEL_OK);
    assert_false(hel_path_exists(lock));
}

// ---------------------------------------------------------------- a journal with right digests and wrong content

static bool stop_late(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    *(uint64_t *)user = done;
    return 2 * done <= total; // all fits are in the journal then
}

// Records are {kind, tensor, bytes, 0}, the payload, and the digest of both; a fit ends with its sidecar.
enum { KIND_FIT = 2 };

static void seal(char *record, uint32_t size) {
    uint8_t digest[HEL_SHA256_SIZE];
    assert_int_equal(hel_sha256_of(record, 16 + size, digest), HEL_OK);
    memcpy(record + 16 + size, digest, sizeof digest);
}

static uint32_t spoil_fits(char *bytes, size_t size, uint64_t position) {
    uint32_t head[4], spoiled = 0;
    const size_t fixed = 256 * sizeof(float) + sizeof(double);
    for (size_t at = 0; at + sizeof head < size; at += 16 + head[2] + HEL_SHA256_SIZE) {
        memcpy(head, bytes + at, sizeof head);
        if (head[0] != KIND_FIT || head[2] < fixed + 2 * sizeof(hel_kept)) continue;
        memcpy(bytes + at + 16 + fixed + sizeof(hel_kept) + offsetof(hel_kept, position), &position, sizeof position);
        seal(bytes + at, head[2]);
        spoiled++;
    }
    return spoiled;
}

static void test_crafted_journal(void **state) {
    (void)state;
    static const uint64_t positions[] = {0, 1u << 30, UINT64_MAX};
    char path[TESTS_PATH], *expected, *bytes;
    size_t size, again;
    support_join(path, f.folder, "out.safetensors.part.journal");
    assert_int_equal(hel_compress(f.model, f.file, NULL, NULL), HEL_OK);
    assert_int_equal(hel_file_read_all(f.file, 1 << 20, &expected, &size), HEL_OK);
    for (size_t i = 0; i < HEL_COUNT(positions); i++) {
        uint64_t done;
        hel_compress_params params = hel_compress_params_default();
        assert_int_equal(unlink(f.file), 0);
        params.progress = stop_late;
        params.user = &done;
        assert_int_equal(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_CANCELLED);
        assert_int_equal(hel_file_read_all(path, 1 << 20, &bytes, &again), HEL_OK);
        assert_true(spoil_fits(bytes, again, positions[i]) > 0);
        assert_int_equal(hel_file_write_all(path, true, bytes, again), HEL_OK);
        hel_free(bytes);
        params = hel_compress_params_default();
        params.resume = true;
        assert_int_equal(hel_compress(f.model, f.file, &params, NULL), HEL_OK);
        assert_int_equal(hel_file_read_all(f.file, 1 << 20, &bytes, &again), HEL_OK);
        assert_int_equal(size, again);
        assert_memory_equal(bytes, expected, size);
        hel_free(bytes);
    }
    hel_free(expected);
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {WITH_MODEL(test_own_source), WITH_MODEL(test_config), WITH_MODEL(test_one_writer),
                                       WITH_MODEL(test_left_lock), WITH_MODEL(test_useless_patterns),
                                       WITH_MODEL(test_crafted_journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
