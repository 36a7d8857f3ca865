// SPDX-License-Identifier: Apache-2.0
// kmeans_assign (shaders/kmeans_assign.k) with points as lanes, bit for bit the labels of the C form; kmeans_partial and
// kmeans_update, bit for bit too.
//
// Points from 3 dimensions on go through a filter: |c|^2 - 2 x.c in fused operations, of which only the least and the
// second least over blocks of BLOCK centroids are kept. The block with the least is gone over in the C form's
// arithmetic. Where the two are too near for the filter's rounding to tell, the whole book is. Narrower points are
// compared by the C form's arithmetic at once: it costs as little, and their centroids lie close.
//
// Bound of the filter, u = 2^-24, d dimensions, X = |x|, C = the largest |c|, after Higham, "Accuracy and Stability of
// Numerical Algorithms", 2002, section 3.1: the sums of d + 1 fused terms are off by at most
// e = u ((d + 1) (C^2 + 2 X C) + d C^2) <= u (d + 1) (3 C^2 + X^2), the C form's distance D by a factor within
// 1 +- (d + 2) u. So a block whose least is above the first one's by 2 e + 2 (d + 2) u D holds no label.
#include <math.h>
#include <string.h>

#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "kmeans_simd.h"

// Points and centroids at hand: both fit the second-level cache. Panels hold whole blocks.
enum {
    BLOCK = 16,
    BLOCK_VECTORS = BLOCK / WIDTH,
    BATCH = VECTORS_AT_ONCE * WIDTH,
    POINTS_ROOM = 1 << 15,
    PANEL_ROOM = 1 << 14,
    MOST_POINTS = 1024 / BATCH * BATCH,
    MOST_CENTROIDS = 2048,
    MOST_DIMENSIONS = 512,
    FILTERED_FROM = 3,
    MEAN_RUN = 1024,
};
#define FLOAT_MOST 0x1.fffffep127f
#define NO_BLOCK UINT32_MAX

typedef struct cluster_panel {
    uint32_t first, blocks;   // first centroid, a multiple of BLOCK
    float coordinates[PANEL_ROOM]; // [block][d][BLOCK]; the last centroid is repeated to a whole block
    float squares[MOST_CENTROIDS];
} cluster_panel;

typedef struct cluster_batches {
    const float *points; // rows as they lie
    uint32_t count, d;
    float coordinates[POINTS_ROOM]; // [batch][d][BATCH]; times -2 for the filter
    float squares[MOST_POINTS];
    float least[MOST_POINTS], second[MOST_POINTS];
    uint32_t block[MOST_POINTS], label[MOST_POINTS];
} cluster_batches;

typedef struct cluster_search {
    const float *points, *centroids;
    uint32_t k, d, panel_centroids;
    bool filtered;
    float widest; // |c|^2 of the widest centroid, once all panels were packed
    cluster_panel panel;
    cluster_batches batches;
} cluster_search;

// ---------------------------------------------------------------- panels

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
        for (uint32_t i = 0; i < BLOCK; i += WIDTH) {
            vec sum = vec_zero();
            for (uint32_t j = 0; j < s->d; j++) {
                vec x = vec_load(block + j * BLOCK + i);
                sum = vec_fma(x, x, sum);
            }
            vec_store(panel->squares + b * BLOCK + i, sum);
        }
    }
    for (uint32_t i = 0; i < panel->blocks * BLOCK; i++) // no filter holds where one overflows or is NaN
        s->widest = panel->squares[i] <= FLOAT_MOST ? HEL_MAX(s->widest, panel->squares[i]) : INFINITY;
}

// ---------------------------------------------------------------- one point, in the C form's arithmetic

static inline vec distance_vector(const float *point, const float *coordinates, uint32_t d) {
    vec sum = vec_zero();
    for (uint32_t j = 0; j < d; j++) {
        vec difference = vec_sub(vec_set(point[j]), vec_load(coordinates + j * BLOCK));
        sum = vec_add(sum, vec_mul(difference, difference));
    }
    return sum;
}

// The first of the block's nearest centroids.
static uint32_t nearest_in_block(const cluster_panel *panel, uint32_t block, const float *point, uint32_t d) {
    const float *coordinates = panel->coordinates + (size_t)(block - panel->first / BLOCK) * BLOCK * d;
    vec distances[BLOCK_VECTORS], least = vec_set(FLOAT_MOST);
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) distances[v] = distance_vector(point, coordinates + v * WIDTH, d);
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) least = vec_min(distances[v], least);
    least = vec_set(vec_least(least));
    uint32_t lanes = 0;
    for (uint32_t v = 0; v < BLOCK_VECTORS; v++) lanes |= vec_equal_lanes(distances[v], least) << v * WIDTH;
    return block * BLOCK + (lanes ? (uint32_t)__builtin_ctz(lanes) : 0);
}

