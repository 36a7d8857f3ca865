// SPDX-License-Identifier: Apache-2.0
// Scans in pieces, as GPUs make them, against the recurrence on the same device and in double precision, forwards and back; the
// device is the first argument.
#include "support/support.h"

#include "support/device_here.h"

#include "ops/ssm.h"

enum { STEPS = 550, CHANNELS = 24, STATE = 18, HEADS = 4, GROUPS = 2, BC = 2 * GROUPS * STATE };

static const hel_device *device;

typedef struct values {
    float x[STEPS * CHANNELS], dt[STEPS * CHANNELS], bc[STEPS * BC], gate[STEPS * CHANNELS], a[STATE * CHANNELS], d[CHANNELS],
        bias[HEADS], h[STATE * CHANNELS];
} values;

static values v;

static void fill(float *out, size_t count, double low, double high) {
    static uint32_t seed = 7;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (float)(low + (high - low) * (seed >> 8) / (1 << 24));
    }
}

static void fill_all(void) {
    fill(v.x, STEPS * CHANNELS, -1, 1);
    fill(v.dt, STEPS * CHANNELS, -3, 1);
    fill(v.bc, STEPS * BC, -1, 1);
    fill(v.gate, STEPS * CHANNELS, -2, 2);
    fill(v.a, STATE * CHANNELS, -1, -0.05);
    fill(v.d, CHANNELS, -1, 1);
    fill(v.bias, HEADS, -1, 1);
    fill(v.h, STATE * CHANNELS, -1, 1);
}

static hel_binding upload(const float *from, uint64_t count) {
    hel_buffer *buffer;
    assert_int_equal(hel_buffer_create(device, count * sizeof *from, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, from, count * sizeof *from), HEL_OK);
    return (hel_binding){buffer, 0, count * sizeof *from};
}

typedef struct results {
    float y[STEPS * CHANNELS], h[STATE * CHANNELS];
} results;

static void run(uint32_t heads, bool gated, bool back, uint32_t piece, results *out) {
    hel_exec exec;
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    uint32_t n_dt = heads ? heads : CHANNELS, groups = heads ? GROUPS : 1;
    hel_binding all[] = {upload(v.x, STEPS * CHANNELS), upload(v.dt, STEPS * n_dt), upload(v.bc, STEPS * BC),
                         upload(v.gate, STEPS * CHANNELS), upload(v.a, heads ? heads : STATE * CHANNELS), upload(v.d, n_dt),
                         upload(v.bias, HEADS), upload(v.h, STATE * CHANNELS)};
    hel_tensor x = {all[0], STEPS, CHANNELS}, bc = {all[2], STEPS, BC};
    hel_ssm ssm = {.channels = CHANNELS, .state = STATE, .heads = heads, .groups = groups, .a = all[4], .d = all[5],
                   .dt_bias = all[6], .dt_high = 1.5f, .piece = piece};
    hel_ssm_inputs in = {.x = hel_columns_all(x), .dt = hel_columns_all((hel_tensor){all[1], STEPS, n_dt}),
                         .b = {bc, 0, groups * STATE}, .c = {bc, groups * STATE, groups * STATE}};
    if (gated) in.gate = hel_columns_all((hel_tensor){all[3], STEPS, CHANNELS});
    for (int pass = 0; pass < 2; pass++) {
        if (pass) assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
        else hel_exec_plan_begin(&exec);
        hel_exec_reset(&exec);
        hel_tensor y = hel_exec_tensor(&exec, STEPS, CHANNELS);
        hel_exec_upload(&exec, y, v.gate); // what the scan back adds to
        if (back) hel_ssm_scan_back(&exec, &ssm, &in, all[7], y);
        else y = hel_ssm_scan(&exec, &ssm, &in, all[7]);
        if (pass) hel_exec_download(&exec, y, out->y);
        assert_int_equal(exec.status, HEL_OK);
    }
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, all[7].buffer, 0, out->h, sizeof out->h), HEL_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) hel_buffer_destroy(device, &all[i].buffer);
    hel_exec_finish(&exec);
}

