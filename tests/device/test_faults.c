// SPDX-License-Identifier: Apache-2.0
// Every driver call and every allocation of a small piece of work fails once: always a status, nothing left over, and the device opens
// and works again.
#include "support/support.h"

#include <helicoid/device.h>

#include "base/error.h"
#include "device/backend.h"
#include "faults.h"
#include "kernels.h"

enum { COLS = 4, PIECE = 200 << 10, PIECES = 20, ROW = 1024, CLEAN_EVERY = 16 };

static char cache[TESTS_PATH];
static unsigned char piece[PIECE];
static const float gain[COLS] = {1, -2, 3, -4}, ones[COLS] = {1, 1, 1, 1};

typedef struct job {
    const hel_device *device;
    hel_buffer *rows, *bytes; // rows: gain, input, output
    hel_kernel *kernel;
} job;

static hel_status fill_buffers(job *work) {
    HEL_TRY(hel_buffer_create(work->device, 3 * ROW, &work->rows));
    HEL_TRY(hel_buffer_create(work->device, PIECE, &work->bytes));
    HEL_TRY(hel_buffer_write(work->device, HEL_QUEUE_TRANSFER, work->rows, 0, gain, sizeof gain));
    HEL_TRY(hel_buffer_write(work->device, HEL_QUEUE_TRANSFER, work->rows, 2 * ROW, ones, sizeof ones));
    for (int i = 0; i < PIECES; i++) // more than the staging memory holds
        HEL_TRY(hel_buffer_write(work->device, HEL_QUEUE_TRANSFER, work->bytes, 0, piece, PIECE));
    HEL_TRY(hel_buffer_fill(work->device, work->bytes, 0, 64, 5));
    uint64_t ticket;
    HEL_TRY(hel_device_mark(work->device, HEL_QUEUE_TRANSFER, &ticket));
    HEL_TRY(hel_device_wait_on(work->device, HEL_QUEUE_COMPUTE, ticket));
    return hel_buffer_copy(work->device, HEL_QUEUE_COMPUTE, work->rows, ROW, work->rows, 2 * ROW, sizeof ones);
}

// The same dispatch twice more, recorded, where the device can: its input is still what it was.
static hel_status replay(job *work, const hel_binding bindings[3], const hel_rmsnorm_params *params) {
    hel_recorded_dispatch dispatch = {.kernel = work->kernel, .count = 3, .params_size = sizeof *params, .groups = 1};
    hel_recording *recording;
    if (!work->device->features.recording) return HEL_OK;
    memcpy(dispatch.bindings, bindings, 3 * sizeof *bindings);
    memcpy(dispatch.params, params, sizeof *params);
    HEL_TRY(hel_recording_create(work->device, &dispatch, 1, &recording));
    hel_status status = hel_recording_replay(work->device, recording);
    if (status == HEL_OK) status = hel_recording_replay(work->device, recording);
    hel_recording_destroy(work->device, &recording);
    return status;
}

static hel_status compute(job *work, float out[COLS]) {
    uint64_t ticket, ns;
    const hel_rmsnorm_params params = {.cols = COLS};
    const hel_binding bindings[3] = {{work->rows, ROW, sizeof ones}, {work->rows, 0, sizeof gain}, {work->rows, 2 * ROW, sizeof ones}};
    HEL_TRY(hel_kernel_get(work->device, "rmsnorm", NULL, 0, &work->kernel));
    HEL_TRY(hel_dispatch(work->device, work->kernel, bindings, 3, &params, sizeof params, 1, 1));
    HEL_TRY(hel_device_flush(work->device));
    HEL_TRY(hel_device_mark(work->device, HEL_QUEUE_COMPUTE, &ticket));
    HEL_TRY(hel_device_wait(work->device, ticket, (uint64_t)60 * 1000000000));
    HEL_TRY(hel_device_wait(work->device, ticket, UINT64_MAX));
    HEL_TRY(hel_timer_query(work->device, 0, &ns));
    HEL_TRY(replay(work, bindings, &params));
    return hel_buffer_read(work->device, HEL_QUEUE_COMPUTE, work->rows, 2 * ROW, out, COLS * sizeof *out);
}

// All of it, from opening to destroying; the first failure is the result.
static hel_status run(void) {
    job work = {0};
    float out[COLS] = {0};
    hel_device_params params = hel_device_params_default();
    params.cache_directory = cache;
    hel_status status = hel_device_open(injector_device, &params, &work.device);
    if (status != HEL_OK) {
        assert_null(work.device);
        return status;
    }
    status = fill_buffers(&work);
    if (status == HEL_OK) status = compute(&work, out);
    if (status == HEL_OK) assert_memory_equal(out, gain, sizeof out); // the mean square of ones is 1
    hel_buffer_destroy(work.device, &work.rows);
    hel_buffer_destroy(work.device, &work.bytes);
    hel_device_destroy(&work.device);
    return status;
}

