// SPDX-License-Identifier: Apache-2.0
// <helicoid/hyena.h> on the device of the first argument, against the operator of an independent reference in double precision
// (hyena_reference.py): arrays, files, chunks, errors, threads. The linker puts the function below in front of the OS layer's
// (--wrap).
#include "support/model_files.h"
#include "support/npy_files.h"
#include "support/device_here.h"
#include "support/folder.h"

#include <helicoid/helicoid.h>

#include "base/os.h"

enum { BATCH = 2, LENGTH = 150, WIDTH = 12, ELEMENTS = BATCH * LENGTH * WIDTH };

static const char *device_name = "cpu";
static const hel_device *device;
static char checkpoint[TESTS_PATH];

static hel_hyena *create(const char *path, const hel_hyena_params *params) {
    hel_hyena *hyena = NULL;
    if (hel_hyena_create(device, path, params, &hyena)) fail_msg("%s", hel_error_message());
    return hyena;
}

static float *read_values(const char *name, uint64_t elements) {
    uint64_t count;
    float *values = npy_read(name, &count);
    assert_int_equal(count, elements);
    return values;
}

static void expect_near(const float *y, const float *expected, uint64_t count, const char *how) {
    double worst = support_difference(y, expected, count);
    print_message("operator on %s, %s: largest difference %.2e\n", device_name, how, worst);
    assert_true(worst <= 1e-5);
}

static void test_arrays(void **state) {
    (void)state;
    hel_hyena *hyena = create(checkpoint, NULL);
    hel_hyena_info info;
    hel_hyena_describe(hyena, &info);
    assert_int_equal(info.width, WIDTH);
    assert_int_equal(info.order, 3);
    assert_int_equal(info.max_length, 300);
    float *x = read_values("hyena/x.npy", ELEMENTS), *expected = read_values("hyena/y.npy", ELEMENTS), y[ELEMENTS];
    if (hel_hyena_forward(hyena, BATCH, LENGTH, x, y)) fail_msg("%s", hel_error_message());
    expect_near(y, expected, ELEMENTS, "arrays");
    // Shorter sequences are the beginnings of longer ones. (Lengths need the same forms of kernels, which devices compile.)
    if (hel_hyena_forward(hyena, 1, LENGTH - 9, x, y)) fail_msg("%s", hel_error_message());
    expect_near(y, expected, (LENGTH - 9) * WIDTH, "a part");
    free(x);
    free(expected);
    hel_hyena_destroy(&hyena);
}

static void test_files(void **state) {
    (void)state;
    char x[TESTS_PATH], y[TESTS_PATH];
    hel_hyena *hyena = create(checkpoint, NULL);
    support_data(x, "hyena/x.npy");
    support_join(y, folder, "y.npy");
    if (hel_hyena_forward_file(hyena, x, y, false)) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_hyena_forward_file(hyena, x, y, false), HEL_ERROR_EXISTS);
    assert_int_equal(hel_hyena_forward_file(hyena, x, y, true), HEL_OK);
    support_data(x, "hyena/y.npy");
    hel_archive *made, *expected;
    assert_int_equal(hel_npy_open(y, &made), HEL_OK);
    assert_int_equal(hel_npy_open(x, &expected), HEL_OK);
    assert_int_equal(made->tensors[0].rank, 3);
    assert_memory_equal(made->tensors[0].shape, expected->tensors[0].shape, 3 * sizeof(uint64_t));
    float values[2][ELEMENTS];
    assert_int_equal(hel_archive_read_f32(made, &made->tensors[0], 0, ELEMENTS, values[0]), HEL_OK);
    assert_int_equal(hel_archive_read_f32(expected, &expected->tensors[0], 0, ELEMENTS, values[1]), HEL_OK);
    expect_near(values[0], values[1], ELEMENTS, "files");
    hel_archive_close(&made);
    hel_archive_close(&expected);
    support_data(x, "hyena/ids.npy");
    assert_int_equal(hel_hyena_forward_file(hyena, x, y, true), HEL_ERROR_ARGUMENT);
    hel_hyena_destroy(&hyena);
}

