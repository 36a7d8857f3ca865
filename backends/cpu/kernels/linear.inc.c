// SPDX-License-Identifier: Apache-2.0
// Products of a weight: how rows are decoded and outputs written. matvec.inc.c and matmul.inc.c have the products.
#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "lookup.h"

#if defined(__AVX512BF16__) && !defined(__AVX512VBMI__)
#error "pairs are looked up by permutations of bytes"
#endif

enum { TILE_ROWS = HEL_LINEAR_MATMUL_TILE_ROWS, TILE_TOKENS = HEL_LINEAR_MATMUL_TILE_TOKENS };

typedef struct linear {
    const hel_linear_params *p;
    uint32_t format, bits, d, flags;
    const uint32_t *weights, *sidecar_blocks, *sidecar_entries;
    const float *codebook, *group_scales, *bias, *x;
    float *y;
    vec_table table; // the codebook, where registers hold it
} linear;

static linear linear_of(const cpu_launch *launch) {
    const uint32_t *c = launch->constants;
    void *const *b = launch->buffers;
    linear l = {.p = launch->params, .format = c[0], .bits = c[1], .d = c[2], .flags = c[3], .weights = b[0], .codebook = b[1],
                .sidecar_blocks = b[2], .sidecar_entries = b[3], .group_scales = b[4], .bias = b[5], .x = b[6], .y = b[7]};
    return l;
}

static bool has_table(const linear *l) {
    return l->format == HEL_FORMAT_CODEBOOK && l->bits <= LOOKUP_BITS && l->d == 1;
}

// Before the first decode.
static void make_table(linear *l) {
    if (has_table(l)) vec_table_make(l->codebook, 1u << l->bits, &l->table);
}

// ---------------------------------------------------------------- decoding columns first .. first + count of a row

static void decode_halves(const uint16_t *halves, uint32_t count, float *out) {
    uint32_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) vec_store(out + i, vec_of_halves(halves + i));
    for (; i < count; i++) out[i] = hel_f16_to_float(halves[i]);
}

// 32 fields are `bits` words, and with `bits` a constant every shift is one.
static inline __attribute__((always_inline)) void unpack_32(const uint32_t *words, const uint32_t bits, uint32_t *fields) {
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t at = i * bits / 32, shift = i * bits % 32, field = words[at] >> shift;
        if (shift + bits > 32) field |= words[at + 1] << (32 - shift);
        fields[i] = field & ((1u << bits) - 1);
    }
}

static uint32_t field_at(const uint32_t *words, uint32_t i, uint32_t bits) {
    uint32_t at = i * bits / 32, shift = i * bits % 32, field = words[at] >> shift;
    if (shift + bits > 32) field |= words[at + 1] << (32 - shift);
    return field & ((1u << bits) - 1);
}

// `first` is a multiple of 32, so that whole words are read, and `count` of FIELDS at most.
enum { FIELDS = 64 };

static void unpack(const uint32_t *words, uint32_t first, uint32_t count, uint32_t bits, uint32_t fields[FIELDS]) {
    uint32_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const uint32_t *from = words + (first + i) / 32 * bits;
        switch (bits) {
        case 4: unpack_32(from, 4, fields + i); break;
        case 5: unpack_32(from, 5, fields + i); break;
        case 6: unpack_32(from, 6, fields + i); break;
        case 8: unpack_32(from, 8, fields + i); break;
        case 12: unpack_32(from, 12, fields + i); break;
        default: unpack_32(from, 16, fields + i); break;
        }
    }
    for (; i < count; i++) fields[i] = field_at(words, first + i, bits);
}

static void look_up(const linear *l, const uint32_t *fields, uint32_t count, float *out) {
    switch (l->d) {
    case 1:
        for (uint32_t i = 0; i < count; i++) out[i] = l->codebook[fields[i]];
        break;
    case 2:
        for (uint32_t i = 0; i < count; i++) memcpy(out + 2 * i, l->codebook + 2 * fields[i], 2 * sizeof *out);
        break;
    default:
        for (uint32_t i = 0; i < count; i++) memcpy(out + 4 * i, l->codebook + 4 * fields[i], 4 * sizeof *out);
    }
}

static inline __attribute__((always_inline)) void look_up_piece(const vec_table *table, const unsigned char *bytes,
                                                                const uint32_t bits, const bool halves, float *out) {
#if defined(__AVX512VBMI__)
    if (halves) {
        vec_table_look_up_halves(table, bytes, bits, out);
        return;
    }
#else
    (void)halves;
#endif
    vec_table_look_up(table, bytes, bits, out);
}