// Goes over the whole panel; *least and *label are of what came before.
static void nearest_in_panel(const cluster_panel *panel, const float *point, uint32_t d, float *least, uint32_t *label) {
    vec best = vec_set(*least), place = vec_set(0.0f);
    for (uint32_t v = 0; v < panel->blocks * BLOCK_VECTORS; v++) {
        const float *coordinates = panel->coordinates + (size_t)(v / BLOCK_VECTORS) * BLOCK * d + v % BLOCK_VECTORS * WIDTH;
        vec distance = distance_vector(point, coordinates, d);
        vec_mask nearer = vec_less(distance, best);
        best = vec_select(nearer, distance, best);
        place = vec_select(nearer, vec_set(hel_bits_float(v)), place);
    }
    float distances[WIDTH], places[WIDTH], before = *least;
    vec_store(distances, best);
    vec_store(places, place);
    for (uint32_t lane = 0; lane < WIDTH; lane++) {
        if (!(distances[lane] < before)) continue;
        uint32_t centroid = panel->first + hel_float_bits(places[lane]) * WIDTH + lane;
        if (distances[lane] > *least || (distances[lane] == *least && centroid > *label)) continue;
        *least = distances[lane];
        *label = centroid;
    }
}

// ---------------------------------------------------------------- batches against a panel

// The least over CENTROIDS_AT_ONCE centroids for VECTORS_AT_ONCE vectors of points.
static inline __attribute__((always_inline)) void tile(const float *points, const float *centroids, const float *squares,
                                                       const uint32_t d, const bool filtered, vec least[VECTORS_AT_ONCE]) {
    vec sums[CENTROIDS_AT_ONCE][VECTORS_AT_ONCE];
    for (uint32_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) sums[c][v] = filtered ? vec_set(squares[c]) : vec_zero();
    for (uint32_t j = 0; j < d; j++) {
        vec x[VECTORS_AT_ONCE];
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) x[v] = vec_load(points + j * BATCH + v * WIDTH);
        for (uint32_t c = 0; c < CENTROIDS_AT_ONCE; c++) {
            vec centroid = vec_set(centroids[j * BLOCK + c]);
            for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
                vec difference = filtered ? x[v] : vec_sub(x[v], centroid);
                sums[c][v] = filtered ? vec_fma(x[v], centroid, sums[c][v]) : vec_add(sums[c][v], vec_mul(difference, difference));
            }
        }
    }
    for (uint32_t c = 0; c < CENTROIDS_AT_ONCE; c++)
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) least[v] = vec_min(sums[c][v], least[v]);
}

// `filtered` is a constant where this is inlined, and so is d of narrow points. Compiled for one d, the loop over more
// dimensions than that would be unrolled until its sums leave the registers.
static inline __attribute__((always_inline)) void compare_batch(const cluster_panel *panel, cluster_batches *b, uint32_t batch,
                                                                const uint32_t d, const bool filtered) {
    const float *points = b->coordinates + (size_t)batch * BATCH * d;
    vec least[VECTORS_AT_ONCE], second[VECTORS_AT_ONCE], place[VECTORS_AT_ONCE];
    for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
        uint32_t at = batch * BATCH + v * WIDTH;
        float places[WIDTH];
        memcpy(places, b->block + at, sizeof places);
        least[v] = vec_load(b->least + at), second[v] = vec_load(b->second + at), place[v] = vec_load(places);
    }
    for (uint32_t block = 0; block < panel->blocks; block++) {
        vec now[VECTORS_AT_ONCE], number = vec_set(hel_bits_float(panel->first / BLOCK + block));
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) now[v] = vec_set(FLOAT_MOST);
        for (uint32_t c = 0; c < BLOCK; c += CENTROIDS_AT_ONCE)
            tile(points, panel->coordinates + (size_t)block * BLOCK * d + c, panel->squares + block * BLOCK + c, d, filtered, now);
        for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
            vec_mask nearer = vec_less(now[v], least[v]);
            second[v] = vec_min(second[v], vec_max(now[v], least[v]));
            least[v] = vec_select(nearer, now[v], least[v]);
            place[v] = vec_select(nearer, number, place[v]);
        }
    }
    for (uint32_t v = 0; v < VECTORS_AT_ONCE; v++) {
        uint32_t at = batch * BATCH + v * WIDTH;
        float places[WIDTH];
        vec_store(b->least + at, least[v]), vec_store(b->second + at, second[v]), vec_store(places, place[v]);
        memcpy(b->block + at, places, sizeof places);
    }
}

