// SPDX-License-Identifier: Apache-2.0
// The long convolution and its gradients on a device against a double-precision transform: test_fftconv DEVICE [MOST STEPS
// [PARTS]], as many (support/part.h) as the shapes are dealt out to.
#include "support/support.h"

#include <complex.h>

#include <helicoid/device.h>
#include <helicoid/fftconv.h>

#include "base/half.h"
#include "ops/fftconv.h"
#include "support/device_here.h"
#include "support/part.h"
#include "support/refused.h"

static const hel_device *device;
static const char *device_name;
static hel_fftconv_way way = HEL_FFTCONV_LONG; // of filters as long as rows
static uint32_t most_steps = UINT32_MAX;
static test_part part = {0, 1}; // of the shapes

// ---------------------------------------------------------------- the oracle

static void fft(double complex *x, size_t n, int sign) {
    const double pi = 3.14159265358979323846;
    for (size_t i = 1, j = 0; i < n; i++) {
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            double complex t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
    for (size_t span = 1; span < n; span *= 2)
        for (size_t k = 0; k < span; k++) {
            double complex turn = cexp(sign * pi * I * (double)k / (double)span);
            for (size_t i = k; i < n; i += 2 * span) {
                double complex high = x[i + span] * turn;
                x[i + span] = x[i] - high;
                x[i] += high;
            }
        }
}

// out[t] += sum over s <= t of a[s] b[t - s]
static void add_product(const double *a, const double *b, size_t n, double *out) {
    size_t size = 2;
    while (size < 2 * n) size *= 2;
    double complex *x = calloc(size, sizeof *x), *y = calloc(size, sizeof *y);
    assert_true(x && y);
    for (size_t i = 0; i < n; i++) x[i] = a[i], y[i] = b[i];
    fft(x, size, -1);
    fft(y, size, -1);
    for (size_t i = 0; i < size; i++) x[i] *= y[i];
    fft(x, size, 1);
    for (size_t i = 0; i < n; i++) out[i] += creal(x[i]) / (double)size;
    free(x);
    free(y);
}

enum { FEW = 256 };

// The same where a has `taps` terms.
static void convolve(const double *a, size_t taps, const double *b, size_t n, double *out) {
    if (taps > FEW) add_product(a, b, n, out);
    for (size_t s = 0; taps <= FEW && s < taps; s++)
        for (size_t t = s; t < n; t++) out[t] += a[s] * b[t - s];
}

// dh[s] += sum over t of dz[t] v[t - s]; dz is turned round.
static void add_gradient(const double *v, const double *turned_dz, size_t n, size_t taps, double *dh) {
    double *turned = calloc(n, sizeof *turned);
    assert_non_null(turned);
    if (taps > FEW) add_product(v, turned_dz, n, turned);
    for (size_t s = 0; s < taps; s++) {
        for (size_t t = s; taps <= FEW && t < n; t++) turned[n - 1 - s] += turned_dz[n - 1 - t] * v[t - s];
        dh[s] += turned[n - 1 - s];
    }
    free(turned);
}

// ---------------------------------------------------------------- a case

// On the host rows are floats, close to each other; on the device those with `halves` are as hel_storage_row says.
typedef struct rows {
    float *values;
    hel_buffer *buffer;
    uint32_t rows, steps;
    bool halves;
} rows;

typedef struct shape {
    uint32_t steps, taps, channels, batch;
    bool gates, halves;
    hel_fftconv_way way;
} shape;

static uint64_t state = 1;
static float uniform(void) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(state >> 40) * 0x1p-23f - 1.0f;
}

static uint64_t bytes_of(const rows *r) {
    return r->rows * hel_storage_row(r->halves ? HEL_STORAGE_BF16 : HEL_STORAGE_F32, r->steps);
}

// Between floats and halves; a half behind an odd row is a NaN on its way to the device, and means nothing on its way back.
static void pack(const rows *r, uint16_t *halves, bool back) {
    uint32_t width = (r->steps + 1) / 2 * 2;
    for (uint32_t row = 0; row < r->rows; row++)
        for (uint32_t t = 0; t < width; t++) {
            float *value = r->values + (size_t)row * r->steps + t;
            uint16_t *half = halves + (size_t)row * width + t;
            if (back && t < r->steps) *value = hel_bf16_to_float(*half);
            else if (!back) *half = t < r->steps ? hel_float_to_bf16(*value) : 0x7fc0;
        }
}

