// SPDX-License-Identifier: Apache-2.0
// Estimates of |c|^2 - 2 x.c for many points and centroids, with bounds of their error. u = 2^-24, d dimensions.
//
// FILTER_FLOAT: fused operations on the values themselves. Sums of d + 1 terms are off by at most
// u ((d + 1) (C^2 + 2 X C) + d C^2) <= u (d + 1) (3 C^2 + X^2), X = |x|, C = the largest |c| (after Higham, "Accuracy and
// Stability of Numerical Algorithms", 2002, section 3.1).
//
// FILTER_WHOLE: whole numbers of 16 bits, two dimensions in a word, of values counted from the middle of the book in steps
// of q. No coordinate is off by more than h = 0.51 q, q / 2 for rounding and the rest for the subtraction; the products are
// exact. So the estimate is off by at most 2 h (|x|1 + |c|1 + 3 h d), q^2 for the rounded |c|^2, and what floats
// on the way there and back lose, u ((d + 2) C^2 + 4 (2 C^2 + X^2)). |x|1 is the sum of magnitudes.
//
// The C form's distance D is off by at most (d + 2) u D. So of two estimates that differ by more than twice their error
// and 2 (d + 2) u D, the C form has the lower one nearer.
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kmeans_simd.h"

// The points at hand fit the second-level cache, and so does the panel of the book that they meet; the estimates of a batch
// fit the first-level one. Panels hold whole blocks.
enum {
    BLOCK = 16,
    BLOCK_VECTORS = BLOCK / WIDTH,
    BATCH = VECTORS_AT_ONCE * WIDTH,
    POINTS_ROOM = 1 << 15,
    PANEL_ROOM = 1 << 14,
    MOST_POINTS = 2048 / BATCH * BATCH,
    PANEL_BLOCKS = 64,
    MOST_DIMENSIONS = 512,
    FILTERED_FROM = 3,
    WHOLE_FROM = 4, // dimensions; and from WHOLE_CELLS values in the book on, since points take longer to prepare
    WHOLE_TO = 128,
    WHOLE_CELLS = 2048,
    MEAN_RUN = 1024,
};
#define FLOAT_MOST 0x1.fffffep127f
#define NO_BLOCK UINT32_MAX

typedef enum cluster_filter { FILTER_NONE, FILTER_FLOAT, FILTER_WHOLE } cluster_filter;

// The centroids as all threads read them, made before the first group runs.
typedef struct cluster_book {
    uint32_t k, d, blocks; // the last centroid is repeated to a whole block
    cluster_filter filter;
    const float *centroids;             // rows as they lie
    float *coordinates, *squares;       // [block][d][BLOCK], [block][BLOCK]
    int32_t *pairs, *whole_squares;     // [block][ceil(d / 2)][BLOCK], and [block][BLOCK] in units of 2 q^2
    float widest;                       // largest |c|^2
    float middle[WHOLE_TO], step, reach; // of FILTER_WHOLE, as far as points may be from the middle; then also:
    float middle_widest, middle_sum;    // largest |c|^2 and |c|1 from the middle
} cluster_book;

typedef struct cluster_batches {
    const float *points; // rows as they lie
    uint32_t count;
    union {
        float coordinates[POINTS_ROOM]; // [batch][d][BATCH]; times -2 for the filter
        int32_t pairs[POINTS_ROOM];     // [batch][ceil(d / 2)][BATCH]; times -1
    };
    float square[MOST_POINTS], margin[MOST_POINTS]; // |x|^2; the part of the bound that is a point's own
    float least[MOST_POINTS], second[MOST_POINTS], third[MOST_POINTS];
    uint32_t block[MOST_POINTS], second_block[MOST_POINTS];
    float distance[MOST_POINTS]; // the C form's, of the label so far
    uint32_t label[MOST_POINTS];
} cluster_batches;

typedef struct cluster_search {
    const cluster_book *book;
    const float *points;
    cluster_filter filter; // the book's, or FILTER_FLOAT once that has been of little use
    cluster_batches batches;
} cluster_search;

// ---------------------------------------------------------------- what the bounds need to know

static void measure_book(cluster_book *book) {
    book->widest = book->middle_widest = book->middle_sum = 0.0f;
    for (uint32_t c = 0; c < book->k; c++) {
        const float *centroid = book->centroids + (size_t)c * book->d;
        float square = 0.0f, from_middle = 0.0f, sum = 0.0f;
        for (uint32_t j = 0; j < book->d; j++) {
            float away = book->filter == FILTER_WHOLE ? centroid[j] - book->middle[j] : 0.0f;
            square += centroid[j] * centroid[j];
            from_middle += away * away;
            sum += fabsf(away);
        }
        book->widest = square <= FLOAT_MOST ? HEL_MAX(book->widest, square) : INFINITY; // NaN too
        book->middle_widest = HEL_MAX(book->middle_widest, from_middle);
        book->middle_sum = HEL_MAX(book->middle_sum, sum);
    }
}

