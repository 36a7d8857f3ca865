// SPDX-License-Identifier: Apache-2.0
// Estimates of |c|^2 - 2 x.c for many points and centroids, with bounds of their error. u = 2^-24, d dimensions.
//
// FILTER_FLOAT: fused operations on the values themselves. Sums of d + 1 terms are off by at most
// u ((d + 1) (C^2 + 2 X C) + d C^2) <= u (d + 1) (3 C^2 + X^2), X = |x|, C = the largest |c| (after Higham, "Accuracy and
// Stability of Numerical Algorithms", 2002, section 3.1).
//
// FILTER_WHOLE: whole numbers of 16 bits, two dimensions in a word, of values counted from the middle of the book in steps
// of q. No coordinate is off by more than h = 0.51 q, q / 2 for rounding and the rest for the subtraction; the products are
// exact. So the estimate is off by at most 2 h (|x|1 + |c|1 + 3 h d), q^2 for the rounded |c|^2, what floats
// on the way there and back lose, u ((d + 2) C^2 + 4 (2 C^2 + X^2)), and 2 PANEL_BLOCKS q^2 for the mark of its block.
// |x|1 is the sum of magnitudes.
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
    PANEL_BLOCKS = 64, // a power of two
    MOST_DIMENSIONS = 512,
    FILTERED_FROM = 3,
    WHOLE_FROM = 4, // dimensions; and from WHOLE_CELLS values in the book on, since points take longer to prepare
    WHOLE_TO = 128,
    WHOLE_CELLS = 256,
    BOXED_TO = 8, // dimensions
    BOXED_FROM_BLOCKS = 160,
    BOXED_TO_BLOCKS = 4096,
    BOXED_POINTS = 2048, // or more: sorting takes as long as some hundreds
    MEAN_RUN = 1024,
};
_Static_assert((PANEL_BLOCKS & (PANEL_BLOCKS - 1)) == 0, "marks are whole bits");
#define FLOAT_MOST 0x1.fffffep127f
#define NO_BLOCK UINT32_MAX

typedef enum cluster_filter { FILTER_NONE, FILTER_FLOAT, FILTER_WHOLE, FILTERS } cluster_filter;

// By how much two estimates for a point must differ: `least`, and more with its |x|1 and |x|^2. Squares that are not below
// `farthest` are out of bounds.
typedef struct cluster_margin {
    float least, of_sum, of_square, farthest;
} cluster_margin;

// The centroids as all threads read them, made before the first group runs.
typedef struct cluster_book {
    uint32_t k, d, blocks; // the last centroid is repeated to a whole block
    cluster_filter filter;
    const float *centroids;              // rows as they lie
    uint32_t *labels;                    // [block][BLOCK], which row it is, rising within a block
    float *coordinates, *squares;        // [block][d][BLOCK], [block][BLOCK]
    int32_t *pairs, *whole_squares;      // [block][ceil(d / 2)][BLOCK], and [block][BLOCK] in units of 2 q^2
    float widest;                        // largest |c|^2
    float middle[WHOLE_TO], step, reach; // of FILTER_WHOLE, as far as points may be from the middle; then also:
    float middle_widest, middle_sum;     // largest |c|^2 and |c|1 from the middle
    cluster_margin margins[FILTERS];
    bool boxed;                          // of FILTER_WHOLE: points go by boxes, one round each block, one round each WIDTH
    uint32_t groups;                     // of WIDTH blocks
    int32_t *boxes, *group_boxes;        // [box / WIDTH][ceil(d / 2)][middle, half side][WIDTH]
} cluster_book;

// In functions of their own, so that their sums and nothing else have the registers.
#define TILE_FUNCTION static __attribute__((noinline)) void
#define TILE_INLINE static inline __attribute__((always_inline)) void

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

// Whole numbers need the float ones' too, which take over where they are of little use. The last terms stand for products
// below the normal floats.
static void find_margins(cluster_book *book) {
    float d = (float)book->d, u = 0x1p-24f, tiny = d * 0x1p-120f;
    float q = book->step, wide = book->middle_widest, each = 1.02f * q;
    book->margins[FILTER_FLOAT] = (cluster_margin){
        .least = 2.1f * u * (d + 1) * 3 * book->widest + tiny, .of_square = 2.1f * u * (d + 1), .farthest = 1e36f - book->widest};
    book->margins[FILTER_WHOLE] = (cluster_margin){
        .least = 2.1f * (each * (book->middle_sum + 1.53f * q * d) + (1 + 2 * PANEL_BLOCKS) * q * q + u * (d + 10) * wide) + tiny,
        .of_sum = 2.1f * each, .of_square = 2.1f * u * 4, .farthest = 1e36f};
}

static void choose_filter(cluster_book *book) {
    book->filter = book->d < FILTERED_FROM ? FILTER_NONE : FILTER_FLOAT;
#ifdef SIMD_WHOLE
    bool worth = book->d >= WHOLE_FROM && book->d <= WHOLE_TO && (uint64_t)book->k * book->d >= WHOLE_CELLS;
    if (worth && find_middle(book)) book->filter = FILTER_WHOLE;
#endif
    if (book->filter == FILTER_NONE) return;
    measure_book(book);
    if (book->filter == FILTER_WHOLE && !(book->widest <= 0x1p100f)) book->filter = FILTER_FLOAT;
    find_margins(book);
}
