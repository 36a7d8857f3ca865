// SPDX-License-Identifier: Apache-2.0
// The order of a large book in few dimensions, and boxes: centroids are sorted into blocks of neighbours, halved across the
// dimension in which they reach farthest (a k-d tree, after Bentley, "Multidimensional binary search trees", 1975), and each
// block has a box round its centroids, each WIDTH blocks have one round theirs.
//
// Boxes are counted in steps of 4 q (q: kmeans_bounds.inc.c) and reach two steps beyond what they hold: rounding to q and
// from there down to 4 q loses less, for a centroid and a point together. So a point is as far from a box as its whole
// distance says, or farther.
#ifdef SIMD_WHOLE

enum { BOX_SHIFT = 2, BOX_MARGIN = 2 };

// ---------------------------------------------------------------- the order of centroids

static void insert_in_order(uint64_t *values, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = values[i];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
        values[at] = value;
    }
}

static uint64_t middle_of(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t low = HEL_MIN(a, b), high = HEL_MAX(a, b);
    return c < low ? low : c < high ? c : high;
}

// The `first` least of values that all differ, in front of the others (Hoare 1961, "Find").
static void put_least_first(uint64_t *values, uint32_t count, uint32_t first) {
    uint32_t low = 0, high = count;
    while (high - low > BLOCK) {
        uint64_t pivot = middle_of(values[low], values[low + (high - low) / 2], values[high - 1]);
        uint32_t at = low;
        for (uint32_t i = low; i < high; i++) { // without branches
            uint64_t value = values[i];
            values[i] = values[at];
            values[at] = value;
            at += value < pivot;
        }
        if (at < first) low = at;
        else high = at;
    }
    insert_in_order(values + low, high - low);
}

static uint32_t widest_dimension(const cluster_book *book, const uint32_t *labels, uint32_t count) {
    float low[BOXED_TO], high[BOXED_TO];
    uint32_t d = book->d, widest = 0;
    memcpy(low, book->centroids + (size_t)labels[0] * d, d * sizeof *low);
    memcpy(high, low, d * sizeof *high);
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = 0; j < d; j++) {
            float x = book->centroids[(size_t)labels[i] * d + j];
            low[j] = HEL_MIN(low[j], x);
            high[j] = HEL_MAX(high[j], x);
        }
    for (uint32_t j = 1; j < d; j++)
        if (high[j] - low[j] > high[widest] - low[widest]) widest = j;
    return widest;
}

// Whole blocks on either side of a cut, on the left a power of two of them, so that boxes of WIDTH blocks hold neighbours too.
static void sort_centroids(const cluster_book *book, uint32_t *labels, uint32_t count, uint64_t *room) {
    uint32_t half = BLOCK;
    if (count <= BLOCK) { // the lowest label first
        for (uint32_t i = 0; i < count; i++) room[i] = labels[i];
        insert_in_order(room, count);
    } else {
        uint32_t j = widest_dimension(book, labels, count);
        while (2 * half < count) half *= 2;
        const float *column = book->centroids + j;
        for (uint32_t i = 0; i < count; i++)
            room[i] = (uint64_t)hel_float_key(column[(size_t)labels[i] * book->d]) << 32 | labels[i];
        put_least_first(room, count, half);
    }
    for (uint32_t i = 0; i < count; i++) labels[i] = (uint32_t)room[i];
    if (count <= BLOCK) return;
    sort_centroids(book, labels, half, room);
    sort_centroids(book, labels + half, count - half, room);
}

// ---------------------------------------------------------------- boxes

static int32_t half_word(int32_t word, uint32_t high) { return (int16_t)((uint32_t)word >> 16 * high); }

// Of one dimension, of box `at`.
static void put_sides(int32_t *boxes, uint32_t pairs, uint32_t at, uint32_t j, int32_t low, int32_t high) {
    int32_t *words = boxes + (at / WIDTH * pairs + j / 2) * 2 * WIDTH + at % WIDTH;
    uint32_t shift = j % 2 * 16;
    int32_t middle = (low + high) >> 1, half = high - middle; // as far as it is to `low`, or one more
    if (!shift) words[0] = words[WIDTH] = 0;
    words[0] |= (int32_t)(((uint32_t)middle & 0xffff) << shift);
    words[WIDTH] |= (int32_t)((uint32_t)half << shift);
}

// The last box once more in what is left of its vector.
static void repeat_box(int32_t *boxes, uint32_t pairs, uint32_t count) {
    int32_t *last = boxes + (count - 1) / WIDTH * pairs * 2 * WIDTH;
    for (uint32_t i = (count - 1) % WIDTH + 1; i < WIDTH; i++)
        for (uint32_t side = 0; side < 2 * pairs; side++) last[side * WIDTH + i] = last[side * WIDTH + i - 1];
}

static void box_block(const cluster_book *book, uint32_t at) {
    uint32_t pairs = (book->d + 1) / 2;
    for (uint32_t j = 0; j < 2 * pairs; j++) {
        const int32_t *words = book->pairs + ((size_t)at * pairs + j / 2) * BLOCK;
        int32_t low = INT32_MAX, high = INT32_MIN;
        for (uint32_t i = 0; i < BLOCK; i++) {
            int32_t x = half_word(words[i], j % 2);
            low = HEL_MIN(low, x);
            high = HEL_MAX(high, x);
        }
        put_sides(book->boxes, pairs, at, j, (low >> BOX_SHIFT) - BOX_MARGIN, (high >> BOX_SHIFT) + BOX_MARGIN);
    }
}

static void box_group(const cluster_book *book, uint32_t at) {
    uint32_t pairs = (book->d + 1) / 2, here = HEL_MIN(WIDTH, book->blocks - at * WIDTH);
    for (uint32_t j = 0; j < 2 * pairs; j++) {
        const int32_t *words = book->boxes + (at * pairs + j / 2) * 2 * WIDTH;
        int32_t low = INT32_MAX, high = INT32_MIN;
        for (uint32_t i = 0; i < here; i++) {
            int32_t middle = half_word(words[i], j % 2), half = half_word(words[WIDTH + i], j % 2);
            low = HEL_MIN(low, middle - half);
            high = HEL_MAX(high, middle + half);
        }
        put_sides(book->group_boxes, pairs, at, j, low, high);
    }
}

// Of a book whose blocks are packed.
static void box_groups(const cluster_book *book) {
    uint32_t pairs = (book->d + 1) / 2;
    repeat_box(book->boxes, pairs, book->blocks);
    for (uint32_t g = 0; g < book->groups; g++) box_group(book, g);
    repeat_box(book->group_boxes, pairs, book->groups);
}
#endif
