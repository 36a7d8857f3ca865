// SPDX-License-Identifier: Apache-2.0
// Operators that look at the rows before, run as models run them: with and without what is optional, and over more rows than a
// driver lets a lane go through at once. The device is the first argument.
#include "support/support.h"

#include "ops/modal_scan.h"
#include "ops/operators.h"
#include "ops/rwkv.h"
#include "support/device_here.h"

static const hel_device *device;

static hel_binding upload(const float *from, uint64_t count) {
    hel_buffer *buffer;
    assert_int_equal(hel_buffer_create(device, count * sizeof *from, &buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, buffer, 0, from, count * sizeof *from), HEL_OK);
    return (hel_binding){buffer, 0, count * sizeof *from};
}

// ---------------------------------------------------------------- conv1d

enum { ROWS = 40, CHANNELS = 5, WIDTH = 4 };

static float x[ROWS * CHANNELS], taps[CHANNELS * WIDTH], bias[CHANNELS], before[(WIDTH - 1) * CHANNELS];

static void expect(bool biased, bool kept, float out[ROWS * CHANNELS]) {
    for (int t = 0; t < ROWS; t++)
        for (int c = 0; c < CHANNELS; c++) {
            double sum = biased ? bias[c] : 0;
            for (int j = 0; j < WIDTH; j++) {
                int row = t + 1 - WIDTH + j;
                double value = row >= 0 ? x[row * CHANNELS + c] : kept ? before[(row + WIDTH - 1) * CHANNELS + c] : 0;
                sum += taps[c * WIDTH + j] * value;
            }
            out[t * CHANNELS + c] = (float)sum;
        }
}

static void run(bool biased, bool kept, float out[ROWS * CHANNELS]) {
    hel_exec exec;
    hel_binding all[] = {upload(x, ROWS * CHANNELS), upload(taps, CHANNELS * WIDTH), upload(bias, CHANNELS),
                         upload(before, (WIDTH - 1) * CHANNELS)};
    hel_conv1d_filter filter = {.taps = all[1], .width = WIDTH, .activation = HEL_IDENTITY};
    if (biased) filter.bias = all[2];
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    for (int pass = 0; pass < 2; pass++) {
        if (pass) assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
        else hel_exec_plan_begin(&exec);
        hel_tensor in = {all[0], ROWS, CHANNELS};
        hel_exec_reset(&exec);
        hel_tensor y = hel_conv1d(&exec, hel_columns_all(in), &filter, kept ? all[3] : (hel_binding){0});
        if (pass) hel_exec_download(&exec, y, out);
        if (exec.status != HEL_OK) fail_msg("bias %d, state %d: %s", biased, kept, hel_error_message());
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) hel_buffer_destroy(device, &all[i].buffer);
    hel_exec_finish(&exec);
}

static void test_conv1d(void **state) {
    static float want[ROWS * CHANNELS], got[ROWS * CHANNELS];
    (void)state;
    for (int i = 0; i < ROWS * CHANNELS; i++) x[i] = sinf((float)(i + 1));
    for (int i = 0; i < CHANNELS * WIDTH; i++) taps[i] = cosf((float)(3 * i));
    for (int i = 0; i < CHANNELS; i++) bias[i] = (float)i - 1.5f;
    for (int i = 0; i < (WIDTH - 1) * CHANNELS; i++) before[i] = sinf((float)(7 * i));
    for (int form = 0; form < 4; form++) {
        expect(form & 1, form & 2, want);
        run(form & 1, form & 2, got);
        assert_true(support_difference(got, want, ROWS * CHANNELS) <= 1e-5);
    }
}

// ---------------------------------------------------------------- token_shift

static void test_long_shift(void **state) {
    enum { TOKENS = 80000 };
    hel_exec exec;
    float *values = malloc(TOKENS * sizeof *values), *shifted = malloc(TOKENS * sizeof *shifted), last = 0.5f;
    (void)state;
    for (int i = 0; i < TOKENS; i++) values[i] = (float)i + 1.0f;
    hel_binding kept = upload(&last, 1), all = upload(values, TOKENS);
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    for (int pass = 0; pass < 2; pass++) {
        if (pass) assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
        else hel_exec_plan_begin(&exec);
        hel_exec_reset(&exec);
        hel_tensor y = hel_token_shift(&exec, (hel_tensor){all, TOKENS, 1}, (hel_kept){kept, 0});
        if (pass) hel_exec_download(&exec, y, shifted);
        if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    }
    assert_true(shifted[0] == 0.5f);
    assert_memory_equal(shifted + 1, values, (TOKENS - 1) * sizeof *values);
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, kept.buffer, 0, &last, sizeof last), HEL_OK);
    assert_true(last == TOKENS);
    hel_exec_finish(&exec);
    hel_buffer_destroy(device, &kept.buffer);
    hel_buffer_destroy(device, &all.buffer);
    free(values);
    free(shifted);
}

// ---------------------------------------------------------------- modal_scan

static void test_long_filter(void **state) {
    enum { TOKENS = 9000, MODES = 9 };
    hel_exec exec;
    static float z[3 * TOKENS], got[TOKENS], want[TOKENS], poles[2 * MODES], residues[2 * MODES], zeros[2 * MODES], direct = 0.5f;
    double re[MODES] = {0}, im[MODES] = {0};
    (void)state;
    for (int i = 0; i < 3 * TOKENS; i++) z[i] = sinf((float)i);
    for (int n = 0; n < MODES; n++) {
        poles[2 * n] = 0.9f * cosf((float)n), poles[2 * n + 1] = 0.9f * sinf((float)n);
        residues[2 * n] = cosf((float)(5 * n)), residues[2 * n + 1] = sinf((float)(5 * n));
    }
    for (int t = 0; t < TOKENS; t++) {
        double w = (double)z[3 * t + 1] * z[3 * t + 2], sum = direct * w;
        for (int n = 0; n < MODES; n++) {
            double turned = poles[2 * n] * re[n] - poles[2 * n + 1] * im[n] + w;
            im[n] = poles[2 * n] * im[n] + poles[2 * n + 1] * re[n];
            re[n] = turned;
            sum += residues[2 * n] * re[n] - residues[2 * n + 1] * im[n];
        }
        want[t] = (float)(z[3 * t] * sum);
    }
    hel_binding all[] = {upload(z, 3 * TOKENS), upload(poles, 2 * MODES), upload(residues, 2 * MODES), upload(&direct, 1),
                         upload(zeros, 2 * MODES)};
    hel_modal_filter filter = {.poles = all[1], .residues = all[2], .direct = all[3], .modes = MODES, .split = 1};
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    for (int pass = 0; pass < 2; pass++) {
        if (pass) assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
        else hel_exec_plan_begin(&exec);
        hel_exec_reset(&exec);
        hel_tensor y = hel_modal_scan(&exec, (hel_tensor){all[0], TOKENS, 3}, &filter, all[4]);
        if (pass) hel_exec_download(&exec, y, got);
        if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    }
    assert_true(support_difference(got, want, TOKENS) <= 1e-4);
    hel_exec_finish(&exec);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) hel_buffer_destroy(device, &all[i].buffer);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "cpu";
    if (!device_here(name)) return SKIPPED;
    if (hel_device_open(name, NULL, &device) != HEL_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv1d), cmocka_unit_test(test_long_shift),
                                       cmocka_unit_test(test_long_filter)};
    int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    hel_device_destroy(&device);
    return failed;
}