static void compare_panel(cluster_search *s) {
    cluster_batches *b = &s->batches;
    uint32_t batches = (uint32_t)hel_ceil_div(b->count, BATCH);
    for (uint32_t batch = 0; batch < batches; batch++) {
        switch (s->d) {
        case 1: compare_batch(&s->panel, b, batch, 1, false); break;
        case 2: compare_batch(&s->panel, b, batch, 2, false); break;
        default: compare_batch(&s->panel, b, batch, s->d, true);
        }
    }
    for (uint32_t i = 0; i < b->count; i++)
        if (b->block[i] != NO_BLOCK && b->block[i] >= s->panel.first / BLOCK)
            b->label[i] = nearest_in_block(&s->panel, b->block[i], b->points + (size_t)i * s->d, s->d);
}

// ---------------------------------------------------------------- batches against the book

static void load_points(cluster_search *s, uint32_t first, uint32_t count) {
    cluster_batches *b = &s->batches;
    uint32_t d = s->d, padded = (uint32_t)hel_round_up(count, BATCH);
    float factor = s->filtered ? -2.0f : 1.0f;
    b->points = s->points + (size_t)first * d;
    b->count = count;
    for (uint32_t i = 0; i < padded; i++) {
        const float *point = b->points + (size_t)HEL_MIN(i, count - 1) * d;
        float *to = b->coordinates + (size_t)(i / BATCH) * BATCH * d + i % BATCH, sum = 0.0f;
        for (uint32_t j = 0; j < d; j++) {
            to[j * BATCH] = factor * point[j];
            sum += point[j] * point[j];
        }
        b->squares[i] = sum;
        b->least[i] = b->second[i] = FLOAT_MOST;
        b->block[i] = NO_BLOCK;
        b->label[i] = 0;
    }
}

// Whether rounding can have hidden a nearer centroid in a block that was not looked into. The last term stands for
// products below the normal floats.
static bool is_certain(const cluster_search *s, uint32_t i) {
    const cluster_batches *b = &s->batches;
    float d = (float)s->d, square = b->squares[i], distance = HEL_MAX(b->least[i] + square, 0.0f);
    float margin = ((d + 1) * (3 * s->widest + square) + (d + 2) * distance) * (2.1f * 0x1p-24f) + d * 0x1p-120f;
    return square + s->widest < 1e36f && b->second[i] - b->least[i] > margin;
}

// Where all of the book is one panel it is still there.
static void repeat_uncertain(cluster_search *s) {
    cluster_batches *b = &s->batches;
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (is_certain(s, i)) continue;
        b->block[count++] = i;
        b->least[i] = FLOAT_MOST;
        b->label[i] = 0;
    }
    for (uint32_t first = 0; first < s->k && count; first += s->panel_centroids) {
        if (s->panel.first != first) pack_panel(s, first);
        for (uint32_t at = 0; at < count; at++) {
            uint32_t i = b->block[at];
            nearest_in_panel(&s->panel, b->points + (size_t)i * s->d, s->d, &b->least[i], &b->label[i]);
        }
    }
}

static void assign_narrow(cluster_search *s, uint32_t begin, uint32_t end, uint32_t *labels) {
    uint32_t most = HEL_MIN(MOST_POINTS, POINTS_ROOM / s->d / BATCH * BATCH);
    s->panel_centroids = HEL_MIN(MOST_CENTROIDS, PANEL_ROOM / s->d / BLOCK * BLOCK);
    s->filtered = s->d >= FILTERED_FROM;
    s->panel.first = NO_BLOCK;
    for (uint32_t first = begin; first < end; first += most) {
        uint32_t count = HEL_MIN(most, end - first);
        load_points(s, first, count);
        for (uint32_t c = 0; c < s->k; c += s->panel_centroids) {
            if (s->panel.first != c) pack_panel(s, c);
            compare_panel(s);
        }
        if (s->filtered) repeat_uncertain(s);
        memcpy(labels + first, s->batches.label, count * sizeof *labels);
    }
}

