// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products of looked-up weights in fixed point: bytes of their words and digits (fixed_operands.inc.c has what those
// are) are looked up in registers, 64 columns by one or two permutations, and meet those of x.
#include "fixed_operands.inc.c"

#ifdef SIMD_FIXED

// Of a block: products of words, half of them each, and one kind of products with digits each.
typedef struct fixed_sums { __m512i at[2]; } fixed_sums;

// `at`: of 64 columns.
static inline fixed_sums fixed_add(fixed_sums sums, const __m512i *w, const __m512i *words, const fixed_x *x, uint32_t at,
                                   const int planes) {
    for (int i = 0; i < 2; i++)
        sums.at[i] = _mm512_dpwssd_epi32(sums.at[i], words[i], _mm512_load_si512(x->words + at + 32 * i));
    if (planes == 2) return sums;
    sums.at[0] = _mm512_dpbusd_epi32(sums.at[0], w[2], _mm512_load_si512(x->rounded + at));
    sums.at[1] = _mm512_dpbusd_epi32(sums.at[1], w[0], _mm512_load_si512(x->digits + at));
    return sums;
}

static inline fixed_sums fixed_start(const fixed_x *x) {
    return (fixed_sums){{_mm512_load_si512(x->begin[0]), _mm512_load_si512(x->begin[1])}};
}

// total += what a block's sums stand for.
static inline __m512 fixed_end(fixed_sums sums, float scale, __m512 total) {
    __m512 sum = _mm512_add_ps(_mm512_cvtepi32_ps(sums.at[0]), _mm512_cvtepi32_ps(sums.at[1]));
    return _mm512_fmadd_ps(sum, _mm512_set1_ps(scale), total);
}

// Bytes of a row that a step takes, and which of 64 bytes they are; of the last step, those that are left.
static uint32_t fixed_step_bytes(uint32_t bits) { return fixed_step(bits) / 8 * bits; }
static __mmask64 fixed_mask(uint32_t bytes) { return bytes < 64 ? ((__mmask64)1 << bytes) - 1 : ~(__mmask64)0; }

static inline __m512i fixed_fields(const unsigned char *bytes, __mmask64 mask, uint32_t ahead, const uint32_t bits) {
    fetch_ahead(bytes + ahead);
    __m512i packed = _mm512_maskz_loadu_epi8(mask, bytes);
    return bits == 4 || bits == 8 ? packed : vec_spread_fields(packed, bits);
}

// The codebook in registers. Left to itself GCC loads it for each look-up.
typedef struct fixed_table { __m512i planes[FIXED_PLANES][4]; } fixed_table;

static inline __attribute__((always_inline)) fixed_table fixed_table_load(const vec_table *from, const uint32_t bits,
                                                                          const int planes) {
    fixed_table table;
    for (int p = 0; p < planes; p++)
        for (int i = 0; i < (bits == 8 ? 4 : 1); i++) {
            table.planes[p][i] = _mm512_load_si512(from->planes[p] + 64 * i);
            __asm__("" : "+v"(table.planes[p][i]));
        }
    return table;
}

// Two rows meet two tokens; a single token meets one row, or two where fields are so narrow that computing takes longer than
// reading. A segment of one token's x leaves the smallest first-level caches, of 32 KB, room for rows.
enum { FIXED_SUMS = 4, FIXED_SEGMENT_BYTES = 24 << 10 };
static inline __attribute__((always_inline)) int fixed_rows_alone(const uint32_t bits) { return bits < 8 ? 2 : 1; }

// A segment of the columns, in blocks.
typedef struct fixed_part {
    const fixed_operands *operands;
    const fixed_table *table;
    uint32_t first, end, row_bytes;
    uint32_t ahead; // how far behind a byte the one lies that is fetched when it is used
} fixed_part;

