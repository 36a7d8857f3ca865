// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products of looked-up weights in fixed point: codebook and x become integers of 24 bits, three digits to
// the base 256 each, and sums of digit products are exact, so that the order of additions does not matter.
//
// With w = 2^e_w (w0 2^16 + w1 2^8 + w2) and x the same way, digits within -128 .. 127,
//   w x = 2^(e_w + e_x) (w0 x0 2^32 + (w0 x1 + w1 x0) 2^24 + (w0 x2 + w1 x1 + w2 x0) 2^16 + ...)
// and what the dots stand for is left out. e_w is the codebook's, e_x is shared by FIXED_BLOCK columns of a token.
// Error of a product: at most 2^-20 of the largest |entry| times the largest |x| of its block (rounding: 2^-22 each;
// left out: 2^-21), on average far less. A digit is looked up in registers, 64 columns by one or two permutations.
//
// In HEL_PRECISION_BF16 there are two digits, nothing is left out, and the error is at most 1.01 2^-14.
#ifdef SIMD_FIXED

enum { FIXED_BLOCK = CPU_FIXED_BLOCK, FIXED_DIGITS = 3 }; // at most
// Beyond these magnitudes powers of two leave the range of floats: such operands are multiplied as floats.
#define FIXED_LEAST 0x1p-80f
#define FIXED_MOST 0x1p80f

typedef struct fixed_x {
    _Alignas(64) unsigned char digits[FIXED_DIGITS][FIXED_BLOCK];
    // The dot-product instruction wants one side unsigned, so 128 is added to digits of w: sums begin with what that adds.
    int32_t begin[FIXED_DIGITS][16];
    float scale;
} fixed_x;

typedef struct fixed_operands {
    vec_table table; // digits of the codebook's entries, 128 added, the first digit in planes[0]
    float scale;
    int digits;
    uint32_t blocks; // of one token; 0: use floats
    fixed_x x[];
} fixed_operands;

// Fields of four bits come as bytes of two, whose low halves are looked up first: x lies in that order.
static uint32_t fixed_step(uint32_t bits) { return bits == 4 ? 128 : 64; }

// ---------------------------------------------------------------- numbers to digits

// The power of two that takes magnitudes up to `most` into the range of so many digits; false where floats do not reach.
static bool fixed_factor(float most, int digits, float *out) {
    const uint32_t bits = digits == 2 ? 14 : 22, largest = digits == 2 ? 0x7f7f : 0x7f7f7f;
    *out = 1.0f;
    if (most == 0.0f) return true;
    if (!(most >= FIXED_LEAST && most <= FIXED_MOST)) return false;
    *out = hel_bits_float((127 + bits + 127 - (hel_float_bits(most) >> 23)) << 23);
    if (most * *out > (float)largest) *out *= 0.5f;
    return true;
}

static inline __m512 fixed_load(const float *values, uint32_t count) { return vec_load_part(values, HEL_MIN(count, WIDTH)); }

// As bits, so that infinities and NaN are the largest.
static float largest_magnitude(const float *values, uint32_t count) {
    __m512i most = _mm512_setzero_si512();
    for (uint32_t i = 0; i < count; i += 16)
        most = _mm512_max_epu32(most, _mm512_castps_si512(_mm512_abs_ps(fixed_load(values + i, count - i))));
    return hel_bits_float(_mm512_reduce_max_epu32(most));
}

// Digits of 16 values, 128 added to each, `stride` bytes from one digit's to the next's.
static inline void fixed_digits(__m512 values, float factor, int digits, unsigned char *out, size_t stride) {
    __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(values, _mm512_set1_ps(factor)));
    whole = _mm512_add_epi32(whole, _mm512_set1_epi32(digits == 2 ? 0x8080 : 0x808080));
    for (int d = digits; d-- > 0; whole = _mm512_srli_epi32(whole, 8))
        _mm_storeu_si128((__m128i *)(void *)(out + (size_t)d * stride), _mm512_cvtepi32_epi8(whole));
}

