// SPDX-License-Identifier: Apache-2.0
// The codes of fitted values and their error: floats one by one, bfloat16 by a table of the codes of all 65,536.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/distinct.h"
#include "vq/fit.h"

static void add_error(hel_fit_error *error, double count, double value, double decoded) {
    error->squared += count * ((value - decoded) * (value - decoded));
    error->dot += count * (value * decoded);
    error->source_squares += count * (value * value);
    error->decoded_squares += count * (decoded * decoded);
}

// ---------------------------------------------------------------- floats

typedef struct coder {
    hel_assigner assigner;
    const hel_sidecar *sidecar;
    uint32_t kept;
    hel_codes_emit emit;
    void *user;
    hel_fit_error *error;
    uint8_t codes[HEL_FIT_CODES];
} coder;

// Sums of one short run are kept apart and added once, which also keeps rounding small.
static void code_run(coder *c, const float *values, uint8_t *codes, uint64_t count) {
    hel_fit_error run = {0};
    for (uint64_t i = 0; i < count; i++) {
        codes[i] = (uint8_t)hel_assign(&c->assigner, values[i]);
        add_error(&run, 1, values[i], c->assigner.codebook[codes[i]]);
    }
    c->error->squared += run.squared;
    c->error->dot += run.dot;
    c->error->source_squares += run.source_squares;
    c->error->decoded_squares += run.decoded_squares;
}

static void code_kept(coder *c, float value, uint8_t *code) {
    *code = (uint8_t)hel_assign(&c->assigner, value);
    add_error(c->error, 1, value, value);
}

static hel_status code_piece(coder *c, uint64_t first, const float *values, uint64_t count) {
    uint64_t done = 0;
    for (; c->kept < c->sidecar->count && c->sidecar->kept[c->kept].position < first + count; c->kept++) {
        uint64_t next = c->sidecar->kept[c->kept].position - first;
        code_run(c, values + done, c->codes + done, next - done);
        code_kept(c, values[next], c->codes + next);
        done = next + 1;
    }
    code_run(c, values + done, c->codes + done, count - done);
    return c->emit(c->user, first, c->codes, count);
}

static hel_status code_values(void *user, uint64_t first, const float *values, uint64_t count) {
    for (uint64_t done = 0; done < count; done += HEL_FIT_CODES)
        HEL_TRY(code_piece(user, first + done, values + done, HEL_MIN(HEL_FIT_CODES, count - done)));
    return HEL_OK;
}

static hel_status encode_floats(const hel_values *values, const hel_fitted *fitted, hel_codes_emit emit, void *user,
                                hel_fit_error *error) {
    coder *c = hel_alloc(sizeof *c);
    if (!c) return hel_fail_memory(sizeof *c);
    c->sidecar = &fitted->sidecar;
    c->kept = 0;
    c->emit = emit;
    c->user = user;
    c->error = error;
    hel_assigner_init(&c->assigner, fitted->codebook, fitted->k, fitted->reference);
    hel_status status = hel_values_scan(values, code_values, c);
    hel_free(c);
    return status;
}

// ---------------------------------------------------------------- bfloat16

typedef struct half_codes {
    hel_assigner assigner;
    uint8_t of[HEL_HALVES];
} half_codes;

// Boundaries ascend with the values, so that one walk over both finds all codes.
static void make_codes(const hel_fitted *fitted, half_codes *out) {
    uint32_t code = 0;
    hel_assigner_init(&out->assigner, fitted->codebook, fitted->k, fitted->reference);
    for (uint32_t key = 0; key < HEL_HALVES; key++) {
        uint16_t bits = hel_half_of_key(key);
        float value = hel_bf16_to_float(bits);
        if (!isfinite(value)) continue; // the fit has refused them
        while (out->assigner.upper[code] < hel_float_key(value)) code++;
        out->of[bits] = (uint8_t)(out->assigner.rounded ? hel_assign(&out->assigner, value) : code);
    }
}

