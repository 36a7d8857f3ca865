// SPDX-License-Identifier: Apache-2.0
// hel_compress, hel_verify, hel_info_json and hel_export on small models: what is written decodes to what is reported,
// every flipped byte is found, the output depends on nothing but source and settings.
#include "small_model.h"

#include <helicoid/compress.h>

#include "base/json.h"
#include "base/size.h"
#include "formats/weight_desc.h"

typedef struct fixture {
    char folder[TESTS_PATH], model[TESTS_PATH], out[TESTS_PATH], file[TESTS_PATH];
} fixture;

static fixture f;

static int set_up(void **state) {
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    support_folder(f.folder);
    support_join(f.model, f.folder, "model");
    support_join(f.out, f.folder, "out");
    support_join(f.file, f.folder, "out.safetensors");
    assert_true(hel_os_directory_create(f.model));
    small_model_write(f.model, false);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    support_remove(f.folder);
    return 0;
}

static hel_compress_params threads_of(uint32_t threads) {
    hel_compress_params params = hel_compress_params_default();
    params.threads = threads;
    return params;
}

static void assert_status(hel_status status, hel_status expected) {
    if (status != expected) fail_msg("%s: %s", hel_status_name(status), hel_error_message());
}

static const hel_tensor_report *report_of(const hel_compress_report *report, const char *name) {
    for (size_t i = 0; i < report->n_tensors; i++)
        if (strcmp(report->tensors[i].name, name) == 0) return &report->tensors[i];
    fail_msg("%s is not in the report", name);
    return NULL;
}

// Decodes every compressed tensor and compares with the source and the report.
static void check_decoded(const char *path, const hel_compress_report *report) {
    hel_archive *archive;
    assert_status(hel_archive_open(path, &archive), HEL_OK);
    double total = 0;
    for (size_t t = 0; t < SMALL_TENSORS; t++) {
        const hel_safetensors_entry *entry = &small_entries[t];
        const hel_tensor_report *row = report_of(report, entry->name);
        uint64_t count = entry->shape[0] * (entry->rank == 2 ? entry->shape[1] : 1);
        float *values = malloc(count * sizeof *values);
        if (row->compressed) {
            char module[128];
            snprintf(module, sizeof module, "%.*s", (int)(strlen(entry->name) - 7), entry->name);
            hel_weight_desc desc;
            assert_status(hel_weight_desc_find(archive, module, entry->shape[0], entry->shape[1], &desc), HEL_OK);
            assert_status(hel_weight_decode_rows(archive, &desc, 0, desc.rows, values), HEL_OK);
            assert_int_equal(desc.sidecar_values ? desc.sidecar_values->elements : 0, row->outliers);
            assert_int_equal(desc.codebook->elements, row->k);
            hel_weight_desc_finish(&desc);
        } else {
            const hel_tensor_info *tensor = hel_archive_find(archive, entry->name);
            assert_non_null(tensor);
            assert_status(hel_archive_read_f32(archive, tensor, 0, count, values), HEL_OK);
        }
        double squared = 0;
        for (uint64_t i = 0; i < count; i++) squared += pow((double)values[i] - small_value(t, i), 2);
        assert_true(fabs(squared - row->squared_error) <= 1e-12 + 1e-9 * squared);
        if (!row->compressed) assert_true(squared == 0 && *row->reason);
        else assert_true(row->cosine > 0.98 && row->gap >= 0 && row->gap <= 1e-6 * squared + 1e-12);
        total += squared;
        free(values);
    }
    assert_true(fabs(total - report->squared_error) <= 1e-12 + 1e-9 * total);
    hel_archive_close(&archive);
}

static uint64_t size_of(const char *path) {
    hel_os_info info;
    assert_true(hel_os_path_info(path, &info));
    return info.size;
}

