// SPDX-License-Identifier: Apache-2.0
// When products of many tokens go to matrix units: only where a device has them, was opened for rounded products and
// multiplies right; and that a weight's product is then the one of linear_matmul_matrix, whatever the block.
#include "support/support.h"

#include "base/error.h"
#include "base/size.h"
#include "device/backend.h"
#include "ops/matrix_units.h"
#include "ops/operators.h"

enum { ROWS = 200, COLS = 70, TOKENS = 100 };

static const char *device_name;
static bool offered;           // by the device itself
static uint32_t matrix_calls;  // dispatches of linear_matmul_matrix
static uint32_t columns_lost;  // of each of them, on purpose
static hel_status build_status; // of the kernel
static char logged[512];

// The device's own functions, but for what the test watches and spoils.
static const hel_device_functions *own;
static hel_device_functions spoiled;

static bool is_matrix(const hel_kernel_source *source) { return !strcmp(source->name, "linear_matmul_matrix"); }

static hel_status dispatch(const hel_device *device, hel_kernel *kernel, const hel_binding *bindings, const void *params,
                           uint32_t groups_x, uint32_t groups_y, uint32_t timer) {
    if (!is_matrix(kernel->source)) return own->dispatch(device, kernel, bindings, params, groups_x, groups_y, timer);
    hel_linear_params changed = *(const hel_linear_params *)params;
    changed.cols -= columns_lost;
    matrix_calls++;
    return own->dispatch(device, kernel, bindings, &changed, groups_x, groups_y, timer);
}

static hel_status kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out) {
    if (is_matrix(source) && build_status != HEL_OK) return hel_fail(build_status, "no such instruction");
    return own->kernel_create(device, source, constants, out);
}

static void keep_log(void *user, hel_log_level level, const char *message) {
    (void)user;
    if (level == HEL_LOG_WARNING) snprintf(logged, sizeof logged, "%s", message);
}

static const hel_device *open_device(hel_precision precision, bool matrix) {
    const hel_device *device;
    hel_device_params params = hel_device_params_default();
    params.precision = precision;
    assert_int_equal(hel_device_open(device_name, &params, &device), HEL_OK);
    offered = device->features.matrix_bf16;
    hel_device_base *base = hel_device_base_of(device);
    base->data.features.matrix_bf16 = matrix; // its kernels run everywhere
    own = base->functions;
    spoiled = *own;
    spoiled.dispatch = dispatch;
    spoiled.kernel_create = kernel_create;
    base->functions = &spoiled;
    matrix_calls = columns_lost = 0;
    build_status = HEL_OK;
    logged[0] = 0;
    return device;
}

static bool is_used(const hel_device **device) {
    bool used = true, again = false;
    assert_int_equal(hel_matrix_units_check(*device, &used), HEL_OK);
    uint32_t calls = matrix_calls;
    assert_int_equal(hel_matrix_units_check(*device, &again), HEL_OK);
    assert_int_equal(again, used);
    assert_int_equal(matrix_calls, calls); // a device is tried once
    hel_device_destroy(device);
    return used;
}

static void test_choice(void **state) {
    (void)state;
    const hel_device *device = open_device(HEL_PRECISION_F32, true);
    assert_false(is_used(&device)); // nobody asked for rounding
    device = open_device(HEL_PRECISION_BF16, false);
    assert_false(is_used(&device)); // it has none
    assert_int_equal(matrix_calls, 0);
    device = open_device(HEL_PRECISION_BF16, true);
    assert_true(is_used(&device));
    assert_int_equal(matrix_calls, 3);
    assert_string_equal(logged, "");
    assert_int_equal(offered, !strcmp(device_name, "cuda"));
}

static void test_wrong_units(void **state) {
    (void)state;
    const hel_device *device = open_device(HEL_PRECISION_BF16, true);
    columns_lost = 1;
    assert_false(is_used(&device));
    assert_int_equal(matrix_calls, 1); // the first is enough
    assert_non_null(strstr(logged, "matrix units are left alone: they do not multiply"));
    device = open_device(HEL_PRECISION_BF16, true);
    build_status = HEL_ERROR_DEVICE;
    assert_false(is_used(&device));
    assert_non_null(strstr(logged, "matrix units are left alone: no such instruction"));
}

// Anything else that goes wrong is the caller's to know.
static void test_failure(void **state) {
    (void)state;
    const hel_device *device = open_device(HEL_PRECISION_BF16, true);
    bool used;
    build_status = HEL_ERROR_DEVICE_LOST;
    assert_int_equal(hel_matrix_units_check(device, &used), HEL_ERROR_DEVICE_LOST);
    hel_exec exec;
    assert_int_equal(hel_exec_init(&exec, device), HEL_ERROR_DEVICE_LOST);
    hel_exec_finish(&exec);
    hel_device_destroy(&device);
}

