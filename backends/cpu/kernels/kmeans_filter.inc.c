// SPDX-License-Identifier: Apache-2.0
// The least estimate over each block of centroids, for batches of points, and the least three of those.
typedef struct cluster_batches {
    const float *points; // rows as they lie
    uint32_t count;
    union {
        float coordinates[POINTS_ROOM]; // [batch][d][BATCH]; times -2 for the filter
        int32_t pairs[POINTS_ROOM];     // [batch][ceil(d / 2)][BATCH]; times -1
    };
    float square[MOST_POINTS], margin[MOST_POINTS], bound[MOST_POINTS]; // |x|^2; the bound but for the C form's part, and with it
    float least[MOST_POINTS], second[MOST_POINTS], third[MOST_POINTS];
    uint32_t block[MOST_POINTS], second_block[MOST_POINTS];
    float distance[MOST_POINTS]; // the C form's, of the label so far
    uint32_t label[MOST_POINTS];
} cluster_batches;

typedef struct cluster_search {
    const cluster_book *book;
    const float *points;
    cluster_filter filter; // the book's, or FILTER_FLOAT once that has been of little use
    bool boxed;            // the book is, and that has been of use
    cluster_batches batches;
} cluster_search;

// ---------------------------------------------------------------- points

// Where point i's first number is among batches of so many rows; the next is BATCH farther on.
static inline size_t batch_place(uint32_t i, size_t rows) { return i / BATCH * BATCH * rows + i % BATCH; }

// Up to WIDTH points as columns, BATCH floats apart; the last one stands for those that are missing.
static void transpose_points(const float *points, uint32_t count, uint32_t d, float *to) {
    for (uint32_t j = 0; j < d; j += WIDTH, to += WIDTH * BATCH) {
        vec square[WIDTH];
        uint32_t here = HEL_MIN(WIDTH, d - j);
        const float *from = points + j;
        for (uint32_t i = 0; i < WIDTH; i++) {
            square[i] = load_some(from, here);
            if (i + 1 < count) from += d;
        }
        vec_transpose(square);
        for (uint32_t i = 0; i < here; i++) vec_store(to + i * BATCH, square[i]);
    }
}

// |x|^2 and the margins of the points of a vector, counted from the book's middle where the filter does. Of points out of reach
// the estimates mean nothing.
static void measure_points(const cluster_search *s, const float *columns, float *squares, float *margins) {
    const cluster_book *book = s->book;
    const cluster_margin *margin = &book->margins[s->filter];
    bool whole = s->filter == FILTER_WHOLE;
    vec square = vec_zero(), sum = vec_zero(), most = vec_zero();
    for (uint32_t j = 0; j < book->d; j++) {
        vec away = vec_sub(vec_load(columns + j * BATCH), vec_set(whole ? book->middle[j] : 0.0f));
        vec magnitude = vec_greater(away, vec_sub(vec_zero(), away));
        square = vec_fma(away, away, square);
        sum = vec_add(sum, magnitude);
        most = vec_greater(most, magnitude);
    }
    vec needed = vec_fma(square, vec_set(margin->of_square), vec_set(margin->least));
    if (whole) needed = vec_fma(sum, vec_set(margin->of_sum), needed);
    needed = vec_select(vec_less(square, vec_set(margin->farthest)), needed, vec_set(INFINITY));
    if (whole) needed = vec_select(vec_less(vec_set(book->reach), most), vec_set(INFINITY), needed);
    vec_store(squares, square);
    vec_store(margins, needed);
}

static void load_vector(cluster_search *s, uint32_t at) {
    cluster_batches *b = &s->batches;
    uint32_t d = s->book->d, first = HEL_MIN(at, b->count - 1);
    float room[BATCH * WHOLE_TO], *columns = s->filter == FILTER_WHOLE ? room : b->coordinates + batch_place(at, d);
    transpose_points(b->points + (size_t)first * d, b->count - first, d, columns);
    if (s->filter == FILTER_NONE) return;
    measure_points(s, columns, b->square + at, b->margin + at);
#ifdef SIMD_WHOLE
    if (s->filter == FILTER_WHOLE) {
        pair_vector(s->book, columns, BATCH, -1 / s->book->step, b->pairs + batch_place(at, (d + 1) / 2));
        return;
    }
#endif
    for (uint32_t j = 0; j < d; j++) vec_store(columns + j * BATCH, vec_mul(vec_load(columns + j * BATCH), vec_set(-2.0f)));
}

