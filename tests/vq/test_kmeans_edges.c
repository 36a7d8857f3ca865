// SPDX-License-Identifier: Apache-2.0
// k-means where something is missing: clusters without points, input that breaks the rules, memory, time, files.
#include "kmeans_points.h"

#include "base/size.h"
#include "support/failing_heap.h"
#include "support/npy_files.h"
#include "vq/kmeans_stream.h"

static const hel_device *device;

static int open_device(void **state) {
    (void)state;
    heap_install();
    hel_device_params params = hel_device_params_default();
    params.threads = 1;
    return hel_device_open("cpu", &params, &device) == HEL_OK ? 0 : -1;
}

static int close_device(void **state) {
    (void)state;
    hel_device_destroy(&device);
    return heap.live == 0 ? 0 : -1;
}

// ---------------------------------------------------------------- empty clusters

// Fifty points at 0, fifty round 10 and one at 1000. A sample that takes two of those at 0 leaves a centroid without
// points for good.
enum { N = 101, K = 4 };

static void lumps(float points[N]) {
    for (uint32_t i = 0; i < N; i++) points[i] = i < 50 ? 0 : i < 100 ? 10 + (float)(i % 5) / 10 : 1000;
}

static hel_status fit_lumps(hel_kmeans_empty empty, uint64_t seed, uint32_t iterations, hel_kmeans_result *r) {
    float points[N];
    lumps(points);
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = K;
    params.start = HEL_KMEANS_START_SAMPLE;
    params.seed = seed;
    params.iterations = iterations;
    params.tolerance = 0;
    params.empty = empty;
    return hel_kmeans_fit(device, points, N, 1, &params, r);
}

static uint64_t seed_with_empty(void) {
    for (uint64_t seed = 0;; seed++) {
        hel_kmeans_result r;
        assert_int_equal(fit_lumps(HEL_KMEANS_EMPTY_KEEP, seed, 20, &r), HEL_OK);
        uint32_t empty = r.empty;
        hel_kmeans_result_finish(&r);
        if (empty == 1) return seed;
    }
}

static void test_empty_policies(void **state) {
    (void)state;
    uint64_t seed = seed_with_empty();
    hel_kmeans_result r;
    assert_int_equal(fit_lumps(HEL_KMEANS_EMPTY_KEEP, seed, 20, &r), HEL_OK);
    assert_int_equal(r.empty, 1);
    hel_kmeans_result_finish(&r);
    assert_int_equal(fit_lumps(HEL_KMEANS_EMPTY_ERROR, seed, 20, &r), HEL_ERROR_UNSUPPORTED);
    assert_null(r.centroids);
    assert_non_null(strstr(hel_error_message(), "of 4 clusters have no points"));
    assert_int_equal(fit_lumps(HEL_KMEANS_EMPTY_ERROR, seed, 0, &r), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(fit_lumps(HEL_KMEANS_EMPTY_FARTHEST, seed, 1, &r), HEL_OK);
    bool at_end = false;
    for (uint32_t c = 0; c < K; c++) at_end |= r.centroids[c] == 1000;
    assert_true(at_end); // the farthest of all
    hel_kmeans_result_finish(&r);
    for (hel_kmeans_empty empty = HEL_KMEANS_EMPTY_SPLIT; empty <= HEL_KMEANS_EMPTY_FARTHEST; empty++) {
        assert_int_equal(fit_lumps(empty, seed, 50, &r), HEL_OK);
        assert_int_equal(r.empty, 0);
        assert_true(r.converged && r.squared_error < 2);
        hel_kmeans_result_finish(&r);
    }
}

// The cluster with most points is split, though another has the farthest point.
static void test_split_largest(void **state) {
    (void)state;
    float points[200];
    for (uint32_t i = 0; i < 200; i++) points[i] = i < 150 ? (float)(i % 10) / 10 : 500 + (float)(i % 3) * 20;
    uint32_t split = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        hel_kmeans_params params = hel_kmeans_params_default();
        params.k = 3;
        params.start = HEL_KMEANS_START_SAMPLE;
        params.seed = seed;
        params.iterations = 0;
        hel_kmeans_result r;
        assert_int_equal(hel_kmeans_fit(device, points, 200, 1, &params, &r), HEL_OK);
        uint32_t empty = r.empty, high = 0, gone = 0;
        for (uint32_t c = 0; c < 3; c++) high += r.centroids[c] > 100;
        while (gone < 3 && r.counts[gone]) gone++;
        hel_kmeans_result_finish(&r);
        if (empty != 1 || high != 1) continue;
        split++;
        params.iterations = 1;
        assert_int_equal(hel_kmeans_fit(device, points, 200, 1, &params, &r), HEL_OK);
        assert_true(r.centroids[gone] < 1);
        hel_kmeans_result_finish(&r);
    }
    assert_true(split > 0);
}

