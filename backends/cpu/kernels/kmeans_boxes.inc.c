// SPDX-License-Identifier: Apache-2.0
// A point and a book in boxes (kmeans_tree.inc.c): it meets two blocks whose boxes are near, then all whose boxes are no farther
// than the nearest centroid of those. All in whole numbers, and within their bounds (kmeans_bounds.inc.c).
#ifdef SIMD_WHOLE

enum { BOXED_PAIRS = BOXED_TO / 2 };

typedef struct boxed_point {
    ivec pairs[BOXED_PAIRS]; // times -1, in steps of 4 q
} boxed_point;

// `pairs` is a constant where these are inlined.
TILE_INLINE box_point(const cluster_batches *b, uint32_t i, const uint32_t pairs, boxed_point *out) {
    const int32_t *from = point_pairs(b, i, pairs);
    for (uint32_t p = 0; p < pairs; p++) out->pairs[p] = ivec_shift16(ivec_set(from[p * BATCH]), BOX_SHIFT);
}

static inline __attribute__((always_inline)) ivec box_distances(const int32_t *boxes, uint32_t vector, const boxed_point *x,
                                                                const uint32_t pairs) {
    ivec sum = ivec_set(0);
    boxes += vector * pairs * 2 * WIDTH;
    for (uint32_t p = 0; p < pairs; p++, boxes += 2 * WIDTH) {
        ivec outside = ivec_above16(ivec_magnitude16(ivec_add16(x->pairs[p], ivec_load(boxes))), ivec_load(boxes + WIDTH));
        sum = ivec_add_pairs(outside, outside, sum);
    }
    return sum;
}

// ---------------------------------------------------------------- how far to look

// The first lane with the least distance: never one behind the last box, as those repeat it.
static inline uint32_t nearest_lane(ivec distances, int32_t least) {
    return (uint32_t)__builtin_ctz(ivec_equal_lanes(distances, ivec_set(least)));
}

static inline __attribute__((always_inline)) uint32_t nearest_group(const cluster_book *book, const boxed_point *x,
                                                                    const uint32_t pairs) {
    ivec nearest = box_distances(book->group_boxes, 0, x, pairs), vector = ivec_set(0);
    for (uint32_t v = 1; v * WIDTH < book->groups; v++) {
        ivec distances = box_distances(book->group_boxes, v, x, pairs);
        vector = ivec_select_less(distances, nearest, ivec_set((int32_t)v), vector);
        nearest = ivec_min(distances, nearest);
    }
    int32_t vectors[WIDTH];
    ivec_store(vectors, vector);
    uint32_t lane = nearest_lane(nearest, ivec_least(nearest));
    return (uint32_t)vectors[lane] * WIDTH + lane;
}

TILE_INLINE guess_least(cluster_search *s, uint32_t i, const uint32_t pairs) {
    const cluster_book *book = s->book;
    boxed_point x;
    box_point(&s->batches, i, pairs, &x);
    uint32_t at = nearest_group(book, &x, pairs);
    ivec distances = box_distances(book->boxes, at, &x, pairs);
    int32_t nearest_of_all = ivec_least(distances);
    uint32_t first = nearest_lane(distances, nearest_of_all);
    distances = ivec_select_less(ivec_set(nearest_of_all), distances, distances, ivec_set(INT32_MAX));
    uint32_t second = nearest_lane(distances, ivec_least(distances));
    const int32_t *point = point_pairs(&s->batches, i, pairs);
    ivec least = ivec_set(INT32_MAX);
    for (uint32_t v = 0; v < BLOCK; v += WIDTH) {
        least = ivec_min(whole_sum(book, at * WIDTH + first, v, point, pairs), least);
        least = ivec_min(whole_sum(book, at * WIDTH + second, v, point, pairs), least);
    }
    s->batches.least[i] = (float)ivec_least(least) * (2 * book->step * book->step);
}

// Boxes farther than these, in steps of 4 q, squared, hold nothing for the points of a vector. What |x|^2 and the arithmetic
// here are off by is in the margins, which are of two estimates where one is needed.
static void find_limits(const cluster_search *s, uint32_t i, int32_t limits[WIDTH]) {
    const cluster_batches *b = &s->batches;
    float step = s->book->step * (1 << BOX_SHIFT);
    vec most = vec_mul(vec_add(least_distances(b, i), vec_load(b->bound + i)), vec_set((1 + 0x1p-20f) / (step * step)));
    ivec_store(limits, ivec_of_floats(vec_lesser(most, vec_set(0x1.fffffcp30f))));
}

