// SPDX-License-Identifier: Apache-2.0
// linear_matvec with vectors along the columns: a block of eight rows is decoded into a buffer that stays in the first- or
// second-level cache, then meets every token. One output is WIDTH chains of fused additions in column order, folded by a fixed
// tree, a segment of columns after the other: its bits depend neither on the batch nor on the threads. Error: at most
// cols / WIDTH + log2 WIDTH + segments roundings. Where fixed.inc.c can it does the work instead.
enum { BLOCK_ROWS = HEL_LINEAR_MATVEC_ROWS, SEGMENT = 2048, BLOCK_TOKENS = HEL_LINEAR_MATVEC_MAX_TOKENS };

// How far ahead of its use a line of a row is fetched: of rows one after the other through the row and into the next one, as a
// thread reads them in one piece; of halves that meet several tokens less. It goes to the second-level cache, which can wait for
// more lines at once; the first holds x. Distances are those at which Zen 4 was fastest with AVX-512 (docs/status.md has them):
// farther than 7 KB it reads one row a twentieth to a tenth slower, two side by side it likes at 9 KB. Narrower vectors need rows
// side by side for enough sums that do not wait for one another.
enum { ROW_AHEAD = 6656, PAIR_AHEAD = 9216, BLOCK_AHEAD = 1024, ROWS_ALONE = 16 / WIDTH };

static inline void fetch_ahead(const unsigned char *line) { __builtin_prefetch(line, 0, 2); }

// ---------------------------------------------------------------- products of a few rows and a few tokens

static inline const unsigned char *row_at(const void *row, uint32_t c, const uint32_t format) {
    return (const unsigned char *)row + c * (format == HEL_FORMAT_F32 ? sizeof(float) : sizeof(uint16_t));
}

// WIDTH columns of a dense row, from column c on; behind the `count` first of them zeros.
static inline vec load_dense(const void *row, uint32_t c, uint32_t count, const uint32_t format) {
    if (format == HEL_FORMAT_F32)
        return count < WIDTH ? vec_load_part((const float *)row + c, count) : vec_load((const float *)row + c);
    const uint16_t *halves = (const uint16_t *)row + c;
    uint16_t part[WIDTH] = {0};
    if (count < WIDTH) halves = memcpy(part, halves, count * sizeof *part);
    return format == HEL_FORMAT_F16 ? vec_of_halves(halves) : vec_of_bf16(halves);
}

// sums[r * BLOCK_TOKENS + t] += w[r] . x[t] over `count` columns; `format`, `rows`, `tokens` and `ahead` are constants where it
// is inlined.
static inline __attribute__((always_inline)) void multiply(const void *const *w, const float *x, size_t x_stride, uint32_t count,
                                                           const uint32_t format, const int rows, const int tokens,
                                                           const int ahead, float *sums) {
    vec sum[ROWS_AT_ONCE][TOKENS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = vec_zero();
    uint32_t c = 0;
    for (; c + WIDTH <= count; c += WIDTH) {
        vec of_x[TOKENS_AT_ONCE];
        for (int t = 0; t < tokens; t++) of_x[t] = vec_load(x + t * x_stride + c);
        for (int r = 0; r < rows; r++) {
            if (ahead) fetch_ahead(row_at(w[r], c, format) + ahead);
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
    const int ahead = format == HEL_FORMAT_F32 ? 0 : BLOCK_AHEAD;
    for (int r = 0; r < BLOCK_ROWS; r += ROWS_AT_ONCE) {
        float *out = sums + r * BLOCK_TOKENS;
        uint32_t t = 0;
        for (; t + TOKENS_AT_ONCE <= tokens; t += TOKENS_AT_ONCE)
            multiply(w + r, x + t * x_stride, x_stride, count, format, ROWS_AT_ONCE, TOKENS_AT_ONCE, ahead, out + t);
        for (; t < tokens; t++) multiply(w + r, x + t * x_stride, x_stride, count, format, ROWS_AT_ONCE, 1, ahead, out + t);
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
    memset(out, 0, rows * sizeof *out);
    sidecar_walk walk = sidecar_begin(l, row0, rows);
    for (outlier at; sidecar_next(l, &walk, &at);) out[at.row] += at.difference * x[at.col];
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
    for (uint32_t r = 0; r < BLOCK_ROWS; r++) {
        uint32_t row = row0 + HEL_MIN(r, rows - 1);
        if (is_plain(l)) {
            out[r] = row_at(l->weights + (size_t)row * l->p->row_words, first, l->format);
            continue;
        }
        out[r] = decoded + (size_t)r * SEGMENT;
        decode(l, row, first, count, decoded + (size_t)r * SEGMENT);
    }
}

static inline __attribute__((always_inline)) void multiply_alone(const linear *l, uint32_t row0, uint32_t rows,
                                                                 const uint32_t format, float *sums) {
    const hel_linear_params *p = l->p;
    for (uint32_t r = 0; r < rows; r += ROWS_ALONE)
        for (uint32_t c = 0; c < p->cols; c += SEGMENT) {
            const void *w[ROWS_ALONE];
            for (uint32_t i = 0; i < ROWS_ALONE; i++)
                w[i] = row_at(l->weights + (size_t)(row0 + HEL_MIN(r + i, rows - 1)) * p->row_words, c, format);
            multiply(w, l->x + p->x_first + c, 0, HEL_MIN(SEGMENT, p->cols - c), format, ROWS_ALONE, 1,
                     ROWS_ALONE == 1 ? ROW_AHEAD : PAIR_AHEAD, sums + r * BLOCK_TOKENS);
        }
}

// One token and rows that lie as they are multiplied: memory is what bounds this, so as few as possible are read side by side.
static void run_alone(const linear *l, uint32_t row0, uint32_t rows) {
    float sums[BLOCK_ROWS * BLOCK_TOKENS] = {0};
    switch (l->format) {
    case HEL_FORMAT_F16: multiply_alone(l, row0, rows, HEL_FORMAT_F16, sums); break;
    case HEL_FORMAT_BF16: multiply_alone(l, row0, rows, HEL_FORMAT_BF16, sums); break;
    default: multiply_alone(l, row0, rows, HEL_FORMAT_F32, sums);
    }
    finish_block(l, row0, rows, sums);
}

// Rows row0 .. row0 + rows, at most BLOCK_ROWS.
static void run_block(const linear *l, uint32_t row0, uint32_t rows) {
    const hel_linear_params *p = l->p;
    if (p->tokens == 1 && is_plain(l)) {
        run_alone(l, row0, rows);
        return;
    }
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