// Fewer different points than centroids: no policy can fill all, and all end.
static void test_few_points(void **state) {
    (void)state;
    float points[90];
    for (uint32_t i = 0; i < 90; i++) points[i] = (float)(i / 3 % 5);
    for (hel_kmeans_empty empty = HEL_KMEANS_EMPTY_SPLIT; empty <= HEL_KMEANS_EMPTY_ERROR; empty++)
        for (uint32_t exact = 0; exact < 2; exact++)
            for (uint32_t d = 1; d <= 3; d += 2) {
                hel_kmeans_params params = hel_kmeans_params_default();
                params.k = 12;
                params.empty = empty;
                params.exact = exact;
                hel_kmeans_result r;
                hel_status status = hel_kmeans_fit(device, points, 90 / d, d, &params, &r);
                assert_int_equal(status, empty == HEL_KMEANS_EMPTY_ERROR ? HEL_ERROR_UNSUPPORTED : HEL_OK);
                if (status == HEL_OK) assert_true(r.empty == 7 && r.squared_error == 0 && r.converged);
                hel_kmeans_result_finish(&r);
            }
}

// ---------------------------------------------------------------- broken rules

static void refuse(const float *points, uint64_t n, uint32_t d, const hel_kmeans_params *params, hel_status expected) {
    hel_kmeans_result r;
    memset(&r, 1, sizeof r);
    assert_int_equal(hel_kmeans_fit(device, points, n, d, params, &r), expected);
    assert_null(r.centroids);
    assert_true(hel_error_message()[0]);
}