// Entries are repeated up to 64, so that a permutation by six bits ignores what is above an index of less.
static bool fixed_codebook(const float *codebook, uint32_t bits, fixed_operands *out) {
    uint32_t count = 1u << bits;
    float factor;
    if (!fixed_factor(largest_magnitude(codebook, count), out->digits, &factor)) return false;
    out->scale = (out->digits == 2 ? 1.0f : 0x1p16f) / factor;
    for (uint32_t i = 0; i < count || i < 64; i += 16)
        fixed_digits(_mm512_loadu_ps(codebook + i % count), factor, out->digits, out->table.planes[0] + i,
                     sizeof out->table.planes[0]);
    return true;
}

static __m512i fixed_sum(const unsigned char digits[FIXED_BLOCK]) {
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)128), _mm512_load_si512(digits + i));
    return sum;
}

static void fixed_begin(fixed_x *block, int digits) {
    __m512i x0 = fixed_sum(block->digits[0]), x1 = fixed_sum(block->digits[1]), none = _mm512_setzero_si512();
    __m512i second = _mm512_add_epi32(x0, x1), third = digits == 2 ? x1 : _mm512_add_epi32(second, fixed_sum(block->digits[2]));
    _mm512_store_si512(block->begin[0], _mm512_sub_epi32(none, x0));
    _mm512_store_si512(block->begin[1], _mm512_sub_epi32(none, second));
    _mm512_store_si512(block->begin[2], _mm512_sub_epi32(none, third));
}

static bool fixed_x_block(const float *x, uint32_t count, uint32_t step, int digits, fixed_x *out) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1)), sign = _mm512_set1_epi8((char)128);
    float factor;
    if (!fixed_factor(largest_magnitude(x, count), digits, &factor)) return false;
    out->scale = 1.0f / factor;
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 32) {
        __m512 a = fixed_load(x + i, i < count ? count - i : 0), b = fixed_load(x + i + 16, i + 16 < count ? count - i - 16 : 0);
        uint32_t at = i, to_next = 16;
        if (step == 128) {
            __m512 evens = _mm512_permutex2var_ps(a, even, b);
            b = _mm512_permutex2var_ps(a, odd, b), a = evens;
            at = i / 128 * 128 + i % 128 / 2, to_next = 64;
        }
        fixed_digits(a, factor, digits, out->digits[0] + at, FIXED_BLOCK);
        fixed_digits(b, factor, digits, out->digits[0] + at + to_next, FIXED_BLOCK);
    }
    for (unsigned char *at = out->digits[0]; at < out->digits[digits]; at += 64)
        _mm512_store_si512(at, _mm512_xor_si512(_mm512_load_si512(at), sign));
    fixed_begin(out, digits);
    return true;
}

cpu_scratch SIMD(cpu_linear_matvec_scratch)(const cpu_launch *launch) {
    const hel_linear_params *p = launch->params;
    if (!cpu_is_fixed(launch->constants)) return (cpu_scratch){0, 0};
    return (cpu_scratch){sizeof(fixed_operands) + hel_ceil_div(p->cols, FIXED_BLOCK) * p->tokens * sizeof(fixed_x), 1};
}

void SIMD(cpu_linear_matvec_prepare)(const cpu_launch *launch, uint32_t item) {
    (void)item; // so little that one thread does it
    linear l = linear_of(launch);
    const hel_linear_params *p = l.p;
    fixed_operands *operands = launch->scratch;
    uint32_t blocks = (uint32_t)hel_ceil_div(p->cols, FIXED_BLOCK);
    operands->blocks = 0;
    operands->digits = launch->precision == HEL_PRECISION_BF16 ? 2 : 3;
    if (!fixed_codebook(l.codebook, l.bits, operands)) return;
    for (uint32_t i = 0; i < blocks * p->tokens; i++) {
        uint32_t token = i / blocks, first = i % blocks * FIXED_BLOCK;
        const float *x = l.x + p->x_first + (size_t)token * p->x_stride + first;
        uint32_t count = HEL_MIN(FIXED_BLOCK, p->cols - first);
        if (!fixed_x_block(x, count, fixed_step(l.bits), operands->digits, &operands->x[i])) return;
    }
    operands->blocks = blocks;
}

// ---------------------------------------------------------------- sums of digit products

// By digits of w and x; a factor of 256 from one rank (the sum of both numbers) to the next. Where there are registers for it
// each pair of digits has its sum, so that none waits for another, else those of a rank share one.
typedef struct fixed_sums { __m512i at00, at01, at10, at02, at11, at20; } fixed_sums;

