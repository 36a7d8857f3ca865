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

// Points and centroids at hand: both fit the second-level cache. Panels hold whole blocks.
enum {
    BLOCK = 16,
    BLOCK_VECTORS = BLOCK / WIDTH,
    BATCH = VECTORS_AT_ONCE * WIDTH,
    POINTS_ROOM = 1 << 15,
    PANEL_ROOM = 1 << 14,
    MOST_POINTS = 2048 / BATCH * BATCH,
    MOST_CENTROIDS = 2048,
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

typedef struct cluster_panel {
    uint32_t first, blocks;        // first centroid, a multiple of BLOCK
    float coordinates[PANEL_ROOM]; // [block][d][BLOCK]; the last centroid is repeated to a whole block
    float squares[MOST_CENTROIDS];
    int32_t pairs[PANEL_ROOM / 2 + PANEL_ROOM / (2 * FILTERED_FROM)]; // [block][ceil(d / 2)][BLOCK]
    int32_t whole_squares[MOST_CENTROIDS];                            // in units of 2 q^2
} cluster_panel;

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
    const float *points, *centroids;
    uint32_t k, d, panel_centroids;
    cluster_filter filter;
    float widest;                             // largest |c|^2
    float middle[WHOLE_TO], step;             // of FILTER_WHOLE; then also:
    float middle_widest, middle_sum;          // largest |c|^2 and |c|1 from the middle
    cluster_panel panel;
    cluster_batches batches;
} cluster_search;

// ---------------------------------------------------------------- what the bounds need to know

static void measure_book(cluster_search *s) {
    s->widest = s->middle_widest = s->middle_sum = 0.0f;
    for (uint32_t c = 0; c < s->k; c++) {
        const float *centroid = s->centroids + (size_t)c * s->d;
        float square = 0.0f, from_middle = 0.0f, sum = 0.0f;
        for (uint32_t j = 0; j < s->d; j++) {
            float away = s->filter == FILTER_WHOLE ? centroid[j] - s->middle[j] : 0.0f;
            square += centroid[j] * centroid[j];
            from_middle += away * away;
            sum += fabsf(away);
        }
        s->widest = square <= FLOAT_MOST ? HEL_MAX(s->widest, square) : INFINITY; // NaN too
        s->middle_widest = HEL_MAX(s->middle_widest, from_middle);
        s->middle_sum = HEL_MAX(s->middle_sum, sum);
    }
}

#ifdef SIMD_WHOLE
// The middle of the book and the largest step from it to a coordinate; false where that is nothing to count by.
static bool find_middle(cluster_search *s, uint32_t begin, uint32_t end) {
    float low[WHOLE_TO], high[WHOLE_TO], reach = 0.0f;
    uint32_t d = s->d;
    memcpy(low, s->centroids, d * sizeof *low);
    memcpy(high, s->centroids, d * sizeof *high);
    for (uint32_t c = 1; c < s->k; c++)
        for (uint32_t j = 0; j < d; j++) {
            float x = s->centroids[(size_t)c * d + j];
            low[j] = x < low[j] ? x : low[j];
            high[j] = x > high[j] ? x : high[j];
        }
    for (uint32_t j = 0; j < d; j++) {
        s->middle[j] = low[j] / 2 + high[j] / 2;
        reach = HEL_MAX(reach, HEL_MAX(high[j] - s->middle[j], s->middle[j] - low[j]));
    }
    memcpy(low, s->middle, d * sizeof *low); // not a point: it may be NaN, which no comparison takes in
    memcpy(high, s->middle, d * sizeof *high);
    for (uint32_t i = begin; i < end; i++)
        for (uint32_t j = 0; j < d; j++) {
            float x = s->points[(size_t)i * d + j];
            low[j] = x < low[j] ? x : low[j];
            high[j] = x > high[j] ? x : high[j];
        }
    for (uint32_t j = 0; j < d; j++) reach = HEL_MAX(reach, HEL_MAX(high[j] - s->middle[j], s->middle[j] - low[j]));
    // Sums stay below 2^31: of products d (reach / q)^2, of the squares half of that.
    float steps = floorf(sqrtf(0x1p31f / (1.6f * (float)d)));
    s->step = reach / HEL_MIN(steps, 32000.0f);
    return reach > 0x1p-40f && reach < 0x1p40f;
}
#endif

static void choose_filter(cluster_search *s, uint32_t begin, uint32_t end) {
    s->filter = s->d < FILTERED_FROM ? FILTER_NONE : FILTER_FLOAT;
#ifdef SIMD_WHOLE
    bool worth = s->d >= WHOLE_FROM && s->d <= WHOLE_TO && (uint64_t)s->k * s->d >= WHOLE_CELLS;
    if (worth && find_middle(s, begin, end)) s->filter = FILTER_WHOLE;
#else
    (void)begin, (void)end;
#endif
    if (s->filter == FILTER_NONE) return;
    measure_book(s);
    if (s->filter == FILTER_WHOLE && !(s->widest <= 0x1p100f)) s->filter = FILTER_FLOAT;
}