static void move(rows *r, bool back) {
    uint64_t size = bytes_of(r);
    uint16_t *halves = r->halves ? malloc(size) : NULL;
    void *bytes = r->halves ? (void *)halves : r->values;
    assert_non_null(bytes);
    if (r->halves && !back) pack(r, halves, false);
    hel_status status = back ? hel_buffer_read(device, HEL_QUEUE_COMPUTE, r->buffer, 0, bytes, size)
                             : hel_buffer_write(device, HEL_QUEUE_COMPUTE, r->buffer, 0, bytes, size);
    assert_int_equal(status, HEL_OK);
    if (r->halves) pack(r, halves, true);
    free(halves);
}

static rows make_rows(uint32_t count, uint32_t steps, bool random, bool halves) {
    rows out = {malloc((size_t)count * steps * sizeof(float)), NULL, count, steps, halves};
    assert_non_null(out.values);
    for (size_t i = 0; i < (size_t)count * steps; i++) out.values[i] = random ? uniform() : NAN;
    assert_int_equal(hel_buffer_create(device, bytes_of(&out), &out.buffer), HEL_OK);
    move(&out, false);
    return out;
}

static void fetch(rows *r) { move(r, true); }

static void free_rows(rows *r) {
    free(r->values);
    hel_buffer_destroy(device, &r->buffer);
}