// `bits`, `planes`, `n_rows` and `tokens` are constants where these are inlined; x[t * stride] is the block of token t, sums are
// [row][token]. Loops over them say that they unroll: what GCC unrolls by itself comes too late for sums to be registers.
static inline __attribute__((always_inline)) void fixed_step_add(const fixed_part *part, const unsigned char *const *rows,
                                                                 uint32_t at, __mmask64 mask, const fixed_x *x, uint32_t c,
                                                                 const uint32_t bits, const int planes, const int n_rows,
                                                                 const int tokens, fixed_sums *sums) {
    const size_t stride = part->operands->blocks;
#pragma GCC unroll 2
    for (int r = 0; r < n_rows; r++) {
        __m512i fields = fixed_fields(rows[r] + at, mask, part->ahead, bits), w[FIXED_PLANES];
#pragma GCC unroll 2
        for (uint32_t half = 0; half < fixed_step(bits); half += 64) {
            if (half) fields = _mm512_srli_epi16(fields, 4);
            __mmask64 upper = bits == 8 ? _mm512_movepi8_mask(fields) : 0;
#pragma GCC unroll 3
            for (int p = 0; p < planes; p++) w[p] = vec_plane_look_up(part->table->planes[p], fields, upper, bits);
            __m512i words[2] = {_mm512_unpacklo_epi8(w[1], w[0]), _mm512_unpackhi_epi8(w[1], w[0])};
#pragma GCC unroll 2
            for (int t = 0; t < tokens; t++)
                sums[r * tokens + t] = fixed_add(sums[r * tokens + t], w, words, x + t * stride, c + half, planes);
        }
    }
}