static void test_hostile(void **state) {
    (void)state;
    float points[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, bad[12];
    hel_kmeans_params params = hel_kmeans_params_default();
    refuse(points, 12, 1, NULL, HEL_ERROR_ARGUMENT); // 256 centroids
    params.k = 2;
    refuse(points, 0, 1, &params, HEL_ERROR_ARGUMENT);
    refuse(points, 12, 0, &params, HEL_ERROR_ARGUMENT);
    refuse(NULL, 12, 1, &params, HEL_ERROR_ARGUMENT);
    refuse(points, UINT64_MAX, UINT32_MAX, &params, HEL_ERROR_ARGUMENT);
    refuse(points, UINT64_MAX / 8, 2, &params, HEL_ERROR_ARGUMENT);
    refuse(points, UINT64_MAX / 8 + 1, 1, &params, HEL_ERROR_ARGUMENT);
    params.k = 0;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params.k = 13;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params.k = 12;
    params.tolerance = -1;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params.tolerance = NAN;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params.tolerance = 0;
    params.empty = (hel_kmeans_empty)4;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params.empty = HEL_KMEANS_EMPTY_KEEP;
    params.struct_size = 0;
    refuse(points, 12, 1, &params, HEL_ERROR_ARGUMENT);
    params = hel_kmeans_params_default();
    params.k = 2;
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    for (size_t w = 0; w < HEL_COUNT(wrong); w++) {
        memcpy(bad, points, sizeof bad);
        bad[7] = wrong[w];
        refuse(bad, 4, 3, &params, HEL_ERROR_UNSUPPORTED);
        assert_non_null(strstr(hel_error_message(), "value 1 of point 2"));
        assert_int_equal(hel_kmeans_assign(device, points, 12, 1, bad, 12, NULL, NULL), HEL_ERROR_UNSUPPORTED);
        assert_int_equal(hel_kmeans_assign(device, bad, 12, 1, points, 12, NULL, NULL), HEL_ERROR_UNSUPPORTED);
    }
    assert_int_equal(hel_kmeans_assign(device, points, 12, 1, points, 0, NULL, NULL), HEL_ERROR_ARGUMENT);
    hel_kmeans_result_finish(NULL);
}

// Every point its own centroid, none but zeros, one point.
static void test_extremes(void **state) {
    (void)state;
    float points[30] = {0};
    hel_kmeans_params params = hel_kmeans_params_default();
    hel_kmeans_result r;
    params.k = 1;
    assert_int_equal(hel_kmeans_fit(device, points, 30, 1, &params, &r), HEL_OK);
    assert_true(r.centroids[0] == 0 && r.squared_error == 0 && r.counts[0] == 30);
    hel_kmeans_result_finish(&r);
    for (uint32_t i = 0; i < 30; i++) points[i] = ldexpf(i % 2 ? -1 : 1, (int)(8 * i) - 120);
    params.k = 15;
    assert_int_equal(hel_kmeans_fit(device, points, 15, 2, &params, &r), HEL_OK);
    assert_true(isfinite(r.squared_error));
    hel_kmeans_result_finish(&r);
    params.k = 1;
    params.exact = true;
    assert_int_equal(hel_kmeans_fit(device, points, 1, 30, &params, &r), HEL_OK);
    assert_memory_equal(r.centroids, points, sizeof points);
    hel_kmeans_result_finish(&r);
}

// ---------------------------------------------------------------- what can run out

typedef struct watch {
    uint32_t calls, stop_at;
    uint64_t done, total;
} watch;

static bool on_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    watch *w = user;
    assert_string_equal(stage, "clustering");
    assert_true(done >= w->done && done <= total && (!w->total || w->total == total));
    w->done = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

static void test_cancel(void **state) {
    (void)state;
    float *points = made_points(2000, 3, 10, 1);
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = 70;
    params.iterations = 5;
    params.tolerance = 0;
    params.progress = on_progress;
    watch all = {0};
    params.user = &all;
    hel_kmeans_result r;
    assert_int_equal(hel_kmeans_fit(device, points, 2000, 3, &params, &r), HEL_OK);
    assert_true(all.calls == 7 && all.done == 12000 && all.total == 12000);
    hel_kmeans_result_finish(&r);
    for (uint32_t at = 1; at <= 7; at++) {
        params.user = &(watch){.stop_at = at};
        assert_int_equal(hel_kmeans_fit(device, points, 2000, 3, &params, &r), HEL_ERROR_CANCELLED);
        assert_null(r.labels);
    }
    free(points);
}

static void test_no_memory(void **state) {
    (void)state;
    for (uint32_t variant = 0; variant < 4; variant++) {
        uint32_t n = 300, d = variant == 1 ? 1 : 2;
        float points[600];
        for (uint32_t i = 0; i < 600; i++) points[i] = (float)(made_mix(i) % 6);
        hel_kmeans_params params = hel_kmeans_params_default();
        params.k = 40; // some empty
        params.exact = variant == 1 || variant == 2;
        params.start = variant == 3 ? HEL_KMEANS_START_SAMPLE : HEL_KMEANS_START_PLUSPLUS;
        hel_kmeans_result r;
        long live = heap.live;
        hel_status status = HEL_ERROR_MEMORY;
        for (long at = 1; status != HEL_OK; at++) {
            heap.fail_at = heap.calls + at;
            status = hel_kmeans_fit(device, points, n, d, &params, &r);
            heap.fail_at = 0;
            if (status != HEL_OK) assert_int_equal(status, HEL_ERROR_MEMORY);
            hel_kmeans_result_finish(&r);
            if (status != HEL_OK) assert_int_equal(heap.live, live);
            assert_true(at < 1000);
        }
    }
}

// ---------------------------------------------------------------- values in pieces

typedef struct line { float values[3000]; uint32_t labels[3000]; uint64_t labelled; } line;

static hel_status read_line(void *user, uint64_t first, uint64_t count, float *out) {
    memcpy(out, ((line *)user)->values + first, count * sizeof *out);
    return HEL_OK;
}

static hel_status keep_labels(void *user, const uint32_t *labels, uint64_t count) {
    line *l = user;
    memcpy(l->labels + l->labelled, labels, count * sizeof *labels);
    l->labelled += count;
    return HEL_OK;
}

// Every allocation fails once; then the numbers are those of the values in memory.
static void test_stream(void **state) {
    (void)state;
    enum { N_LINE = 3000 };
    line l = {0};
    made_values(l.values, N_LINE, 8);
    hel_kmeans_params params = hel_kmeans_params_default();
    params.exact = true;
    hel_kmeans_result r, expected;
    assert_int_equal(hel_kmeans_fit(device, l.values, N_LINE, 1, &params, &expected), HEL_OK);
    hel_kmeans_source source = {read_line, keep_labels, &l};
    long live = heap.live;
    hel_status status = HEL_ERROR_MEMORY;
    for (long at = 1; status != HEL_OK; at++) {
        l.labelled = 0;
        heap.fail_at = heap.calls + at;
        status = hel_kmeans_stream(device, &source, N_LINE, &params, &r);
        heap.fail_at = 0;
        if (status != HEL_OK) assert_int_equal(status, HEL_ERROR_MEMORY);
        if (status != HEL_OK) assert_int_equal(heap.live, live);
        assert_true(at < 1000);
    }
    assert_true(l.labelled == N_LINE && r.squared_error == expected.squared_error);
    assert_memory_equal(l.labels, expected.labels, sizeof l.labels);
    assert_memory_equal(r.centroids, expected.centroids, 256 * sizeof *r.centroids);
    hel_kmeans_result_finish(&r);
    hel_kmeans_result_finish(&expected);
}

// ---------------------------------------------------------------- files

static void write_npy(const char *path, const char *descr, const char *shape, const void *bytes, size_t size) {
    char header[128];
    memset(header, ' ', sizeof header);
    int at = snprintf(header + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    header[10 + at] = ' ', header[127] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fwrite(header, 1, sizeof header, file) == sizeof header && fwrite(bytes, 1, size, file) == size);
    assert_int_equal(fclose(file), 0);
}

static void read_array(const char *path, hel_dtype dtype, uint64_t rows, uint64_t cols, void *out) {
    hel_archive *archive;
    if (hel_npy_open(path, &archive)) fail_msg("%s", hel_error_message());
    const hel_tensor_info *t = &archive->tensors[0];
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->rank, cols ? 2 : 1);
    assert_true(t->shape[0] == rows && (!cols || t->shape[1] == cols));
    assert_int_equal(hel_archive_read(archive, t, 0, out, t->bytes), HEL_OK);
    hel_archive_close(&archive);
}

