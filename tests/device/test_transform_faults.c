// SPDX-License-Identifier: Apache-2.0
// Transforms of a device's own while driver calls and allocations fail: always a status, nothing left over, and the next time it
// works. Points of failure are dealt out to runs (support/part.h).
#include "support/support.h"

#include <helicoid/device.h>

#include "base/error.h"
#include "device/transform.h"
#include "faults.h"
#include "support/failing_heap.h"
#include "support/part.h"

// Of two passes on every device, so that there is something between them.
enum { POINTS = 1 << 14, ROWS = 2, FLOATS = 2 * POINTS * ROWS };

static char cache[TESTS_PATH];
static float in[FLOATS], out[FLOATS];

// The transform of a single 1 is 1 everywhere in whatever order, and the way back adds it up again.
static hel_status transform(const hel_device *device, hel_buffer *rows) {
    hel_transform *transform;
    const hel_binding where = {.buffer = rows};
    HEL_TRY(hel_transform_get(device, POINTS, &transform));
    HEL_TRY(hel_buffer_write(device, HEL_QUEUE_COMPUTE, rows, 0, in, sizeof in));
    HEL_TRY(hel_transform_run(device, transform, &where, ROWS, false));
    HEL_TRY(hel_buffer_read(device, HEL_QUEUE_COMPUTE, rows, 0, out, sizeof out));
    for (int i = 0; i < FLOATS; i += 2) assert_true(out[i] == (i < 2 * POINTS ? 1.0f : 2.0f) && out[i + 1] == 0.0f);
    HEL_TRY(hel_transform_run(device, transform, &where, ROWS, true));
    HEL_TRY(hel_buffer_read(device, HEL_QUEUE_COMPUTE, rows, 0, out, sizeof out));
    for (int i = 0; i < FLOATS; i++) assert_true(fabsf(out[i] - (float)POINTS * in[i]) < 0.01f * (float)POINTS);
    return HEL_OK;
}

static hel_status run(void) {
    const hel_device *device;
    hel_buffer *rows = NULL;
    hel_device_params params = hel_device_params_default();
    params.cache_directory = cache;
    HEL_TRY(hel_device_open(injector_device, &params, &device));
    hel_status status = hel_buffer_create(device, sizeof in, &rows);
    if (status == HEL_OK) status = transform(device, rows);
    hel_buffer_destroy(device, &rows);
    hel_device_destroy(&device);
    return status;
}

static void empty_cache(void) {
    support_remove(cache);
    support_folder(cache);
}

// Fails one call, or allocation, after the other, as many as `most` of them, with compiled kernels on the disk or without.
static void fail_each(bool memory, bool cached, uint64_t most) {
    empty_cache();
    heap_install();
    if (cached) assert_int_equal(run(), HEL_OK);
    uint64_t objects = injector_live(), calls = injector_calls(), allocations = (uint64_t)heap.calls, tried = 0, failures = 0;
    long blocks = heap.live;
    assert_int_equal(run(), HEL_OK);
    uint64_t count = memory ? (uint64_t)heap.calls - allocations : injector_calls() - calls;
    test_part part = part_of(0, (uint32_t)(count / most + 1));
    for (uint64_t n = 1; n <= count; n++) {
        if (!part_has(part, n)) continue;
        if (!cached) empty_cache();
        if (memory) heap.fail_at = heap.calls + (long)n;
        else injector_fail_at(n);
        failures += run() != HEL_OK;
        heap.fail_at = 0;
        injector_fail_at(0);
        tried++;
        assert_int_equal(injector_live(), objects);
        assert_int_equal(heap.live, blocks);
    }
    assert_int_equal(run(), HEL_OK);
    hel_memory_set_hooks(NULL);
    assert_int_equal(injector_violations(), 0);
    assert_true(failures > 0 || memory); // kernels that cannot be read are made anew
    print_message("%s: %llu %s, %llu failed, %llu of them reported\n", injector_device, (unsigned long long)count,
                  memory ? "allocations" : "driver calls", (unsigned long long)tried, (unsigned long long)failures);
}

// Compiling takes most of the time.
enum { COMPILED = 4, LOADED = 20 };

static void test_calls(void **state) {
    (void)state;
    fail_each(false, false, COMPILED);
    fail_each(false, true, LOADED);
}

static void test_memory(void **state) {
    (void)state;
    fail_each(true, false, COMPILED);
    fail_each(true, true, LOADED);
}

// One for each size.
static void test_sizes(void **state) {
    (void)state;
    const hel_device *device;
    hel_transform *first, *again, *other;
    assert_int_equal(hel_device_open(injector_device, NULL, &device), HEL_OK);
    assert_int_equal(hel_transform_get(device, 64, &first), HEL_OK);
    assert_int_equal(hel_transform_get(device, 64, &again), HEL_OK);
    assert_int_equal(hel_transform_get(device, 60, &other), HEL_OK);
    assert_ptr_equal(first, again);
    assert_true(first != other && first->points == 64 && other->points == 60);
    hel_device_destroy(&device);
}

int main(void) {
    const hel_device *device;
    hel_transform *transform;
    hel_status status = hel_device_open(injector_device, NULL, &device);
    if (status == HEL_OK) status = hel_transform_get(device, POINTS, &transform);
    hel_device_destroy(&device);
    if (status == HEL_ERROR_UNAVAILABLE || status == HEL_ERROR_UNSUPPORTED || !injector_load()) {
        printf("skipped: %s\n", hel_error_message());
        return 77;
    }
    in[0] = 1.0f, in[2 * POINTS] = 2.0f;
    support_folder(cache);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls), cmocka_unit_test(test_memory), cmocka_unit_test(test_sizes)};
    int failed = cmocka_run_group_tests_name("transform_faults", tests, NULL, NULL);
    support_remove(cache);
    return failed;
}
