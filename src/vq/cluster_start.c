// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_start.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/random.h"

enum { RUN = 1024, REPORT_EVERY = 64 };
#define MOST_WORK (UINT64_C(1) << 30)

// Knuth, "The Art of Computer Programming" 2, algorithm 3.4.2 S: `count` of the points in their order, each set alike.
typedef struct selection {
    hel_random random;
    uint64_t seen, all, wanted;
} selection;

static uint64_t select_next(selection *s) {
    while ((double)(s->all - s->seen) * hel_random_unit(&s->random) >= (double)s->wanted) s->seen++;
    s->wanted--;
    return s->seen++;
}

void hel_cluster_start_sample(const hel_cluster_points *points, uint32_t k, uint64_t seed, float *centroids) {
    selection s = {{seed}, 0, points->n, k};
    for (uint32_t c = 0; c < k; c++)
        memcpy(centroids + (size_t)c * points->d, points->values + select_next(&s) * points->d, points->d * sizeof *centroids);
}

// ---------------------------------------------------------------- k-means++

// The points that centroids are drawn from, scaled, dimensions outermost, so that a run of them is one of vectors.
typedef struct pool {
    uint64_t n;
    uint32_t d;
    float *coordinates; // [d][n]
    float *nearest;     // [n]: squared distance to the centroids so far
    uint64_t *origin;   // [n]: which point it is; NULL where all are here
} pool;

static void pool_finish(pool *p) {
    hel_free(p->coordinates);
    hel_free(p->nearest);
    hel_free(p->origin);
}

static uint64_t pool_size(const hel_cluster_points *points, uint32_t k) {
    uint64_t most = HEL_MAX(MOST_WORK / ((uint64_t)k * points->d), 2 * (uint64_t)k);
    return HEL_MIN(points->n, most);
}

static hel_status pool_create(const hel_cluster_points *points, uint32_t k, uint64_t seed, pool *p) {
    uint64_t n = pool_size(points, k);
    *p = (pool){.n = n, .d = points->d};
    p->coordinates = hel_alloc_array(n, points->d * sizeof *p->coordinates);
    p->nearest = hel_alloc_array(n, sizeof *p->nearest);
    if (n < points->n) p->origin = hel_alloc_array(n, sizeof *p->origin);
    float *point = hel_alloc_array(points->d, sizeof *point);
    if (!p->coordinates || !p->nearest || (n < points->n && !p->origin) || !point) {
        hel_free(point);
        return hel_fail_memory(n * points->d * sizeof *p->coordinates);
    }
    selection s = {{~seed}, 0, points->n, n};
    for (uint64_t i = 0; i < n; i++) {
        uint64_t from = p->origin ? (p->origin[i] = select_next(&s)) : i;
        hel_cluster_scale(points, points->values + from * p->d, p->d, point);
        for (uint32_t j = 0; j < p->d; j++) p->coordinates[j * n + i] = point[j];
        p->nearest[i] = 0x1.fffffep127f;
    }
    hel_free(point);
    return HEL_OK;
}

// Takes the point into account; returns the sum of all nearest distances.
static double pool_add(pool *p, uint64_t chosen) {
    double total = 0;
    for (uint64_t first = 0; first < p->n; first += RUN) {
        float distances[RUN] = {0};
        uint32_t count = (uint32_t)HEL_MIN(RUN, p->n - first);
        for (uint32_t j = 0; j < p->d; j++) {
            const float *x = p->coordinates + j * p->n + first, centre = p->coordinates[j * p->n + chosen];
            for (uint32_t i = 0; i < count; i++) distances[i] += (x[i] - centre) * (x[i] - centre);
        }
        float *nearest = p->nearest + first;
        for (uint32_t i = 0; i < count; i++) nearest[i] = HEL_MIN(distances[i], nearest[i]);
        for (uint32_t i = 0; i < count; i++) total += nearest[i];
    }
    return total;
}

// The point at which the running sum of distances passes `level`; one with a distance above zero.
static uint64_t pool_pick(const pool *p, double level) {
    double sum = 0;
    uint64_t last = 0;
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->nearest[i] <= 0) continue;
        last = i;
        if ((sum += p->nearest[i]) > level) break;
    }
    return last;
}

hel_status hel_cluster_start_plusplus(const hel_cluster_points *points, uint32_t k, uint64_t seed,
                                      hel_cluster_progress *progress, float *centroids) {
    pool p;
    hel_random random = {seed};
    hel_status status = pool_create(points, k, seed, &p);
    uint64_t chosen = (uint64_t)(hel_random_unit(&random) * (double)p.n);
    for (uint32_t c = 0; c < k && status == HEL_OK; c++) {
        uint64_t from = p.origin ? p.origin[chosen] : chosen;
        memcpy(centroids + (size_t)c * p.d, points->values + from * p.d, p.d * sizeof *centroids);
        double total = c + 1 < k ? pool_add(&p, chosen) : 0, unit = hel_random_unit(&random);
        chosen = total > 0 ? pool_pick(&p, unit * total) : (uint64_t)(unit * (double)p.n);
        if (c % REPORT_EVERY == REPORT_EVERY - 1) status = hel_cluster_advance(progress, 0);
    }
    pool_finish(&p);
    return status;
}