static void test_files(void **state) {
    (void)state;
    char folder[TESTS_PATH], data[TESTS_PATH], book[TESTS_PATH], labels[TESTS_PATH], nowhere[TESTS_PATH];
    support_folder(folder);
    support_join(data, folder, "data.npy");
    support_join(book, folder, "book.npy");
    support_join(labels, folder, "labels.npy");
    support_join(nowhere, folder, "no/where.npy");
    float *points = made_points(500, 4, 5, 2), centroids[5 * 4];
    uint32_t *found = malloc(500 * sizeof *found);
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = 5;
    hel_kmeans_result r, expected;
    assert_int_equal(hel_kmeans_fit(device, points, 500, 4, &params, &expected), HEL_OK);
    write_npy(data, "<f4", "(500, 4)", points, 8000);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, labels, false, &params, &r), HEL_OK);
    read_array(book, HEL_F32, 5, 4, centroids);
    read_array(labels, HEL_U32, 500, 0, found);
    assert_memory_equal(centroids, expected.centroids, sizeof centroids);
    assert_memory_equal(found, expected.labels, 500 * sizeof *found);
    hel_kmeans_result_finish(&r);
    hel_kmeans_result_finish(&expected);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, NULL, false, &params, NULL), HEL_ERROR_EXISTS);
    assert_int_equal(hel_kmeans_file(device, data, 4, book, labels, true, &params, NULL), HEL_OK);
    assert_int_equal(hel_kmeans_file(device, data, 3, book, NULL, true, &params, NULL), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, book, true, &params, NULL), HEL_ERROR_ARGUMENT);
    assert_int_equal(hel_kmeans_file(device, data, 0, nowhere, NULL, true, &params, NULL), HEL_ERROR_NOT_FOUND);
    assert_int_equal(hel_kmeans_file(device, nowhere, 0, book, NULL, true, &params, NULL), HEL_ERROR_NOT_FOUND);
    write_npy(data, "<f4", "(2000,)", points, 8000);
    assert_int_equal(hel_kmeans_file(device, data, 8, book, NULL, true, &params, &r), HEL_OK);
    assert_true(r.d == 8 && r.n == 250);
    hel_kmeans_result_finish(&r);
    assert_int_equal(hel_kmeans_file(device, data, 7, book, NULL, true, &params, NULL), HEL_ERROR_ARGUMENT);
    write_npy(data, "<i4", "(2000,)", points, 8000);
    assert_int_equal(hel_kmeans_file(device, data, 1, book, NULL, true, &params, NULL), HEL_ERROR_UNSUPPORTED);
    write_npy(data, "<f4", "(10, 20, 10)", points, 8000);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, NULL, true, &params, NULL), HEL_ERROR_ARGUMENT);
    write_npy(data, "<f4", "(0, 4)", points, 0);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, NULL, true, &params, NULL), HEL_ERROR_ARGUMENT);
    write_npy(data, "<f2", "(4000,)", "\0<\0@\0<", 6); // ends early
    assert_int_equal(hel_kmeans_file(device, data, 0, book, NULL, true, &params, NULL), HEL_ERROR_FORMAT);
    static const uint16_t halves[] = {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
    write_npy(data, "<f2", "(6,)", halves, sizeof halves);
    assert_int_equal(hel_kmeans_file(device, data, 0, book, NULL, true, &params, &r), HEL_OK);
    assert_true(r.n == 6 && r.d == 1);
    hel_kmeans_result_finish(&r);
    support_remove(folder);
    free(points);
    free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_policies), cmocka_unit_test(test_split_largest), cmocka_unit_test(test_few_points),
        cmocka_unit_test(test_hostile),        cmocka_unit_test(test_extremes),      cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_stream),        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