#ifdef SIMD_WHOLE
// The middle of the book, and steps from it that reach half as far again as the book does; false where that is nothing to count by.
static bool find_middle(cluster_book *book) {
    float low[WHOLE_TO], high[WHOLE_TO], reach = 0.0f;
    uint32_t d = book->d;
    memcpy(low, book->centroids, d * sizeof *low);
    memcpy(high, book->centroids, d * sizeof *high);
    for (uint32_t c = 1; c < book->k; c++)
        for (uint32_t j = 0; j < d; j++) {
            float x = book->centroids[(size_t)c * d + j];
            low[j] = x < low[j] ? x : low[j];
            high[j] = x > high[j] ? x : high[j];
        }
    for (uint32_t j = 0; j < d; j++) {
        book->middle[j] = low[j] / 2 + high[j] / 2;
        reach = HEL_MAX(reach, HEL_MAX(high[j] - book->middle[j], book->middle[j] - low[j]));
    }
    // With S steps to the points' reach products sum to d S^2 / 1.5 at most, half squares to d S^2 / 4.5: below 2^31.
    float steps = floorf(sqrtf(0x1p31f / (0.95f * (float)d)));
    book->reach = 1.5f * reach;
    book->step = book->reach / HEL_MIN(steps, 32000.0f);
    return reach > 0x1p-40f && reach < 0x1p40f;
}
#endif

static void choose_filter(cluster_book *book) {
    book->filter = book->d < FILTERED_FROM ? FILTER_NONE : FILTER_FLOAT;
#ifdef SIMD_WHOLE
    bool worth = book->d >= WHOLE_FROM && book->d <= WHOLE_TO && (uint64_t)book->k * book->d >= WHOLE_CELLS;
    if (worth && find_middle(book)) book->filter = FILTER_WHOLE;
#endif
    if (book->filter == FILTER_NONE) return;
    measure_book(book);
    if (book->filter == FILTER_WHOLE && !(book->widest <= 0x1p100f)) book->filter = FILTER_FLOAT;
}

// Whether all blocks with this estimate or a larger one are farther in the C form too. NaN says no.
static bool filter_tells(const cluster_search *s, uint32_t i, float estimate) {
    const cluster_batches *b = &s->batches;
    float distance = HEL_MAX(b->least[i] + b->square[i], 0.0f);
    return estimate - b->least[i] > b->margin[i] + ((float)s->book->d + 2) * (2.1f * 0x1p-24f) * distance;
}

// The last terms stand for products below the normal floats, and for those that overflow.
static float float_margin(const cluster_book *book, float square) {
    float d = (float)book->d;
    if (!(square + book->widest < 1e36f)) return INFINITY;
    return (d + 1) * (3 * book->widest + square) * (2.1f * 0x1p-24f) + d * 0x1p-120f;
}

#ifdef SIMD_WHOLE
static float whole_margin(const cluster_book *book, float square, float sum) {
    float d = (float)book->d, q = book->step, wide = book->middle_widest;
    float whole = 1.02f * q * (sum + book->middle_sum + 1.53f * q * d) + q * q;
    return 2.1f * (whole + ((d + 2) * wide + 4 * (2 * wide + square)) * 0x1p-24f) + d * 0x1p-120f;
}
#endif

// ---------------------------------------------------------------- the book

#ifdef SIMD_WHOLE
static inline ivec whole_steps(const cluster_book *book, vec x, uint32_t j, vec factor) {
    return ivec_of_floats(vec_mul(vec_sub(x, vec_set(book->middle[j])), factor));
}

// A vector's coordinates [d], `stride` floats from one to the next, as pairs.
static void pair_vector(const cluster_book *book, const float *from, uint32_t stride, float factor, int32_t *to) {
    for (uint32_t j = 0; j < book->d; j += 2) {
        ivec low = whole_steps(book, vec_load(from + j * stride), j, vec_set(factor)), high = ivec_set(0);
        if (j + 1 < book->d) high = whole_steps(book, vec_load(from + (j + 1) * stride), j + 1, vec_set(factor));
        ivec_store(to + j / 2 * stride, ivec_pair(low, high));
    }
}