static double norm_of(const double *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

// Errors of FFTs grow with the square root of their depth (Schatzman 1996), relative to the norms of what is multiplied, which
// a few steps may cancel; 1.5 is about twice what FFTW shows (docs/fftconv.md). Results in halves are rounded once more.
static void expect(const char *what, const shape *s, const float *got, const double *want, size_t n, double factors, bool halves) {
    double error = 0.0, norm = fmax(norm_of(want, n), factors), limit = 1.5 * sqrt(log2(2.0 * s->steps)) * 0x1p-23;
    if (halves) limit += 0x1p-8;
    for (size_t i = 0; i < n; i++) error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    if (sqrt(error) <= limit * norm) return;
    fail_msg("%s: %s of %u steps, %u taps, %u channels, batch %u, %s: error %.3g, allowed %.3g", device_name, what, s->steps, s->taps,
             s->channels, s->batch, s->halves ? "halves" : "floats", sqrt(error) / norm, limit);
}

typedef struct setting {
    shape s;
    uint32_t filter_steps;
    rows u, h, gate_in, gate_out, bias, dy, spectra, y, du, dgate_in, dgate_out, dh;
} setting;

static hel_binding all(const rows *r) { return (hel_binding){.buffer = r->buffer}; }

static void run(setting *c, hel_exec *exec, const hel_fftconv_plan *plan) {
    hel_convolution_call spectra = {.rows = c->s.channels, .channels = c->s.channels, .transform = true, .u = all(&c->h),
                                    .y = all(&c->spectra)};
    hel_convolution_call call = {.rows = c->u.rows, .channels = c->s.channels, .u = all(&c->u), .bias = all(&c->bias),
                                 .spectra = all(&c->spectra), .y = all(&c->y)};
    if (c->s.halves) call.storage = call.y_storage = HEL_STORAGE_BF16;
    hel_fftconv_gradients gradients = {.u = all(&c->du), .filters = all(&c->dh)};
    if (c->s.gates) {
        call.gate_in = all(&c->gate_in), call.gate_out = all(&c->gate_out);
        gradients.gate_in = all(&c->dgate_in), gradients.gate_out = all(&c->dgate_out);
    }
    hel_fftconv_run(exec, plan, &spectra);
    hel_fftconv_run(exec, plan, &call);
    hel_fftconv_backward(exec, plan, &call, all(&c->dy), &gradients);
}

static void run_planned(setting *c, const hel_fftconv_plan *plan) {
    hel_exec exec;
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    hel_exec_plan_begin(&exec);
    run(c, &exec, plan);
    assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    hel_exec_reset(&exec);
    run(c, &exec, plan);
    if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    rows *results[] = {&c->y, &c->du, &c->dgate_in, &c->dgate_out, &c->dh};
    for (size_t i = 0; i < 5; i++) fetch(results[i]);
    hel_exec_finish(&exec);
}

// One row of everything in double precision; what the filter gets is added up.
static void check_row(const setting *c, uint32_t row, double *dh, double *dh_factors) {
    size_t n = c->s.steps, at = row * n;
    uint32_t channel = row % c->s.channels;
    double *m = calloc(6 * n, sizeof *m), *v = m, *h = m + n, *z = m + 2 * n, *dz = m + 3 * n, *back = m + 4 * n,
           *want = m + 5 * n;
    assert_non_null(m);
    for (size_t t = 0; t < n; t++) {
        double in = c->s.gates ? c->gate_in.values[at + t] : 1.0, out = c->s.gates ? c->gate_out.values[at + t] : 1.0;
        v[t] = in * c->u.values[at + t];
        h[t] = t < c->s.taps ? c->h.values[channel * c->filter_steps + t] : 0.0;
        dz[n - 1 - t] = out * c->dy.values[at + t]; // turned round
        z[t] = c->bias.values[channel] * v[t];
        back[n - 1 - t] = c->bias.values[channel] * dz[n - 1 - t];
    }
    double of_h = norm_of(h, n), of_z = of_h * norm_of(v, n), of_back = of_h * norm_of(dz, n);
    *dh_factors += norm_of(v, n) * norm_of(dz, n);
    convolve(h, c->s.taps, v, n, z);
    convolve(h, c->s.taps, dz, n, back);
    add_gradient(v, dz, n, c->filter_steps, dh);
    for (size_t t = 0; t < n; t++) want[t] = z[t] * (c->s.gates ? c->gate_out.values[at + t] : 1.0);
    expect("y", &c->s, c->y.values + at, want, n, of_z, c->s.halves);
    for (size_t t = 0; t < n; t++) want[t] = back[n - 1 - t] * (c->s.gates ? c->gate_in.values[at + t] : 1.0);
    expect("du", &c->s, c->du.values + at, want, n, of_back, c->s.halves);
    if (c->s.gates) {
        for (size_t t = 0; t < n; t++) want[t] = back[n - 1 - t] * c->u.values[at + t];
        expect("d gate_in", &c->s, c->dgate_in.values + at, want, n, of_back, c->s.halves);
        for (size_t t = 0; t < n; t++) want[t] = z[t] * c->dy.values[at + t];
        expect("d gate_out", &c->s, c->dgate_out.values + at, want, n, of_z, c->s.halves);
    }
    free(m);
}

static void check_all(const setting *c) {
    for (uint32_t channel = 0; channel < c->s.channels; channel++) {
        double *dh = calloc(c->s.steps, sizeof *dh), factors = 0.0;
        assert_non_null(dh);
        for (uint32_t b = 0; b < c->s.batch; b++) check_row(c, b * c->s.channels + channel, dh, &factors);
        expect("dh", &c->s, c->dh.values + (size_t)channel * c->filter_steps, dh, c->filter_steps, factors, false);
        free(dh);
    }
}

// Zeros behind the taps.
static rows make_filters(const shape *s, uint32_t filter_steps) {
    rows out = make_rows(s->channels, filter_steps, true, false);
    for (uint32_t c = 0; c < s->channels; c++)
        for (uint32_t t = s->taps; t < filter_steps; t++) out.values[(size_t)c * filter_steps + t] = 0.0f;
    move(&out, false);
    return out;
}

static setting make_setting(const shape *s, const hel_fftconv_plan *plan) {
    uint32_t steps = s->steps, count = s->channels * s->batch;
    return (setting){*s,
                     plan->filter_steps,
                     make_rows(count, steps, true, s->halves),
                     make_filters(s, plan->filter_steps),
                     make_rows(count, steps, true, s->halves),
                     make_rows(count, steps, true, s->halves),
                     make_rows(1, s->channels, true, false),
                     make_rows(count, steps, true, s->halves),
                     make_rows(s->channels, (uint32_t)(plan->spectrum_size / sizeof(float)), false, false),
                     make_rows(count, steps, false, s->halves),
                     make_rows(count, steps, false, s->halves),
                     make_rows(count, steps, false, s->halves),
                     make_rows(count, steps, false, s->halves),
                     make_rows(s->channels, plan->filter_steps, false, false)};
}

static void free_setting(setting *c) {
    rows *each[] = {&c->u, &c->h, &c->gate_in, &c->gate_out, &c->bias, &c->dy, &c->spectra,
                    &c->y, &c->du, &c->dgate_in, &c->dgate_out, &c->dh};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) free_rows(each[i]);
}

