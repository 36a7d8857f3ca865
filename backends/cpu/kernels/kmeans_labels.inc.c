// SPDX-License-Identifier: Apache-2.0
// From estimates to labels: what they do not rule out is gone over in the C form's arithmetic.

// ---------------------------------------------------------------- one point, in the C form's arithmetic

static inline vec distance_vector(const float *point, const float *coordinates, uint32_t d) {
    vec sum = vec_zero();
    for (uint32_t j = 0; j < d; j++) {
        vec difference = vec_sub(vec_set(point[j]), vec_load(coordinates + j * BLOCK));
        sum = vec_add(sum, vec_mul(difference, difference));
    }
    return sum;
}

// Takes the first of the block's nearest centroids where it is the nearest so far.
static void take_block(cluster_search *s, uint32_t i, uint32_t block) {
    cluster_batches *b = &s->batches;
    uint32_t d = s->book->d, lanes = 0;
    const float *coordinates = s->book->coordinates + (size_t)block * BLOCK * d, *point = b->points + (size_t)i * d;
    vec distances[BLOCK_VECTORS], nearest = vec_set(b->distance[i]);
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) {
        distances[v] = distance_vector(point, coordinates + v * WIDTH, d);
        lanes |= vec_less_lanes(distances[v], nearest) | vec_equal_lanes(distances[v], nearest);
    }
    if (!lanes) return;
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) nearest = vec_lesser(distances[v], nearest);
    float distance = vec_least(nearest);
    if (distance == FLOAT_MOST) return; // as far as that is no label
    lanes = 0;
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) lanes |= vec_equal_lanes(distances[v], vec_set(distance)) << v * WIDTH;
    uint32_t label = s->book->labels[block * BLOCK + (uint32_t)__builtin_ctz(lanes)];
    if (distance == b->distance[i] && label > b->label[i]) return;
    b->distance[i] = distance;
    b->label[i] = label;
}

static void take_book(cluster_search *s, uint32_t i) {
    for (uint32_t block = 0; block < s->book->blocks; block++) take_block(s, i, block);
}

// ---------------------------------------------------------------- which blocks a point needs

// Bit v of the result: the C form has all with this estimate, or a larger one, farther from point i + v. NaN says no.
static uint32_t ruled_out(const cluster_batches *b, uint32_t i, const float *estimates) {
    vec above = vec_sub(vec_load(estimates + i), vec_load(b->least + i));
    return vec_less_lanes(vec_load(b->bound + i), above);
}

// Estimated, of the nearest.
static inline vec least_distances(const cluster_batches *b, uint32_t i) {
    return vec_greater(vec_add(vec_load(b->least + i), vec_load(b->square + i)), vec_zero());
}

// By how much an estimate must be above the least.
static void find_bounds(cluster_search *s, uint32_t i) {
    cluster_batches *b = &s->batches;
    vec rounding = vec_set(((float)s->book->d + 2) * (2.1f * 0x1p-24f));
    vec_store(b->bound + i, vec_fma(least_distances(b, i), rounding, vec_load(b->margin + i)));
}

// Centroids of a block that are not ruled out.
static uint32_t near_lanes(const cluster_search *s, uint32_t i, uint32_t block) {
    const cluster_batches *b = &s->batches;
    vec least = vec_set(b->least[i]), bound = vec_set(b->bound[i]);
    uint32_t lanes = 0;
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) {
        vec above = vec_sub(estimate(s, i, block, v * WIDTH), least);
        lanes |= vec_less_lanes(bound, above) << v * WIDTH;
    }
    return ~lanes & ((1u << BLOCK) - 1);
}

static void choose_label(cluster_search *s, uint32_t i, bool second_out) {
    cluster_batches *b = &s->batches;
    uint32_t lanes = near_lanes(s, i, b->block[i]);
    if (second_out && (lanes & (lanes - 1)) == 0) {
        b->label[i] = s->book->labels[b->block[i] * BLOCK + (uint32_t)__builtin_ctz(lanes)];
        return;
    }
    take_block(s, i, b->block[i]);
    if (!second_out) take_block(s, i, b->second_block[i]);
}

// How many points had to meet all of the book.
static uint32_t choose_labels(cluster_search *s) {
    cluster_batches *b = &s->batches;
    uint32_t uncertain = 0;
    for (uint32_t first = 0; first < b->count; first += WIDTH) {
        find_bounds(s, first);
        uint32_t second_out = ruled_out(b, first, b->second), third_out = ruled_out(b, first, b->third);
        for (uint32_t i = first; i < HEL_MIN(first + WIDTH, b->count); i++, second_out >>= 1, third_out >>= 1) {
            if (third_out & 1) {
                choose_label(s, i, second_out & 1);
                continue;
            }
            take_book(s, i);
            uncertain++;
        }
    }
    return uncertain;
}
