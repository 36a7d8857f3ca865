// SPDX-License-Identifier: Apache-2.0
#include "weight_oracle.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

enum { VALUE_RANGE = 36, SCALE_RANGE = 12 }; // exponents of extreme values: products and their sums stay finite

weight_form weight_form_at(uint32_t i, uint32_t flags) {
    static const uint32_t bits[] = {4, 5, 6, 8, 12, 16}, widths[] = {1, 2, 4};
    if (i < 3) return (weight_form){i, 8, 1, flags};
    return (weight_form){WEIGHT_CODEBOOK, bits[(i - 3) / 3], widths[(i - 3) % 3], flags};
}

static uint32_t field_bits(weight_form form) {
    if (form.format == WEIGHT_CODEBOOK) return form.bits;
    return form.format == WEIGHT_F32 ? 32 : 16;
}

static uint32_t field_width(weight_form form) { return form.format == WEIGHT_CODEBOOK ? form.d : 1; }

uint32_t weight_cols(weight_form form, uint32_t cols) {
    uint32_t width = field_width(form);
    return (cols + width - 1) / width * width;
}

// ---------------------------------------------------------------- fields

static uint32_t random_half(check *c) {
    uint32_t exponent;
    switch (c->fill) {
    case CHECK_ZERO: return check_random(c, 2) << 15;
    case CHECK_EXTREME: exponent = check_random(c, 31); break;
    case CHECK_DENORMAL: exponent = check_random(c, 2) ? 0 : 14; break;
    case CHECK_LEVEL: return 15 << 10;
    default: exponent = 10 + check_random(c, 5);
    }
    return check_random(c, 2) << 15 | exponent << 10 | check_random(c, 1024);
}

static uint32_t random_field(check *c, const test_weight *weight) {
    if (weight->form.format == WEIGHT_CODEBOOK) return check_random(c, weight->entries);
    if (weight->form.format == WEIGHT_F16) return random_half(c);
    uint32_t bits = hel_float_bits(check_values(c, 1, c->fill, VALUE_RANGE)[0]);
    return weight->form.format == WEIGHT_F32 ? bits : bits >> 16;
}

// IEEE 754 from its definition: sign, biased exponent, fraction; no infinities are drawn.
static double from_bits(uint32_t field, int exponent_bits, int fraction_bits) {
    int exponent = (int)(field >> fraction_bits & ((1u << exponent_bits) - 1)), bias = (1 << (exponent_bits - 1)) - 1;
    double fraction = (double)(field & ((1u << fraction_bits) - 1)) * ldexp(1.0, -fraction_bits);
    double value = exponent ? ldexp(1.0 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);
    return field >> (exponent_bits + fraction_bits) ? -value : value;
}

static double field_value(const test_weight *weight, uint32_t field, uint32_t j) {
    switch (weight->form.format) {
    case WEIGHT_F32: return from_bits(field, 8, 23);
    case WEIGHT_F16: return from_bits(field, 5, 10);
    case WEIGHT_BF16: return from_bits(field, 8, 7);
    default: return weight->codebook[(size_t)field * weight->form.d + j];
    }
}

static void put_field(test_weight *weight, uint32_t row, uint32_t i, uint32_t field) {
    uint32_t bits = field_bits(weight->form), *words = weight->words + (size_t)row * weight->row_words;
    for (uint32_t b = 0; b < bits; b++)
        if (field >> b & 1) words[((uint64_t)i * bits + b) / 32] |= 1u << ((uint64_t)i * bits + b) % 32;
}

// ---------------------------------------------------------------- parts

static void make_rows(check *c, test_weight *weight) {
    uint32_t width = field_width(weight->form);
    for (uint32_t r = 0; r < weight->count; r++) {
        for (uint32_t i = 0; i < weight->cols / width; i++) {
            uint32_t field = random_field(c, weight);
            put_field(weight, r, i, field);
            for (uint32_t j = 0; j < width; j++)
                weight->values[(size_t)r * weight->cols + i * width + j] = field_value(weight, field, j);
        }
    }
}