static void test_round_trip(void **state) {
    (void)state;
    static const uint32_t sizes[] = {256, 64, 32, 16};
    for (size_t i = 0; i < HEL_COUNT(sizes); i++) {
        for (int packed = 0; packed < 2; packed++) {
            hel_compress_params params = threads_of(2);
            params.k = sizes[i];
            params.packed = packed;
            params.overwrite = true;
            hel_compress_report report;
            assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
            check_decoded(f.file, &report);
            assert_int_equal(report.output_bytes, size_of(f.file));
            assert_int_equal(report.compressed, sizes[i] == 256 ? 3 : 3);
            assert_int_equal(report.grew, report.output_bytes > report.source_bytes);
            assert_true(report.outliers > 0 && report.worst_cosine < 1 && *report.worst_tensor);
            hel_compress_report_finish(&report);
            assert_status(hel_verify(f.file, NULL, NULL, NULL), HEL_OK);
        }
    }
}

static void test_folder(void **state) {
    (void)state;
    char path[TESTS_PATH], *text;
    size_t size;
    hel_compress_report report;
    hel_verify_report verified;
    assert_status(hel_compress(f.model, f.out, NULL, &report), HEL_OK);
    check_decoded(f.out, &report);
    hel_compress_report_finish(&report);
    assert_status(hel_verify(f.out, NULL, NULL, &verified), HEL_OK);
    assert_true(verified.checksummed && verified.files == 2);
    support_join(path, f.out, "config.json");
    json_t *config;
    assert_status(hel_json_read_file(path, 1 << 20, &config), HEL_OK);
    json_t *quantization = json_object_get(config, "quantization_config");
    assert_string_equal(json_string_value(json_object_get(quantization, "quant_method")), "hxq");
    assert_int_equal(json_integer_value(json_object_get(quantization, "codebook_size")), 256);
    assert_int_equal(json_array_size(json_object_get(quantization, "compressed_modules")), 3);
    assert_string_equal(json_string_value(json_object_get(config, "model_type")), "unheard_of");
    json_decref(config);
    assert_status(hel_file_read_all(path, 1 << 20, &text, &size), HEL_OK);
    assert_non_null(strstr(text, "\"eps\": 1e-6")); // spelled as in the source
    hel_free(text);
    assert_status(hel_compress(f.model, f.out, NULL, NULL), HEL_ERROR_EXISTS);
    hel_compress_params params = threads_of(1);
    params.overwrite = true;
    assert_status(hel_compress(f.model, f.out, &params, NULL), HEL_OK);
    assert_status(hel_compress(f.out, f.file, &params, NULL), HEL_ERROR_UNSUPPORTED);
    char other[TESTS_PATH], inner[TESTS_PATH];
    support_join(other, f.folder, "other");
    support_join(inner, other, "inner");
    assert_true(hel_os_directory_create(other) && hel_os_directory_create(inner));
    assert_status(hel_compress(f.model, other, &params, NULL), HEL_ERROR_EXISTS); // no model folder
    assert_true(hel_path_is_directory(inner));
    assert_status(hel_compress(f.model, f.folder, &params, NULL), HEL_ERROR_EXISTS); // holds a folder
    char file[TESTS_PATH];
    support_join(file, f.model, "model.safetensors");
    assert_status(hel_compress(f.model, f.model, &params, NULL), HEL_ERROR_ARGUMENT);
    assert_status(hel_compress(file, file, &params, NULL), HEL_ERROR_ARGUMENT);
    assert_status(hel_compress(file, f.model, &params, NULL), HEL_ERROR_ARGUMENT);
}

static void read_file(const char *path, char **bytes, size_t *size) {
    assert_status(hel_file_read_all(path, 1 << 24, bytes, size), HEL_OK);
}