static void load_points(cluster_search *s, uint32_t first, uint32_t count) {
    cluster_batches *b = &s->batches;
    b->points = s->points + (size_t)first * s->book->d;
    b->count = count;
    uint32_t padded = (uint32_t)hel_round_up(count, BATCH);
    for (uint32_t i = 0; i < padded; i++) {
        b->least[i] = b->second[i] = b->third[i] = b->distance[i] = FLOAT_MOST;
        b->block[i] = b->second_block[i] = NO_BLOCK;
        b->label[i] = 0;
    }
    for (uint32_t i = 0; i < padded; i += WIDTH) load_vector(s, i);
}

// ---------------------------------------------------------------- the least over each block, for a batch

typedef struct cluster_panel { uint32_t first, end; } cluster_panel; // blocks of the book

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

// Marked: the last bits of an estimate tell which block of the panel it is of.
TILE_FUNCTION whole_blocks(const cluster_book *book, cluster_panel panel, const int32_t *points, int32_t *out) {
    size_t pairs = (book->d + 1) / 2;
    for (size_t block = panel.first; block < panel.end; block++, out += BATCH) {
        ivec least[VECTORS_AT_ONCE], mark = ivec_set((int32_t)(block - panel.first));
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = ivec_set(INT32_MAX);
        for (size_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            whole_tile(points, book->pairs + block * BLOCK * pairs + c, book->whole_squares + block * BLOCK + c, pairs, least);
        for (size_t v = 0; v < VECTORS_AT_ONCE; v++)
            ivec_store(out + v * WIDTH, ivec_or(ivec_and(least[v], ivec_set(-PANEL_BLOCKS)), mark));
    }
}
#endif

// ---------------------------------------------------------------- one point and a vector of centroids, the same estimates

static vec float_estimate(const cluster_search *s, uint32_t i, uint32_t block, uint32_t lane) {
    size_t d = s->book->d;
    const float *point = s->batches.coordinates + batch_place(i, d);
    const float *centroids = s->book->coordinates + block * BLOCK * d + lane;
    vec sum = vec_load(s->book->squares + block * BLOCK + lane);
    for (const float *end = point + d * BATCH; point < end; point += BATCH, centroids += BLOCK)
        sum = vec_fma(vec_set(*point), vec_load(centroids), sum);
    return sum;
}

#ifdef SIMD_WHOLE
static inline const int32_t *point_pairs(const cluster_batches *b, uint32_t i, size_t pairs) {
    return b->pairs + batch_place(i, pairs);
}

// In units of 2 q^2, without a mark.
static inline __attribute__((always_inline)) ivec whole_sum(const cluster_book *book, uint32_t block, uint32_t lane,
                                                            const int32_t *point, const size_t pairs) {
    const int32_t *centroids = book->pairs + block * BLOCK * pairs + lane;
    ivec sum = ivec_load(book->whole_squares + block * BLOCK + lane);
    for (size_t p = 0; p < pairs; p++)
        sum = ivec_add_pairs(ivec_set(point[p * BATCH]), ivec_load(centroids + p * BLOCK), sum);
    return sum;
}
#endif

static inline vec estimate(const cluster_search *s, uint32_t i, uint32_t block, uint32_t lane) {
#ifdef SIMD_WHOLE
    const cluster_book *book = s->book;
    size_t pairs = (book->d + 1) / 2;
    if (s->filter == FILTER_WHOLE) {
        ivec sum = whole_sum(book, block, lane, point_pairs(&s->batches, i, pairs), pairs);
        return vec_mul(vec_of_ints(sum), vec_set(2 * book->step * book->step));
    }
#endif
    return float_estimate(s, i, block, lane);
}

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

static inline ranking load_ranking(const cluster_batches *b, uint32_t i) {
    return (ranking){vec_load(b->least + i), vec_load(b->second + i), vec_load(b->third + i), load_words(b->block + i),
                     load_words(b->second_block + i)};
}

static inline void store_ranking(cluster_batches *b, uint32_t i, const ranking *r) {
    vec_store(b->least + i, r->least), vec_store(b->second + i, r->second), vec_store(b->third + i, r->third);
    store_words(b->block + i, r->block), store_words(b->second_block + i, r->second_block);
}

// Keeps the least estimate, the least two or the least three; `kept` is a constant where this is inlined. Of two the second
// stands for the third.
TILE_INLINE rank_estimate(ranking *r, vec now, vec block, const uint32_t kept) {
    vec_mask nearer = vec_less(now, r->least);
    if (kept == 3) {
        r->second_block = vec_select(vec_less(now, r->second), block, r->second_block);
        r->second_block = vec_select(nearer, r->block, r->second_block);
        r->third = vec_lesser(r->third, vec_greater(now, r->second));
    }
    if (kept >= 2) r->second = vec_lesser(r->second, vec_greater(now, r->least));
    if (kept == 2) r->third = r->second;
    r->least = vec_lesser(now, r->least);
    r->block = vec_select(nearer, block, r->block);
}

TILE_INLINE rank_blocks(cluster_batches *b, uint32_t at, const float *estimates, cluster_panel panel, const uint32_t kept) {
    ranking ranks[VECTORS_AT_ONCE];
    for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) ranks[v] = load_ranking(b, at + v * WIDTH);
    for (uint32_t block = panel.first; block < panel.end; block++, estimates += BATCH)
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++)
            rank_estimate(&ranks[v], vec_load(estimates + v * WIDTH), vec_set(hel_bits_float(block)), kept);
    for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) store_ranking(b, at + v * WIDTH, &ranks[v]);
}