// Whether all blocks with this estimate or a larger one are farther in the C form too. NaN says no.
static bool filter_tells(const cluster_search *s, uint32_t i, float estimate) {
    const cluster_batches *b = &s->batches;
    float distance = HEL_MAX(b->least[i] + b->square[i], 0.0f);
    return estimate - b->least[i] > b->margin[i] + ((float)s->d + 2) * (2.1f * 0x1p-24f) * distance;
}

// The last terms stand for products below the normal floats, and for those that overflow.
static float float_margin(const cluster_search *s, float square) {
    float d = (float)s->d;
    if (!(square + s->widest < 1e36f)) return INFINITY;
    return (d + 1) * (3 * s->widest + square) * (2.1f * 0x1p-24f) + d * 0x1p-120f;
}

#ifdef SIMD_WHOLE
static float whole_margin(const cluster_search *s, float square, float sum) {
    float d = (float)s->d, q = s->step, wide = s->middle_widest;
    float whole = 1.02f * q * (sum + s->middle_sum + 1.53f * q * d) + q * q;
    return 2.1f * (whole + ((d + 2) * wide + 4 * (2 * wide + square)) * 0x1p-24f) + d * 0x1p-120f;
}
#endif

// ---------------------------------------------------------------- panels and points

#ifdef SIMD_WHOLE
static inline ivec whole_steps(const cluster_search *s, vec x, uint32_t j, vec factor) {
    return ivec_of_floats(vec_mul(vec_sub(x, vec_set(s->middle[j])), factor));
}

// A vector's coordinates [d], `stride` floats from one to the next, as pairs.
static void pair_vector(const cluster_search *s, const float *from, uint32_t stride, float factor, int32_t *to) {
    for (uint32_t j = 0; j < s->d; j += 2) {
        ivec low = whole_steps(s, vec_load(from + j * stride), j, vec_set(factor)), high = ivec_set(0);
        if (j + 1 < s->d) high = whole_steps(s, vec_load(from + (j + 1) * stride), j + 1, vec_set(factor));
        ivec_store(to + j / 2 * stride, ivec_pair(low, high));
    }
}

static void pair_block(const cluster_search *s, const float *block, uint32_t at, cluster_panel *panel) {
    float factor = 1 / s->step, unit = factor * factor / 2;
    int32_t *pairs = panel->pairs + (size_t)at * BLOCK * ((s->d + 1) / 2);
    for (uint32_t i = 0; i < BLOCK; i += WIDTH) {
        pair_vector(s, block + i, BLOCK, factor, pairs + i);
        vec sum = vec_zero();
        for (uint32_t j = 0; j < s->d; j++) {
            vec away = vec_sub(vec_load(block + j * BLOCK + i), vec_set(s->middle[j]));
            sum = vec_fma(away, away, sum);
        }
        ivec_store(panel->whole_squares + at * BLOCK + i, ivec_of_floats(vec_mul(sum, vec_set(unit))));
    }
}
#endif

static void square_block(const cluster_search *s, const float *block, float *squares) {
    for (uint32_t i = 0; i < BLOCK; i += WIDTH) {
        vec sum = vec_zero();
        for (uint32_t j = 0; j < s->d; j++) {
            vec x = vec_load(block + j * BLOCK + i);
            sum = vec_fma(x, x, sum);
        }
        vec_store(squares + i, sum);
    }
}

static void pack_panel(cluster_search *s, uint32_t first) {
    cluster_panel *panel = &s->panel;
    panel->first = first;
    panel->blocks = (uint32_t)hel_ceil_div(HEL_MIN(s->panel_centroids, s->k - first), BLOCK);
    for (uint32_t b = 0; b < panel->blocks; b++) {
        float *block = panel->coordinates + (size_t)b * BLOCK * s->d;
        for (uint32_t i = 0; i < BLOCK; i++) {
            const float *centroid = s->centroids + (size_t)HEL_MIN(first + b * BLOCK + i, s->k - 1) * s->d;
            for (uint32_t j = 0; j < s->d; j++) block[j * BLOCK + i] = centroid[j];
        }
#ifdef SIMD_WHOLE
        if (s->filter == FILTER_WHOLE) pair_block(s, block, b, panel);
#endif
        if (s->filter == FILTER_FLOAT) square_block(s, block, panel->squares + b * BLOCK);
    }
}

static void load_floats(cluster_search *s, uint32_t at, const float *point) {
    cluster_batches *b = &s->batches;
    float *to = b->coordinates + (size_t)(at / BATCH) * BATCH * s->d + at % BATCH, sum = 0.0f;
    float factor = s->filter == FILTER_FLOAT ? -2.0f : 1.0f;
    for (uint32_t j = 0; j < s->d; j++) {
        to[j * BATCH] = factor * point[j];
        sum += point[j] * point[j];
    }
    b->square[at] = sum;
    b->margin[at] = float_margin(s, sum);
}