static void check_one(shape s) {
    static uint32_t number;
    hel_fftconv_plan plan;
    if (s.steps > most_steps || !part_has(part, number++)) return;
    state = s.steps;
    if (hel_fftconv_plan_init_as(device, s.steps, s.taps, s.way, &plan) != HEL_OK) fail_msg("%s", hel_error_message());
    setting c = make_setting(&s, &plan);
    run_planned(&c, &plan);
    check_all(&c);
    free_setting(&c);
    hel_fftconv_plan_finish(&plan);
}

static void check_shape(uint32_t steps, uint32_t channels, uint32_t batch, bool gates, bool halves) {
    check_one((shape){steps, steps, channels, batch, gates, halves, way});
}

static void test_lengths(void **unused) {
    (void)unused;
    static const uint32_t lengths[] = {1, 2, 3, 5, 127, 1000, 4096, 10007, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_shape(lengths[i], 3, 2, true, false);
        check_shape(lengths[i], 2, 1, false, false);
    }
}

// Each way to split of the CPU's vector code: two, four, odd numbers. The kernels' are in test_lengths.
static void test_sizes(void **unused) {
    (void)unused;
    if (strcmp(device_name, "cpu") != 0) return;
    for (uint32_t steps = 510; steps < 8192; steps += steps / 3 + 1) check_shape(steps, 1, 1, true, false);
}

// Odd and even rows, in one work-group and in several passes.
static void test_halves(void **unused) {
    (void)unused;
    static const uint32_t lengths[] = {1, 2, 3, 127, 1000, 10007, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) check_shape(lengths[i], 2, 2, lengths[i] != 1000, true);
}

// Filters of a few taps, without a transform: up to a band, a band and more, as long as rows and longer than their first tile.
static void test_taps(void **unused) {
    (void)unused;
    static const uint32_t lengths[] = {1, 2, 5, 127, 1000, 4096, 10007}, taps[] = {1, 2, 3, 7, 31, 64, 127, 128, 256};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t j = 0; j < sizeof taps / sizeof *taps && taps[j] <= lengths[i]; j++) {
            shape s = {lengths[i], taps[j], 3, 2, true, false, HEL_FFTCONV_TOEPLITZ};
            check_one(s);
            s.halves = true, s.gates = lengths[i] != 1000;
            check_one(s);
        }
    for (uint32_t n = 1; n <= 1024; n *= 4) // whatever the device takes, on both sides of where it changes its mind
        check_one((shape){1024, n, 2, 1, true, false, HEL_FFTCONV_FASTEST});
}

// More channels than a filters' gradient is made of at once, and rows that are cut into the most slices.
static void test_many_slices(void **unused) {
    (void)unused;
    if (strcmp(device_name, "cpu") != 0) return;
    check_one((shape){1200000, 9, 1, 1, false, false, HEL_FFTCONV_TOEPLITZ});
    check_one((shape){33000, 256, 67, 1, false, false, HEL_FFTCONV_TOEPLITZ});
}

