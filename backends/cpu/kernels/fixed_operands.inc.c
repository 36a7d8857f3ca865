// SPDX-License-Identifier: Apache-2.0
// Operands of products in fixed point (fixed.inc.c): codebook and x become integers whose products are summed up exactly, so that
// the order of additions does not matter.
//
// A number is a word W within -16383 .. 16383 and a digit w of 1/256 within -128 .. 127, times a scale: of weights the
// codebook's, of x one that FIXED_BLOCK columns of a token share. With words and digits W, w of one and X, x of the other,
//   (W + w / 256) (X + x / 256) = W X + w round(X / 256) + (floor(W / 256) + 1/2) x + ...
// and what the dots stand for is left out. Error of a product: at most 2^-20 of the largest |entry| times the largest |x| of its
// block (rounding: 1.75 2^-23 for each of both; left out: a little more than 2^-21), on average far less.
//
// In HEL_PRECISION_BF16 there are words only, and the error is at most 1.01 2^-14.
#ifdef SIMD_FIXED

// One side of the byte products has to be unsigned: words of weights are looked up with an offset, which makes their upper bytes
// so, and digits with another.
enum { FIXED_BLOCK = CPU_FIXED_BLOCK, FIXED_WORD = 16383, FIXED_WORD_OFFSET = 1 << 14, FIXED_DIGIT_OFFSET = 128 };
enum { FIXED_PLANES = 3 }; // of bytes, at most
// What each of a block's two sums comes to at most.
_Static_assert((int64_t)FIXED_BLOCK / 32 * FIXED_WORD * FIXED_WORD + FIXED_BLOCK / 16 * 128 * 64 <= INT32_MAX, "sums fit");
// Beyond these magnitudes scales leave the range of floats: such operands are multiplied as floats.
#define FIXED_LEAST 0x1p-80f
#define FIXED_MOST 0x1p80f

// Columns of x as 64 looked-up bytes meet them: words in the order in which bytes of two planes become words.
typedef struct fixed_x {
    _Alignas(64) int16_t words[FIXED_BLOCK];
    int32_t begin[2][16]; // what the two sums begin with: less what the offsets add
    float scale;
    _Alignas(64) signed char rounded[FIXED_BLOCK], digits[FIXED_BLOCK]; // the first: words / 256
} fixed_x;

typedef struct fixed_operands {
    vec_table table; // of the codebook's entries, offsets added: upper bytes of words, lower ones, digits
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

static inline __m512i fixed_round_256ths(__m512i values) {
    return _mm512_srai_epi32(_mm512_add_epi32(values, _mm512_set1_epi32(128)), 8);
}

typedef struct fixed_numbers { __m512i words, digits; } fixed_numbers;

// What values are multiplied by to be whole.
static float fixed_factor(float scale, int planes) { return (planes == 2 ? 1.0f : 256.0f) / scale; }

static inline fixed_numbers fixed_split(__m512 values, float factor, int planes) {
    const __m512i most = _mm512_set1_epi32(planes == 2 ? FIXED_WORD : FIXED_WORD * 256);
    __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(values, _mm512_set1_ps(factor)));
    whole = _mm512_max_epi32(_mm512_min_epi32(whole, most), _mm512_sub_epi32(_mm512_setzero_si512(), most));
    if (planes == 2) return (fixed_numbers){whole, _mm512_setzero_si512()};
    __m512i words = fixed_round_256ths(whole);
    return (fixed_numbers){words, _mm512_sub_epi32(whole, _mm512_slli_epi32(words, 8))};
}

static inline void fixed_store_bytes(__m512i values, void *out) { _mm_storeu_si128(out, _mm512_cvtepi32_epi8(values)); }