#ifdef SIMD_WHOLE
static void load_pairs(cluster_search *s, uint32_t batch) {
    cluster_batches *b = &s->batches;
    float rows[BATCH * WHOLE_TO];
    for (uint32_t i = 0; i < BATCH; i++) {
        const float *point = b->points + (size_t)HEL_MIN(batch * BATCH + i, b->count - 1) * s->d;
        float square = 0.0f, sum = 0.0f;
        for (uint32_t j = 0; j < s->d; j++) {
            float away = point[j] - s->middle[j];
            rows[j * BATCH + i] = point[j];
            square += away * away;
            sum += fabsf(away);
        }
        b->square[batch * BATCH + i] = square;
        b->margin[batch * BATCH + i] = whole_margin(s, square, sum);
    }
    for (uint32_t i = 0; i < BATCH; i += WIDTH)
        pair_vector(s, rows + i, BATCH, -1 / s->step, b->pairs + (size_t)batch * BATCH * ((s->d + 1) / 2) + i);
}
#endif

static void load_points(cluster_search *s, uint32_t first, uint32_t count) {
    cluster_batches *b = &s->batches;
    b->points = s->points + (size_t)first * s->d;
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
        load_floats(s, i, b->points + (size_t)HEL_MIN(i, count - 1) * s->d);
}

// ---------------------------------------------------------------- the least over each block, for a batch

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

TILE_INLINE float_blocks(const cluster_panel *panel, const float *points, const size_t d, const bool exact, float *out) {
    for (size_t block = 0; block < panel->blocks; block++, out += BATCH) {
        vec least[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = vec_set(FLOAT_MOST);
        for (size_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            float_tile(points, panel->coordinates + block * BLOCK * d + c, panel->squares + block * BLOCK + c, d, exact, least);
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) vec_store(out + v * WIDTH, least[v]);
    }
}

TILE_FUNCTION filter_blocks(const cluster_panel *panel, const float *points, size_t d, float *out) {
    float_blocks(panel, points, d, false, out);
}

TILE_FUNCTION narrow_blocks(const cluster_panel *panel, const float *points, size_t d, float *out) {
    if (d == 1) float_blocks(panel, points, 1, true, out);
    else float_blocks(panel, points, 2, true, out);
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

TILE_FUNCTION whole_blocks(const cluster_panel *panel, const int32_t *points, size_t pairs, float step, float *out) {
    vec unit = vec_set(2 * step * step);
    for (size_t block = 0; block < panel->blocks; block++, out += BATCH) {
        ivec least[VECTORS_AT_ONCE];
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = ivec_set(INT32_MAX);
        for (size_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            whole_tile(points, panel->pairs + block * BLOCK * pairs + c, panel->whole_squares + block * BLOCK + c, pairs, least);
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
TILE_INLINE rank_blocks(cluster_batches *b, uint32_t at, const float *estimates, uint32_t first, uint32_t blocks,
                        const uint32_t kept) {
    ranking ranks[VECTORS_AT_ONCE];
    for (uint32_t v = 0, i = at; v < VECTORS_AT_ONCE; v++, i += WIDTH)
        ranks[v] = (ranking){vec_load(b->least + i), vec_load(b->second + i), vec_load(b->third + i), load_words(b->block + i),
                             load_words(b->second_block + i)};
    for (uint32_t block = 0; block < blocks; block++) {
        vec number = vec_set(hel_bits_float(first + block));
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
            ranking *r = &ranks[v];
            vec now = vec_load(estimates + (size_t)block * BATCH + v * WIDTH);
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

static void compare_batch(cluster_search *s, uint32_t batch) {
    float estimates[MOST_CENTROIDS / BLOCK * BATCH];
    const cluster_panel *panel = &s->panel;
    const float *points = s->batches.coordinates + (size_t)batch * BATCH * s->d;
    if (s->filter == FILTER_NONE) narrow_blocks(panel, points, s->d, estimates);
    if (s->filter == FILTER_FLOAT) filter_blocks(panel, points, s->d, estimates);
#ifdef SIMD_WHOLE
    uint32_t pairs = (s->d + 1) / 2;
    if (s->filter == FILTER_WHOLE)
        whole_blocks(panel, s->batches.pairs + (size_t)batch * BATCH * pairs, pairs, s->step, estimates);
#endif
    uint32_t at = batch * BATCH, first = panel->first / BLOCK;
    if (s->filter == FILTER_NONE) rank_blocks(&s->batches, at, estimates, first, panel->blocks, 1);
    else if (s->filter == FILTER_FLOAT) rank_blocks(&s->batches, at, estimates, first, panel->blocks, 2);
    else rank_blocks(&s->batches, at, estimates, first, panel->blocks, 3);
}
