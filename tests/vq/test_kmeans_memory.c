// SPDX-License-Identifier: Apache-2.0
// An optimal codebook for a file of values that is larger than what the fit may take in memory, and the same codebook,
// labels and error as the values in memory give. The operating system's peak is a process's for ever, so the fit runs
// in a child.
#include "support/folder.h"

#include <sys/wait.h>

#include <helicoid/helicoid.h>

#include "base/os_console.h"
#include "formats/npy.h"
#include "formats/npy_write.h"
#include "made_values.h"

enum { COUNT = 1 << 24, PIECE = 1 << 16, ALLOWED = 32 << 20, K = 256 };

static char data[TESTS_PATH], book[TESTS_PATH], labels[TESTS_PATH];

static float value_at(uint64_t i) { return i % 100003 == 7 ? -40.0f : made_value(i, 17) * 0.02f; }

static void write_values(void) {
    static float piece[PIECE];
    hel_writer writer;
    uint64_t count = COUNT;
    assert_int_equal(hel_writer_open(data, false, false, &writer), HEL_OK);
    assert_int_equal(hel_npy_begin(&writer, HEL_F32, 1, &count), HEL_OK);
    for (uint64_t first = 0; first < COUNT; first += PIECE) {
        for (uint64_t i = 0; i < PIECE; i++) piece[i] = value_at(first + i);
        assert_int_equal(hel_writer_append(&writer, piece, sizeof piece), HEL_OK);
    }
    assert_int_equal(hel_writer_commit(&writer), HEL_OK);
}

static hel_kmeans_params exact_params(void) {
    hel_kmeans_params params = hel_kmeans_params_default();
    params.k = K;
    params.exact = true;
    return params;
}

// Exits with 0 where all is well; writes the error and the counts, which no file has, to `results`.
static void fit_in_child(int results) {
    const hel_device *device;
    hel_kmeans_params params = exact_params();
    hel_kmeans_result r;
    if (hel_device_open("cpu", NULL, &device) != HEL_OK) _exit(2);
    uint64_t before = hel_os_memory_peak();
    if (hel_kmeans_file(device, data, 1, book, labels, false, &params, &r) != HEL_OK) _exit(3);
    uint64_t peak = hel_os_memory_peak();
    fprintf(stderr, "a file of %d bytes: at most %llu bytes, %llu before\n", COUNT * 4, (unsigned long long)peak,
            (unsigned long long)before);
    if (peak - before > ALLOWED) _exit(4);
    if (r.labels || r.n != COUNT || r.d != 1 || !r.converged) _exit(5);
    if (write(results, &r.squared_error, sizeof r.squared_error) != sizeof r.squared_error) _exit(6);
    if (write(results, r.counts, K * sizeof *r.counts) != K * sizeof *r.counts) _exit(6);
    _exit(0);
}

static void read_array(const char *path, void *out, uint64_t elements) {
    hel_archive *archive;
    assert_int_equal(hel_npy_open(path, &archive), HEL_OK);
    assert_true(archive->tensors[0].elements == elements);
    assert_int_equal(hel_archive_read(archive, &archive->tensors[0], 0, out, archive->tensors[0].bytes), HEL_OK);
    hel_archive_close(&archive);
}

static void compare_with_memory(double squared_error, const uint64_t *counts) {
    const hel_device *device;
    hel_kmeans_params params = exact_params();
    hel_kmeans_result r;
    float *values = malloc(COUNT * sizeof *values), centroids[K];
    uint32_t *found = malloc(COUNT * sizeof *found);
    for (uint64_t i = 0; i < COUNT; i++) values[i] = value_at(i);
    assert_int_equal(hel_device_open("cpu", NULL, &device), HEL_OK);
    assert_int_equal(hel_kmeans_fit(device, values, COUNT, 1, &params, &r), HEL_OK);
    read_array(book, centroids, K);
    read_array(labels, found, COUNT);
    assert_memory_equal(centroids, r.centroids, sizeof centroids);
    assert_true(memcmp(found, r.labels, COUNT * sizeof *found) == 0);
    assert_memory_equal(counts, r.counts, K * sizeof *counts);
    assert_memory_equal(&squared_error, &r.squared_error, sizeof squared_error);
    hel_kmeans_result_finish(&r);
    hel_device_destroy(&device);
    free(values);
    free(found);
}

static void test_stream(void **state) {
    (void)state;
    int pipes[2], how = 0;
    write_values();
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) fit_in_child(pipes[1]);
    double squared_error;
    uint64_t counts[K];
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_true(read(pipes[0], &squared_error, sizeof squared_error) == sizeof squared_error);
    assert_true(read(pipes[0], counts, sizeof counts) == sizeof counts);
    close(pipes[0]);
    close(pipes[1]);
    compare_with_memory(squared_error, counts);
}

// Cancels half way, before labels are made.
static bool half(void *user, const char *stage, uint64_t done, uint64_t total) {
    uint64_t *before = user;
    (void)stage;
    assert_true(done > *before && done <= total);
    *before = done;
    return done < total / 2;
}

// A caller who cancels; a value that is not finite, far into the file; nothing is left behind.

static void test_refusals(void **state) {
    (void)state;
    const hel_device *device;
    hel_kmeans_params params = exact_params();
    assert_int_equal(hel_device_open("cpu", NULL, &device), HEL_OK);
    uint64_t done = 0;
    params.progress = half;
    params.user = &done;
    assert_int_equal(hel_kmeans_file(device, data, 1, book, labels, true, &params, NULL), HEL_ERROR_CANCELLED);
    assert_true(done > COUNT);
    params.progress = NULL;
    FILE *file = fopen(data, "r+b");
    float bad = NAN;
    assert_non_null(file);
    assert_int_equal(fseek(file, -4000, SEEK_END), 0);
    assert_true(fwrite(&bad, sizeof bad, 1, file) == 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hel_kmeans_file(device, data, 1, book, labels, true, &params, NULL), HEL_ERROR_UNSUPPORTED);
    char part[TESTS_PATH];
    support_join(part, folder, "labels.npy.part");
    assert_false(hel_path_exists(part));
    hel_device_destroy(&device);
}

static int set_up(void **state) {
    folder_make(state);
    support_join(data, folder, "data.npy");
    support_join(book, folder, "book.npy");
    support_join(labels, folder, "labels.npy");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stream), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, set_up, folder_remove);
}