static void pair_block(const cluster_book *book, const float *block, uint32_t at) {
    float factor = 1 / book->step, unit = factor * factor / 2;
    int32_t *pairs = book->pairs + (size_t)at * BLOCK * ((book->d + 1) / 2);
    for (uint32_t i = 0; i < BLOCK; i += WIDTH) {
        pair_vector(book, block + i, BLOCK, factor, pairs + i);
        vec sum = vec_zero();
        for (uint32_t j = 0; j < book->d; j++) {
            vec away = vec_sub(vec_load(block + j * BLOCK + i), vec_set(book->middle[j]));
            sum = vec_fma(away, away, sum);
        }
        ivec_store(book->whole_squares + at * BLOCK + i, ivec_of_floats(vec_mul(sum, vec_set(unit))));
    }
}
#endif

static void square_block(const cluster_book *book, const float *block, float *squares) {
    for (uint32_t i = 0; i < BLOCK; i += WIDTH) {
        vec sum = vec_zero();
        for (uint32_t j = 0; j < book->d; j++) {
            vec x = vec_load(block + j * BLOCK + i);
            sum = vec_fma(x, x, sum);
        }
        vec_store(squares + i, sum);
    }
}

static void pack_block(const cluster_book *book, uint32_t at) {
    float *block = book->coordinates + (size_t)at * BLOCK * book->d;
    for (uint32_t i = 0; i < BLOCK; i++) {
        const float *centroid = book->centroids + (size_t)HEL_MIN(at * BLOCK + i, book->k - 1) * book->d;
        for (uint32_t j = 0; j < book->d; j++) block[j * BLOCK + i] = centroid[j];
    }
#ifdef SIMD_WHOLE
    if (book->filter == FILTER_WHOLE) pair_block(book, block, at);
#endif
    if (book->filter != FILTER_NONE) square_block(book, block, book->squares + at * BLOCK);
}

// Lines of 64 bytes, which every array is some of.
static size_t book_room(uint32_t blocks, uint32_t d) {
    size_t line = BLOCK * sizeof(float);
    return hel_round_up(sizeof(cluster_book), line) + blocks * line * (d + 1 + (d + 1) / 2 + 1);
}

static void make_book(cluster_book *book, const float *centroids, uint32_t k, uint32_t d) {
    uint32_t blocks = (uint32_t)hel_ceil_div(k, BLOCK);
    float *room = (float *)((char *)book + hel_round_up(sizeof *book, BLOCK * sizeof(float)));
    size_t each = (size_t)blocks * BLOCK;
    *book = (cluster_book){.k = k, .d = d, .blocks = blocks, .centroids = centroids, .coordinates = room,
                           .squares = room + d * each, .whole_squares = (int32_t *)(room + (d + 1) * each),
                           .pairs = (int32_t *)(room + (d + 2) * each)};
    choose_filter(book);
    for (uint32_t b = 0; b < blocks; b++) pack_block(book, b);
}

// ---------------------------------------------------------------- points

static void load_floats(cluster_search *s, uint32_t at, const float *point) {
    const cluster_book *book = s->book;
    cluster_batches *b = &s->batches;
    float *to = b->coordinates + (size_t)(at / BATCH) * BATCH * book->d + at % BATCH, sum = 0.0f;
    float factor = s->filter == FILTER_FLOAT ? -2.0f : 1.0f;
    for (uint32_t j = 0; j < book->d; j++) {
        to[j * BATCH] = factor * point[j];
        sum += point[j] * point[j];
    }
    b->square[at] = sum;
    b->margin[at] = float_margin(book, sum);
}

#ifdef SIMD_WHOLE
// |x|^2 and the margins of the points of a vector, whose coordinates are BATCH floats apart. Of points out of reach the estimates
// mean nothing.
static void measure_points(const cluster_book *book, const float *coordinates, float *squares, float *margins) {
    vec square = vec_zero(), sum = vec_zero(), most = vec_zero();
    for (uint32_t j = 0; j < book->d; j++) {
        vec away = vec_sub(vec_load(coordinates + j * BATCH), vec_set(book->middle[j]));
        vec magnitude = vec_greater(away, vec_sub(vec_zero(), away));
        square = vec_add(square, vec_mul(away, away));
        sum = vec_add(sum, magnitude);
        most = vec_greater(most, magnitude);
    }
    float sums[WIDTH], farthest[WIDTH];
    vec_store(squares, square);
    vec_store(sums, sum);
    vec_store(farthest, most);
    for (uint32_t i = 0; i < WIDTH; i++)
        margins[i] = farthest[i] <= book->reach ? whole_margin(book, squares[i], sums[i]) : INFINITY;
}

