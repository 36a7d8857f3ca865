// SPDX-License-Identifier: Apache-2.0
// fftconv_block, fftconv_split and fftconv_join against the sums that they abbreviate; what surrounds a device's own transform.
#include <complex.h>
#include <math.h>
#include <stdio.h>

#include "kernels.h"
#include "rows.h"

enum { RANGE = 30, MAX_BLOCKS = 3 };

static double complex turn_of(double angle) { return cexp(2.0 * 3.14159265358979323846 * I * angle); }

static void put(double complex value, float out[2]) {
    out[0] = (float)creal(value);
    out[1] = (float)cimag(value);
}

static double norm_of(const double complex *x, uint32_t n) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) sum += creal(x[i]) * creal(x[i]) + cimag(x[i]) * cimag(x[i]);
    return sqrt(sum);
}

static double complex *check_complexes(check *c, size_t count) { return check_memory(c, count, sizeof(double complex)); }

// ---------------------------------------------------------------- fftconv_block

// The root that the i-th of SIZE remainders belongs to, modulo x^size - e^(2 pi i angle).
static double root_angle(double angle, uint32_t size, uint32_t i) {
    for (uint32_t half = size / 2; half; half /= 2) angle = (angle + (i / half & 1)) / 2;
    return angle;
}

static float *block_turns(check *c, uint32_t size, uint32_t blocks, const double *angles) {
    float *turns = check_floats(c, 64 * blocks + size), *out = turns;
    for (uint32_t b = 0; b < blocks; b++)
        for (int l = 0; l < 32; l++, out += 2) put(turn_of(ldexp(angles[b], -l - 1)), out);
    for (uint32_t j = 0; j < size / 2; j++, out += 2) {
        double angle = 0.0;
        for (int bit = 0; j >> bit; bit++) angle += ldexp(j >> bit & 1, -bit - 2);
        put(turn_of(angle), out);
    }
    return turns;
}

typedef struct fftconv_shape {
    uint32_t size, steps, channels, rows, blocks, flags, points;
    bool spectra, in_rows;
    double angles[MAX_BLOCKS];
} fftconv_shape;

typedef struct fftconv_data {
    float *u, *gate_in, *gate_out, *bias, *h, *spectra, *work, *y, *before;
} fftconv_data;

static fftconv_shape random_shape(check *c) {
    static const uint32_t flags[] = {0, HEL_FLAG_GATE_IN | HEL_FLAG_GATE_OUT | HEL_FLAG_DIRECT, HEL_FLAG_REVERSED | HEL_FLAG_SUM,
                                     HEL_FLAG_GATE_IN | HEL_FLAG_REVERSED, HEL_FLAG_DIRECT | HEL_FLAG_SUM};
    fftconv_shape s = {.size = 64u << check_random(c, 3), .channels = check_size(c, 4), .blocks = 1};
    s.spectra = !check_random(c, 4);
    s.in_rows = check_random(c, 3);
    if (s.in_rows) s.flags = flags[check_random(c, 5)] | check_random(c, 4) * HEL_FLAG_HALF_IN;
    if (s.spectra) s.flags &= ~(HEL_FLAG_HALF_OUT | HEL_FLAG_REVERSED);
    if (!s.in_rows) s.blocks = 1 + check_random(c, MAX_BLOCKS);
    for (uint32_t b = 0; b < s.blocks; b++) s.angles[b] = s.in_rows ? 0.25 : check_uniform(c);
    s.points = s.size * s.blocks;
    s.steps = s.in_rows && check_random(c, 4) ? check_size(c, s.size) : s.points;
    s.rows = s.channels * (1 + check_random(c, 2));
    check_shape(c, "size %u, steps %u, rows %u, channels %u, blocks %u, flags %u, spectra %d", s.size, s.steps, s.rows, s.channels,
                s.blocks, s.flags, s.spectra);
    return s;
}

// Where the i-th remainder of a block is: [2][8][SIZE / 8], real parts before imaginary ones.
static uint32_t spectrum_at(const fftconv_shape *s, uint32_t block, uint32_t i, int part) {
    return 2 * block * s->size + (uint32_t)part * s->size + i % 8 * (s->size / 8) + i / 8;
}