// Whole pieces of LOOKUP_FIELDS columns, as floats or as halves of a codebook that has no others; how many columns that were.
static inline __attribute__((always_inline)) uint32_t decode_by_table(const linear *l, const uint32_t *words, uint32_t first,
                                                                      uint32_t count, const bool halves, float *out) {
    const unsigned char *bytes = (const unsigned char *)words + first / 8 * l->bits;
    uint32_t whole = count / LOOKUP_FIELDS * LOOKUP_FIELDS, step = halves ? LOOKUP_FIELDS / 2 : LOOKUP_FIELDS;
    for (uint32_t i = 0; i < whole; i += LOOKUP_FIELDS, bytes += LOOKUP_FIELDS / 8 * l->bits, out += step) {
        switch (l->bits) {
        case 4: look_up_piece(&l->table, bytes, 4, halves, out); break;
        case 5: look_up_piece(&l->table, bytes, 5, halves, out); break;
        case 6: look_up_piece(&l->table, bytes, 6, halves, out); break;
#if defined(__AVX512VBMI__)
        default: look_up_piece(&l->table, bytes, 8, halves, out);
#endif
        }
    }
    return whole;
}

// Eight bytes at once: loads are what bounds this.
static uint32_t decode_bytes(const linear *l, const uint32_t *words, uint32_t first, uint32_t count, float *out) {
    if (l->bits != 8 || l->d != 1) return 0;
    const unsigned char *bytes = (const unsigned char *)words + first;
    uint32_t whole = count / 8 * 8;
    for (uint32_t i = 0; i < whole; i += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + i, sizeof eight);
        for (uint32_t j = 0; j < 8; j++) out[i + j] = l->codebook[eight >> 8 * j & 255];
    }
    return whole;
}

static void decode_codes(const linear *l, const uint32_t *words, uint32_t first, uint32_t count, float *out) {
    uint32_t fields[FIELDS], last = count / l->d, from = first / l->d;
    uint32_t done = has_table(l) ? decode_by_table(l, words, first, count, false, out) : decode_bytes(l, words, first, count, out);
    for (uint32_t i = done; i < last; i += FIELDS) {
        uint32_t some = HEL_MIN(FIELDS, last - i);
        unpack(words, from + i, some, l->bits, fields);
        look_up(l, fields, some, out + i * l->d);
    }
}

static void decode(const linear *l, uint32_t row, uint32_t first, uint32_t count, float *out) {
    const uint32_t *words = l->weights + (size_t)row * l->p->row_words;
    const uint16_t *halves = (const uint16_t *)words + first;
    switch (l->format) {
    case HEL_FORMAT_F32: memcpy(out, words + first, count * sizeof *out); break;
    case HEL_FORMAT_F16: decode_halves(halves, count, out); break;
    case HEL_FORMAT_BF16:
        for (uint32_t i = 0; i < count; i++) out[i] = hel_bf16_to_float(halves[i]);
        break;
    default: decode_codes(l, words, first, count, out);
    }
    if (!(l->flags & HEL_FLAG_GROUPS)) return;
    const float *scales = l->group_scales + (size_t)(l->p->first_row + row) * hel_ceil_div(l->p->cols, l->p->group);
    for (uint32_t i = 0; i < count; i++) out[i] *= scales[(first + i) / l->p->group];
}

// ---------------------------------------------------------------- the sidecar

typedef struct outlier {
    uint32_t row, col; // the row counted from the first that is asked for
    float difference;
} outlier;

// Over the entries of rows row0 .. row0 + rows, counted in the whole weight.
typedef struct sidecar_walk { uint32_t row0, rows, block, entry, end; } sidecar_walk;

static sidecar_walk sidecar_begin(const linear *l, uint32_t row0, uint32_t rows) {
    uint32_t block = row0 / HEL_SIDECAR_ROWS, end = (uint32_t)hel_ceil_div(row0 + rows, HEL_SIDECAR_ROWS);
    return (sidecar_walk){row0, rows, block, l->sidecar_blocks[block], l->sidecar_blocks[end]};
}

static inline bool sidecar_next(const linear *l, sidecar_walk *walk, outlier *out) {
    const uint32_t columns = (1u << HEL_SIDECAR_COLUMN_BITS) - 1;
    while (walk->entry < walk->end) {
        while (walk->entry >= l->sidecar_blocks[walk->block + 1]) walk->block++;
        const uint32_t *entry = l->sidecar_entries + 2 * (size_t)walk->entry++;
        uint32_t row = walk->block * HEL_SIDECAR_ROWS + (entry[0] >> HEL_SIDECAR_COLUMN_BITS) - walk->row0;
        if (row >= walk->rows) continue; // a neighbour's
        *out = (outlier){row, entry[0] & columns, hel_bits_float(entry[1])};
        return true;
    }
    return false;
}

// ---------------------------------------------------------------- outputs

// y from sums[row * stride + token] of rows row0 .. row0 + rows and tokens token0 .. token0 + tokens.
static void write_block(const linear *l, uint32_t row0, uint32_t rows, uint32_t token0, uint32_t tokens, const float *sums,
                        uint32_t stride) {
    const hel_linear_params *p = l->p;
    for (uint32_t t = 0; t < tokens; t++) {
        float *y = l->y + p->y_first + (size_t)(token0 + t) * p->y_stride + p->first_row + row0;
        for (uint32_t r = 0; r < rows; r++) {
            float result = sums[r * stride + t];
            if (l->flags & HEL_FLAG_BIAS) result += l->bias[p->first_row + row0 + r];
            if (l->flags & HEL_FLAG_ACCUMULATE) result += y[r];
            y[r] = result;
        }
    }
}