static void assign_wide(const cluster_search *s, uint32_t begin, uint32_t end, uint32_t *labels) {
    for (uint32_t i = begin; i < end; i++) {
        const float *point = s->points + (size_t)i * s->d;
        float least = FLOAT_MOST;
        labels[i] = 0;
        for (uint32_t c = 0; c < s->k; c++) {
            const float *centroid = s->centroids + (size_t)c * s->d;
            float sum = 0.0f;
            for (uint32_t j = 0; j < s->d; j++) sum += (point[j] - centroid[j]) * (point[j] - centroid[j]);
            if (sum < least) least = sum, labels[i] = c;
        }
    }
}

void SIMD(cpu_kmeans_assign)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_kmeans_assign_params *p = launch->params;
    cluster_search s;
    s.points = launch->buffers[0], s.centroids = launch->buffers[1];
    s.k = p->k, s.d = p->d, s.widest = 0.0f;
    uint32_t begin = first * HEL_KMEANS_ASSIGN_CHUNK, end = HEL_MIN(p->n, (first + count) * HEL_KMEANS_ASSIGN_CHUNK);
    if (s.d > MOST_DIMENSIONS) assign_wide(&s, begin, end, launch->buffers[2]);
    else assign_narrow(&s, begin, end, launch->buffers[2]);
}

// ---------------------------------------------------------------- sums

static inline __attribute__((always_inline)) void add_points(const float *points, const uint32_t *labels, uint32_t count,
                                                             const uint32_t d, float *sums, uint32_t *counts) {
    for (uint32_t i = 0; i < count; i++) {
        const float *point = points + (size_t)i * d;
        float *sum = sums + (size_t)labels[i] * d;
        counts[labels[i]]++;
        uint32_t j = 0;
        for (; j + WIDTH <= d; j += WIDTH) vec_store(sum + j, vec_add(vec_load(sum + j), vec_load(point + j)));
        for (; j < d; j++) sum[j] += point[j];
    }
}

void SIMD(cpu_kmeans_partial)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_kmeans_partial_params *p = launch->params;
    for (uint32_t group = first; group < first + count; group++) {
        uint32_t begin = group * p->block, here = HEL_MIN(p->block, p->n - begin);
        const float *points = (const float *)launch->buffers[0] + (size_t)begin * p->d;
        const uint32_t *labels = (const uint32_t *)launch->buffers[1] + begin;
        float *sums = (float *)launch->buffers[2] + (size_t)(p->first_block + group) * p->k * p->d;
        uint32_t *counts = (uint32_t *)launch->buffers[3] + (size_t)(p->first_block + group) * p->k;
        memset(sums, 0, (size_t)p->k * p->d * sizeof *sums);
        memset(counts, 0, p->k * sizeof *counts);
        switch (p->d) {
        case 1: add_points(points, labels, here, 1, sums, counts); break;
        case 2: add_points(points, labels, here, 2, sums, counts); break;
        case 4: add_points(points, labels, here, 4, sums, counts); break;
        case 8: add_points(points, labels, here, 8, sums, counts); break;
        default: add_points(points, labels, here, p->d, sums, counts);
        }
    }
}

// ---------------------------------------------------------------- means

// Blocks in order, a run of cells at a time, so that partial sums are read as they lie.
static void mean_run(const hel_kmeans_update_params *p, void *const *buffers, uint32_t first, uint32_t count) {
    const float *partials = (const float *)buffers[0] + first;
    const uint32_t *counts = buffers[1];
    float *centroids = buffers[2], sums[MEAN_RUN] = {0};
    uint32_t points[MEAN_RUN] = {0}, cluster = first / p->d, clusters = (first + count - 1) / p->d - cluster + 1;
    for (uint32_t b = 0; b < p->blocks; b++) {
        for (uint32_t i = 0; i < count; i++) sums[i] += partials[(size_t)b * p->k * p->d + i];
        for (uint32_t c = 0; c < clusters; c++) points[c] += counts[(size_t)b * p->k + cluster + c];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t here = points[(first + i) / p->d - cluster];
        if (here) centroids[first + i] = sums[i] / (float)here;
    }
}

void SIMD(cpu_kmeans_update)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_kmeans_update_params *p = launch->params;
    uint32_t end = HEL_MIN(p->k * p->d, (first + count) * HEL_KMEANS_UPDATE_CHUNK);
    for (uint32_t at = first * HEL_KMEANS_UPDATE_CHUNK; at < end; at += MEAN_RUN)
        mean_run(p, launch->buffers, at, HEL_MIN(MEAN_RUN, end - at));
}
