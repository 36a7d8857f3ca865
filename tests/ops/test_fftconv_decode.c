// SPDX-License-Identifier: Apache-2.0
// Long convolutions one step at a time against sums in double precision and against whole rows: test_fftconv_decode DEVICE
// [STEPS OF THE LONG CASE].
#include "support/support.h"

#include <helicoid/device.h>

#include "base/size.h"
#include "ops/fftconv_decode.h"
#include "support/device_here.h"
#include "support/refused.h"

static const hel_device *device;
static const char *device_name;
enum { LONG_STEPS = 65536 };
static uint32_t long_steps = LONG_STEPS;

static uint64_t state = 1;
static float uniform(void) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(state >> 40) * 0x1p-23f - 1.0f;
}

// ---------------------------------------------------------------- a case

typedef struct array {
    float *values;
    hel_buffer *buffer;
} array;

static array make_array(size_t count) {
    array out = {malloc(count * sizeof(float)), NULL};
    assert_non_null(out.values);
    for (size_t i = 0; i < count; i++) out.values[i] = uniform();
    assert_int_equal(hel_buffer_create(device, count * sizeof(float), &out.buffer), HEL_OK);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, out.buffer, 0, out.values, count * sizeof(float)), HEL_OK);
    return out;
}

static void fetch(const array *a) {
    assert_int_equal(hel_buffer_read(device, HEL_QUEUE_COMPUTE, a->buffer, 0, a->values, hel_buffer_size(a->buffer)), HEL_OK);
}

static void free_array(array *a) {
    free(a->values);
    hel_buffer_destroy(device, &a->buffer);
}

// Inputs and outputs are [steps, rows].
typedef struct setting {
    uint32_t steps, channels, batch, rows, filters, taps;
    bool gates; // and bias
    array u, gate_in, gate_out, y, h, bias, in, in_gate, out_gate, out; // the last four: of one step
    hel_buffer *step, *kept;
    hel_fftconv_decoder decoder;
    hel_fftconv_sequence sequence;
    hel_exec exec;
} setting;

static hel_binding all(const array *a) { return (hel_binding){.buffer = a->buffer}; }

static hel_fftconv_tokens tokens_of(const array *u, const array *gate_in, const array *gate_out, const array *y, bool gates) {
    hel_fftconv_tokens tokens = {.u = all(u), .y = all(y)};
    if (gates) tokens.gate_in = all(gate_in), tokens.gate_out = all(gate_out);
    return tokens;
}

static void begin(setting *c) {
    c->sequence = (hel_fftconv_sequence){.state = {.buffer = c->kept}, .rows = c->rows};
    assert_int_equal(hel_buffer_fill(device, c->kept, 0, hel_buffer_size(c->kept), 0), HEL_OK);
}

static setting make(uint32_t steps, uint32_t channels, uint32_t batch, uint32_t filters, uint32_t taps, bool gates) {
    uint32_t rows = channels * batch;
    size_t n = (size_t)steps * rows;
    setting c = {.steps = steps, .channels = channels, .batch = batch, .rows = rows, .filters = filters, .taps = taps, .gates = gates};
    array *of_steps[] = {&c.u, &c.gate_in, &c.gate_out, &c.y}, *of_one[] = {&c.in, &c.in_gate, &c.out_gate, &c.out};
    for (int i = 0; i < 4; i++) *of_steps[i] = make_array(n), *of_one[i] = make_array(rows);
    c.h = make_array((size_t)filters * taps);
    c.bias = make_array(channels);
    hel_fftconv_filters given = {channels, filters, taps, c.h.values, gates ? c.bias.values : NULL};
    assert_int_equal(hel_fftconv_decoder_init(device, &given, steps, &c.decoder), HEL_OK);
    assert_int_equal(hel_buffer_create(device, n * sizeof(float), &c.kept), HEL_OK);
    assert_int_equal(hel_buffer_create(device, sizeof(uint32_t), &c.step), HEL_OK);
    begin(&c);
    assert_int_equal(hel_exec_init(&c.exec, device), HEL_OK);
    hel_fftconv_tokens tokens = tokens_of(&c.u, &c.gate_in, &c.gate_out, &c.y, gates);
    hel_exec_plan_begin(&c.exec);
    hel_fftconv_decode_prefill(&c.exec, &c.decoder, &c.sequence, steps, &tokens);
    hel_fftconv_decode_advance(&c.exec, &c.decoder, &c.sequence);
    assert_int_equal(hel_exec_plan_end(&c.exec), HEL_OK);
    hel_exec_reset(&c.exec);
    return c;
}