static void load_pairs(cluster_search *s, uint32_t batch) {
    const cluster_book *book = s->book;
    cluster_batches *b = &s->batches;
    uint32_t d = book->d, first = batch * BATCH;
    float rows[BATCH * WHOLE_TO];
    for (uint32_t i = 0; i < BATCH; i++) {
        const float *point = b->points + (size_t)HEL_MIN(first + i, b->count - 1) * d;
        for (uint32_t j = 0; j < d; j++) rows[j * BATCH + i] = point[j];
    }
    for (uint32_t i = 0; i < BATCH; i += WIDTH) {
        measure_points(book, rows + i, b->square + first + i, b->margin + first + i);
        pair_vector(book, rows + i, BATCH, -1 / book->step, b->pairs + (size_t)first * ((d + 1) / 2) + i);
    }
}
#endif

static void load_points(cluster_search *s, uint32_t first, uint32_t count) {
    cluster_batches *b = &s->batches;
    uint32_t d = s->book->d;
    b->points = s->points + (size_t)first * d;
    b->count = count;
    uint32_t padded = (uint32_t)hel_round_up(count, BATCH);
    for (uint32_t i = 0; i < padded; i++) {
        b->least[i] = b->second[i] = b->third[i] = b->distance[i] = FLOAT_MOST;
        b->block[i] = b->second_block[i] = NO_BLOCK;
        b->label[i] = 0;
    }
#ifdef SIMD_WHOLE
    for (uint32_t i = 0; s->filter == FILTER_WHOLE && i < padded; i += BATCH) load_pairs(s, i / BATCH);
#endif
    for (uint32_t i = 0; s->filter != FILTER_WHOLE && i < padded; i++)
        load_floats(s, i, b->points + (size_t)HEL_MIN(i, count - 1) * d);
}

// ---------------------------------------------------------------- the least over each block, for a batch

typedef struct cluster_panel { uint32_t first, end; } cluster_panel; // blocks of the book

// In functions of their own, so that their sums and nothing else have the registers.
#define TILE_FUNCTION static __attribute__((noinline)) void
#define TILE_INLINE static inline __attribute__((always_inline)) void

// `exact` and, where it is set, d are constants where this is inlined. Compiled for one d, the loop over more dimensions
// than two would be unrolled until its sums leave the registers.
TILE_INLINE float_tile(const float *points, const float *centroids, const float *squares, const size_t d, const bool exact,
                       vec least[VECTORS_AT_ONCE]) {
    vec sums[CENTROIDS_AT_ONCE][VECTORS_AT_ONCE];
    for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) sums[c][v] = exact ? vec_zero() : vec_set(squares[c]);
    for (const float *end = points + d * BATCH; points < end; points += BATCH, centroids += BLOCK) {
        vec x[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) x[v] = vec_load(points + v * WIDTH);
        for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++) {
            vec centroid = vec_set(centroids[c]);
            for (size_t v = 0; v < VECTORS_AT_ONCE; v++) {
                vec difference = exact ? vec_sub(x[v], centroid) : x[v];
                sums[c][v] = exact ? vec_add(sums[c][v], vec_mul(difference, difference)) : vec_fma(x[v], centroid, sums[c][v]);
            }
        }
    }
    for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = vec_lesser(sums[c][v], least[v]);
}

TILE_INLINE float_blocks(const cluster_book *book, cluster_panel panel, const float *points, const size_t d, const bool exact,
                         float *out) {
    for (size_t block = panel.first; block < panel.end; block++, out += BATCH) {
        vec least[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = vec_set(FLOAT_MOST);
        for (size_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            float_tile(points, book->coordinates + block * BLOCK * d + c, book->squares + block * BLOCK + c, d, exact, least);
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) vec_store(out + v * WIDTH, least[v]);
    }
}

TILE_FUNCTION filter_blocks(const cluster_book *book, cluster_panel panel, const float *points, float *out) {
    float_blocks(book, panel, points, book->d, false, out);
}

TILE_FUNCTION narrow_blocks(const cluster_book *book, cluster_panel panel, const float *points, float *out) {
    if (book->d == 1) float_blocks(book, panel, points, 1, true, out);
    else float_blocks(book, panel, points, 2, true, out);
}

#ifdef SIMD_WHOLE
TILE_INLINE whole_tile(const int32_t *points, const int32_t *centroids, const int32_t *squares, size_t pairs,
                       ivec least[VECTORS_AT_ONCE]) {
    ivec sums[CENTROIDS_AT_ONCE][VECTORS_AT_ONCE];
    for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) sums[c][v] = ivec_set(squares[c]);
    for (const int32_t *end = points + pairs * BATCH; points < end; points += BATCH, centroids += BLOCK) {
        ivec x[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) x[v] = ivec_load(points + v * WIDTH);
        for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++) {
            ivec centroid = ivec_set(centroids[c]);
            for (size_t v = 0; v < VECTORS_AT_ONCE; v++) sums[c][v] = ivec_add_pairs(x[v], centroid, sums[c][v]);
        }
    }
    for (size_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = ivec_min(sums[c][v], least[v]);
}

