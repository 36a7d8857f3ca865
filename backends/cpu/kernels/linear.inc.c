// SPDX-License-Identifier: Apache-2.0
// Products of a weight: how rows are decoded and outputs written, and linear_matvec with vectors along the columns. There
// a block of eight rows is decoded into a buffer that stays in the first- or second-level cache, then meets every token. One
// output is WIDTH chains of fused additions in column order, folded by a fixed tree, a segment of columns after the other:
// its bits depend neither on the batch nor on the threads. Error: at most cols / WIDTH + log2 WIDTH + segments roundings.
#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "lookup.h"

enum { TILE_ROWS = HEL_LINEAR_MATMUL_TILE_ROWS, TILE_TOKENS = HEL_LINEAR_MATMUL_TILE_TOKENS };
enum { BLOCK_ROWS = HEL_LINEAR_MATVEC_ROWS, SEGMENT = 2048, BLOCK_TOKENS = HEL_LINEAR_MATVEC_MAX_TOKENS };

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

// Whole pieces of LOOKUP_FIELDS columns; how many columns that were.
static uint32_t decode_by_table(const linear *l, const uint32_t *words, uint32_t first, uint32_t count, float *out) {
    const unsigned char *bytes = (const unsigned char *)words + first / 8 * l->bits;
    uint32_t whole = count / LOOKUP_FIELDS * LOOKUP_FIELDS;
    for (uint32_t i = 0; i < whole; i += LOOKUP_FIELDS, bytes += LOOKUP_FIELDS / 8 * l->bits) {
        switch (l->bits) {
        case 4: vec_table_look_up(&l->table, bytes, 4, out + i); break;
        case 5: vec_table_look_up(&l->table, bytes, 5, out + i); break;
        case 6: vec_table_look_up(&l->table, bytes, 6, out + i); break;
#if defined(__AVX512VBMI__)
        default: vec_table_look_up(&l->table, bytes, 8, out + i);
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
    uint32_t done = has_table(l) ? decode_by_table(l, words, first, count, out) : decode_bytes(l, words, first, count, out);
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

// ---------------------------------------------------------------- products of a few rows and a few tokens

// WIDTH columns of a dense row, from column c on; behind the `count` first of them zeros.
static inline vec load_dense(const void *row, uint32_t c, uint32_t count, const uint32_t format) {
    if (format == HEL_FORMAT_F32)
        return count < WIDTH ? vec_load_part((const float *)row + c, count) : vec_load((const float *)row + c);
    const uint16_t *halves = (const uint16_t *)row + c;
    uint16_t part[WIDTH] = {0};
    if (count < WIDTH) halves = memcpy(part, halves, count * sizeof *part);
    return format == HEL_FORMAT_F16 ? vec_of_halves(halves) : vec_of_bf16(halves);
}

// sums[r * BLOCK_TOKENS + t] += w[r] . x[t] over `count` columns; `format`, `rows` and `tokens` are constants where it is
// inlined.
static inline __attribute__((always_inline)) void multiply(const void *const *w, const float *x, size_t x_stride, uint32_t count,
                                                           const uint32_t format, const int rows, const int tokens,
                                                           float *sums) {
    vec sum[ROWS_AT_ONCE][TOKENS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = vec_zero();
    uint32_t c = 0;
    for (; c + WIDTH <= count; c += WIDTH) {
        vec of_x[TOKENS_AT_ONCE];
        for (int t = 0; t < tokens; t++) of_x[t] = vec_load(x + t * x_stride + c);
        for (int r = 0; r < rows; r++) {
            if (format != HEL_FORMAT_F32) __builtin_prefetch((const uint16_t *)w[r] + c + 512);
            vec of_w = load_dense(w[r], c, WIDTH, format);
            for (int t = 0; t < tokens; t++) sum[r][t] = vec_fma(of_w, of_x[t], sum[r][t]);
        }
    }
    if (c < count)
        for (int r = 0; r < rows; r++)
            for (int t = 0; t < tokens; t++)
                sum[r][t] = vec_fma(load_dense(w[r], c, count - c, format), vec_load_part(x + t * x_stride + c, count - c),
                                    sum[r][t]);
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sums[r * BLOCK_TOKENS + t] += vec_sum(sum[r][t]);
}

static inline __attribute__((always_inline)) void multiply_rows(const void *const w[BLOCK_ROWS], const float *x, size_t x_stride,
                                                                uint32_t count, const uint32_t format, uint32_t tokens,
                                                                float *sums) {
    for (int r = 0; r < BLOCK_ROWS; r += ROWS_AT_ONCE) {
        float *out = sums + r * BLOCK_TOKENS;
        uint32_t t = 0;
        for (; t + TOKENS_AT_ONCE <= tokens; t += TOKENS_AT_ONCE)
            multiply(w + r, x + t * x_stride, x_stride, count, format, ROWS_AT_ONCE, TOKENS_AT_ONCE, out + t);
        for (; t < tokens; t++) multiply(w + r, x + t * x_stride, x_stride, count, format, ROWS_AT_ONCE, 1, out + t);
    }
}

static void multiply_block(const void *const w[BLOCK_ROWS], const float *x, size_t x_stride, uint32_t count, uint32_t format,
                           uint32_t tokens, float *sums) {
    switch (format) {
    case HEL_FORMAT_F16: multiply_rows(w, x, x_stride, count, HEL_FORMAT_F16, tokens, sums); break;
    case HEL_FORMAT_BF16: multiply_rows(w, x, x_stride, count, HEL_FORMAT_BF16, tokens, sums); break;
    default: multiply_rows(w, x, x_stride, count, HEL_FORMAT_F32, tokens, sums);
    }
}

// ---------------------------------------------------------------- outputs

// out[r] = what the sidecar adds to rows row0 .. row0 + rows of the whole weight, for one token.
static void sidecar_sums(const linear *l, uint32_t row0, uint32_t rows, const float *x, float out[BLOCK_ROWS]) {
    const uint32_t *blocks = l->sidecar_blocks, columns = (1u << HEL_SIDECAR_COLUMN_BITS) - 1;
    memset(out, 0, rows * sizeof *out);
    for (uint32_t b = row0 / HEL_SIDECAR_ROWS; b * HEL_SIDECAR_ROWS < row0 + rows; b++) {
        for (uint32_t e = blocks[b]; e < blocks[b + 1]; e++) {
            uint32_t place = l->sidecar_entries[2 * e], row = b * HEL_SIDECAR_ROWS + (place >> HEL_SIDECAR_COLUMN_BITS) - row0;
            if (row < rows) out[row] += hel_bits_float(l->sidecar_entries[2 * e + 1]) * x[place & columns];
        }
    }
}

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

// The same for all tokens of a matrix-vector product, with the sidecar's part on top.
static void finish_block(const linear *l, uint32_t row0, uint32_t rows, float sums[BLOCK_ROWS * BLOCK_TOKENS]) {
    const hel_linear_params *p = l->p;
    for (uint32_t t = 0; l->flags & HEL_FLAG_SIDECAR && t < p->tokens; t++) {
        float sidecar[BLOCK_ROWS];
        sidecar_sums(l, p->first_row + row0, rows, l->x + p->x_first + (size_t)t * p->x_stride, sidecar);
        for (uint32_t r = 0; r < rows; r++) sums[r * BLOCK_TOKENS + t] += sidecar[r];
    }
    write_block(l, row0, rows, 0, p->tokens, sums, BLOCK_TOKENS);
}

#include "fixed.inc.c"

// Rows that need no decoding are multiplied where they lie.
static bool is_plain(const linear *l) { return l->format != HEL_FORMAT_CODEBOOK && !(l->flags & HEL_FLAG_GROUPS); }

// Columns first .. first + count of a block of rows, as `out` points to them; behind the last row it repeats.
static void block_rows(const linear *l, uint32_t row0, uint32_t rows, uint32_t first, uint32_t count, float *decoded,
                       const void *out[BLOCK_ROWS]) {
    size_t size = l->format == HEL_FORMAT_F32 ? sizeof(float) : sizeof(uint16_t);
    for (uint32_t r = 0; r < BLOCK_ROWS; r++) {
        uint32_t row = row0 + HEL_MIN(r, rows - 1);
        if (is_plain(l)) {
            out[r] = (const unsigned char *)(l->weights + (size_t)row * l->p->row_words) + first * size;
            continue;
        }
        out[r] = decoded + (size_t)r * SEGMENT;
        decode(l, row, first, count, decoded + (size_t)r * SEGMENT);
    }
}

// Rows row0 .. row0 + rows, at most BLOCK_ROWS.
static void run_block(const linear *l, uint32_t row0, uint32_t rows) {
    const hel_linear_params *p = l->p;
    float decoded[BLOCK_ROWS * SEGMENT], sums[BLOCK_ROWS * BLOCK_TOKENS] = {0};
    const void *w[BLOCK_ROWS];
    for (uint32_t first = 0; first < p->cols; first += SEGMENT) {
        uint32_t count = HEL_MIN(SEGMENT, p->cols - first);
        block_rows(l, row0, rows, first, count, decoded, w);
        multiply_block(w, l->x + p->x_first + first, p->x_stride, count, is_plain(l) ? l->format : HEL_FORMAT_F32, p->tokens, sums);
    }
    finish_block(l, row0, rows, sums);
}

void SIMD(cpu_linear_matvec)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    linear l = linear_of(launch);
    uint32_t row = first * BLOCK_ROWS, end = HEL_MIN((first + count) * BLOCK_ROWS, l.p->rows);
    if (has_fixed(launch)) {
        for (; row < end; row += BLOCK_ROWS) fixed_block(&l, launch->scratch, row, HEL_MIN(BLOCK_ROWS, end - row));
        return;
    }
    make_table(&l);
    for (; row < end; row += BLOCK_ROWS) run_block(&l, row, HEL_MIN(BLOCK_ROWS, end - row));
}

#include "matmul.inc.c"