static void drop(setting *c) {
    array *each[] = {&c->u, &c->gate_in, &c->gate_out, &c->y, &c->h, &c->bias, &c->in, &c->in_gate, &c->out_gate, &c->out};
    for (size_t i = 0; i < HEL_COUNT(each); i++) free_array(each[i]);
    hel_buffer_destroy(device, &c->step);
    hel_buffer_destroy(device, &c->kept);
    hel_exec_finish(&c->exec);
    hel_fftconv_decoder_finish(&c->decoder);
}

// ---------------------------------------------------------------- going through the steps

static void copy(setting *c, const array *to, uint64_t to_first, const array *from, uint64_t from_first, uint64_t count) {
    assert_int_equal(hel_buffer_copy(device, HEL_QUEUE_COMPUTE, to->buffer, to_first * sizeof(float), from->buffer,
                                     from_first * sizeof(float), count * sizeof(float)), HEL_OK);
    (void)c;
}

static void step(setting *c) {
    uint32_t t = c->sequence.position;
    uint64_t at = (uint64_t)t * c->rows;
    hel_fftconv_tokens tokens = tokens_of(&c->in, &c->in_gate, &c->out_gate, &c->out, c->gates);
    copy(c, &c->in, 0, &c->u, at, c->rows);
    if (c->gates) copy(c, &c->in_gate, 0, &c->gate_in, at, c->rows), copy(c, &c->out_gate, 0, &c->gate_out, at, c->rows);
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, c->step, 0, &t, sizeof t), HEL_OK);
    hel_fftconv_decode_step(&c->exec, &c->decoder, &c->sequence, (hel_binding){.buffer = c->step}, &tokens);
    hel_fftconv_decode_advance(&c->exec, &c->decoder, &c->sequence);
    copy(c, &c->y, at, &c->out, 0, c->rows);
}

static void steps_to(setting *c, uint32_t end) {
    while (c->sequence.position < end) step(c);
    if (c->exec.status != HEL_OK) fail_msg("%s", hel_error_message());
}