// With an empty cache every time, so that the compiler is called too, or with a filled one.
static void fail_each_call(bool cached) {
    uint64_t failures = 0, n = 0, used;
    do {
        if (!cached) {
            support_remove(cache);
            support_folder(cache);
        }
        uint64_t before = injector_calls();
        injector_fail_at(++n);
        hel_status status = run();
        used = injector_calls() - before;
        if (status != HEL_OK) {
            failures++;
            assert_true(strlen(hel_error_message()) > 0);
        }
        assert_int_equal(injector_live(), 0);
        injector_fail_at(0);
        if (n % CLEAN_EVERY == 0) assert_int_equal(run(), HEL_OK);
    } while (n <= used);
    assert_int_equal(run(), HEL_OK);
    assert_int_equal(injector_live(), 0);
    assert_int_equal(injector_violations(), 0);
    assert_true(n > 40 && failures * 2 > n); // the rest are releases and questions whose answers are optional
    print_message("%s: %llu driver calls, %llu failures reported\n", injector_device, (unsigned long long)(n - 1),
                  (unsigned long long)failures);
}

static void test_compiling(void **state) {
    (void)state;
    fail_each_call(false);
}

static void test_cached(void **state) {
    (void)state;
    support_remove(cache);
    support_folder(cache);
    uint64_t compiles = injector_compiles();
    assert_int_equal(run(), HEL_OK);
    assert_int_equal(injector_compiles(), compiles + 1);
    assert_int_equal(run(), HEL_OK);
    assert_int_equal(injector_compiles(), compiles + 1); // the second time it came from the cache
    fail_each_call(true);
}

// A text that is no kernel: the compiler's words are in the message, and the device goes on.
static void test_broken_text(void **state) {
    (void)state;
    static const unsigned char text[] = "this is not a kernel\n";
    hel_kernel_source source = *hel_kernel_sources[0];
    source.texts = (const hel_kernel_text[]){{"opencl", text, sizeof text - 1}, {"cuda", text, sizeof text - 1}, {0}};
    const hel_device *device;
    hel_kernel *kernel;
    assert_int_equal(hel_device_open(injector_device, NULL, &device), HEL_OK);
    hel_device_base *base = hel_device_base_of(device);
    assert_int_equal(base->functions->kernel_create(device, &source, source.defaults, &kernel), HEL_ERROR_DEVICE);
    assert_non_null(strstr(hel_error_message(), source.name));
    assert_non_null(strstr(hel_error_message(), "does not compile: "));
    assert_null(strstr(hel_error_message(), "no reason"));
    print_message("%s\n", hel_error_message());
    assert_int_equal(hel_kernel_get(device, "rmsnorm", NULL, 0, &kernel), HEL_OK);
    hel_device_destroy(&device);
    assert_int_equal(injector_live(), 0);
}

// ---------------------------------------------------------------- host memory

static uint64_t allocations, allocation_to_fail, blocks;

static void *counted_resize(void *user, void *pointer, size_t size) {
    (void)user;
    if (++allocations == allocation_to_fail) return NULL;
    void *resized = realloc(pointer, size ? size : 1);
    if (resized && !pointer) blocks++;
    return resized;
}

static void counted_release(void *user, void *pointer) {
    (void)user;
    if (pointer) blocks--;
    free(pointer);
}

static void test_memory(void **state) {
    (void)state;
    hel_memory_set_hooks(&(hel_memory_hooks){counted_resize, counted_release, NULL});
    uint64_t failures = 0, n = 0;
    do {
        support_remove(cache);
        support_folder(cache);
        allocations = 0;
        allocation_to_fail = ++n;
        hel_status status = run();
        failures += status != HEL_OK;
        assert_true(status == HEL_OK || status == HEL_ERROR_MEMORY);
        assert_int_equal(blocks, 0);
        assert_int_equal(injector_live(), 0);
    } while (n <= allocations);
    hel_memory_set_hooks(NULL);
    assert_true(failures > 4); // the rest belong to the cache, which does without
    print_message("%s: %llu allocations, %llu failures reported\n", injector_device, (unsigned long long)(n - 1),
                  (unsigned long long)failures);
}

int main(void) {
    const hel_device *device;
    hel_status status = hel_device_open(injector_device, NULL, &device);
    hel_device_destroy(&device);
    if (status == HEL_ERROR_UNAVAILABLE || !injector_load()) {
        printf("skipped: %s\n", hel_error_message());
        return 77;
    }
    support_folder(cache);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compiling), cmocka_unit_test(test_cached),
                                       cmocka_unit_test(test_broken_text), cmocka_unit_test(test_memory)};
    int failed = cmocka_run_group_tests_name("faults", tests, NULL, NULL);
    support_remove(cache);
    return failed;
}