// ---------------------------------------------------------------- the blocks of each point

// What some points are near, one point's after the other's: those of point i end at end[i]. Each step is taken for several
// points, so that a loop knows its end before it begins; whole vectors are written.
enum { NEAR_ROOM = 4 * BOXED_TO_BLOCKS };

typedef struct near_boxes {
    uint32_t end[WIDTH];
    int32_t *boxes;
} near_boxes;

static inline uint32_t first_of(const near_boxes *near, uint32_t lane) { return lane ? near->end[lane - 1] : 0; }

static inline uint32_t lanes_within(ivec distances, int32_t limit, uint32_t end) {
    uint32_t valid = end < WIDTH ? (1u << end) - 1 : (uint32_t)((UINT64_C(1) << WIDTH) - 1);
    return ~ivec_less_lanes(ivec_set(limit), distances) & valid;
}

TILE_INLINE list_groups(const cluster_search *s, uint32_t first, uint32_t points, const int32_t *limits, const uint32_t pairs,
                        near_boxes *out) {
    const cluster_book *book = s->book;
    uint32_t count = 0;
    for (uint32_t lane = 0; lane < points; lane++) {
        boxed_point x;
        box_point(&s->batches, first + lane, pairs, &x);
        for (uint32_t group = 0; group < book->groups; group += WIDTH) {
            ivec distances = box_distances(book->group_boxes, group / WIDTH, &x, pairs);
            uint32_t lanes = lanes_within(distances, limits[lane], book->groups - group);
            count += ivec_list_lanes(lanes, (int32_t)group, out->boxes + count);
        }
        out->end[lane] = count;
    }
}

TILE_INLINE list_blocks(const cluster_search *s, uint32_t first, uint32_t points, const int32_t *limits,
                        const near_boxes *groups, const uint32_t pairs, near_boxes *out) {
    const cluster_book *book = s->book;
    uint32_t count = 0;
    for (uint32_t lane = 0; lane < points; lane++) {
        boxed_point x;
        box_point(&s->batches, first + lane, pairs, &x);
        for (uint32_t i = first_of(groups, lane); i < groups->end[lane]; i++) {
            uint32_t group = (uint32_t)groups->boxes[i];
            ivec distances = box_distances(book->boxes, group, &x, pairs);
            uint32_t lanes = lanes_within(distances, limits[lane], book->blocks - group * WIDTH);
            count += ivec_list_lanes(lanes, (int32_t)(group * WIDTH), out->boxes + count);
        }
        out->end[lane] = count;
    }
}

// The least and second estimate of each lane, and the block of the first.
typedef struct lane_ranks {
    ivec least[BLOCK_VECTORS], second[BLOCK_VECTORS], block[BLOCK_VECTORS];
} lane_ranks;

TILE_INLINE rank_lanes(const cluster_search *s, uint32_t at, const int32_t *blocks, uint32_t count, const uint32_t pairs,
                       lane_ranks *out) {
    const int32_t *point = point_pairs(&s->batches, at, pairs);
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) {
        ivec least = ivec_set(INT32_MAX), second = least, block = ivec_set(0);
        for (uint32_t i = 0; i < count; i++) {
            ivec now = whole_sum(s->book, (uint32_t)blocks[i], v * WIDTH, point, pairs);
            second = ivec_min(second, ivec_max(now, least));
            block = ivec_select_less(now, least, ivec_set(blocks[i]), block);
            least = ivec_min(now, least);
        }
        out->least[v] = least, out->second[v] = second, out->block[v] = block;
    }
}

// Lanes whose estimate is no farther above the least than the bound; `out_more` says whether that is so of a second of one.
static inline __attribute__((always_inline)) uint32_t near_ranks(const cluster_search *s, const lane_ranks *ranks, float bound,
                                                                 bool *out_more) {
    ivec least = ranks->least[0];
    for (uint32_t v = 1; v < BLOCK_VECTORS; v++) least = ivec_min(least, ranks->least[v]);
    float steps = bound / (2 * s->book->step * s->book->step) + 2;
    int64_t most = (int64_t)ivec_least(least) + (steps < 0x1p31f ? (int64_t)steps : INT32_MAX);
    ivec limit = ivec_set((int32_t)HEL_MIN(most, INT32_MAX));
    uint32_t lanes = 0, more = 0;
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) {
        lanes |= ivec_less_lanes(ranks->least[v], limit) << v * WIDTH;
        more |= ivec_less_lanes(ranks->second[v], limit);
    }
    *out_more = more;
    return lanes;
}