static void sum_errors(const half_codes *codes, const hel_distinct *left, const hel_sidecar *sidecar, hel_fit_error *error) {
    for (uint32_t i = 0; i < sidecar->count; i++) add_error(error, 1, sidecar->kept[i].value, sidecar->kept[i].value);
    for (uint32_t bits = 0; bits < HEL_HALVES; bits++) {
        uint32_t count = hel_distinct_count(left, bits);
        if (count) add_error(error, count, hel_bf16_to_float((uint16_t)bits), codes->assigner.codebook[codes->of[bits]]);
    }
}

hel_status hel_fit_measure(hel_fitted *fitted, const hel_distinct *left) {
    half_codes *codes = hel_alloc_zero(1, sizeof *codes);
    if (!codes) return hel_fail_memory(sizeof *codes);
    make_codes(fitted, codes);
    fitted->error = (hel_fit_error){0};
    sum_errors(codes, left, &fitted->sidecar, &fitted->error);
    fitted->measured = true;
    hel_free(codes);
    return HEL_OK;
}

typedef struct half_coder {
    half_codes table;
    hel_distinct *distinct; // NULL: the fit has counted them
    hel_codes_emit emit;
    void *user;
    uint8_t codes[HEL_FIT_CODES];
} half_coder;

static hel_status code_halves(void *user, uint64_t first, const uint16_t *halves, uint64_t count) {
    half_coder *c = user;
    if (c->distinct) hel_distinct_add(c->distinct, halves, count);
    for (uint64_t done = 0; done < count; done += HEL_FIT_CODES) {
        uint64_t now = HEL_MIN(HEL_FIT_CODES, count - done);
        for (uint64_t i = 0; i < now; i++) c->codes[i] = c->table.of[halves[done + i]];
        HEL_TRY(c->emit(c->user, first + done, c->codes, now));
    }
    return HEL_OK;
}

static hel_status code_all(const hel_values *values, const hel_fitted *fitted, half_coder *c, hel_fit_error *error) {
    make_codes(fitted, &c->table);
    HEL_TRY(hel_values_scan_halves(values, code_halves, c));
    if (!c->distinct) {
        *error = fitted->error;
        return HEL_OK;
    }
    for (uint32_t i = 0; i < fitted->sidecar.count; i++) hel_distinct_remove(c->distinct, fitted->sidecar.kept[i].value);
    sum_errors(&c->table, c->distinct, &fitted->sidecar, error);
    return HEL_OK;
}

static hel_status encode_halves(const hel_values *values, const hel_fitted *fitted, hel_codes_emit emit, void *user,
                                hel_fit_error *error) {
    half_coder *c = hel_alloc_zero(1, sizeof *c);
    hel_distinct *distinct = fitted->measured ? NULL : hel_alloc_zero(1, sizeof *distinct);
    hel_status status = HEL_OK;
    if (c && (distinct || fitted->measured)) {
        c->distinct = distinct;
        c->emit = emit;
        c->user = user;
        status = code_all(values, fitted, c, error);
    } else {
        status = hel_fail_memory(sizeof *c + sizeof *distinct);
    }
    hel_free(distinct);
    hel_free(c);
    return status;
}

// ---------------------------------------------------------------- both

hel_status hel_fit_encode(const hel_values *values, const hel_fitted *fitted, hel_codes_emit emit, void *user,
                          hel_fit_error *error) {
    *error = (hel_fit_error){0};
    return (hel_values_are_halves(values) ? encode_halves : encode_floats)(values, fitted, emit, user, error);
}

double hel_fit_error_db(const hel_fit_error *error) { return 10 * log10(error->source_squares / error->squared); }

double hel_fit_cosine(const hel_fit_error *error) {
    if (error->source_squares == 0 && error->decoded_squares == 0) return 1;
    double norms = sqrt(error->source_squares) * sqrt(error->decoded_squares);
    return norms > 0 ? fmin(1, error->dot / norms) : 0;
}