static inline __m512i fixed_dot(__m512i sum, __m512i w, const unsigned char *x) {
    return _mm512_dpbusd_epi32(sum, w, _mm512_load_si512(x));
}

static inline fixed_sums fixed_add(fixed_sums sums, const __m512i *w, const fixed_x *x, uint32_t at, const int digits,
                                   const bool apart) {
    const unsigned char *x0 = x->digits[0] + at, *x1 = x->digits[1] + at, *x2 = x->digits[2] + at;
    __m512i *at10 = apart ? &sums.at10 : &sums.at01, *at02 = apart ? &sums.at02 : &sums.at11;
    __m512i *at20 = apart ? &sums.at20 : &sums.at11;
    sums.at00 = fixed_dot(sums.at00, w[0], x0);
    sums.at01 = fixed_dot(sums.at01, w[0], x1);
    *at10 = fixed_dot(*at10, w[1], x0);
    sums.at11 = fixed_dot(sums.at11, w[1], x1);
    if (digits == 2) return sums;
    *at02 = fixed_dot(*at02, w[0], x2);
    *at20 = fixed_dot(*at20, w[2], x0);
    return sums;
}

static inline fixed_sums fixed_start(const fixed_x *x) {
    __m512i none = _mm512_setzero_si512();
    return (fixed_sums){.at00 = _mm512_load_si512(x->begin[0]), .at01 = _mm512_load_si512(x->begin[1]), .at10 = none,
                        .at02 = none, .at11 = _mm512_load_si512(x->begin[2]), .at20 = none};
}

// total += what a block's sums stand for; at most 2^27 are added up before they become floats.
static inline __m512 fixed_end(fixed_sums sums, float scale, __m512 total) {
    __m512i high = _mm512_add_epi32(_mm512_slli_epi32(sums.at00, 8), _mm512_add_epi32(sums.at01, sums.at10));
    __m512i low = _mm512_add_epi32(_mm512_add_epi32(sums.at11, sums.at02), sums.at20);
    __m512 floats = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(low));
    return _mm512_fmadd_ps(floats, _mm512_set1_ps(scale), total);
}

// Bytes of a row that a step takes, and which of 64 bytes they are; of the last step, those that are left.
static uint32_t fixed_step_bytes(uint32_t bits) { return fixed_step(bits) / 8 * bits; }
static __mmask64 fixed_mask(uint32_t bytes) { return bytes < 64 ? ((__mmask64)1 << bytes) - 1 : ~(__mmask64)0; }

static inline __m512i fixed_fields(const unsigned char *bytes, __mmask64 mask, uint32_t ahead, const uint32_t bits) {
    _mm_prefetch((const char *)bytes + ahead, _MM_HINT_T0);
    __m512i packed = _mm512_maskz_loadu_epi8(mask, bytes);
    return bits == 4 || bits == 8 ? packed : vec_spread_fields(packed, bits);
}

// The digits of the codebook in registers. Left to itself GCC loads them for each look-up.
typedef struct fixed_table { __m512i planes[FIXED_DIGITS][4]; } fixed_table;

static inline __attribute__((always_inline)) fixed_table fixed_table_load(const vec_table *from, const uint32_t bits,
                                                                          const int digits) {
    fixed_table table;
    for (int d = 0; d < digits; d++)
        for (int i = 0; i < (bits == 8 ? 4 : 1); i++) {
            table.planes[d][i] = _mm512_load_si512(from->planes[d] + 64 * i);
            __asm__("" : "+v"(table.planes[d][i]));
        }
    return table;
}

// Two rows meet two tokens; a single token meets one row, or two where fields are so narrow that computing takes longer than
// reading.
enum { FIXED_SUMS = 4, FIXED_SEGMENT = 32 };

// A segment of the columns, in blocks.
typedef struct fixed_part {
    const fixed_operands *operands;
    const fixed_table *table;
    uint32_t first, end, row_bytes;
    bool whole; // no columns are elsewhere
} fixed_part;

