// SPDX-License-Identifier: Apache-2.0
// Fitting a codebook to the values of one matrix, beside one plain histogram pass over the same values.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/data.h"
#include "bench/works.h"
#include "vq/fit.h"

enum { DEFAULT_COUNT = 100000000, PATTERN_VALUES = 1 << 22, TABLES = 4 };
enum { GROUP_BF16 = 1, GROUP_F32 = 2 };

typedef struct fit_state {
    hel_bench_run *run;
    uint64_t count;
    uint32_t k;
    uint16_t *halves; // the values as bf16 ...
    float *floats;    // ... and as f32
    uint32_t *tables; // [TABLES, 65536]
} fit_state;

// ---------------------------------------------------------------- values

// The first values are drawn; the others are these again, turned round and stretched a little, which takes less time.
static void make_values(fit_state *s) {
    uint64_t drawn = HEL_MIN(s->count, PATTERN_VALUES);
    hel_bench_gaussian(3, 0.02f, s->floats, drawn);
    for (uint64_t i = drawn; i < s->count; i++)
        s->floats[i] = -s->floats[i - drawn] * (1 + 0x1p-20f * (float)(i % 1021));
    for (uint64_t i = 0; i < s->count; i++) s->halves[i] = hel_float_to_bf16(s->floats[i]);
}

static hel_values values_bf16(const fit_state *s) { return (hel_values){.count = s->count, .halves = s->halves}; }
static hel_values values_f32(const fit_state *s) { return (hel_values){.count = s->count, .data = s->floats}; }

// ---------------------------------------------------------------- timing

static hel_status drop_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count) {
    (void)user, (void)first, (void)codes, (void)count;
    return HEL_OK;
}

static hel_status measure_error(const hel_values *values, const hel_fitted *fitted, hel_bench_measure *measure) {
    hel_fit_error error;
    HEL_TRY(hel_fit_encode(values, fitted, drop_codes, NULL, &error));
    measure->squared_error = error.squared;
    measure->gap = fmax(0, error.squared - fitted->lower_bound);
    measure->error_db = hel_fit_error_db(&error);
    return HEL_OK;
}

static hel_status time_fit(const fit_state *s, hel_values values, hel_bench_measure *measure, double *out_seconds) {
    hel_fit_options options = {.k = s->k, .percentile = 100};
    hel_fitted fitted;
    double start = hel_bench_now();
    HEL_TRY(hel_fit_values(&values, &options, &fitted));
    *out_seconds = hel_bench_now() - start;
    hel_status status = isnan(measure->gap) ? measure_error(&values, &fitted, measure) : HEL_OK;
    hel_fitted_finish(&fitted);
    return status;
}

static hel_status time_bf16(void *user, hel_bench_measure *measure, double *out_seconds) {
    return time_fit(user, values_bf16(user), measure, out_seconds);
}

static hel_status time_f32(void *user, hel_bench_measure *measure, double *out_seconds) {
    return time_fit(user, values_f32(user), measure, out_seconds);
}

// Four tables, since counting one value twice in a row would wait for the first count.
static hel_status histogram_bf16(void *user, hel_bench_measure *measure, double *out_seconds) {
    fit_state *s = user;
    (void)measure;
    double start = hel_bench_now();
    memset(s->tables, 0, TABLES * 65536 * sizeof *s->tables);
    uint32_t *a = s->tables, *b = a + 65536, *c = b + 65536, *d = c + 65536;
    uint64_t i = 0;
    for (; i + TABLES <= s->count; i += TABLES) {
        a[s->halves[i]]++;
        b[s->halves[i + 1]]++;
        c[s->halves[i + 2]]++;
        d[s->halves[i + 3]]++;
    }
    for (; i < s->count; i++) a[s->halves[i]]++;
    for (uint32_t v = 0; v < 65536; v++) a[v] += b[v] + c[v] + d[v];
    *out_seconds = hel_bench_now() - start;
    return HEL_OK;
}

static hel_status histogram_f32(void *user, hel_bench_measure *measure, double *out_seconds) {
    fit_state *s = user;
    (void)measure;
    double start = hel_bench_now();
    memset(s->tables, 0, TABLES * 65536 * sizeof *s->tables);
    for (uint64_t i = 0; i < s->count; i++) s->tables[i % TABLES * 65536 + (hel_float_bits(s->floats[i]) >> 16)]++;
    for (uint32_t v = 0; v < 65536; v++)
        for (uint32_t t = 1; t < TABLES; t++) s->tables[v] += s->tables[t * 65536 + v];
    *out_seconds = hel_bench_now() - start;
    return HEL_OK;
}

// ---------------------------------------------------------------- the work

static hel_status add(fit_state *s, const char *name, bool baseline, uint32_t group,
                      hel_status (*round)(void *user, hel_bench_measure *measure, double *out_seconds)) {
    hel_bench_entry *entry = hel_bench_add(s->run, "helicoid", name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->baseline = baseline;
    entry->group = group;
    entry->round = round;
    entry->user = s;
    entry->measure.bytes = (double)s->count * (group == GROUP_BF16 ? sizeof *s->halves : sizeof *s->floats);
    return HEL_OK;
}

static hel_status write_for_peers(const fit_state *s) {
    const hel_bench_run *run = s->run;
    if (!run->params.peers || !run->params.peers[0]) return HEL_OK;
    return hel_bench_write_npy(run, "values.npy", HEL_U16, &s->count, 1, s->halves);
}

static hel_status prepare(hel_bench_run *run, void **state) {
    fit_state *s = *state = hel_alloc_zero(1, sizeof *s);
    if (!s) return hel_fail_memory(sizeof *s);
    s->run = run;
    s->count = run->params.count ? run->params.count : DEFAULT_COUNT;
    s->k = run->params.k ? run->params.k : 256;
    if (s->count >= UINT32_MAX) return hel_fail(HEL_ERROR_ARGUMENT, "more values than a matrix can have");
    s->halves = hel_alloc_array(s->count, sizeof *s->halves);
    s->floats = hel_alloc_array(s->count, sizeof *s->floats);
    s->tables = hel_alloc_array(TABLES * 65536, sizeof *s->tables);
    if (!s->halves || !s->floats || !s->tables) return hel_fail_memory(s->count * sizeof *s->floats);
    make_values(s);
    hel_bench_tell(run, "count", s->count);
    hel_bench_tell(run, "k", s->k);
    HEL_TRY(write_for_peers(s));
    HEL_TRY(add(s, "histogram bf16", true, GROUP_BF16, histogram_bf16));
    HEL_TRY(add(s, "bf16", false, GROUP_BF16, time_bf16));
    HEL_TRY(add(s, "histogram f32", true, GROUP_F32, histogram_f32));
    return add(s, "f32", false, GROUP_F32, time_f32);
}

static void finish(hel_bench_run *run, void *state) {
    fit_state *s = state;
    (void)run;
    if (!s) return;
    hel_free(s->halves);
    hel_free(s->floats);
    hel_free(s->tables);
    hel_free(s);
}

const hel_bench_work_row hel_bench_work_fit = {
    .about = {"fit", "Optimal codebooks for the values of a matrix, beside a plain histogram of them", "count k"},
    .prepare = prepare, .finish = finish};