static void choose_near(cluster_search *s, uint32_t i, const lane_ranks *ranks, const int32_t *blocks, uint32_t count) {
    cluster_batches *b = &s->batches;
    if (!(b->bound[i] < INFINITY)) {
        take_book(s, i);
        return;
    }
    bool more;
    uint32_t lanes = near_ranks(s, ranks, b->bound[i], &more), first = lanes ? (uint32_t)__builtin_ctz(lanes) : 0;
    int32_t of_lanes[BLOCK];
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) ivec_store(of_lanes + v * WIDTH, ranks->block[v]);
    if (more)
        for (uint32_t n = 0; n < count; n++) take_block(s, i, (uint32_t)blocks[n]);
    else if (lanes & (lanes - 1))
        for (; lanes; lanes &= lanes - 1) take_block(s, i, (uint32_t)of_lanes[__builtin_ctz(lanes)]);
    else b->label[i] = s->book->labels[(uint32_t)of_lanes[first] * BLOCK + first];
}

// Returns how many blocks the points met.
static inline __attribute__((always_inline)) uint32_t choose_few(cluster_search *s, uint32_t first, uint32_t points,
                                                                 const int32_t *limits, const uint32_t pairs) {
    int32_t of_groups[NEAR_ROOM / WIDTH + 2 * WIDTH], of_blocks[NEAR_ROOM + WIDTH];
    near_boxes groups = {.boxes = of_groups}, blocks = {.boxes = of_blocks};
    lane_ranks ranks[WIDTH];
    list_groups(s, first, points, limits, pairs, &groups);
    list_blocks(s, first, points, limits, &groups, pairs, &blocks);
    for (uint32_t i = 0; i < points; i++) {
        uint32_t at = first_of(&blocks, i);
        rank_lanes(s, first + i, blocks.boxes + at, blocks.end[i] - at, pairs, &ranks[i]);
    }
    for (uint32_t i = 0; i < points; i++) {
        uint32_t at = first_of(&blocks, i);
        choose_near(s, first + i, &ranks[i], blocks.boxes + at, blocks.end[i] - at);
    }
    return blocks.end[points - 1];
}

static inline __attribute__((always_inline)) uint64_t choose_boxed_of(cluster_search *s, const uint32_t pairs) {
    cluster_batches *b = &s->batches;
    uint32_t at_once = HEL_MIN(WIDTH, NEAR_ROOM / s->book->blocks);
    uint64_t met = 0;
    for (uint32_t first = 0; first < b->count; first += WIDTH) {
        int32_t limits[WIDTH];
        uint32_t here = HEL_MIN(WIDTH, b->count - first);
        for (uint32_t lane = 0; lane < WIDTH; lane++) guess_least(s, first + lane, pairs);
        find_bounds(s, first);
        find_limits(s, first, limits);
        for (uint32_t lane = 0; lane < here; lane += at_once)
            met += choose_few(s, first + lane, HEL_MIN(at_once, here - lane), limits + lane, pairs);
    }
    return met;
}

static uint64_t choose_boxed(cluster_search *s) {
    switch ((s->book->d + 1) / 2) {
    case 2: return choose_boxed_of(s, 2);
    case 3: return choose_boxed_of(s, 3);
    default: return choose_boxed_of(s, BOXED_PAIRS);
    }
}

// Whether that was worth it: to find and meet a block takes six times as long as to pass it in a batch, and a point as long as
// 24 blocks before it meets any (measured in 4 to 8 dimensions).
static bool boxes_pay(const cluster_book *book, uint32_t points, uint64_t met) {
    return 6 * (met + 24 * (uint64_t)points) < (uint64_t)points * book->blocks;
}

// By points from some places.
static bool boxes_pay_some(const cluster_book *book, const float *points, uint32_t n) {
    enum { PLACES = 4 };
    cluster_search s;
    s.book = book, s.points = points, s.filter = FILTER_WHOLE;
    uint32_t each = HEL_MIN(BATCH, n / PLACES);
    uint64_t met = 0;
    for (uint32_t place = 0; place < PLACES; place++) {
        load_points(&s, n / PLACES * place, each);
        met += choose_boxed(&s);
    }
    return boxes_pay(book, PLACES * each, met);
}
#endif
