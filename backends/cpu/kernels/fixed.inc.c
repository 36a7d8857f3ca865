// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products of looked-up weights in fixed point: codebook and x become integers whose products are summed up
// exactly, so that the order of additions does not matter.
//
// A number is a word W within -16383 .. 16383 and a digit w of 1/256 within -128 .. 127, times a scale: of weights the
// codebook's, of x one that FIXED_BLOCK columns of a token share. With words and digits W, w of one and X, x of the other,
//   (W + w / 256) (X + x / 256) = W X + w round(X / 256) + (floor(W / 256) + 1/2) x + ...
// and what the dots stand for is left out. Error of a product: at most 2^-20 of the largest |entry| times the largest |x| of its
// block (rounding: 2^-23 each, with the scales' 2^-22; left out: 2^-21), on average far less. Bytes of weights are looked up in
// registers, 64 columns by one or two permutations.
//
// In HEL_PRECISION_BF16 there are words only, and the error is at most 1.01 2^-14.
#ifdef SIMD_FIXED

enum { FIXED_BLOCK = CPU_FIXED_BLOCK, FIXED_WORD = 16383, FIXED_PLANES = 3 }; // planes of bytes, at most
// Beyond these magnitudes scales leave the range of floats: such operands are multiplied as floats.
#define FIXED_LEAST 0x1p-80f
#define FIXED_MOST 0x1p80f

// Columns of x as 64 looked-up bytes meet them: words in the order in which bytes of two planes become words.
typedef struct fixed_x {
    _Alignas(64) int16_t words[FIXED_BLOCK];
    // One side of the byte products has to be unsigned: words of weights are looked up with 2^14 added, which makes their upper
    // bytes so, digits with 128. The two sums of a block begin with what that adds.
    int32_t begin[2][16];
    float scale;
    _Alignas(64) signed char upper[FIXED_BLOCK], digits[FIXED_BLOCK];
} fixed_x;

typedef struct fixed_operands {
    vec_table table; // of the codebook's entries: upper bytes of words, lower ones, digits
    float scale;
    int planes;      // 2: words only
    uint32_t blocks; // of one token; 0: use floats
    fixed_x x[];
} fixed_operands;

// Fields of four bits come as bytes of two, whose low halves are looked up first: x lies in that order.
static uint32_t fixed_step(uint32_t bits) { return bits == 4 ? 128 : 64; }

// ---------------------------------------------------------------- numbers to words and digits

static inline __m512 fixed_load(const float *values, uint32_t count) { return vec_load_part(values, HEL_MIN(count, WIDTH)); }

// As bits, so that infinities and NaN are the largest.
static float largest_magnitude(const float *values, uint32_t count) {
    __m512i most = _mm512_setzero_si512();
    for (uint32_t i = 0; i < count; i += 16)
        most = _mm512_max_epu32(most, _mm512_castps_si512(_mm512_abs_ps(fixed_load(values + i, count - i))));
    return hel_bits_float(_mm512_reduce_max_epu32(most));
}

// What a word of the largest value's magnitude stands for; false where floats do not reach.
static bool fixed_scale(const float *values, uint32_t count, float *out) {
    float most = largest_magnitude(values, count);
    *out = most == 0.0f ? 1.0f : most / FIXED_WORD;
    return most == 0.0f || (most >= FIXED_LEAST && most <= FIXED_MOST);
}

typedef struct fixed_numbers { __m512i words, digits; } fixed_numbers;

static inline fixed_numbers fixed_split(__m512 values, float scale, int planes) {
    const __m512 factor = _mm512_set1_ps((planes == 2 ? 1.0f : 256.0f) / scale);
    const __m512i most = _mm512_set1_epi32(planes == 2 ? FIXED_WORD : FIXED_WORD * 256);
    __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(values, factor));
    whole = _mm512_max_epi32(_mm512_min_epi32(whole, most), _mm512_sub_epi32(_mm512_setzero_si512(), most));
    if (planes == 2) return (fixed_numbers){whole, _mm512_setzero_si512()};
    __m512i words = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(128)), 8);
    return (fixed_numbers){words, _mm512_sub_epi32(whole, _mm512_slli_epi32(words, 8))};
}

static inline void fixed_store_bytes(__m512i values, void *out) { _mm_storeu_si128(out, _mm512_cvtepi32_epi8(values)); }

// Entries are repeated up to 64, so that a permutation by six bits ignores what is above an index of less.
static bool fixed_codebook(const float *codebook, uint32_t bits, fixed_operands *out) {
    uint32_t count = 1u << bits;
    if (!fixed_scale(codebook, count, &out->scale)) return false;
    for (uint32_t i = 0; i < count || i < 64; i += 16) {
        fixed_numbers w = fixed_split(_mm512_loadu_ps(codebook + i % count), out->scale, out->planes);
        __m512i words = _mm512_add_epi32(w.words, _mm512_set1_epi32(1 << 14));
        fixed_store_bytes(_mm512_srli_epi32(words, 8), out->table.planes[0] + i);
        fixed_store_bytes(words, out->table.planes[1] + i);
        fixed_store_bytes(_mm512_add_epi32(w.digits, _mm512_set1_epi32(128)), out->table.planes[2] + i);
    }
    return true;
}

// The 16 bytes from `at` on are one lane when bytes are unpacked to words: its lower half goes to the first 32 words of 64.
static inline void fixed_store_x(__m512 values, int planes, uint32_t at, fixed_x *out) {
    fixed_numbers x = fixed_split(values, out->scale, planes);
    __m256i words = _mm512_cvtepi32_epi16(x.words);
    int16_t *to = out->words + at / 64 * 64 + at % 64 / 2;
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(words));
    _mm_storeu_si128((__m128i *)(void *)(to + 32), _mm256_extracti128_si256(words, 1));
    if (planes == 2) return;
    fixed_store_bytes(_mm512_srai_epi32(_mm512_add_epi32(x.words, _mm512_set1_epi32(128)), 8), out->upper + at);
    fixed_store_bytes(x.digits, out->digits + at);
}

