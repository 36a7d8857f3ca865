// SPDX-License-Identifier: Apache-2.0
// What operators and prepared weights refuse because kernels could not count it. Sizes are only claimed: nothing is read.
#include "support/support.h"

#include "base/error.h"
#include "ops/operators.h"

static const hel_device *device;

static int open_device(void **state) {
    (void)state;
    return hel_device_open("null", NULL, &device) == HEL_OK ? 0 : -1;
}

static int close_device(void **state) {
    (void)state;
    hel_device_destroy(&device);
    return 0;
}

static hel_status plan_tensor(uint32_t rows, uint32_t cols) {
    hel_exec exec;
    HEL_TRY(hel_exec_init(&exec, device));
    hel_exec_plan_begin(&exec);
    hel_tensor tensor = hel_exec_tensor(&exec, rows, cols);
    hel_swiglu(&exec, tensor, tensor);
    hel_status status = exec.status;
    hel_exec_finish(&exec);
    return status;
}

static void test_elements(void **state) {
    (void)state;
    hel_device_limits *limits = &((hel_device *)(uintptr_t)device)->limits;
    limits->max_binding = (uint64_t)1 << 34;
    assert_int_equal(plan_tensor(1 << 15, 1 << 16), HEL_OK);
    assert_int_equal(plan_tensor((1 << 15) + 1, 1 << 16), HEL_ERROR_UNSUPPORTED);
    assert_non_null(strstr(hel_error_message(), "32769 rows of 65536 values"));
    assert_int_equal(plan_tensor(1 << 20, 1 << 20), HEL_ERROR_UNSUPPORTED); // 2^40, 0 in 32 bits
    limits->max_binding = 1 << 20;
    assert_int_equal(plan_tensor(1 << 9, 1 << 9), HEL_OK);
    assert_int_equal(plan_tensor((1 << 9) + 1, 1 << 9), HEL_ERROR_DEVICE_MEMORY);
    limits->max_binding = (uint64_t)1 << 32;
}

static hel_status prepare(uint64_t rows, uint64_t cols, uint64_t rank) {
    hel_tensor_info data = {.name = "m.weight", .dtype = HEL_F32, .rank = 2, .shape = {rows, cols}, .elements = rows * cols};
    hel_tensor_info u = {.name = "m.svd_U", .dtype = HEL_F32, .rank = 2, .shape = {rows, rank}, .elements = rows * rank};
    hel_tensor_info s = {.name = "m.svd_s", .dtype = HEL_F32, .rank = 1, .shape = {rank}, .elements = rank};
    hel_tensor_info vt = {.name = "m.svd_Vt", .dtype = HEL_F32, .rank = 2, .shape = {rank, cols}, .elements = rank * cols};
    hel_weight_desc desc = {.module = "m", .rows = rows, .cols = cols, .data = &data};
    if (rank) desc.svd_u = &u, desc.svd_s = &s, desc.svd_vt = &vt;
    hel_archive archive = {.path = "none"};
    hel_weight weight;
    return hel_weight_prepare(device, &archive, &desc, &weight);
}

static void test_weights(void **state) {
    (void)state;
    assert_int_equal(prepare(1, ((uint64_t)1 << 26) + 1, 0), HEL_ERROR_UNSUPPORTED); // bits of a row
    assert_non_null(strstr(hel_error_message(), "m: 1 x 67108865, kernels take 1 x 1 to"));
    assert_int_equal(prepare(((uint64_t)1 << 30) + 1, 1, 0), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(prepare(1, (uint64_t)1 << 32, 0), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(prepare(1, 1, ((uint64_t)1 << 26) + 1), HEL_ERROR_UNSUPPORTED);
    assert_int_equal(prepare(1, 1, (uint64_t)1 << 32), HEL_ERROR_UNSUPPORTED);
    assert_non_null(strstr(hel_error_message(), "m.svd_U: 1 x 4294967296, kernels take"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements), cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
