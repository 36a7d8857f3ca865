// SPDX-License-Identifier: Apache-2.0
// How products are planned for a class of device, and that the plans for a GPU are carried out on a device that is here:
// vectors, copies of the codebook, slices of the columns in the arena that a larger batch has planned.
#include "support/support.h"

#include "support/device_here.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "ops/linear_plan.h"
#include "ops/operators.h"

// ---------------------------------------------------------------- plans

static hel_device fake_device(hel_device_type type, const char *vendor, uint32_t units) {
    hel_device device = {.type = type, .limits = {.max_workgroup = 1024, .shared_memory = 49152, .subgroup = 32}};
    device.limits.compute_units = units;
    snprintf(device.vendor, sizeof device.vendor, "%s", vendor);
    return device;
}

static hel_weight codes(uint32_t rows, uint32_t cols, uint32_t bits) {
    return (hel_weight){.rows = rows, .cols = cols, .format = HEL_FORMAT_CODEBOOK, .bits = bits, .d = 1,
                        .row_words = (cols * bits + 31) / 32};
}

static void test_classes(void **state) {
    (void)state;
    hel_device cpu = fake_device(HEL_DEVICE_TYPE_CPU, "AMD", 64);
    hel_device nvidia = fake_device(HEL_DEVICE_TYPE_DISCRETE, "NVIDIA Corporation", 132);
    hel_device mali = fake_device(HEL_DEVICE_TYPE_INTEGRATED, "ARM", 0);
    hel_weight weight = codes(4096, 4096, 8);
    hel_linear_plan plan = hel_linear_plan_of(&cpu, &weight, 8);
    assert_int_equal(plan.step, 1);
    assert_int_equal(plan.splits, 1);
    assert_int_equal(plan.rows, HEL_LINEAR_MATVEC_ROWS);
    assert_int_equal(hel_linear_plan_groups(&plan, 4096), 512);
    plan = hel_linear_plan_of(&nvidia, &weight, 1);
    assert_int_equal(plan.lanes, 256);
    assert_int_equal(plan.step, 4);
    assert_int_equal(plan.splits, 1); // each lane has one step
    assert_int_equal(plan.replicas, 32);
    assert_int_equal(hel_linear_plan_groups(&plan, 32000), 667); // of 4000 blocks six each
    plan = hel_linear_plan_of(&mali, &weight, 1);
    assert_int_equal(plan.replicas, 0);
    nvidia.limits.shared_memory = 16384;
    assert_int_equal(hel_linear_plan_of(&nvidia, &weight, 1).replicas, 1);
    nvidia.limits.max_workgroup = 128;
    assert_int_equal(hel_linear_plan_of(&nvidia, &weight, 1).lanes, 128);
}

// The order of additions must not depend on the batch.
static void test_shapes(void **state) {
    (void)state;
    hel_device nvidia = fake_device(HEL_DEVICE_TYPE_DISCRETE, "NVIDIA", 132);
    hel_weight narrow = codes(64, 11008, 6), odd = codes(64, 11001, 8), wide = codes(4096, 14336, 8);
    for (uint32_t tokens = 1; tokens <= HEL_LINEAR_MATVEC_MAX_TOKENS; tokens++) {
        hel_linear_plan plan = hel_linear_plan_of(&nvidia, &narrow, tokens);
        assert_int_equal(plan.step, 3);
        assert_int_equal(plan.lanes, 256);
        assert_int_equal(plan.splits, 2); // 688 steps for 256 lanes
        assert_true(plan.rows * tokens <= 32);
        assert_int_equal(hel_linear_plan_of(&nvidia, &wide, tokens).splits, 2);
    }
    assert_int_equal(hel_linear_plan_of(&nvidia, &odd, 1).step, 1);
    assert_int_equal(hel_linear_plan_of(&nvidia, &odd, 1).splits, 8);
}

// ---------------------------------------------------------------- products

enum { ROWS = 21, COLS = 4096, MOST_TOKENS = 9, FIRST_ROWS = 13 };

static const hel_device *device;

typedef struct product {
    hel_weight weight;
    hel_weight_slice slices[2];
    float codebook[256], bias[ROWS], x[MOST_TOKENS * COLS];
    uint8_t indices[ROWS * COLS];
} product;

static hel_buffer *upload(const void *bytes, uint64_t size) {
    hel_buffer *buffer;
    assert_int_equal(hel_buffer_create(device, size, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, bytes, size), HEL_OK);
    return buffer;
}