// The filters' remainders, as floats, from random filters of a block's length.
static void make_spectra(const fftconv_shape *s, fftconv_data *d) {
    for (uint32_t r = 0; r < s->channels * s->blocks; r++)
        for (uint32_t i = 0; i < s->size; i++) {
            double complex sum = 0.0, root = turn_of(root_angle(s->angles[r % s->blocks], s->size, i)), power = 1.0;
            for (uint32_t n = 0; n < s->size; n++, power *= root) sum += d->h[r * s->size + n] * power;
            float parts[2];
            put(sum / s->size, parts);
            for (int part = 0; part < 2; part++) d->spectra[spectrum_at(s, r, i, part)] = parts[part];
        }
}

static uint32_t place(const fftconv_shape *s, uint32_t row, uint32_t step) {
    return row * s->steps + (s->flags & HEL_FLAG_REVERSED ? s->steps - 1 - step : step);
}

static double input_at(const fftconv_shape *s, const fftconv_data *d, uint32_t row, uint32_t step) {
    uint32_t at = place(s, row, step);
    return d->u[at] * (s->flags & HEL_FLAG_GATE_IN ? (double)d->gate_in[at] : 1.0);
}

static void load_block(const fftconv_shape *s, const fftconv_data *d, uint32_t row, uint32_t block, double complex *out) {
    const float *work = d->before + 2 * row * s->points + block * s->size;
    for (uint32_t i = 0; i < s->size; i++) {
        if (!(s->in_rows)) out[i] = work[i] + I * work[s->points + i];
        else out[i] = i < s->steps ? input_at(s, d, row, i) : 0.0;
    }
}

// The error of an FFT is normwise (Higham 2002, theorem 24.2): a few roundings a level of the norms of what goes in.
static double error_of(const fftconv_shape *s, double norms) {
    return (6.0 * log2(s->size) + 8.0) * CHECK_U * norms + 16.0 * s->size * CHECK_TINY;
}

// The product modulo x^size - z, by its definition.
static double complex product_at(const double complex *a, const float *h, uint32_t size, double complex z, uint32_t n) {
    double complex sum = 0.0, wrapped = 0.0;
    for (uint32_t i = 0; i <= n; i++) sum += a[i] * h[n - i];
    for (uint32_t i = n + 1; i < size; i++) wrapped += a[i] * h[size + n - i];
    return sum + z * wrapped;
}

static double filter_norm(const float *h, uint32_t n) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) sum += (double)h[i] * h[i];
    return sqrt(sum);
}

static void expect_row(const fftconv_shape *s, const fftconv_data *d, uint32_t row, const double complex *a, double *want,
                       double *limit) {
    const float *h = d->h + row % s->channels * s->size;
    double error = error_of(s, norm_of(a, s->size) * filter_norm(h, s->size)), bias = d->bias[row % s->channels];
    for (uint32_t t = 0; t < s->steps; t++) {
        uint32_t at = place(s, row, t);
        double direct = s->flags & HEL_FLAG_DIRECT ? bias * creal(a[t]) : 0.0, gate = s->flags & HEL_FLAG_GATE_OUT ? d->gate_out[at] : 1.0;
        double before = s->flags & HEL_FLAG_SUM ? d->before[at] : 0.0;
        want[at] = gate * (creal(product_at(a, h, s->size, I, t)) + direct) + before;
        limit[at] = fabs(gate) * (error + 4.0 * CHECK_U * fabs(direct)) + 4.0 * CHECK_U * (fabs(want[at]) + fabs(before)) +
                    8.0 * CHECK_TINY;
        if (s->flags & HEL_FLAG_HALF_OUT) limit[at] += 0x1p-8 * (fabs(want[at]) + limit[at]);
    }
}

static void expect_block(const fftconv_shape *s, const fftconv_data *d, uint32_t row, uint32_t block, const double complex *a,
                         double *want, double *limit) {
    uint32_t channel_block = row % s->channels * s->blocks + block, at = 2 * row * s->points + block * s->size;
    const float *h = d->h + channel_block * s->size;
    double error = error_of(s, norm_of(a, s->size) * filter_norm(h, s->size));
    for (uint32_t n = 0; n < s->size; n++) {
        double complex value = product_at(a, h, s->size, turn_of(s->angles[block]), n);
        want[at + n] = creal(value), want[at + s->points + n] = cimag(value);
        limit[at + n] = limit[at + s->points + n] = error;
    }
}

