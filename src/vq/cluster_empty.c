// SPDX-License-Identifier: Apache-2.0
#include "vq/cluster_empty.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

typedef struct far_point {
    double distance;
    uint64_t point;
} far_point;

// The farthest points of a group of clusters, as a heap whose root is the nearest of them.
typedef struct far_points {
    far_point *heap;
    uint32_t count, room;
} far_points;

// Of equal distances the earlier point is the farther one.
static bool is_nearer(far_point a, far_point b) {
    return a.distance < b.distance || (a.distance == b.distance && a.point > b.point);
}

static void sink(far_points *far, uint32_t at) {
    for (uint32_t child; (child = 2 * at + 1) < far->count; at = child) {
        if (child + 1 < far->count && is_nearer(far->heap[child + 1], far->heap[child])) child++;
        if (!is_nearer(far->heap[child], far->heap[at])) return;
        far_point swap = far->heap[at];
        far->heap[at] = far->heap[child];
        far->heap[child] = swap;
    }
}

static void offer(far_points *far, far_point point) {
    if (point.distance <= 0) return;
    if (far->count == far->room) {
        if (!is_nearer(far->heap[0], point)) return;
        far->heap[0] = point;
        sink(far, 0);
        return;
    }
    uint32_t at = far->count++;
    for (; at && is_nearer(point, far->heap[(at - 1) / 2]); at = (at - 1) / 2) far->heap[at] = far->heap[(at - 1) / 2];
    far->heap[at] = point;
}

static int farther_first(const void *left, const void *right) {
    return is_nearer(*(const far_point *)left, *(const far_point *)right) ? 1 : -1;
}

// ---------------------------------------------------------------- which clusters give points

// Each time the cluster with most points gives one and counts as halved; of equal ones the first.
static void plan_splits(const uint64_t *counts, uint32_t k, uint32_t empty, uint64_t *left, uint32_t *given) {
    memcpy(left, counts, k * sizeof *left);
    for (uint32_t e = 0; e < empty; e++) {
        uint32_t largest = 0;
        for (uint32_t c = 1; c < k; c++)
            if (left[c] > left[largest]) largest = c;
        if (left[largest] < 2) return;
        left[largest] -= left[largest] / 2;
        given[largest]++;
    }
}

typedef struct refill {
    const hel_cluster_points *points;
    const uint32_t *labels;
    const uint64_t *counts;
    uint32_t k, empty, groups;
    bool split;        // a group for each cluster, else one for all
    far_points *group;
    far_point *heaps;
    uint32_t *given;   // points that a group gives
    uint64_t *left;
} refill;

static hel_status refill_create(refill *r) {
    r->groups = r->split ? r->k : 1;
    r->group = hel_alloc_zero(r->groups, sizeof *r->group);
    r->given = hel_alloc_zero(r->groups, sizeof *r->given);
    r->left = hel_alloc_array(r->k, sizeof *r->left);
    r->heaps = hel_alloc_array(r->empty, sizeof *r->heaps);
    if (!r->group || !r->given || !r->left || !r->heaps) return hel_fail_memory(r->k * (sizeof *r->group + sizeof *r->left));
    if (r->split) plan_splits(r->counts, r->k, r->empty, r->left, r->given);
    else r->given[0] = r->empty;
    far_point *next = r->heaps;
    for (uint32_t g = 0; g < r->groups; g++) {
        r->group[g] = (far_points){next, 0, r->given[g]};
        next += r->given[g];
    }
    return HEL_OK;
}

static void refill_finish(refill *r) {
    hel_free(r->group);
    hel_free(r->given);
    hel_free(r->left);
    hel_free(r->heaps);
}

static void gather(refill *r, const float *centroids) {
    for (uint64_t i = 0; i < r->points->n; i++) {
        far_points *far = &r->group[r->split ? r->labels[i] : 0];
        if (!far->room) continue;
        const float *centroid = centroids + (size_t)r->labels[i] * r->points->d;
        offer(far, (far_point){hel_cluster_distance(r->points, i, centroid), i});
    }
    for (uint32_t g = 0; g < r->groups; g++)
        if (r->group[g].count) qsort(r->group[g].heap, r->group[g].count, sizeof(far_point), farther_first);
}

static void place(const refill *r, float *centroids) {
    uint32_t empty = 0, d = r->points->d;
    for (uint32_t g = 0; g < r->groups; g++)
        for (uint32_t i = 0; i < r->group[g].count; i++, empty++) {
            while (r->counts[empty]) empty++;
            memcpy(centroids + (size_t)empty * d, r->points->values + r->group[g].heap[i].point * d, d * sizeof *centroids);
        }
}

uint32_t hel_cluster_count_empty(const uint64_t *counts, uint32_t k) {
    uint32_t empty = 0;
    for (uint32_t c = 0; c < k; c++) empty += counts[c] == 0;
    return empty;
}

hel_status hel_cluster_refill(const hel_cluster_points *points, const uint32_t *labels, const uint64_t *counts, uint32_t k,
                              hel_kmeans_empty policy, float *centroids) {
    uint32_t empty = hel_cluster_count_empty(counts, k);
    if (!empty || policy == HEL_KMEANS_EMPTY_KEEP) return HEL_OK;
    if (policy == HEL_KMEANS_EMPTY_ERROR)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%u of %u clusters have no points", empty, k);
    refill r = {.points = points, .labels = labels, .counts = counts, .k = k, .empty = empty,
                .split = policy == HEL_KMEANS_EMPTY_SPLIT};
    hel_status status = refill_create(&r);
    if (status == HEL_OK) {
        gather(&r, centroids);
        place(&r, centroids);
    }
    refill_finish(&r);
    return status;
}
