// SPDX-License-Identifier: Apache-2.0
// kmeans_assign (shaders/kmeans_assign.k) with points as lanes, bit for bit the labels of the C form; kmeans_partial and
// kmeans_update, bit for bit too.
//
// Points from 3 dimensions on go through a filter: a cheap estimate of |c|^2 - 2 x.c (kmeans_bounds) of which, for each
// point, the least three over blocks of BLOCK centroids are kept, and which blocks the first two are (kmeans_filter). Where
// one centroid alone is within the estimates' error of the least it is the nearest; else the first block, or the first two, or
// the whole book are gone over in the C form's arithmetic (kmeans_labels). Points of few dimensions meet only the near blocks
// of a large book (kmeans_tree, kmeans_boxes). Narrower ones are compared in the C form's arithmetic at once: it costs as
// little, and their centroids lie close.
#include <math.h>
#include <string.h>

#include "../cpu.h"
#include "base/size.h"
#include "kernels.h"
#include "kmeans_bounds.inc.c"
#include "kmeans_tree.inc.c"
#include "kmeans_book.inc.c"
#include "kmeans_filter.inc.c"
#include "kmeans_labels.inc.c"
#include "kmeans_boxes.inc.c"

// ---------------------------------------------------------------- points against the book

static void compare_points(cluster_search *s) {
    const cluster_book *book = s->book;
    uint32_t batches = (uint32_t)hel_ceil_div(s->batches.count, BATCH);
    uint32_t most = HEL_MIN(PANEL_BLOCKS, PANEL_ROOM / BLOCK / book->d);
    for (uint32_t first = 0; first < book->blocks; first += most) {
        cluster_panel panel = {first, HEL_MIN(first + most, book->blocks)};
        for (uint32_t batch = 0; batch < batches; batch++) compare_batch(s, batch, panel);
    }
}

// Where the estimates are the C form's distances.
static void take_blocks(cluster_search *s) {
    const cluster_batches *b = &s->batches;
    for (uint32_t i = 0; i < b->count; i++)
        if (b->block[i] != NO_BLOCK) take_block(s, i, b->block[i]);
}

static void label_points(cluster_search *s) {
    const cluster_batches *b = &s->batches;
#ifdef SIMD_WHOLE
    if (s->boxed) {
        s->boxed = boxes_pay(s->book, b->count, choose_boxed(s)); // the points ahead are like those behind
        return;
    }
#endif
    compare_points(s);
    if (s->filter == FILTER_NONE) take_blocks(s);
    else if (choose_labels(s) > b->count / 8 && s->filter == FILTER_WHOLE)
        s->filter = FILTER_FLOAT; // likewise
}

static void assign_narrow(cluster_search *s, uint32_t begin, uint32_t end, uint32_t *labels) {
    uint32_t most = HEL_MIN(MOST_POINTS, POINTS_ROOM / s->book->d / BATCH * BATCH);
    s->filter = s->book->filter;
    s->boxed = s->book->boxed;
    for (uint32_t first = begin; first < end; first += most) {
        load_points(s, first, HEL_MIN(most, end - first));
        label_points(s);
        memcpy(labels + first, s->batches.label, s->batches.count * sizeof *labels);
    }
}

static void assign_wide(const hel_kmeans_assign_params *p, void *const *buffers, uint32_t begin, uint32_t end) {
    const float *points = buffers[0], *centroids = buffers[1];
    uint32_t *labels = buffers[2], d = p->d;
    for (uint32_t i = begin; i < end; i++) {
        const float *point = points + (size_t)i * d;
        float least = FLOAT_MOST;
        labels[i] = 0;
        for (uint32_t c = 0; c < p->k; c++) {
            const float *centroid = centroids + (size_t)c * d;
            float sum = 0.0f;
            for (uint32_t j = 0; j < d; j++) sum += (point[j] - centroid[j]) * (point[j] - centroid[j]);
            if (sum < least) least = sum, labels[i] = c;
        }
    }
}

cpu_scratch SIMD(cpu_kmeans_assign_scratch)(const cpu_launch *launch) {
    const hel_kmeans_assign_params *p = launch->params;
    if (p->d > MOST_DIMENSIONS) return (cpu_scratch){0, 0};
    return (cpu_scratch){lay_out_book((uint32_t)hel_ceil_div(p->k, BLOCK), p->d).size, 1};
}

void SIMD(cpu_kmeans_assign_prepare)(const cpu_launch *launch, uint32_t item) {
    (void)item; // the book is small beside the points
    const hel_kmeans_assign_params *p = launch->params;
    make_book(launch->scratch, p, launch->buffers[1]);
#ifdef SIMD_WHOLE
    cluster_book *book = launch->scratch;
    if (book->boxed) book->boxed = boxes_pay_some(book, launch->buffers[0], p->n);
#endif
}

void SIMD(cpu_kmeans_assign)(const cpu_launch *launch, uint32_t first, uint32_t count) {
    const hel_kmeans_assign_params *p = launch->params;
    uint32_t begin = first * HEL_KMEANS_ASSIGN_CHUNK, end = HEL_MIN(p->n, (first + count) * HEL_KMEANS_ASSIGN_CHUNK);
    if (p->d > MOST_DIMENSIONS) {
        assign_wide(p, launch->buffers, begin, end);
        return;
    }
    cluster_search s;
    s.book = launch->scratch;
    s.points = launch->buffers[0];
    assign_narrow(&s, begin, end, launch->buffers[2]);
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