#ifdef SIMD_WHOLE
// The least three of a panel, by their marks alone, go in among those of the panels before.
static void rank_whole_blocks(cluster_search *s, uint32_t at, const int32_t *estimates, cluster_panel panel) {
    ivec least[3][VECTORS_AT_ONCE];
    vec unit = vec_set(2 * s->book->step * s->book->step);
    for (uint32_t n = 0; n < 3; n++)
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) least[n][v] = ivec_set(INT32_MAX);
    for (uint32_t block = panel.first; block < panel.end; block++, estimates += BATCH)
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
            ivec now = ivec_load(estimates + v * WIDTH), above = ivec_max(now, least[0][v]);
            least[0][v] = ivec_min(now, least[0][v]);
            least[2][v] = ivec_min(ivec_max(above, least[1][v]), least[2][v]);
            least[1][v] = ivec_min(above, least[1][v]);
        }
    for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
        ranking r = load_ranking(&s->batches, at + v * WIDTH);
        for (uint32_t n = 0; n < HEL_MIN(3, panel.end - panel.first); n++) {
            ivec block = ivec_add(ivec_and(least[n][v], ivec_set(PANEL_BLOCKS - 1)), ivec_set((int32_t)panel.first));
            rank_estimate(&r, vec_mul(vec_of_ints(least[n][v]), unit), vec_of_bits(block), 3);
        }
        store_ranking(&s->batches, at + v * WIDTH, &r);
    }
}
#endif

static void compare_batch(cluster_search *s, uint32_t batch, cluster_panel panel) {
    const cluster_book *book = s->book;
    uint32_t at = batch * BATCH;
#ifdef SIMD_WHOLE
    if (s->filter == FILTER_WHOLE) {
        int32_t estimates[PANEL_BLOCKS * BATCH];
        whole_blocks(book, panel, s->batches.pairs + (size_t)at * ((book->d + 1) / 2), estimates);
        rank_whole_blocks(s, at, estimates, panel);
        return;
    }
#endif
    float estimates[PANEL_BLOCKS * BATCH];
    const float *points = s->batches.coordinates + (size_t)at * book->d;
    if (s->filter == FILTER_NONE) {
        narrow_blocks(book, panel, points, estimates);
        rank_blocks(&s->batches, at, estimates, panel, 1);
    } else {
        filter_blocks(book, panel, points, estimates);
        rank_blocks(&s->batches, at, estimates, panel, 2);
    }
}