static void fixed_begin(fixed_x *block, int planes) {
    const __m512i words = _mm512_set1_epi16(-(1 << 14)), digits = _mm512_set1_epi8((char)128), halves = _mm512_set1_epi8(127);
    __m512i first = _mm512_setzero_si512(), second = first, of_upper = first, of_digits = first;
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 64) {
        first = _mm512_dpwssd_epi32(first, words, _mm512_load_si512(block->words + i));
        second = _mm512_dpwssd_epi32(second, words, _mm512_load_si512(block->words + i + 32));
        if (planes == 2) continue;
        of_upper = _mm512_dpbusd_epi32(of_upper, digits, _mm512_load_si512(block->upper + i));
        of_digits = _mm512_dpbusd_epi32(of_digits, halves, _mm512_load_si512(block->digits + i));
    }
    // floor(W / 256) comes with 64 added and is wanted with 1/2: 127 halves of the digits too much.
    _mm512_store_si512(block->begin[0], _mm512_sub_epi32(first, of_upper));
    _mm512_store_si512(block->begin[1], _mm512_sub_epi32(second, _mm512_srai_epi32(of_digits, 1)));
}

static bool fixed_x_block(const float *x, uint32_t count, uint32_t step, int planes, fixed_x *out) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    if (!fixed_scale(x, count, &out->scale)) return false;
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 32) {
        __m512 a = fixed_load(x + i, i < count ? count - i : 0), b = fixed_load(x + i + 16, i + 16 < count ? count - i - 16 : 0);
        uint32_t at = i, to_next = 16;
        if (step == 128) {
            __m512 evens = _mm512_permutex2var_ps(a, even, b);
            b = _mm512_permutex2var_ps(a, odd, b), a = evens;
            at = i / 128 * 128 + i % 128 / 2, to_next = 64;
        }
        fixed_store_x(a, planes, at, out);
        fixed_store_x(b, planes, at + to_next, out);
    }
    fixed_begin(out, planes);
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
    operands->planes = launch->precision == HEL_PRECISION_BF16 ? 2 : 3;
    if (!fixed_codebook(l.codebook, l.bits, operands)) return;
    for (uint32_t i = 0; i < blocks * p->tokens; i++) {
        uint32_t token = i / blocks, first = i % blocks * FIXED_BLOCK;
        const float *x = l.x + p->x_first + (size_t)token * p->x_stride + first;
        uint32_t count = HEL_MIN(FIXED_BLOCK, p->cols - first);
        if (!fixed_x_block(x, count, fixed_step(l.bits), operands->planes, &operands->x[i])) return;
    }
    operands->blocks = blocks;
}

// ---------------------------------------------------------------- sums of products

// Of half the columns each: eight products of words and sixteen of digits stay below 2^31.
typedef struct fixed_sums { __m512i at[2]; } fixed_sums;

// `at`: of 64 columns.
static inline fixed_sums fixed_add(fixed_sums sums, const __m512i *w, const __m512i *words, const fixed_x *x, uint32_t at,
                                   const int planes) {
    for (int i = 0; i < 2; i++)
        sums.at[i] = _mm512_dpwssd_epi32(sums.at[i], words[i], _mm512_load_si512(x->words + at + 32 * i));
    if (planes == 2) return sums;
    sums.at[0] = _mm512_dpbusd_epi32(sums.at[0], w[2], _mm512_load_si512(x->upper + at));
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
    _mm_prefetch((const char *)bytes + ahead, _MM_HINT_T1);
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
// reading.
enum { FIXED_SUMS = 4, FIXED_SEGMENT = 32 };

// A segment of the columns, in blocks.
typedef struct fixed_part {
    const fixed_operands *operands;
    const fixed_table *table;
    uint32_t first, end, row_bytes;
    bool whole; // no columns are elsewhere
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
        uint32_t ahead = part->whole ? ROW_AHEAD : n_rows * part->row_bytes;
        __m512i fields = fixed_fields(rows[r] + at, mask, ahead, bits), w[FIXED_PLANES];
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
    const int alone = bits < 8 ? 2 : 1;
    uint32_t t = 0;
    for (; t + 2 <= tokens; t += 2, x += 2 * part->operands->blocks)
        for (int r = 0; r < BLOCK_ROWS; r += 2) fixed_rows(part, rows + r, x, bits, planes, 2, 2, totals + r * BLOCK_TOKENS + t);
    for (int r = 0; t < tokens && r < BLOCK_ROWS; r += alone)
        fixed_rows(part, rows + r, x, bits, planes, alone, 1, totals + r * BLOCK_TOKENS + t);
}

// Rows of many columns go by in segments, the next row's fetched meanwhile, so that x stays in the first-level cache.
static inline __attribute__((always_inline)) void fixed_segments(const linear *l, const fixed_operands *operands,
                                                                 const unsigned char *const rows[BLOCK_ROWS],
                                                                 const uint32_t bits, const int planes, __m512 *totals) {
    const fixed_table table = fixed_table_load(&operands->table, bits, planes);
    const uint32_t tokens = l->p->tokens, blocks = operands->blocks, row_bytes = l->p->row_words * 4;
    const uint32_t segments = (uint32_t)hel_ceil_div(blocks, FIXED_SEGMENT), segment = (uint32_t)hel_ceil_div(blocks, segments);
    for (uint32_t first = 0; first < blocks; first += segment) {
        fixed_part part = {operands, &table, first, HEL_MIN(first + segment, blocks), row_bytes, segments == 1};
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