// The same bits, whatever the number of threads.
static void test_threads(void **unused) {
    (void)unused;
    if (strcmp(device_name, "cpu") != 0) return;
    shape s = {5000, 100, 3, 2, true, false, HEL_FFTCONV_TOEPLITZ};
    const hel_device *first = device;
    static float y[2][6 * 5000], dh[2][3 * 100];
    for (int i = 0; i < 2; i++) {
        hel_device_params params = hel_device_params_default();
        hel_fftconv_plan plan;
        params.threads = i ? 3 : 1;
        assert_int_equal(hel_device_open("cpu", &params, &device), HEL_OK);
        assert_int_equal(hel_fftconv_plan_init_as(device, s.steps, s.taps, s.way, &plan), HEL_OK);
        state = 7;
        setting c = make_setting(&s, &plan);
        run_planned(&c, &plan);
        memcpy(y[i], c.y.values, sizeof *y);
        memcpy(dh[i], c.dh.values, sizeof *dh);
        free_setting(&c);
        hel_fftconv_plan_finish(&plan);
        hel_device_destroy(&device);
    }
    device = first;
    assert_memory_equal(y[0], y[1], sizeof *y);
    assert_memory_equal(dh[0], dh[1], sizeof *dh);
}

// The public entry: odd rows of halves, close to each other on the host, are what floats of the same values give, rounded.
static void test_public(void **unused) {
    (void)unused;
    enum { STEPS = 51, CHANNELS = 2, ROWS = 6, N = ROWS * STEPS };
    static uint16_t u[N], gate[N], y[N];
    static float wide_u[N], wide_gate[N], wide_y[N], h[CHANNELS * 20], bias[CHANNELS] = {0.5f, -1.0f};
    for (int i = 0; i < N; i++) {
        u[i] = hel_float_to_bf16(uniform()), wide_u[i] = hel_bf16_to_float(u[i]);
        gate[i] = hel_float_to_bf16(uniform()), wide_gate[i] = hel_bf16_to_float(gate[i]);
    }
    for (int i = 0; i < CHANNELS * 20; i++) h[i] = uniform();
    hel_fftconv_params params = hel_fftconv_params_default();
    params.batch = ROWS / CHANNELS, params.channels = CHANNELS, params.steps = STEPS, params.taps = 20;
    hel_fftconv_arrays wide = {.u = wide_u, .h = h, .gate_in = wide_gate, .gate_out = wide_gate, .bias = bias, .y = wide_y};
    assert_int_equal(hel_fftconv(device, &params, &wide), HEL_OK);
    params.dtype = HEL_FFTCONV_BF16;
    hel_fftconv_arrays narrow = {.u = u, .h = h, .gate_in = gate, .gate_out = gate, .bias = bias, .y = y};
    assert_int_equal(hel_fftconv(device, &params, &narrow), HEL_OK);
    for (int i = 0; i < N; i++) assert_int_equal(y[i], hel_float_to_bf16(wide_y[i]));
    params.dtype = (hel_fftconv_dtype)2;
    EXPECT_REFUSED(hel_fftconv(device, &params, &narrow));
}

static void test_million(void **unused) {
    (void)unused;
    check_shape(1000003, 1, 1, true, false);
}

// ---------------------------------------------------------------- the device's own transforms

// Whether the device has any that it can compile.
static bool has_transforms(void) {
    hel_transform *transform;
    if (hel_transform_least(device) == UINT32_MAX) return false;
    hel_status status = hel_transform_get(device, 64, &transform);
    assert_true(status == HEL_OK || status == HEL_ERROR_UNSUPPORTED);
    return status == HEL_OK;
}

// Whatever they are chosen for.
static void test_transforms(void **unused) {
    (void)unused;
    static const uint32_t lengths[] = {1, 3, 127, 1000, 4096, 10007, 65536, 1000003};
    if (!has_transforms()) return;
    way = HEL_FFTCONV_TRANSFORM;
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_shape(lengths[i], lengths[i] > 65536 ? 1 : 3, lengths[i] > 65536 ? 1 : 2, true, false);
        if (lengths[i] <= 65536) check_shape(lengths[i], 2, 2, false, true);
    }
    way = HEL_FFTCONV_LONG;
}