// ---------------------------------------------------------------- products

// Thirds are rounded, which shows in the result; a power of two more or less does not.
static void fill(float *values, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)((int)(seed >> 20) - 2048) / 3.0f;
    }
}

static void multiply(const hel_device *device, const float *w, const float *x, uint32_t tokens, float *y) {
    hel_exec exec;
    hel_buffer *words;
    assert_int_equal(hel_buffer_create(device, ROWS * COLS * sizeof *w, &words), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, words, 0, w, ROWS * COLS * sizeof *w), HEL_OK);
    hel_weight_slice slices[] = {{words, 0, ROWS}};
    hel_weight weight = {.device = device, .rows = ROWS, .cols = COLS, .format = HEL_FORMAT_F32, .bits = 8, .d = 1,
                         .row_words = COLS, .n_slices = 1, .slices = slices};
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    hel_exec_plan_begin(&exec);
    hel_linear(&exec, hel_exec_tensor(&exec, tokens, COLS), &weight);
    assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    hel_exec_reset(&exec);
    hel_tensor input = hel_exec_tensor(&exec, tokens, COLS);
    hel_exec_upload(&exec, input, x);
    hel_exec_download(&exec, hel_linear(&exec, input, &weight), y);
    assert_int_equal(exec.status, HEL_OK);
    hel_exec_finish(&exec);
    hel_buffer_destroy(device, &words);
}

static float w[ROWS * COLS], x[TOKENS * COLS], plain[TOKENS * ROWS], rounded[TOKENS * ROWS], other[TOKENS * ROWS];

static void test_products(void **state) {
    (void)state;
    fill(w, ROWS * COLS, 1), fill(x, TOKENS * COLS, 2);
    const hel_device *device = open_device(HEL_PRECISION_F32, true);
    multiply(device, w, x, TOKENS, plain);
    assert_int_equal(matrix_calls, 0);
    hel_device_destroy(&device);
    device = open_device(HEL_PRECISION_BF16, true);
    multiply(device, w, x, TOKENS, rounded);
    assert_int_equal(matrix_calls, 4); // three of them the trial's
    assert_memory_not_equal(plain, rounded, sizeof plain);
    for (uint32_t t = 0; t < TOKENS; t++)
        for (uint32_t r = 0; r < ROWS; r++) {
            double magnitude = 0.0;
            for (uint32_t c = 0; c < COLS; c++) magnitude += fabs((double)w[r * COLS + c] * x[t * COLS + c]);
            assert_true(fabs((double)plain[t * ROWS + r] - rounded[t * ROWS + r]) <= 0x1.04p-7 * magnitude);
        }
    // Fewer tokens and more compute units mean other blocks.
    hel_device_base_of(device)->data.limits.compute_units = 1000;
    for (uint32_t tokens = 9; tokens < TOKENS; tokens += 30) {
        multiply(device, w, x, tokens, other);
        assert_memory_equal(other, rounded, tokens * ROWS * sizeof *other);
    }
    hel_device_destroy(&device);
}

static void expect_tiling(const hel_device *device, uint32_t rows, uint32_t tokens, uint32_t tile_rows, uint32_t tile_tokens) {
    hel_tiling tiling = hel_tiling_of(device, true, rows, tokens);
    assert_int_equal(tiling.rows, tile_rows);
    assert_int_equal(tiling.tokens, tile_tokens);
}

static void test_tiling(void **state) {
    (void)state;
    hel_device device = {.limits = {.compute_units = 132}};
    expect_tiling(&device, 11008, 4096, 128, 128);
    expect_tiling(&device, 11008, 200, 128, 128);
    expect_tiling(&device, 32000, 64, 128, 64);
    expect_tiling(&device, 32000, 9, 128, 32);
    expect_tiling(&device, 4096, 512, 64, 128); // 128 blocks of 128 x 128 would leave units idle
    expect_tiling(&device, 64, 9, 32, 32);      // nothing is left to cut
    device.limits.compute_units = 0;            // unknown
    expect_tiling(&device, 64, 129, 128, 128);
}

int main(int argc, char **argv) {
    device_name = argc > 1 ? argv[1] : "cpu";
    hel_log_set(keep_log, NULL, HEL_LOG_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),   cmocka_unit_test(test_wrong_units), cmocka_unit_test(test_failure),
        cmocka_unit_test(test_products), cmocka_unit_test(test_tiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