static void expect(uint32_t heads, bool gated, bool back, results *out) {
    uint32_t head_dim = heads ? CHANNELS / heads : 1, n_dt = heads ? heads : CHANNELS, groups = heads ? GROUPS : 1;
    for (uint32_t c = 0; c < CHANNELS; c++) {
        double h[STATE];
        uint32_t head = c / head_dim, group = c / (CHANNELS / groups);
        for (uint32_t n = 0; n < STATE; n++) h[n] = v.h[n * CHANNELS + c];
        for (uint32_t s = 0; s < STEPS; s++) {
            uint32_t t = back ? STEPS - 1 - s : s;
            double x = v.x[t * CHANNELS + c], z = v.gate[t * CHANNELS + c], y = v.d[head] * x + (back ? z : 0);
            double dt = fmin(1.5, log1p(exp(v.dt[t * n_dt + head] + (heads ? v.bias[head] : 0))));
            const float *b = v.bc + t * BC + group * STATE, *of_y = b + groups * STATE;
            for (uint32_t n = 0; n < STATE; n++) {
                h[n] = exp(dt * v.a[heads ? head : n * CHANNELS + c]) * h[n] + dt * b[n] * x;
                y += of_y[n] * h[n];
            }
            out->y[t * CHANNELS + c] = (float)(gated ? y * z / (1 + exp(-z)) : y);
        }
        for (uint32_t n = 0; n < STATE; n++) out->h[n * CHANNELS + c] = (float)h[n];
    }
}

static void check(uint32_t heads, bool gated, bool back) {
    static const uint32_t pieces[] = {0, STEPS, 64, 7, 1};
    static results want, got;
    expect(heads, gated, back, &want);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        run(heads, gated, back, pieces[i], &got);
        double y = support_difference(got.y, want.y, STEPS * CHANNELS), h = support_difference(got.h, want.h, STATE * CHANNELS);
        print_message("heads %u, gate %d, back %d, pieces of %u: y off by %.1e, h by %.1e\n", heads, gated, back, pieces[i], y, h);
        assert_true(y <= 5e-5 && h <= 5e-5);
    }
}

static void test_channels(void **state) { (void)state, check(0, true, false); }
static void test_back(void **state) { (void)state, check(0, true, true); }
static void test_heads(void **state) { (void)state, check(HEADS, false, false); }
static void test_ungated(void **state) { (void)state, check(0, false, false); }
static void test_ungated_back(void **state) { (void)state, check(0, false, true); }

// Steps before one that is no number are what they would be without it.
static void test_causal(void **state) {
    (void)state;
    static results without, with;
    enum { BROKEN = STEPS - 13 };
    run(HEADS, false, false, 0, &without);
    for (uint32_t c = 1; c < CHANNELS; c += 2) v.x[BROKEN * CHANNELS + c] = INFINITY;
    run(HEADS, false, false, 0, &with);
    assert_memory_equal(with.y, without.y, BROKEN * CHANNELS * sizeof *with.y);
    assert_false(isfinite(with.y[BROKEN * CHANNELS + 1]));
    for (uint32_t c = 1; c < CHANNELS; c += 2) v.x[BROKEN * CHANNELS + c] = 0.0f;
}

// A GPU's arena that was planned for a batch is enough for every shorter one, however that is cut.
static uint64_t planned(uint32_t steps, uint32_t channels) {
    hel_device gpu = {.type = HEL_DEVICE_TYPE_DISCRETE, .limits = {.max_binding = UINT32_MAX, .max_buffer = UINT64_MAX}};
    hel_exec exec = {.device = &gpu};
    hel_exec_plan_begin(&exec);
    hel_ssm ssm = {.channels = channels, .state = 2, .groups = 1};
    hel_ssm_inputs in = {.x = hel_columns_all((hel_tensor){.rows = steps, .cols = channels})};
    hel_ssm_scan(&exec, &ssm, &in, (hel_binding){0});
    assert_int_equal(exec.status, HEL_OK);
    return exec.peak;
}

static void test_plans(void **state) {
    (void)state;
    static const uint32_t channels[] = {1, 64, 5120, 16384, 20000};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (uint32_t steps = 2; steps < 600; steps++) assert_true(planned(steps, channels[i]) >= planned(steps - 1, channels[i]));
    assert_true(planned(128, 64) >= (128 + 4 * 3) * 64 * sizeof(float)); // y, states and times of four pieces
}

// What a thread does is settled by the shape.
static void test_threads(void **state) {
    static const uint32_t counts[] = {1, 3};
    static results got[2];
    const hel_device *whole = device;
    (void)state;
    for (int i = 0; i < 2; i++) {
        hel_device_params params = hel_device_params_default();
        params.threads = counts[i];
        assert_int_equal(hel_device_open("cpu", &params, &device), HEL_OK);
        run(HEADS, false, false, 0, &got[i]);
        hel_device_destroy(&device);
    }
    device = whole;
    assert_memory_equal(&got[0], &got[1], sizeof got[0]);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "cpu";
    if (!device_here(name)) return SKIPPED;
    if (hel_device_open(name, NULL, &device) != HEL_OK) return 1;
    fill_all();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_channels), cmocka_unit_test(test_back), cmocka_unit_test(test_heads), cmocka_unit_test(test_causal),
                                       cmocka_unit_test(test_ungated), cmocka_unit_test(test_ungated_back),
                                       cmocka_unit_test(test_plans), cmocka_unit_test(test_threads)};
    int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    hel_device_destroy(&device);
    return failed;
}