static void make_product(product *out) {
    for (int i = 0; i < 256; i++) out->codebook[i] = (float)(i * 37 % 256 - 128) / 64.0f;
    for (int i = 0; i < ROWS; i++) out->bias[i] = (float)i;
    for (int i = 0; i < MOST_TOKENS * COLS; i++) out->x[i] = (float)(i * 71 % 509 - 254) / 256.0f;
    for (int i = 0; i < ROWS * COLS; i++) out->indices[i] = (uint8_t)(i * 167 >> 3);
    out->weight = codes(ROWS, COLS, 8);
    out->weight.device = device;
    out->weight.n_slices = 2;
    out->weight.slices = out->slices;
    out->slices[0] = (hel_weight_slice){upload(out->indices, FIRST_ROWS * COLS), 0, FIRST_ROWS};
    out->slices[1] = (hel_weight_slice){upload(out->indices + FIRST_ROWS * COLS, (ROWS - FIRST_ROWS) * COLS), FIRST_ROWS,
                                        ROWS - FIRST_ROWS};
    out->weight.codebook = (hel_binding){upload(out->codebook, sizeof out->codebook), 0, sizeof out->codebook};
    out->weight.bias = (hel_binding){upload(out->bias, sizeof out->bias), 0, sizeof out->bias};
}

static void finish_product(product *p) {
    for (int i = 0; i < 2; i++) hel_buffer_destroy(device, &p->slices[i].words);
    hel_buffer_destroy(device, &p->weight.codebook.buffer);
    hel_buffer_destroy(device, &p->weight.bias.buffer);
}

// What linear and linear_add together make of x.
static void run(hel_exec *exec, const product *p, uint32_t tokens, float *y) {
    hel_tensor x = hel_exec_tensor(exec, tokens, COLS);
    hel_exec_upload(exec, x, p->x);
    hel_tensor sum = hel_linear(exec, x, &p->weight);
    hel_linear_add(exec, x, &p->weight, sum);
    hel_exec_download(exec, sum, y);
}

static void expect(const product *p, uint32_t tokens, const float *y) {
    for (uint32_t t = 0; t < tokens; t++)
        for (uint32_t r = 0; r < ROWS; r++) {
            double want = 2.0 * p->bias[r], magnitude = want;
            for (uint32_t c = 0; c < COLS; c++) {
                double term = 2.0 * p->codebook[p->indices[r * COLS + c]] * p->x[t * COLS + c];
                want += term, magnitude += fabs(term);
            }
            if (!(fabs(y[t * ROWS + r] - want) <= (4 + 4 * sqrt(2.0 * COLS)) * 0x1p-24 * magnitude))
                fail_msg("token %u of %u, row %u is %.9g, should be %.9g", t, tokens, r, y[t * ROWS + r], want);
        }
}

static void test_products(void **state) {
    (void)state;
    static const uint32_t batches[] = {1, 3, 8};
    static product p;
    static float y[MOST_TOKENS * ROWS];
    hel_exec exec;
    make_product(&p);
    assert_true(hel_linear_plan_of(device, &p.weight, 1).splits > 1);
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    hel_exec_plan_begin(&exec);
    run(&exec, &p, MOST_TOKENS, NULL);
    assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    for (size_t i = 0; i < HEL_COUNT(batches); i++) {
        hel_exec_reset(&exec);
        run(&exec, &p, batches[i], y);
        if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
        expect(&p, batches[i], y);
    }
    hel_exec_finish(&exec);
    finish_product(&p);
}

// A GPU as far as plans go. Its work-groups are small, so that columns suffice for slices.
static int open_device(const char *name) {
    hel_device_params params = hel_device_params_default();
    params.scalar = true; // the vector kernels take whole rows
    if (hel_device_open(name, &params, &device) != HEL_OK) return 1;
    hel_device *described = (hel_device *)(uintptr_t)device;
    described->type = HEL_DEVICE_TYPE_DISCRETE;
    snprintf(described->vendor, sizeof described->vendor, "NVIDIA");
    described->limits.compute_units = 132;
    described->limits.max_workgroup = HEL_MIN(device->limits.max_workgroup, 64);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_products)};
    const char *name = argc > 1 ? argv[1] : "cpu";
    if (!device_here(name)) return SKIPPED;
    if (open_device(name)) return 1;
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    hel_device_destroy(&device);
    return failures;
}