static void test_same_bytes(void **state) {
    (void)state;
    char *first = NULL, *other;
    size_t size = 0, other_size;
    static const uint64_t limits[] = {0, (uint64_t)20 << 20, (uint64_t)1 << 30};
    for (int reference = 0; reference < 2; reference++) {
        for (size_t limit = 0; limit < HEL_COUNT(limits); limit++) {
            for (uint32_t threads = 1; threads <= 4; threads++) {
                hel_compress_params params = threads_of(threads);
                params.overwrite = true;
                params.memory_limit = limits[limit];
                params.fit = reference ? HEL_FIT_REFERENCE : HEL_FIT_OPTIMAL;
                assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_OK);
                if (!first) {
                    read_file(f.file, &first, &size);
                    continue;
                }
                read_file(f.file, &other, &other_size);
                assert_int_equal(size, other_size);
                assert_memory_equal(first, other, size);
                hel_free(other);
            }
        }
        hel_free(first);
        first = NULL;
    }
}

static void test_choices(void **state) {
    (void)state;
    static const char *include[] = {"*embed*", NULL}, *exclude[] = {"*up_proj*", "odd.*", NULL};
    hel_compress_params params = threads_of(2);
    hel_compress_report report;
    params.include = include;
    params.exclude = exclude;
    params.k = 64;
    params.dry_run = true;
    assert_status(hel_compress(f.model, "", &params, NULL), HEL_OK);
    assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
    assert_false(hel_path_exists(f.file));
    assert_true(report_of(&report, "model.embed_tokens.weight")->compressed);
    assert_int_equal(report_of(&report, "model.embed_tokens.weight")->outliers, 0);
    assert_string_equal(report_of(&report, "model.layers.0.mlp.up_proj.weight")->reason, "excluded");
    assert_int_equal(report.compressed, 2);
    uint64_t promised = report.output_bytes;
    double squared = report.squared_error;
    hel_compress_report_finish(&report);
    params.dry_run = false;
    assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
    assert_true(report.squared_error == squared && fabs((double)report.output_bytes - (double)promised) < 4096);
    hel_compress_report_finish(&report);

    params = threads_of(2);
    params.sidecar = false;
    params.overwrite = true;
    assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
    assert_int_equal(report.outliers, 0);
    hel_compress_report_finish(&report);
    params.k = 100;
    assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_ARGUMENT);
    params.k = 256;
    params.memory_limit = 1000;
    assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_ARGUMENT);
    assert_status(hel_compress("/nonexistent/model", f.out, NULL, NULL), HEL_ERROR_NOT_FOUND);
}

static void test_not_finite(void **state) {
    (void)state;
    hel_compress_report report;
    small_model_write(f.model, true);
    assert_status(hel_compress(f.model, f.out, NULL, &report), HEL_OK);
    assert_string_equal(report_of(&report, small_entries[0].name)->reason, "not finite");
    assert_int_equal(report.compressed, 2);
    hel_compress_report_finish(&report);
    hel_archive *archive;
    assert_status(hel_archive_open(f.out, &archive), HEL_OK);
    assert_non_null(hel_archive_find(archive, small_entries[0].name));
    json_t *modules = json_object_get(json_object_get(archive->config, "quantization_config"), "compressed_modules");
    assert_int_equal(json_array_size(modules), 2);
    hel_archive_close(&archive);
}

static void flip_every_byte(const char *path, const char *model) {
    char *bytes;
    size_t size;
    read_file(path, &bytes, &size);
    for (size_t i = 0; i < size; i++) {
        char flipped = (char)(bytes[i] ^ 1 << made_mix(i) % 8);
        FILE *file = fopen(path, "r+b");
        fseek(file, (long)i, SEEK_SET);
        fputc(flipped, file);
        fclose(file);
        hel_status status = hel_verify(model, NULL, NULL, NULL);
        if (status == HEL_OK) fail_msg("%s: the flipped byte %zu of %zu was not found", path, i, size);
        file = fopen(path, "r+b");
        fseek(file, (long)i, SEEK_SET);
        fputc(bytes[i], file);
        fclose(file);
    }
    assert_status(hel_verify(model, NULL, NULL, NULL), HEL_OK);
    hel_free(bytes);
}