static bool refuse(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)what, (void)done, (void)total;
    return (*(int *)user)-- > 0;
}

static void test_errors(void **state) {
    (void)state;
    static float x[301 * WIDTH], y[301 * WIDTH];
    char other[TESTS_PATH];
    hel_hyena *hyena = create(checkpoint, NULL);
    assert_int_equal(hel_hyena_forward(hyena, 1, 301, x, y), HEL_ERROR_UNSUPPORTED);
    hel_hyena_destroy(&hyena);
    hel_hyena_params params = hel_hyena_params_default();
    params.prefix = "hyena.backbone.layers.1.mixer.";
    params.max_length = LENGTH;
    support_data(other, "hyena/hyenadna.safetensors");
    hyena = create(other, &params);
    assert_int_equal(hel_hyena_forward(hyena, 1, LENGTH + 1, x, y), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(hel_hyena_forward(hyena, 1, LENGTH, x, y), HEL_OK);
    hel_hyena_destroy(&hyena);
    assert_int_equal(hel_hyena_create(device, checkpoint, &params, &hyena), HEL_ERROR_NOT_FOUND);
    assert_null(hyena);
    params = hel_hyena_params_default();
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        params.progress = refuse;
        params.user = &left;
        assert_int_equal(hel_hyena_create(device, checkpoint, &params, &hyena), HEL_OK);
        assert_int_equal(hel_hyena_forward(hyena, 1, LENGTH, x, y), HEL_ERROR_CANCELLED);
        hel_hyena_destroy(&hyena);
    }
}

static uint32_t threads_started;

hel_os_thread *__real_hel_os_thread_create(void (*run)(void *user), void *user);
hel_os_thread *__wrap_hel_os_thread_create(void (*run)(void *user), void *user);
hel_os_thread *__wrap_hel_os_thread_create(void (*run)(void *user), void *user) {
    threads_started++;
    return __real_hel_os_thread_create(run, user);
}

// The operator on a device that is opened with so many threads; how many it started besides the caller's own.
static uint32_t run_with(uint32_t threads, const float *x, float *y) {
    const hel_device *own;
    hel_hyena *hyena = NULL;
    hel_device_params params = hel_device_params_default();
    params.threads = threads;
    assert_int_equal(hel_device_open(device_name, &params, &own), HEL_OK);
    assert_int_equal(own->threads, threads);
    threads_started = 0; // the CPU device has its own already
    assert_int_equal(hel_hyena_create(own, checkpoint, NULL, &hyena), HEL_OK);
    assert_int_equal(hel_hyena_forward(hyena, BATCH, LENGTH, x, y), HEL_OK);
    hel_hyena_destroy(&hyena);
    hel_device_destroy(&own);
    return threads_started;
}

// Filters are made by as many threads as the device was opened with, and are the same.
static void test_threads(void **state) {
    (void)state;
    float *x = read_values("hyena/x.npy", ELEMENTS), one[ELEMENTS], three[ELEMENTS];
    assert_int_equal(run_with(1, x, one), 0);
    assert_int_equal(run_with(3, x, three), 2);
    assert_memory_equal(one, three, sizeof one);
    free(x);
}

static int set_up(void **state) {
    folder_make(state);
    support_data(checkpoint, "hyena/hyena.safetensors");
    return hel_device_open(device_name, NULL, &device) == HEL_OK ? 0 : -1;
}

static int tear_down(void **state) {
    hel_device_destroy(&device);
    return folder_remove(state);
}

int main(int argc, char **argv) {
    if (argc > 1) device_name = argv[1];
    if (!device_here(device_name)) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_arrays), cmocka_unit_test(test_files), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name(device_name, tests, set_up, tear_down);
}
