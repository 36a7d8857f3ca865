// SPDX-License-Identifier: Apache-2.0
// The centroids as all threads read them, in blocks: their coordinates, squares, pairs of whole numbers, boxes.

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
        const float *centroid = book->centroids + (size_t)book->labels[at * BLOCK + i] * book->d;
        for (uint32_t j = 0; j < book->d; j++) block[j * BLOCK + i] = centroid[j];
    }
#ifdef SIMD_WHOLE
    if (book->filter == FILTER_WHOLE) pair_block(book, block, at);
    if (book->boxed) box_block(book, at);
#endif
    if (book->filter != FILTER_NONE) square_block(book, block, book->squares + at * BLOCK);
}

// Whether points of d dimensions can be spared most of k centroids, as far as can be told beforehand.
static bool worth_boxes(uint32_t blocks, uint32_t d) {
    return d >= WHOLE_FROM && d <= BOXED_TO && blocks >= BOXED_FROM_BLOCKS && blocks <= BOXED_TO_BLOCKS;
}

static void sort_book(cluster_book *book) {
    for (uint32_t i = 0; i < book->k; i++) book->labels[i] = i;
#ifdef SIMD_WHOLE
    if (book->boxed) sort_centroids(book, book->labels, book->k, (uint64_t *)(void *)book->coordinates); // not yet used
#endif
    for (uint32_t i = book->k; i < book->blocks * BLOCK; i++) book->labels[i] = book->labels[book->k - 1];
}

// Where a book's arrays begin behind it, in bytes: on lines of 64, which every array is some of.
typedef struct book_layout {
    size_t labels, coordinates, squares, whole_squares, pairs, boxes, group_boxes, size;
} book_layout;

static size_t take_lines(size_t *size, size_t lines) {
    size_t first = *size;
    *size += lines * BLOCK * sizeof(float);
    return first;
}

static book_layout lay_out_book(uint32_t blocks, uint32_t d) {
    size_t pairs = (d + 1) / 2, sides = worth_boxes(blocks, d) ? 2 * pairs : 0, groups = hel_ceil_div(blocks, WIDTH);
    book_layout at = {.size = hel_round_up(sizeof(cluster_book), BLOCK * sizeof(float))};
    at.labels = take_lines(&at.size, blocks);
    at.coordinates = take_lines(&at.size, (size_t)blocks * d);
    at.squares = take_lines(&at.size, blocks);
    at.whole_squares = take_lines(&at.size, blocks);
    at.pairs = take_lines(&at.size, blocks * pairs);
    at.boxes = take_lines(&at.size, groups * sides);
    at.group_boxes = take_lines(&at.size, hel_ceil_div(groups, WIDTH) * sides);
    return at;
}

static void make_book(cluster_book *book, const hel_kmeans_assign_params *p, const float *centroids) {
    uint32_t blocks = (uint32_t)hel_ceil_div(p->k, BLOCK);
    book_layout at = lay_out_book(blocks, p->d);
    char *room = (char *)book;
    *book = (cluster_book){.k = p->k, .d = p->d, .blocks = blocks, .centroids = centroids,
                           .labels = (void *)(room + at.labels), .coordinates = (void *)(room + at.coordinates),
                           .squares = (void *)(room + at.squares), .whole_squares = (void *)(room + at.whole_squares),
                           .pairs = (void *)(room + at.pairs), .groups = (uint32_t)hel_ceil_div(blocks, WIDTH),
                           .boxes = (void *)(room + at.boxes), .group_boxes = (void *)(room + at.group_boxes)};
    choose_filter(book);
    book->boxed = book->filter == FILTER_WHOLE && p->n >= BOXED_POINTS && worth_boxes(book->blocks, p->d);
    sort_book(book);
    for (uint32_t b = 0; b < book->blocks; b++) pack_block(book, b);
#ifdef SIMD_WHOLE
    if (book->boxed) box_groups(book);
#endif
}