static void test_flipped_bytes(void **state) {
    (void)state;
    char path[TESTS_PATH];
    hel_compress_params params = threads_of(1);
    params.k = 16;
    assert_status(hel_compress(f.model, f.out, &params, NULL), HEL_OK);
    support_join(path, f.out, "model.safetensors");
    flip_every_byte(path, f.out);
    support_join(path, f.out, "config.json");
    flip_every_byte(path, f.out);
    assert_int_equal(unlink(path), 0);
    assert_true(hel_verify(f.out, NULL, NULL, NULL) != HEL_OK);
    support_join(path, f.out, "model.safetensors");
    char *bytes;
    size_t size;
    read_file(path, &bytes, &size);
    for (size_t cut = 0; cut < size; cut += 1 + cut / 50) { // truncations
        assert_int_equal(truncate(path, (off_t)cut), 0);
        assert_true(hel_verify(path, NULL, NULL, NULL) != HEL_OK);
        assert_int_equal(hel_file_write_all(path, true, bytes, size), HEL_OK);
    }
    hel_free(bytes);
}

static void test_verify_structure(void **state) {
    (void)state;
    char golden[TESTS_PATH];
    hel_verify_report report;
    assert_status(hel_verify(f.model, NULL, NULL, &report), HEL_OK);
    assert_false(report.checksummed);
    SUPPORT_NEED_SHARED(golden, "golden/hxq_tiny_llama_k256");
    assert_status(hel_verify(golden, NULL, NULL, &report), HEL_OK);
    assert_true(!report.checksummed && report.bytes > 0);
    assert_true(support_shared(golden, "golden/hxq_tiny_llama_k320_12bit"));
    assert_status(hel_verify(golden, NULL, NULL, &report), HEL_OK);
}

static void test_info(void **state) {
    (void)state;
    char *text;
    assert_status(hel_compress(f.model, f.file, NULL, NULL), HEL_OK);
    assert_status(hel_info_json(f.file, &text), HEL_OK);
    json_t *info;
    assert_status(hel_json_parse(text, strlen(text), "info", 0, &info), HEL_OK);
    hel_info_free(text);
    assert_int_equal(json_array_size(json_object_get(info, "tensors")), SMALL_TENSORS);
    json_t *totals = json_object_get(info, "totals"), *first = json_array_get(json_object_get(info, "tensors"), 0);
    assert_int_equal(json_integer_value(json_object_get(totals, "compressed")), 3);
    assert_int_equal(json_integer_value(json_object_get(totals, "file_bytes")), size_of(f.file));
    assert_int_equal(json_integer_value(json_object_get(first, "k")), 256);
    assert_int_equal(json_integer_value(json_object_get(first, "index_bits")), 8);
    json_decref(info);
}

static void test_export(void **state) {
    (void)state;
    char again[TESTS_PATH];
    support_join(again, f.folder, "again.safetensors");
    hel_compress_report report;
    assert_status(hel_compress(f.model, f.file, NULL, &report), HEL_OK);
    for (hel_export_dtype dtype = HEL_EXPORT_NATIVE; dtype <= HEL_EXPORT_BF16; dtype++) {
        hel_export_params params = hel_export_params_default();
        params.dtype = dtype;
        params.overwrite = true;
        uint64_t bytes;
        assert_status(hel_export(f.file, again, &params, &bytes), HEL_OK);
        assert_int_equal(bytes, size_of(again));
        assert_status(hel_verify(again, NULL, NULL, NULL), HEL_OK);
        hel_archive *archive;
        assert_status(hel_archive_open(again, &archive), HEL_OK);
        assert_int_equal(archive->n_tensors, SMALL_TENSORS);
        assert_null(json_object_get(archive->config, "quantization_config"));
        for (size_t t = 0; t < SMALL_TENSORS; t++) {
            const hel_tensor_info *tensor = hel_archive_find(archive, small_entries[t].name);
            assert_non_null(tensor);
            assert_int_equal(tensor->rank, small_entries[t].rank);
            double squared = 0, squares = 0, expected = report_of(&report, tensor->name)->squared_error;
            float *values = malloc(tensor->elements * sizeof *values);
            assert_status(hel_archive_read_f32(archive, tensor, 0, tensor->elements, values), HEL_OK);
            for (uint64_t i = 0; i < tensor->elements; i++) {
                squared += pow((double)values[i] - small_value(t, i), 2);
                squares += pow(small_value(t, i), 2);
            }
            double rounding = dtype <= HEL_EXPORT_F32 ? 0 : dtype == HEL_EXPORT_F16 ? 0x1p-22 : 0x1p-16;
            assert_true(fabs(squared - expected) <=
                        1e-9 * expected + squares * rounding + 2 * sqrt(squares * rounding * expected));
            free(values);
        }
        hel_archive_close(&archive);
    }
    hel_compress_report_finish(&report);
}