TILE_FUNCTION whole_blocks(const cluster_book *book, cluster_panel panel, const int32_t *points, float *out) {
    size_t pairs = (book->d + 1) / 2;
    vec unit = vec_set(2 * book->step * book->step);
    for (size_t block = panel.first; block < panel.end; block++, out += BATCH) {
        ivec least[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = ivec_set(INT32_MAX);
        for (size_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            whole_tile(points, book->pairs + block * BLOCK * pairs + c, book->whole_squares + block * BLOCK + c, pairs, least);
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) vec_store(out + v * WIDTH, vec_mul(vec_of_ints(least[v]), unit));
    }
}
#endif

// ---------------------------------------------------------------- the least of them

typedef struct ranking {
    vec least, second, third, block, second_block;
} ranking;

static inline vec load_words(const uint32_t *words) {
    float bits[WIDTH];
    memcpy(bits, words, sizeof bits);
    return vec_load(bits);
}

static inline void store_words(uint32_t *words, vec a) {
    float bits[WIDTH];
    vec_store(bits, a);
    memcpy(words, bits, sizeof bits);
}

// Keeps the least estimate, the least two or the least three; `kept` is a constant where this is inlined. Of two the second
// stands for the third.
TILE_INLINE rank_blocks(cluster_batches *b, uint32_t at, const float *estimates, cluster_panel panel, const uint32_t kept) {
    ranking ranks[VECTORS_AT_ONCE];
    for (uint32_t v = 0, i = at; v < VECTORS_AT_ONCE; v++, i += WIDTH)
        ranks[v] = (ranking){vec_load(b->least + i), vec_load(b->second + i), vec_load(b->third + i), load_words(b->block + i),
                             load_words(b->second_block + i)};
    for (uint32_t block = panel.first; block < panel.end; block++, estimates += BATCH) {
        vec number = vec_set(hel_bits_float(block));
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
            ranking *r = &ranks[v];
            vec now = vec_load(estimates + v * WIDTH);
            vec_mask nearer = vec_less(now, r->least);
            if (kept == 3) {
                r->second_block = vec_select(vec_less(now, r->second), number, r->second_block);
                r->second_block = vec_select(nearer, r->block, r->second_block);
                r->third = vec_lesser(r->third, vec_greater(now, r->second));
            }
            if (kept >= 2) r->second = vec_lesser(r->second, vec_greater(now, r->least));
            r->least = vec_lesser(now, r->least);
            r->block = vec_select(nearer, number, r->block);
        }
    }
    for (uint32_t v = 0, i = at; v < VECTORS_AT_ONCE; v++, i += WIDTH) {
        vec_store(b->least + i, ranks[v].least), vec_store(b->second + i, ranks[v].second);
        vec_store(b->third + i, kept == 2 ? ranks[v].second : ranks[v].third);
        store_words(b->block + i, ranks[v].block), store_words(b->second_block + i, ranks[v].second_block);
    }
}

static void compare_batch(cluster_search *s, uint32_t batch, cluster_panel panel) {
    float estimates[PANEL_BLOCKS * BATCH];
    const cluster_book *book = s->book;
    const float *points = s->batches.coordinates + (size_t)batch * BATCH * book->d;
    if (s->filter == FILTER_NONE) narrow_blocks(book, panel, points, estimates);
    if (s->filter == FILTER_FLOAT) filter_blocks(book, panel, points, estimates);
#ifdef SIMD_WHOLE
    if (s->filter == FILTER_WHOLE)
        whole_blocks(book, panel, s->batches.pairs + (size_t)batch * BATCH * ((book->d + 1) / 2), estimates);
#endif
    uint32_t at = batch * BATCH;
    if (s->filter == FILTER_NONE) rank_blocks(&s->batches, at, estimates, panel, 1);
    else if (s->filter == FILTER_FLOAT) rank_blocks(&s->batches, at, estimates, panel, 2);
    else rank_blocks(&s->batches, at, estimates, panel, 3);
}