static void convolve_two(const rows *u, const rows *h, rows *y, hel_buffer *spectra, const hel_fftconv_plan *plan) {
    hel_exec exec;
    hel_convolution_call filter = {.rows = 1, .channels = 1, .transform = true, .u = all(h), .y = {.buffer = spectra}};
    hel_convolution_call call = {.rows = 2, .channels = 2, .filters = 1, .u = all(u), .spectra = {.buffer = spectra}, .y = all(y)};
    assert_int_equal(hel_exec_init(&exec, device), HEL_OK);
    hel_exec_plan_begin(&exec);
    hel_fftconv_run(&exec, plan, &filter);
    hel_fftconv_run(&exec, plan, &call);
    assert_int_equal(hel_exec_plan_end(&exec), HEL_OK);
    hel_exec_reset(&exec);
    hel_fftconv_run(&exec, plan, &filter);
    hel_fftconv_run(&exec, plan, &call);
    if (exec.status != HEL_OK) fail_msg("%s", hel_error_message());
    fetch(y);
    hel_exec_finish(&exec);
}

// A row is the same to the bit whatever lies beside it: large values, no values, zeros.
static void check_neighbours(uint32_t steps, uint32_t taps) {
    hel_fftconv_plan plan;
    hel_buffer *spectra = NULL;
    static const float scales[] = {0.0f, 1e30f, NAN};
    state = steps;
    if (hel_fftconv_plan_init_as(device, steps, taps, way, &plan) != HEL_OK) fail_msg("%s", hel_error_message());
    assert_int_equal(hel_buffer_create(device, plan.spectrum_size, &spectra), HEL_OK);
    rows u = make_rows(2, steps, true, false), h = make_rows(1, plan.filter_steps, true, false);
    rows y = make_rows(2, steps, false, false);
    float *alone = malloc(steps * sizeof *alone);
    assert_non_null(alone);
    for (int i = 0; i < 3; i++) {
        for (uint32_t t = 0; t < steps; t++) u.values[t] = scales[i] * uniform();
        move(&u, false);
        convolve_two(&u, &h, &y, spectra, &plan);
        if (i) assert_memory_equal(y.values + steps, alone, steps * sizeof *alone);
        else memcpy(alone, y.values + steps, steps * sizeof *alone);
    }
    free(alone);
    free_rows(&u);
    free_rows(&h);
    free_rows(&y);
    hel_buffer_destroy(device, &spectra);
    hel_fftconv_plan_finish(&plan);
}

static void test_neighbours(void **unused) {
    (void)unused;
    uint32_t steps = most_steps < 10007 ? most_steps : 10007;
    check_neighbours(steps, steps);
    way = HEL_FFTCONV_TOEPLITZ;
    check_neighbours(steps, 40);
    way = HEL_FFTCONV_LONG;
    if (!has_transforms()) return;
    way = HEL_FFTCONV_TRANSFORM;
    check_neighbours(steps, steps);
    way = HEL_FFTCONV_LONG;
}

// Rows that are not all there, and transforms of nothing.
static void test_transform_refused(void **unused) {
    (void)unused;
    hel_transform *transform;
    if (!has_transforms()) {
        assert_int_equal(hel_transform_get(device, 64, &transform), HEL_ERROR_UNSUPPORTED);
        return;
    }
    rows r = make_rows(1, 256, true, false);
    hel_binding both = all(&r), late = {.buffer = r.buffer, .offset = 768};
    assert_int_equal(hel_transform_get(device, 64, &transform), HEL_OK);
    assert_int_equal(hel_transform_run(device, transform, &both, 2, false), HEL_OK);
    EXPECT_REFUSED(hel_transform_run(device, transform, &both, 3, false));
    EXPECT_REFUSED(hel_transform_run(device, transform, &late, 1, false));
    EXPECT_REFUSED(hel_transform_get(device, 0, &transform));
    free_rows(&r);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    device_name = argv[1];
    if (argc > 2) most_steps = (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc > 3) part = part_of(0, (uint32_t)atoi(argv[3]));
    int missing = device_open_here(device_name, &device);
    if (missing) return missing;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_sizes), cmocka_unit_test(test_halves),
                                       cmocka_unit_test(test_taps), cmocka_unit_test(test_many_slices), cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_public), cmocka_unit_test(test_million), cmocka_unit_test(test_transforms),
                                       cmocka_unit_test(test_neighbours), cmocka_unit_test(test_transform_refused)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hel_device_destroy(&device);
    return failed;
}