typedef struct stopper { int calls, at; } stopper;

static bool stop_at(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    assert_true(done <= total);
    stopper *s = user;
    return ++s->calls != s->at;
}

// Cancelled after any tensor, then resumed: the bytes of an uninterrupted run.
static void test_cancel(void **state) {
    (void)state;
    char *expected, *bytes;
    size_t size, again;
    assert_status(hel_compress(f.model, f.file, NULL, NULL), HEL_OK);
    read_file(f.file, &expected, &size);
    assert_int_equal(unlink(f.file), 0);
    for (int at = 1; at <= 2 * SMALL_TENSORS; at++) {
        stopper s = {0, at};
        hel_compress_params params = threads_of(1 + at % 2); // of two, one reads the source while the other fits
        params.progress = stop_at;
        params.user = &s;
        assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_CANCELLED);
        assert_false(hel_path_exists(f.file));
        params = threads_of(1);
        params.resume = true;
        hel_compress_report report;
        assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
        if (at > SMALL_TENSORS + 1) assert_true(report.resumed > 0);
        hel_compress_report_finish(&report);
        read_file(f.file, &bytes, &again);
        assert_int_equal(size, again);
        assert_memory_equal(bytes, expected, size);
        hel_free(bytes);
        assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_OK); // finished already
        params.k = 64;
        assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_EXISTS); // by another run
        assert_int_equal(unlink(f.file), 0);
    }
    hel_free(expected);
}

// What was fitted to a source that has changed since is not taken over.
static void test_changed_source(void **state) {
    (void)state;
    stopper s = {0, SMALL_TENSORS};
    hel_compress_params params = threads_of(1);
    params.progress = stop_at;
    params.user = &s;
    assert_status(hel_compress(f.model, f.file, &params, NULL), HEL_ERROR_CANCELLED);
    char weights[TESTS_PATH], *bytes, *expected;
    size_t size, again;
    support_join(weights, f.model, "model.safetensors");
    FILE *file = fopen(weights, "r+b");
    assert_int_equal(fseek(file, -2, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -2, SEEK_END), 0);
    fputc(last ^ 1, file); // of a fraction
    fclose(file);
    params = threads_of(1);
    params.resume = true;
    hel_compress_report report;
    assert_status(hel_compress(f.model, f.file, &params, &report), HEL_OK);
    assert_int_equal(report.resumed, 0);
    hel_compress_report_finish(&report);
    read_file(f.file, &bytes, &size);
    assert_int_equal(unlink(f.file), 0);
    assert_status(hel_compress(f.model, f.file, NULL, NULL), HEL_OK);
    read_file(f.file, &expected, &again);
    assert_int_equal(size, again);
    assert_memory_equal(bytes, expected, size);
    hel_free(bytes);
    hel_free(expected);
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_MODEL(test_round_trip),   WITH_MODEL(test_folder),        WITH_MODEL(test_same_bytes),
        WITH_MODEL(test_choices),      WITH_MODEL(test_not_finite),    WITH_MODEL(test_flipped_bytes),
        WITH_MODEL(test_verify_structure), WITH_MODEL(test_info),      WITH_MODEL(test_export),
        WITH_MODEL(test_cancel),
        WITH_MODEL(test_changed_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