// As many steps at once, through arrays of their own.
static void prefill(setting *c, uint32_t count) {
    size_t n = (size_t)count * c->rows, at = (size_t)c->sequence.position * c->rows;
    array u = make_array(n), gate_in = make_array(n), gate_out = make_array(n), y = make_array(n);
    hel_fftconv_tokens tokens = tokens_of(&u, &gate_in, &gate_out, &y, c->gates);
    copy(c, &u, 0, &c->u, at, n), copy(c, &gate_in, 0, &c->gate_in, at, n), copy(c, &gate_out, 0, &c->gate_out, at, n);
    hel_fftconv_decode_prefill(&c->exec, &c->decoder, &c->sequence, count, &tokens);
    if (c->exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    copy(c, &c->y, at, &y, 0, n);
    free_array(&u), free_array(&gate_in), free_array(&gate_out), free_array(&y);
}

// ---------------------------------------------------------------- what is right

static double input_at(const setting *c, uint32_t row, uint32_t t) {
    size_t at = (size_t)t * c->rows + row;
    return (c->gates ? (double)c->gate_in.values[at] : 1.0) * c->u.values[at];
}

static double exact_at(const setting *c, uint32_t row, uint32_t t) {
    const float *h = c->h.values + (size_t)(row % c->channels % c->filters) * c->taps;
    double sum = c->gates ? c->bias.values[row % c->channels] * input_at(c, row, t) : 0.0;
    for (uint32_t lag = 0; lag <= t && lag < c->taps; lag++) sum += h[lag] * input_at(c, row, t - lag);
    return sum * (c->gates ? (double)c->gate_out.values[(size_t)t * c->rows + row] : 1.0);
}

// Every `stride`-th step of every row; 1e-5 of the largest output.
static void expect_exact(const setting *c, uint32_t stride) {
    double largest = 0.0, error = 0.0;
    uint32_t worst = 0;
    fetch(&c->y);
    for (size_t i = 0; i < (size_t)c->steps * c->rows; i++) largest = fmax(largest, fabs((double)c->y.values[i]));
    for (uint32_t t = 0; t < c->steps; t += stride)
        for (uint32_t row = 0; row < c->rows; row++) {
            double here = fabs(exact_at(c, row, t) - c->y.values[(size_t)t * c->rows + row]);
            if (here > error || isnan(here)) error = here, worst = t; // NaN stays
        }
    if (error <= 1e-5 * largest) return;
    fail_msg("%s: %u steps of %u rows: step %u is wrong by %.3g of the largest output", device_name, c->steps, c->rows, worst,
             error / largest);
}

static void test_steps(void **unused) {
    (void)unused;
    setting each[] = {make(1, 1, 1, 1, 1, true), make(300, 3, 2, 3, 300, true), make(700, 5, 1, 1, 200, false)};
    for (size_t i = 0; i < HEL_COUNT(each); i++) {
        steps_to(&each[i], each[i].steps);
        expect_exact(&each[i], 1);
        drop(&each[i]);
    }
}

// Steps follow a prefill, and another prefill follows steps, whatever their lengths.
static void test_prefills(void **unused) {
    (void)unused;
    static const uint32_t firsts[] = {1, HEL_FFTCONV_BLOCK - 1, HEL_FFTCONV_BLOCK, HEL_FFTCONV_BLOCK + 1, 777, 1024, 1500};
    setting c = make(1500, 3, 2, 3, 1500, true);
    for (size_t i = 0; i < HEL_COUNT(firsts); i++) {
        begin(&c);
        prefill(&c, firsts[i]);
        steps_to(&c, HEL_MIN(firsts[i] + 37, c.steps));
        uint32_t left = c.steps - c.sequence.position;
        if (left / 2) prefill(&c, left / 2);
        steps_to(&c, c.steps);
        expect_exact(&c, 7);
    }
    drop(&c);
}

static void test_batch_changes_no_bit(void **unused) {
    (void)unused;
    enum { STEPS = 600, CHANNELS = 3, BATCH = 5 };
    setting many = make(STEPS, CHANNELS, BATCH, CHANNELS, STEPS, true), one = make(STEPS, CHANNELS, 1, CHANNELS, STEPS, true);
    hel_fftconv_decoder_finish(&one.decoder);
    hel_fftconv_filters given = {CHANNELS, CHANNELS, STEPS, many.h.values, many.bias.values};
    assert_int_equal(hel_fftconv_decoder_init(device, &given, STEPS, &one.decoder), HEL_OK);
    for (uint32_t t = 0; t < STEPS; t++) {
        uint64_t from = (uint64_t)t * many.rows + 2 * CHANNELS, to = (uint64_t)t * CHANNELS;
        copy(&one, &one.u, to, &many.u, from, CHANNELS);
        copy(&one, &one.gate_in, to, &many.gate_in, from, CHANNELS);
        copy(&one, &one.gate_out, to, &many.gate_out, from, CHANNELS);
    }
    prefill(&many, 200), prefill(&one, 200);
    steps_to(&many, STEPS), steps_to(&one, STEPS);
    fetch(&many.y), fetch(&one.y);
    for (uint32_t t = 0; t < STEPS; t++)
        assert_memory_equal(one.y.values + (size_t)t * CHANNELS, many.y.values + (size_t)t * many.rows + 2 * CHANNELS,
                            CHANNELS * sizeof(float));
    drop(&many), drop(&one);
}

static void test_refusals(void **unused) {
    (void)unused;
    setting c = make(5, 1, 1, 1, 5, false);
    steps_to(&c, 5);
    hel_fftconv_tokens tokens = tokens_of(&c.in, &c.in_gate, &c.out_gate, &c.out, false);
    hel_fftconv_decode_step(&c.exec, &c.decoder, &c.sequence, (hel_binding){.buffer = c.step}, &tokens);
    assert_int_equal(c.exec.status, HEL_ERROR_ARGUMENT);
    hel_exec_reset(&c.exec);
    hel_fftconv_decode_advance(&c.exec, &c.decoder, &c.sequence);
    assert_int_equal(c.exec.status, HEL_ERROR_ARGUMENT);
    assert_int_equal(c.sequence.position, 5);
    hel_fftconv_filters none = {1, 2, 5, c.h.values, NULL};
    hel_fftconv_decoder decoder;
    EXPECT_REFUSED(hel_fftconv_decoder_init(device, &none, 5, &decoder));
    drop(&c);
}

// Kernels count elements in 32 bits, however much a binding may hold.
static void test_state_too_large(void **unused) {
    (void)unused;
    setting c = make(1000, 1, 1, 1, 5, false);
    uint64_t *most = &((hel_device *)(uintptr_t)device)->limits.max_binding, own = *most;
    hel_fftconv_tokens tokens = tokens_of(&c.in, &c.in_gate, &c.out_gate, &c.out, false);
    *most = UINT64_C(1) << 40;
    c.sequence.rows = 5000000; // claimed only
    for (int planning = 0; planning < 2; planning++) {
        if (planning) hel_exec_plan_begin(&c.exec);
        hel_fftconv_decode_prefill(&c.exec, &c.decoder, &c.sequence, 1, &tokens);
        assert_int_equal(c.exec.status, HEL_ERROR_UNSUPPORTED);
        hel_exec_reset(&c.exec);
        hel_fftconv_decode_step(&c.exec, &c.decoder, &c.sequence, (hel_binding){.buffer = c.step}, &tokens);
        assert_int_equal(c.exec.status, HEL_ERROR_UNSUPPORTED);
    }
    *most = own;
    drop(&c);
}

// ---------------------------------------------------------------- many steps

// y of whole rows by one transform, [rows, steps].
static void run_whole(const setting *c, const array *u, const array *gate_in, const array *gate_out, const array *y) {
    hel_fftconv_plan plan;
    hel_exec exec;
    assert_int_equal(hel_fftconv_plan_init_as(device, c->steps, c->steps, HEL_FFTCONV_LONG, &plan), HEL_OK);
    array spectra = make_array(c->channels * plan.spectrum_size / sizeof(float));
    hel_convolution_call filters = {.rows = c->channels, .channels = c->channels, .transform = true, .u = all(&c->h), .y = all(&spectra)};
    hel_convolution_call call = {.rows = c->rows, .channels = c->channels, .u = all(u), .gate_in = all(gate_in),
                                 .gate_out = all(gate_out), .bias = all(&c->bias), .spectra = all(&spectra), .y = all(y)};
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    for (int planning = 1; planning >= 0; planning--) {
        if (planning) hel_exec_plan_begin(&exec);
        else hel_exec_reset(&exec);
        hel_fftconv_run(&exec, &plan, &filters);
        hel_fftconv_run(&exec, &plan, &call);
        if (planning) assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    }
    if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    fetch(y);
    hel_exec_finish(&exec);
    free_array(&spectra);
    hel_fftconv_plan_finish(&plan);
}

static array turned(const setting *c, const array *a) {
    array out = make_array((size_t)c->steps * c->rows);
    for (uint32_t t = 0; t < c->steps; t++)
        for (uint32_t row = 0; row < c->rows; row++)
            out.values[(size_t)row * c->steps + t] = a->values[(size_t)t * c->rows + row];
    assert_int_equal(hel_buffer_write(device, HEL_QUEUE_COMPUTE, out.buffer, 0, out.values, hel_buffer_size(out.buffer)), HEL_OK);
    return out;
}

static void test_long(void **unused) {
    (void)unused;
    enum { CHANNELS = 2 };
    uint32_t steps = long_steps;
    setting c = make(steps, CHANNELS, 1, CHANNELS, steps, true);
    array u = turned(&c, &c.u), gate_in = turned(&c, &c.gate_in), gate_out = turned(&c, &c.gate_out), y = turned(&c, &c.y);
    run_whole(&c, &u, &gate_in, &gate_out, &y);
    steps_to(&c, steps);
    expect_exact(&c, 997);
    double largest = 0.0, error = 0.0;
    for (uint32_t row = 0; row < CHANNELS; row++)
        for (uint32_t t = 0; t < steps; t++) {
            double whole = y.values[(size_t)row * steps + t];
            largest = fmax(largest, fabs(whole));
            error = support_worse(error, fabs(whole - c.y.values[(size_t)t * CHANNELS + row]));
        }
    // A direct sum multiplies t + 1 times at step t.
    double direct = 0.5 * steps * (steps + 1.0), ratio = direct / (double)c.sequence.multiplications;
    print_message("%s: %.1f times fewer multiplications than direct sums, %.3g from whole rows, decoder %.1f MB\n", device_name, ratio,
                  error / largest, (double)hel_fftconv_decoder_bytes(&c.decoder) / 1e6);
    assert_true(error <= 1e-5 * largest);
    assert_true(steps < LONG_STEPS || ratio >= 50.0);
    assert_true(hel_fftconv_decoder_bytes(&c.decoder) <= UINT64_C(16) * steps * CHANNELS + (1 << 16));
    free_array(&u), free_array(&gate_in), free_array(&gate_out), free_array(&y);
    drop(&c);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    device_name = argv[1];
    if (argc > 2) long_steps = (uint32_t)strtoul(argv[2], NULL, 10);
    int missing = device_open_here(device_name, &device);
    if (missing) return missing;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_prefills),
                                       cmocka_unit_test(test_batch_changes_no_bit), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_state_too_large), cmocka_unit_test(test_long)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hel_device_destroy(&device);
    return failed;
}
