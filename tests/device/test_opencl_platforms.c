// SPDX-License-Identifier: Apache-2.0
// A machine with two OpenCL drivers, one of them broken: the machine's own, and one that exists only here.
#include "support/support.h"

#include <helicoid/device.h>

#include "backends/opencl/opencl.h"

static opencl_functions real;
static bool alone; // only the broken driver is installed
static char warning[512];

static const char broken; // its address is the broken platform's handle
static cl_platform_id broken_platform(void) { return (cl_platform_id)(uintptr_t)&broken; }

static cl_int CL_API_CALL my_clGetPlatformIDs(cl_uint room, cl_platform_id *ids, cl_uint *count) {
    ids[0] = broken_platform();
    *count = 0;
    if (!alone) real.clGetPlatformIDs(room - 1, ids + 1, count);
    ++*count;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL my_clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t room, void *value, size_t *size) {
    if (id != broken_platform()) return real.clGetPlatformInfo(id, what, room, value, size);
    snprintf(value, room, "A broken driver");
    return CL_SUCCESS;
}

static cl_int CL_API_CALL my_clGetDeviceIDs(cl_platform_id id, cl_device_type type, cl_uint room, cl_device_id *ids, cl_uint *count) {
    return id == broken_platform() ? CL_OUT_OF_HOST_MEMORY : real.clGetDeviceIDs(id, type, room, ids, count);
}

static void keep_warning(void *user, hel_log_level level, const char *message) {
    (void)user;
    if (level == HEL_LOG_WARNING) snprintf(warning, sizeof warning, "%s", message);
}

// OpenCL entries that can be used, and the status of the last one that cannot.
static uint32_t usable(hel_status *out_failure) {
    hel_device_entry *entries;
    size_t count;
    uint32_t found = 0;
    *out_failure = HEL_OK;
    assert_int_equal(hel_device_list(&entries, &count), HEL_OK);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].device.backend, "opencl") != 0) continue;
        found += entries[i].status == HEL_OK;
        if (entries[i].status != HEL_OK) *out_failure = entries[i].status;
    }
    hel_device_list_free(&entries);
    return found;
}

static void test_broken_platform(void **state) {
    (void)state;
    hel_status failure;
    uint32_t before = usable(&failure);
    assert_true(before > 0);
    real = opencl;
    opencl.clGetPlatformIDs = my_clGetPlatformIDs;
    opencl.clGetPlatformInfo = my_clGetPlatformInfo;
    opencl.clGetDeviceIDs = my_clGetDeviceIDs;
    hel_log_set(keep_warning, NULL, HEL_LOG_WARNING);
    assert_int_equal(usable(&failure), before);
    assert_int_equal(failure, HEL_OK);
    assert_non_null(strstr(warning, "A broken driver"));
    alone = true;
    assert_int_equal(usable(&failure), 0);
    assert_int_equal(failure, HEL_ERROR_MEMORY);
    hel_log_set(NULL, NULL, HEL_LOG_ERROR);
    opencl = real;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_broken_platform)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