// `bits`, `digits`, `n_rows` and `tokens` are constants where these are inlined; x[t * stride] is the block of token t, sums are
// [row][token]. Loops over them say that they unroll: what GCC unrolls by itself comes too late for sums to be registers.
static inline __attribute__((always_inline)) void fixed_step_add(const fixed_part *part, const unsigned char *const *rows,
                                                                 uint32_t at, __mmask64 mask, const fixed_x *x, uint32_t c,
                                                                 const uint32_t bits, const int digits, const int n_rows,
                                                                 const int tokens, fixed_sums *sums) {
    const bool apart = n_rows * tokens < FIXED_SUMS;
    const size_t stride = part->operands->blocks;
#pragma GCC unroll 2
    for (int r = 0; r < n_rows; r++) {
        uint32_t ahead = part->whole ? ROW_AHEAD : n_rows * part->row_bytes;
        __m512i fields = fixed_fields(rows[r] + at, mask, ahead, bits), w[FIXED_DIGITS];
#pragma GCC unroll 2
        for (uint32_t half = 0; half < fixed_step(bits); half += 64) {
            if (half) fields = _mm512_srli_epi16(fields, 4);
            __mmask64 upper = bits == 8 ? _mm512_movepi8_mask(fields) : 0;
#pragma GCC unroll 3
            for (int d = 0; d < digits; d++) w[d] = vec_plane_look_up(part->table->planes[d], fields, upper, bits);
#pragma GCC unroll 2
            for (int t = 0; t < tokens; t++)
                sums[r * tokens + t] = fixed_add(sums[r * tokens + t], w, x + t * stride, c + half, digits, apart);
        }
    }
}

// totals[r * BLOCK_TOKENS + t] += row[r] . x[t] over the part's columns.
static inline __attribute__((always_inline)) void fixed_rows(const fixed_part *part, const unsigned char *const *rows,
                                                             const fixed_x *x, const uint32_t bits, const int digits,
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
                fixed_step_add(part, rows, at, fixed_mask(step_bytes), of_b, c, bits, digits, n_rows, tokens, sums);
        } else {
            for (uint32_t c = 0, here; at < part->row_bytes; c += step, at += here) {
                here = HEL_MIN(step_bytes, part->row_bytes - at);
                fixed_step_add(part, rows, at, fixed_mask(here), of_b, c, bits, digits, n_rows, tokens, sums);
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
                                                               const uint32_t bits, const int digits, __m512 *totals) {
    const fixed_x *x = part->operands->x;
    const int alone = bits < 8 ? 2 : 1;
    uint32_t t = 0;
    for (; t + 2 <= tokens; t += 2, x += 2 * part->operands->blocks)
        for (int r = 0; r < BLOCK_ROWS; r += 2) fixed_rows(part, rows + r, x, bits, digits, 2, 2, totals + r * BLOCK_TOKENS + t);
    for (int r = 0; t < tokens && r < BLOCK_ROWS; r += alone)
        fixed_rows(part, rows + r, x, bits, digits, alone, 1, totals + r * BLOCK_TOKENS + t);
}

// Rows of many columns go by in segments, the next row's fetched meanwhile, so that x stays in the first-level cache.
static inline __attribute__((always_inline)) void fixed_segments(const linear *l, const fixed_operands *operands,
                                                                 const unsigned char *const rows[BLOCK_ROWS],
                                                                 const uint32_t bits, const int digits, __m512 *totals) {
    const fixed_table table = fixed_table_load(&operands->table, bits, digits);
    const uint32_t tokens = l->p->tokens, blocks = operands->blocks, row_bytes = l->p->row_words * 4;
    const uint32_t segments = (uint32_t)hel_ceil_div(blocks, FIXED_SEGMENT), segment = (uint32_t)hel_ceil_div(blocks, segments);
    for (uint32_t first = 0; first < blocks; first += segment) {
        fixed_part part = {operands, &table, first, HEL_MIN(first + segment, blocks), row_bytes, segments == 1};
        fixed_tokens(&part, tokens, rows, bits, digits, totals);
    }
}

static inline __attribute__((always_inline)) void fixed_bits(const linear *l, const fixed_operands *operands,
                                                             const unsigned char *const rows[BLOCK_ROWS], const int digits,
                                                             __m512 *totals) {
    switch (l->bits) {
    case 4: fixed_segments(l, operands, rows, 4, digits, totals); break;
    case 5: fixed_segments(l, operands, rows, 5, digits, totals); break;
    case 6: fixed_segments(l, operands, rows, 6, digits, totals); break;
    default: fixed_segments(l, operands, rows, 8, digits, totals);
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
    if (operands->digits == 2) fixed_bits(l, operands, rows, 2, totals);
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