static void expect_spectrum(const fftconv_shape *s, uint32_t row, uint32_t block, const double complex *a, double *want,
                            double *limit) {
    double error = error_of(s, norm_of(a, s->size) * sqrt(s->size)) / s->points;
    for (uint32_t i = 0; i < s->size; i++) {
        double complex sum = 0.0, root = turn_of(root_angle(s->angles[block], s->size, i)), power = 1.0;
        for (uint32_t n = 0; n < s->size; n++, power *= root) sum += a[n] * power;
        uint32_t re = spectrum_at(s, row * s->blocks + block, i, 0), im = spectrum_at(s, row * s->blocks + block, i, 1);
        want[re] = creal(sum) / s->points, want[im] = cimag(sum) / s->points;
        limit[re] = limit[im] = error;
    }
}

static void expect_all(check *c, const fftconv_shape *s, const fftconv_data *d, double *want, double *limit) {
    double complex *a = check_complexes(c, s->size);
    for (uint32_t row = 0; row < s->rows; row++)
        for (uint32_t block = 0; block < s->blocks; block++) {
            load_block(s, d, row, block, a);
            if (s->spectra) expect_spectrum(s, row, block, a, want, limit);
            else if (s->in_rows) expect_row(s, d, row, a, want, limit);
            else expect_block(s, d, row, block, a, want, limit);
        }
}