static void make_groups(check *c, test_weight *weight) {
    const uint32_t sizes[] = {1, 7, 32, weight->cols};
    weight->group = sizes[check_random(c, 4)];
    uint32_t groups = (weight->cols + weight->group - 1) / weight->group;
    weight->group_scales = check_values(c, (size_t)weight->rows * groups, c->fill, SCALE_RANGE);
    for (uint32_t r = 0; r < weight->count; r++)
        for (uint32_t col = 0; col < weight->cols; col++)
            weight->values[(size_t)r * weight->cols + col] *=
                weight->group_scales[(size_t)(weight->first + r) * groups + col / weight->group];
}

// Rows without, with a few and with many entries; columns ascend. Blocks of eight rows have one start each.
static void make_sidecar(check *c, test_weight *weight) {
    uint32_t blocks = (weight->rows + 7) / 8;
    weight->sidecar_blocks = check_words(c, blocks + 1);
    weight->sidecar_entries = check_words(c, (size_t)2 * weight->rows * weight->cols);
    uint32_t count = 0;
    for (uint32_t r = 0; r < weight->rows; r++) {
        if (r % 8 == 0) weight->sidecar_blocks[r / 8] = count;
        uint32_t one_in = r % 3 == 0 ? 0 : r % 3 == 1 ? weight->cols / 2 + 1 : 4;
        for (uint32_t col = 0; one_in && col < weight->cols; col++) {
            if (check_random(c, one_in)) continue;
            float difference = check_values(c, 1, c->fill, VALUE_RANGE)[0];
            weight->sidecar_entries[2 * count] = r % 8 << 29 | col;
            weight->sidecar_entries[2 * count++ + 1] = hel_float_bits(difference);
            if (r < weight->first || r >= weight->first + weight->count) continue;
            size_t at = (size_t)(r - weight->first) * weight->cols + col;
            weight->values[at] += difference;
            weight->magnitudes[at] += fabs((double)difference);
        }
    }
    weight->sidecar_blocks[blocks] = count;
}

void weight_make(check *c, weight_form form, uint32_t rows, uint32_t cols, uint32_t first, uint32_t count,
                 test_weight *out) {
    test_weight *weight = out;
    *weight = (test_weight){.form = form, .rows = rows, .cols = cols, .first = first, .count = count};
    weight->row_words = (uint32_t)(((uint64_t)(cols / field_width(form)) * field_bits(form) + 31) / 32);
    weight->words = check_words(c, (size_t)count * weight->row_words);
    weight->values = check_doubles(c, (size_t)count * cols);
    weight->magnitudes = check_doubles(c, (size_t)count * cols);
    if (form.format == WEIGHT_CODEBOOK) {
        weight->entries = form.bits <= 8 ? 1u << form.bits : 300 + check_random(c, 1000);
        weight->codebook = check_values(c, (size_t)weight->entries * form.d, c->fill, VALUE_RANGE);
    }
    make_rows(c, weight);
    if (form.flags & WEIGHT_GROUPS) make_groups(c, weight);
    for (size_t i = 0; i < (size_t)count * cols; i++) weight->magnitudes[i] = fabs(weight->values[i]);
    if (form.flags & WEIGHT_SIDECAR) make_sidecar(c, weight);
    if (form.flags & WEIGHT_BIAS) weight->bias = check_values(c, rows, c->fill, VALUE_RANGE);
}

void weight_bind(const test_weight *weight, check_binding *bindings) {
    uint32_t flags = weight->form.flags;
    bindings[0] = (check_binding){weight->words, weight->count * weight->row_words, NULL};
    if (weight->codebook) bindings[1] = (check_binding){weight->codebook, weight->entries * weight->form.d, NULL};
    if (flags & WEIGHT_SIDECAR) {
        uint32_t blocks = (weight->rows + 7) / 8;
        bindings[2] = (check_binding){weight->sidecar_blocks, blocks + 1, NULL};
        bindings[3] = (check_binding){weight->sidecar_entries, 2 * weight->sidecar_blocks[blocks], NULL};
        if (!bindings[3].words) bindings[3].data = NULL;
    }
    if (flags & WEIGHT_GROUPS)
        bindings[4] = (check_binding){weight->group_scales,
                                      weight->rows * ((weight->cols + weight->group - 1) / weight->group), NULL};
}