// totals[r * BLOCK_TOKENS + t] += row[r] . x[t] over the part's columns.
static inline __attribute__((always_inline)) void fixed_rows(const fixed_part *part, const unsigned char *const *rows,
                                                             const fixed_x *x, const uint32_t bits, const int planes,
                                                             const int n_rows, const int tokens, __m512 *totals) {
    const uint32_t step = fixed_step(bits), step_bytes = fixed_step_bytes(bits), block_bytes = FIXED_BLOCK / step * step_bytes;
    const size_t stride = part->operands->blocks;
    __m512 total[FIXED_SUMS];
    for (int i = 0; i < n_rows * tokens; i++) total[i] = totals[i / tokens * BLOCK_TOKENS + i % tokens];
    for (uint32_t b = part->first, at = b * block_bytes; b < part->end; b++) {
        const fixed_x *of_b = x + b;
        fixed_sums sums[FIXED_SUMS];
#pragma GCC unroll 4
        for (int i = 0; i < n_rows * tokens; i++) sums[i] = fixed_start(of_b + i % tokens * stride);
        if (part->row_bytes - at >= block_bytes) {
#pragma GCC unroll 4
            for (uint32_t c = 0; c < FIXED_BLOCK; c += step, at += step_bytes)
                fixed_step_add(part, rows, at, fixed_mask(step_bytes), of_b, c, bits, planes, n_rows, tokens, sums);
        } else {
            for (uint32_t c = 0, here; at < part->row_bytes; c += step, at += here) {
                here = HEL_MIN(step_bytes, part->row_bytes - at);
                fixed_step_add(part, rows, at, fixed_mask(here), of_b, c, bits, planes, n_rows, tokens, sums);
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < n_rows * tokens; i++)
            total[i] = fixed_end(sums[i], of_b[i % tokens * stride].scale, total[i]);
    }
    for (int i = 0; i < n_rows * tokens; i++) totals[i / tokens * BLOCK_TOKENS + i % tokens] = total[i];
}

static inline __attribute__((always_inline)) void fixed_tokens(const fixed_part *part, uint32_t tokens,
                                                               const unsigned char *const rows[BLOCK_ROWS],
                                                               const uint32_t bits, const int planes, __m512 *totals) {
    const fixed_x *x = part->operands->x;
    const int alone = fixed_rows_alone(bits);
    uint32_t t = 0;
    for (; t + 2 <= tokens; t += 2, x += 2 * part->operands->blocks)
        for (int r = 0; r < BLOCK_ROWS; r += 2) fixed_rows(part, rows + r, x, bits, planes, 2, 2, totals + r * BLOCK_TOKENS + t);
    for (int r = 0; t < tokens && r < BLOCK_ROWS; r += alone)
        fixed_rows(part, rows + r, x, bits, planes, alone, 1, totals + r * BLOCK_TOKENS + t);
}

// Rows of many columns go by in segments, those of the next rows fetched meanwhile, so that the x of a token stays in the
// first-level cache.
static inline __attribute__((always_inline)) void fixed_segments(const linear *l, const fixed_operands *operands,
                                                                 const unsigned char *const rows[BLOCK_ROWS],
                                                                 const uint32_t bits, const int planes, __m512 *totals) {
    const fixed_table table = fixed_table_load(&operands->table, bits, planes);
    const uint32_t tokens = l->p->tokens, blocks = operands->blocks, row_bytes = l->p->row_words * 4;
    const uint32_t x_bytes = planes == 2 ? offsetof(fixed_x, rounded) : sizeof(fixed_x);
    const uint32_t segments = (uint32_t)hel_ceil_div(blocks, FIXED_SEGMENT_BYTES / x_bytes);
    const uint32_t segment = (uint32_t)hel_ceil_div(blocks, segments), bytes = segment * (FIXED_BLOCK / 8) * bits;
    const uint32_t distance = tokens == 1 && fixed_rows_alone(bits) == 1 ? ROW_AHEAD : PAIR_AHEAD;
    const uint32_t ahead = segments == 1 ? distance : row_bytes * (uint32_t)hel_ceil_div(distance, bytes);
    for (uint32_t first = 0; first < blocks; first += segment) {
        fixed_part part = {operands, &table, first, HEL_MIN(first + segment, blocks), row_bytes, ahead};
        fixed_tokens(&part, tokens, rows, bits, planes, totals);
    }
}

static inline __attribute__((always_inline)) void fixed_bits(const linear *l, const fixed_operands *operands,
                                                             const unsigned char *const rows[BLOCK_ROWS], const int planes,
                                                             __m512 *totals) {
    switch (l->bits) {
    case 4: fixed_segments(l, operands, rows, 4, planes, totals); break;
    case 5: fixed_segments(l, operands, rows, 5, planes, totals); break;
    case 6: fixed_segments(l, operands, rows, 6, planes, totals); break;
    default: fixed_segments(l, operands, rows, 8, planes, totals);
    }
}

static bool has_fixed(const cpu_launch *launch) {
    const fixed_operands *operands = launch->scratch;
    return operands && operands->blocks;
}

static void fixed_block(const linear *l, const fixed_operands *operands, uint32_t row0, uint32_t n_rows) {
    const unsigned char *rows[BLOCK_ROWS];
    __m512 totals[BLOCK_ROWS * BLOCK_TOKENS];
    float sums[BLOCK_ROWS * BLOCK_TOKENS];
    for (uint32_t r = 0; r < BLOCK_ROWS; r++) {
        rows[r] = (const unsigned char *)(l->weights + (size_t)(row0 + HEL_MIN(r, n_rows - 1)) * l->p->row_words);
        for (uint32_t t = 0; t < l->p->tokens; t++) totals[r * BLOCK_TOKENS + t] = _mm512_setzero_ps();
    }
    if (operands->planes == 2) fixed_bits(l, operands, rows, 2, totals);
    else fixed_bits(l, operands, rows, 3, totals);
    for (uint32_t r = 0; r < BLOCK_ROWS; r++)
        for (uint32_t t = 0; t < l->p->tokens; t++)
            sums[r * BLOCK_TOKENS + t] = vec_sum(totals[r * BLOCK_TOKENS + t]) * operands->scale;
    finish_block(l, row0, n_rows, sums);
}

#else

static bool has_fixed(const cpu_launch *launch) { (void)launch; return false; }
static void fixed_block(const linear *l, const void *scratch, uint32_t row0, uint32_t rows) {
    (void)l, (void)scratch, (void)row0, (void)rows;
}

#endif