static void fftconv_case(check *c, check_fill fill) {
    check_begin(c, fill);
    fftconv_shape s = random_shape(c);
    bool rows = s.in_rows, spectra = s.spectra;
    uint32_t words = s.rows * s.steps, complexes = 2 * s.rows * s.points, out = spectra ? complexes : words;
    fftconv_data d = {.u = check_values(c, words, fill, RANGE), .gate_in = check_values(c, words, fill, 0),
                      .gate_out = check_values(c, words, fill, RANGE), .bias = check_values(c, s.channels, fill, RANGE),
                      .h = check_values(c, s.channels * s.points, fill, RANGE), .spectra = check_floats(c, 2 * s.channels * s.points)};
    make_spectra(&s, &d);
    uint32_t changed = rows || spectra ? out : complexes;
    d.before = check_values(c, rows ? out : complexes, fill, RANGE);
    bool half_in = s.flags & HEL_FLAG_HALF_IN, half_out = s.flags & HEL_FLAG_HALF_OUT;
    if (half_in) {
        check_round_to_halves(d.u, words);
        check_round_to_halves(d.gate_in, words);
        check_round_to_halves(d.gate_out, words);
    }
    if (half_out) check_round_to_halves(d.before, words);
    double *want = check_doubles(c, changed), *limit = check_doubles(c, changed);
    expect_all(c, &s, &d, want, limit);
    float *result = check_floats(c, changed);
    bool to_y = rows || spectra;
    uint32_t packs = s.rows * ((s.steps + 1) / 2), in = half_in ? packs : words, y = !to_y ? 4 : half_out ? packs : out;
    const float *u = half_in ? check_packed(c, d.u, s.rows, s.steps) : d.u;
    const float *gate_in = half_in ? check_packed(c, d.gate_in, s.rows, s.steps) : d.gate_in;
    const float *gate_out = half_in ? check_packed(c, d.gate_out, s.rows, s.steps) : d.gate_out;
    const float *before = half_out ? check_packed(c, d.before, s.rows, s.steps) : d.before;
    hel_fftconv_block_params params = {.steps = s.steps, .channels = s.channels, .flags = s.flags, .filters = s.channels,
                                       .blocks = s.blocks, .scale = 1.0f / (float)s.points};
    check_call call = {.kernel = c->kernel,
                       .constants = {s.size, s.spectra, s.in_rows},
                       .n_constants = 3,
                       .bindings = {check_given(rows, u, in),
                                    check_given(s.flags & HEL_FLAG_GATE_IN, gate_in, in),
                                    check_given(s.flags & HEL_FLAG_GATE_OUT, gate_out, in),
                                    check_given(s.flags & HEL_FLAG_DIRECT, d.bias, s.channels),
                                    check_given(!spectra, d.spectra, 2 * s.channels * s.points),
                                    {block_turns(c, s.size, s.blocks, s.angles), 64 * s.blocks + s.size, NULL},
                                    {rows ? NULL : d.before, rows ? 4 : complexes, to_y ? NULL : result},
                                    {s.flags & HEL_FLAG_SUM && !spectra ? before : NULL, y, to_y ? result : NULL}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (uint64_t)s.rows * s.blocks};
    if (check_run(c, &call)) {
        if (half_out) result = check_unpacked(c, result, s.rows, s.steps);
        check_compare(c, to_y ? "y" : "work", result, want, limit, changed, NULL);
    }
    check_end(c);
}

static void fftconv_cases(check *c) { check_each_fill(c, 3, fftconv_case); }

static void fftconv_bench(check *c) {
    enum { ROWS = 768, STEPS = 1024 };
    const double angle = 0.25;
    check_begin(c, CHECK_UNIFORM);
    float *u = check_values(c, ROWS * STEPS, CHECK_UNIFORM, 0), *spectra = check_values(c, 2 * ROWS * STEPS, CHECK_UNIFORM, 0);
    hel_fftconv_block_params params = {.steps = STEPS, .channels = ROWS, .filters = ROWS, .blocks = 1};
    check_call call = {.kernel = c->kernel,
                       .constants = {STEPS},
                       .n_constants = 1,
                       .bindings = {{u, ROWS * STEPS, NULL},
                                    {NULL, 0, NULL},
                                    {NULL, 0, NULL},
                                    {NULL, 0, NULL},
                                    {spectra, 2 * ROWS * STEPS, NULL},
                                    {block_turns(c, STEPS, 1, &angle), 64 + STEPS, NULL},
                                    {NULL, 4, NULL},
                                    {NULL, ROWS * STEPS, check_floats(c, ROWS * STEPS)}},
                       .n_bindings = 8,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = ROWS};
    check_bench(c, &call, "rows 768 steps 1024", 16.0 * ROWS * STEPS);
}

// ---------------------------------------------------------------- fftconv_split, fftconv_join

typedef struct split_shape {
    uint32_t radix, part, blocks, rows, steps, points;
    bool in_rows;
    uint32_t flags;
    double angles[MAX_BLOCKS];
} split_shape;

static split_shape random_split(check *c) {
    static const uint32_t radices[] = {1, 2, 7, 8, 16}; // each is compiled
    split_shape s = {.radix = radices[check_random(c, 5)], .part = 2 * check_size(c, 150), .rows = check_size(c, 3), .blocks = 1};
    s.in_rows = check_random(c, 2);
    if (s.in_rows) s.flags = check_random(c, 4) * HEL_FLAG_HALF_IN | check_random(c, 2) * HEL_FLAG_REVERSED;
    if (!s.in_rows) s.blocks = 1 + check_random(c, MAX_BLOCKS);
    s.points = s.blocks * s.radix * s.part;
    s.steps = s.in_rows ? 1 + check_random(c, s.points) : s.points;
    for (uint32_t b = 0; b < s.blocks; b++) s.angles[b] = check_uniform(c);
    check_shape(c, "radix %u, part %u, rows %u, blocks %u, steps %u, flags %u", s.radix, s.part, s.rows, s.blocks, s.steps, s.flags);
    return s;
}

// The number of a block among those of a power of two: its place's bits, the last first.
static uint32_t number_of(const split_shape *s, uint32_t place) {
    uint32_t number = 0;
    if (s->radix % 2) return place;
    for (uint32_t bit = s->radix / 2; bit; bit /= 2, place /= 2) number += place % 2 * bit;
    return number;
}

static float *split_turns(check *c, const split_shape *s) {
    float *turns = check_floats(c, 2 * (s->blocks + 1) * s->radix), *out = turns;
    for (uint32_t b = 0; b <= s->blocks; b++)
        for (uint32_t t = 0; t < s->radix; t++, out += 2) {
            double angle = b < s->blocks ? s->angles[b] : 1.0;
            if (s->radix % 2) put(turn_of(angle * t / s->radix), out);
            else if (t && b < s->blocks) { // of t's level there are `nodes`
                uint32_t nodes = 1;
                while (2 * nodes <= t) nodes *= 2;
                put(turn_of(root_angle(angle, nodes, t - nodes) / 2), out);
            }
        }
    return turns;
}

// Where the step `at` of a row lies; UINT32_MAX where it is before or behind the row. Rows turned round have an even width.
static uint32_t split_place(const split_shape *s, uint32_t row, uint32_t at) {
    uint32_t width = (s->steps + 1) / 2 * 2, place = s->flags & HEL_FLAG_REVERSED ? width - 1 - at : at;
    return at < width && place < s->steps ? row * s->steps + place : UINT32_MAX;
}

// Complex values [rows][2][points] from the work buffer, or real ones [rows][steps] from u.
static double complex *read_points(check *c, const split_shape *s, const float *work, const float *u) {
    double complex *out = check_complexes(c, s->rows * s->points);
    for (uint32_t i = 0; i < s->rows * s->points; i++) {
        uint32_t row = i / s->points, at = i % s->points, place = split_place(s, row, at);
        if (u) out[i] = place < UINT32_MAX ? u[place] : 0.0;
        else out[i] = work[2 * row * s->points + at] + I * work[(2 * row + 1) * s->points + at];
    }
    return out;
}

// out[to] = sum over from of e^(sign 2 pi i (angle + j) t / radix) in[from], j counting blocks of one side, t of the other.
static double complex exchanged(const split_shape *s, const double complex *in, uint32_t i, bool join, double *magnitude) {
    uint32_t size = s->radix * s->part, block = i % s->points / size, first = i / size * size, to = i % size / s->part;
    double complex sum = 0.0;
    *magnitude = 0.0;
    for (uint32_t from = 0; from < s->radix; from++) {
        uint32_t j = number_of(s, join ? from : to), t = join ? to : from;
        double complex x = in[first + from * s->part + i % s->part];
        sum += turn_of((join ? -1.0 : 1.0) * (s->angles[block] + j) * t / s->radix) * x;
        *magnitude += cabs(x);
    }
    return sum;
}

static void expect_exchange(const split_shape *s, const double complex *in, bool join, double *want, double *limit) {
    for (uint32_t i = 0; i < s->rows * s->points; i++) {
        uint32_t row = i / s->points, at = i % s->points;
        double magnitude;
        double complex value = exchanged(s, in, i, join, &magnitude);
        double error = (12.0 + s->radix) * CHECK_U * magnitude + 16.0 * s->radix * CHECK_TINY;
        if (join && s->in_rows) {
            uint32_t place = split_place(s, row, at);
            if (place == UINT32_MAX) continue;
            want[place] = creal(value), limit[place] = error;
            if (s->flags & HEL_FLAG_HALF_OUT) limit[place] += 0x1p-8 * (fabs(want[place]) + error);
            continue;
        }
        uint32_t re = 2 * row * s->points + at, im = re + s->points;
        want[re] = creal(value), want[im] = cimag(value);
        limit[re] = limit[im] = error;
    }
}

static void split_case(check *c, check_fill fill) {
    check_begin(c, fill);
    split_shape s = random_split(c);
    uint32_t complexes = 2 * s.rows * s.points, words = s.rows * s.steps;
    bool half = s.flags & HEL_FLAG_HALF_IN;
    uint32_t in = half ? s.rows * ((s.steps + 1) / 2) : words;
    float *u = check_values(c, words, fill, RANGE), *work = check_values(c, complexes, fill, RANGE), *result = check_floats(c, complexes);
    if (half) check_round_to_halves(u, words);
    double *want = check_doubles(c, complexes), *limit = check_doubles(c, complexes);
    expect_exchange(&s, read_points(c, &s, work, s.in_rows ? u : NULL), false, want, limit);
    hel_fftconv_pass_params params = {.steps = s.steps, .channels = 1, .flags = s.flags, .blocks = s.blocks, .part = s.part};
    check_call call = {.kernel = c->kernel,
                       .constants = {s.radix, s.in_rows},
                       .n_constants = 2,
                       .bindings = {check_given(s.in_rows, half ? check_packed(c, u, s.rows, s.steps) : u, in),
                                    {NULL, 0, NULL},
                                    {split_turns(c, &s), 2 * (s.blocks + 1) * s.radix, NULL},
                                    {s.in_rows ? NULL : work, complexes, result}},
                       .n_bindings = 4,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (uint64_t)s.rows * s.blocks * ((s.part + HEL_FFTCONV_SPLIT_CHUNK - 1) / HEL_FFTCONV_SPLIT_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "work", result, want, limit, complexes, NULL);
    check_end(c);
}

static void join_case(check *c, check_fill fill) {
    check_begin(c, fill);
    split_shape s = random_split(c);
    uint32_t complexes = 2 * s.rows * s.points, words = s.rows * s.steps, changed = s.in_rows ? words : complexes;
    bool half = s.flags & HEL_FLAG_HALF_OUT;
    uint32_t y = !s.in_rows ? 4 : half ? s.rows * ((s.steps + 1) / 2) : words;
    float *work = check_values(c, complexes, fill, RANGE), *result = check_floats(c, changed);
    double *want = check_doubles(c, changed), *limit = check_doubles(c, changed);
    expect_exchange(&s, read_points(c, &s, work, NULL), true, want, limit);
    hel_fftconv_pass_params params = {.steps = s.steps, .channels = 1, .flags = s.flags, .blocks = s.blocks, .part = s.part};
    check_call call = {.kernel = c->kernel,
                       .constants = {s.radix, s.in_rows},
                       .n_constants = 2,
                       .bindings = {{NULL, 0, NULL},
                                    {NULL, 0, NULL},
                                    {NULL, 0, NULL},
                                    {NULL, 0, NULL},
                                    {split_turns(c, &s), 2 * (s.blocks + 1) * s.radix, NULL},
                                    {work, complexes, s.in_rows ? NULL : result},
                                    {NULL, y, s.in_rows ? result : NULL}},
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = (uint64_t)s.rows * s.blocks * ((s.part + HEL_FFTCONV_JOIN_CHUNK - 1) / HEL_FFTCONV_JOIN_CHUNK)};
    if (check_run(c, &call)) {
        if (half) result = check_unpacked(c, result, s.rows, s.steps);
        check_compare(c, s.in_rows ? "y" : "work", result, want, limit, changed, NULL);
    }
    check_end(c);
}

static void split_cases(check *c) { check_each_fill(c, 2, split_case); }
static void join_cases(check *c) { check_each_fill(c, 2, join_case); }

// ---------------------------------------------------------------- fftconv_weigh, fftconv_multiply, fftconv_unweigh

typedef struct point_shape {
    uint32_t points, steps, rows, channels, filters, first_row, flags;
} point_shape;

static point_shape random_points(check *c, bool in, bool out) {
    point_shape s = {.points = 2 * check_size(c, 1100), .rows = check_size(c, 3), .channels = check_size(c, 3)};
    if (c->number % 3 == 1) s.points += 2 * HEL_FINE_TURNS; // coarse turns too
    s.steps = c->number % 3 == 1 ? s.points : 1 + check_random(c, s.points);
    s.filters = check_random(c, 2) ? 1 : s.channels;
    s.first_row = check_random(c, 4);
    if (in) s.flags |= check_random(c, 2) * HEL_FLAG_HALF_IN | check_random(c, 2) * HEL_FLAG_GATE_IN;
    if (in) s.flags |= check_random(c, 2) * HEL_FLAG_REVERSED;
    if (out) s.flags |= check_random(c, 2) * HEL_FLAG_HALF_OUT | check_random(c, 2) * HEL_FLAG_GATE_OUT;
    if (out) s.flags |= check_random(c, 2) * HEL_FLAG_SUM | check_random(c, 2) * HEL_FLAG_DIRECT;
    check_shape(c, "points %u, steps %u, rows %u, channels %u, filters %u, first row %u, flags %u", s.points, s.steps, s.rows,
                s.channels, s.filters, s.first_row, s.flags);
    return s;
}

static hel_fftconv_point_params params_of(const point_shape *s, float scale) {
    return (hel_fftconv_point_params){.steps = s->steps, .channels = s->channels, .first_row = s->first_row, .flags = s->flags,
                                      .points = s->points, .filters = s->filters, .scale = scale};
}

static uint32_t point_turns(const point_shape *s) {
    return 2 * (HEL_FINE_TURNS + (s->points + HEL_FINE_TURNS - 1) / HEL_FINE_TURNS);
}

static float *weights_of(check *c, const point_shape *s) {
    float *turns = check_floats(c, point_turns(s));
    for (uint32_t i = 0; i < point_turns(s) / 2; i++) {
        double t = i < HEL_FINE_TURNS ? i : (double)(i - HEL_FINE_TURNS) * HEL_FINE_TURNS;
        put(turn_of(0.25 * t / s->points), turns + 2 * i);
    }
    return turns;
}

// Where a step of a row lies; UINT32_MAX where it is before or behind it.
static uint32_t point_place(const point_shape *s, uint32_t row, uint32_t t) {
    split_shape same = {.steps = s->steps, .flags = s->flags};
    return split_place(&same, row, t);
}

// Rows of floats as they are bound: closely, or as halves.
typedef struct row_values {
    float *values;
    const float *bound;
    uint32_t words;
} row_values;

static row_values make_row_values(check *c, const point_shape *s, check_fill fill, bool halves) {
    row_values out = {check_values(c, s->rows * s->steps, fill, RANGE), NULL, s->rows * s->steps};
    out.bound = out.values;
    if (!halves) return out;
    check_round_to_halves(out.values, out.words);
    out.bound = check_packed(c, out.values, s->rows, s->steps);
    out.words = s->rows * ((s->steps + 1) / 2);
    return out;
}

static uint64_t groups_of(const point_shape *s, uint32_t places, uint32_t chunk) {
    return (uint64_t)s->rows * ((places + chunk - 1) / chunk);
}

static void weigh_case(check *c, check_fill fill) {
    check_begin(c, fill);
    point_shape s = random_points(c, true, false);
    uint32_t complexes = 2 * s.rows * s.points;
    bool half = s.flags & HEL_FLAG_HALF_IN, gated = s.flags & HEL_FLAG_GATE_IN;
    row_values u = make_row_values(c, &s, fill, half), gate = make_row_values(c, &s, fill, half);
    float *result = check_floats(c, complexes), scale = 0.125f;
    double *want = check_doubles(c, complexes), *limit = check_doubles(c, complexes);
    for (uint32_t i = 0; i < s.rows * s.points; i++) {
        uint32_t at = point_place(&s, i / s.points, i % s.points);
        if (at == UINT32_MAX) continue;
        double g = gated ? gate.values[at] : 1.0, value = scale * u.values[at] * g;
        double complex weighted = value * turn_of(0.25 * (i % s.points) / s.points);
        want[2 * i] = creal(weighted), want[2 * i + 1] = cimag(weighted);
        limit[2 * i] = limit[2 * i + 1] = 10.0 * CHECK_U * fabs(value) + 8.0 * CHECK_TINY * (1.0 + fabs(g));
    }
    hel_fftconv_point_params params = params_of(&s, scale);
    check_call call = {.kernel = c->kernel,
                       .bindings = {{u.bound, u.words, NULL},
                                    check_given(gated, gate.bound, gate.words),
                                    {weights_of(c, &s), point_turns(&s), NULL},
                                    {NULL, complexes, result}},
                       .n_bindings = 4,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = groups_of(&s, s.points, HEL_FFTCONV_WEIGH_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "work", result, want, limit, complexes, NULL);
    check_end(c);
}

static void multiply_case(check *c, check_fill fill) {
    check_begin(c, fill);
    point_shape s = random_points(c, false, false);
    // A single row's filter is bound alone.
    uint32_t complexes = 2 * s.rows * s.points, before = s.rows == 1 ? 2 * (s.first_row % s.filters) * s.points : 0;
    float *work = check_values(c, complexes, fill, RANGE), *result = check_floats(c, complexes);
    float *spectra = check_values(c, 2 * s.filters * s.points, fill, RANGE);
    double *want = check_doubles(c, complexes), *limit = check_doubles(c, complexes);
    for (uint32_t i = 0; i < s.rows * s.points; i++) {
        const float *h = spectra + 2 * ((s.first_row + i / s.points) % s.filters * s.points + i % s.points), *v = work + 2 * i;
        double complex product = (v[0] + I * (double)v[1]) * (h[0] + I * (double)h[1]);
        double size = cabs(v[0] + I * (double)v[1]) * cabs(h[0] + I * (double)h[1]);
        want[2 * i] = creal(product), want[2 * i + 1] = cimag(product);
        limit[2 * i] = limit[2 * i + 1] = 4.0 * CHECK_U * size + 8.0 * CHECK_TINY;
    }
    hel_fftconv_point_params params = params_of(&s, 1.0f);
    params.spectra_first = before;
    check_call call = {.kernel = c->kernel,
                       .bindings = {{spectra + before, 2 * s.filters * s.points - before, NULL}, {work, complexes, result}},
                       .n_bindings = 2,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = groups_of(&s, s.points, HEL_FFTCONV_MULTIPLY_CHUNK)};
    if (check_run(c, &call)) check_compare(c, "work", result, want, limit, complexes, NULL);
    check_end(c);
}

typedef struct unweigh_data {
    row_values u, gate_in, gate_out, before;
    const float *bias, *work;
} unweigh_data;

static void expect_unweighed(const point_shape *s, const unweigh_data *d, double *want, double *limit) {
    for (uint32_t i = 0; i < s->rows * s->points; i++) {
        uint32_t row = i / s->points, at = point_place(s, row, i % s->points);
        if (at == UINT32_MAX) continue;
        double complex point = d->work[2 * i] + I * (double)d->work[2 * i + 1];
        double g_in = s->flags & HEL_FLAG_GATE_IN ? d->gate_in.values[at] : 1.0;
        double g = s->flags & HEL_FLAG_GATE_OUT ? d->gate_out.values[at] : 1.0;
        double b = s->flags & HEL_FLAG_DIRECT ? d->bias[(s->first_row + row) % s->channels] : 0.0;
        double before = s->flags & HEL_FLAG_SUM ? d->before.values[at] : 0.0, direct = b * g_in * d->u.values[at];
        want[at] = g * (creal(point * conj(turn_of(0.25 * (i % s->points) / s->points))) + direct) + before;
        limit[at] = fabs(g) * CHECK_U * (12.0 * cabs(point) + 6.0 * fabs(direct)) + 4.0 * CHECK_U * (fabs(want[at]) + fabs(before)) +
                    8.0 * CHECK_TINY * (1.0 + fabs(g)) * (1.0 + fabs(b) * (1.0 + fabs(g_in)));
        if (s->flags & HEL_FLAG_HALF_OUT) limit[at] += 0x1p-8 * (fabs(want[at]) + limit[at]);
    }
}

static void unweigh_case(check *c, check_fill fill) {
    check_begin(c, fill);
    point_shape s = random_points(c, true, true);
    bool half_in = s.flags & HEL_FLAG_HALF_IN, half_out = s.flags & HEL_FLAG_HALF_OUT, direct = s.flags & HEL_FLAG_DIRECT;
    uint32_t complexes = 2 * s.rows * s.points, words = s.rows * s.steps;
    unweigh_data d = {make_row_values(c, &s, fill, half_in), make_row_values(c, &s, fill, half_in),
                      make_row_values(c, &s, fill, half_in), make_row_values(c, &s, fill, half_out),
                      check_values(c, s.channels, fill, RANGE), check_values(c, complexes, fill, RANGE)};
    double *want = check_doubles(c, words), *limit = check_doubles(c, words);
    expect_unweighed(&s, &d, want, limit);
    float *result = check_floats(c, words);
    hel_fftconv_point_params params = params_of(&s, 1.0f);
    check_call call = {.kernel = c->kernel,
                       .bindings = {check_given(direct, d.u.bound, d.u.words),
                                    check_given(direct && s.flags & HEL_FLAG_GATE_IN, d.gate_in.bound, d.gate_in.words),
                                    check_given(s.flags & HEL_FLAG_GATE_OUT, d.gate_out.bound, d.gate_out.words),
                                    check_given(direct, d.bias, s.channels),
                                    {weights_of(c, &s), point_turns(&s), NULL},
                                    {d.work, complexes, NULL},
                                    {s.flags & HEL_FLAG_SUM ? d.before.bound : NULL, d.before.words, result}},
                       .n_bindings = 7,
                       .params = &params,
                       .params_size = sizeof params,
                       .groups = groups_of(&s, s.steps, HEL_FFTCONV_UNWEIGH_CHUNK)};
    if (check_run(c, &call)) {
        if (half_out) result = check_unpacked(c, result, s.rows, s.steps);
        check_compare(c, "y", result, want, limit, words, NULL);
    }
    check_end(c);
}

static void weigh_cases(check *c) { check_each_fill(c, 2, weigh_case); }
static void multiply_cases(check *c) { check_each_fill(c, 2, multiply_case); }
static void unweigh_cases(check *c) { check_each_fill(c, 2, unweigh_case); }

const check_kernel check_fftconv_kernels[] = {
    {"fftconv_block", fftconv_cases, fftconv_bench},
    {"fftconv_split", split_cases, NULL},
    {"fftconv_join", join_cases, NULL},
    {"fftconv_weigh", weigh_cases, NULL},
    {"fftconv_multiply", multiply_cases, NULL},
    {"fftconv_unweigh", unweigh_cases, NULL},
    {NULL, NULL, NULL},
};