// Entries are repeated up to 64, so that a permutation by six bits ignores what is above an index of less.
static bool fixed_codebook(const float *codebook, uint32_t bits, fixed_operands *out) {
    uint32_t count = 1u << bits;
    if (!fixed_scale(codebook, count, &out->scale)) return false;
    float factor = fixed_factor(out->scale, out->planes);
    for (uint32_t i = 0; i < count || i < 64; i += 16) {
        fixed_numbers w = fixed_split(_mm512_loadu_ps(codebook + i % count), factor, out->planes);
        __m512i words = _mm512_add_epi32(w.words, _mm512_set1_epi32(FIXED_WORD_OFFSET));
        fixed_store_bytes(_mm512_srli_epi32(words, 8), out->table.planes[0] + i);
        fixed_store_bytes(words, out->table.planes[1] + i);
        fixed_store_bytes(_mm512_add_epi32(w.digits, _mm512_set1_epi32(FIXED_DIGIT_OFFSET)), out->table.planes[2] + i);
    }
    return true;
}

// The 16 bytes from `at` on are one lane when bytes are unpacked to words: its lower half goes to the first 32 words of 64.
static inline void fixed_store_x(__m512 values, float factor, int planes, uint32_t at, fixed_x *out) {
    fixed_numbers x = fixed_split(values, factor, planes);
    __m256i words = _mm512_cvtepi32_epi16(x.words);
    int16_t *to = out->words + at / 64 * 64 + at % 64 / 2;
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(words));
    _mm_storeu_si128((__m128i *)(void *)(to + 32), _mm256_extracti128_si256(words, 1));
    if (planes == 2) return;
    fixed_store_bytes(fixed_round_256ths(x.words), out->rounded + at);
    fixed_store_bytes(x.digits, out->digits + at);
}

// Upper bytes of weights come with a 256th of the words' offset and are wanted with 1/2, so that the excess is counted in halves;
// rounding a lane's halves down is lost in the bound.
static void fixed_begin(fixed_x *block, int planes) {
    const __m512i word_offset = _mm512_set1_epi16(-FIXED_WORD_OFFSET), digit_offset = _mm512_set1_epi8((char)FIXED_DIGIT_OFFSET);
    const __m512i upper_halves = _mm512_set1_epi8(2 * FIXED_WORD_OFFSET / 256 - 1);
    __m512i first = _mm512_setzero_si512(), second = first, of_rounded = first, of_digits = first;
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 64) {
        first = _mm512_dpwssd_epi32(first, word_offset, _mm512_load_si512(block->words + i));
        second = _mm512_dpwssd_epi32(second, word_offset, _mm512_load_si512(block->words + i + 32));
        if (planes == 2) continue;
        of_rounded = _mm512_dpbusd_epi32(of_rounded, digit_offset, _mm512_load_si512(block->rounded + i));
        of_digits = _mm512_dpbusd_epi32(of_digits, upper_halves, _mm512_load_si512(block->digits + i));
    }
    _mm512_store_si512(block->begin[0], _mm512_sub_epi32(first, of_rounded));
    _mm512_store_si512(block->begin[1], _mm512_sub_epi32(second, _mm512_srai_epi32(of_digits, 1)));
}

static bool fixed_x_block(const float *x, uint32_t count, uint32_t step, int planes, fixed_x *out) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    if (!fixed_scale(x, count, &out->scale)) return false;
    float factor = fixed_factor(out->scale, planes);
    for (uint32_t i = 0; i < FIXED_BLOCK; i += 32) {
        __m512 a = fixed_load(x + i, i < count ? count - i : 0), b = fixed_load(x + i + 16, i + 16 < count ? count - i - 16 : 0);
        uint32_t at = i, to_next = 16;
        if (step == 128) {
            __m512 evens = _mm512_permutex2var_ps(a, even, b);
            b = _mm512_permutex2var_ps(a, odd, b), a = evens;
            at = i / 128 * 128 + i % 128 / 2, to_next = 64;
        }
        fixed_store_x(a, factor, planes, at, out);
        fixed_store_x(b, factor, planes, at + to_next, out);
    }
    fixed_begin(out, planes);
    return true;
}

cpu_scratch SIMD(cpu_linear_matvec_scratch)(const cpu_launch *launch) {
    const hel_linear_params *p = launch->params;
    if (launch->precision == HEL_PRECISION_EXACT || !cpu_is_fixed(launch->constants)) return (cpu_scratch){0, 0};
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

#endif
