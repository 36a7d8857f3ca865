// SPDX-License-Identifier: Apache-2.0
#include "vq/kmeans1d.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

// Each round is one run over the bins; real tensors take about ten.
enum { MAX_ROUNDS = 200, MAX_POWER_ROUNDS = 20, NEAR = 8 };

typedef struct prefix {
    double count, sum; // of all bins before, values counted from the overall mean
} prefix;

// A path over the bins: node i stands before bin i. `energy` is the sum of its edges without prices.
typedef struct path {
    uint32_t *nodes; // edges + 1 of them
    uint32_t edges;
    double energy;
} path;

typedef struct candidate {
    uint32_t node, since; // `node` is the best predecessor of the nodes from `since` on
} candidate;

typedef struct solver {
    uint32_t n;
    prefix *prefixes;     // n + 1
    double *best;         // n + 1: least cost of a path to the node at the price
    uint32_t *before;     // its last edge begins here
    uint32_t *edges;      // and so many it has
    candidate *queue;
    double between;       // squared distances of the bins' means to the overall mean: energies lie in -between .. 0
    double count, farthest, highest; // of all values; greatest |bin's mean - overall mean|; greatest |prefix sum|
} solver;

// Cost of one cluster less the constant sum of squares: -(sum^2) / count.
static inline double edge(const solver *s, uint32_t from, uint32_t to) {
    double count = s->prefixes[to].count - s->prefixes[from].count, sum = s->prefixes[to].sum - s->prefixes[from].sum;
    return -sum * sum / count;
}

static inline double through(const solver *s, uint32_t from, uint32_t to) { return s->best[from] + edge(s, from, to); }

// First node in low .. high + 1 from which on predecessor `late` beats `early`; once it does it always will.
static uint32_t overtakes(const solver *s, uint32_t early, uint32_t late, uint32_t low, uint32_t high) {
    while (low <= high) {
        uint32_t middle = low + (high - low) / 2;
        if (through(s, late, middle) < through(s, early, middle)) high = middle - 1;
        else low = middle + 1;
    }
    return low;
}

// Shortest paths from node 0 to all nodes where each edge costs `price` more.
static void shortest_paths(solver *s, double price) {
    candidate *queue = s->queue;
    uint32_t head = 0, tail = 0; // queue[head .. tail], the last one included
    queue[0] = (candidate){0, 1};
    s->best[0] = 0;
    s->edges[0] = 0;
    for (uint32_t node = 1; node <= s->n; node++) {
        while (head < tail && queue[head + 1].since <= node) head++;
        uint32_t from = queue[head].node;
        s->best[node] = through(s, from, node) + price;
        s->before[node] = from;
        s->edges[node] = s->edges[from] + 1;
        while (tail > head && queue[tail].since > node &&
               through(s, node, queue[tail].since) < through(s, queue[tail].node, queue[tail].since)) tail--;
        uint32_t low = (queue[tail].since > node ? queue[tail].since : node) + 1;
        uint32_t since = overtakes(s, queue[tail].node, node, low, s->n);
        if (since <= s->n) queue[++tail] = (candidate){node, since};
    }
}

static void store_path(const solver *s, path *out) {
    out->edges = s->edges[s->n];
    out->energy = 0;
    out->nodes[out->edges] = s->n;
    for (uint32_t node = s->n, i = out->edges; i > 0; node = s->before[node], i--) {
        out->nodes[i - 1] = s->before[node];
        out->energy += edge(s, s->before[node], node);
    }
}

// Two paths that are shortest at one price, one with fewer and one with more than k edges: somewhere an edge of the
// first spans one of the second at just the right distance, and crossing over there gives a shortest path of k edges.
static bool splice(const path *few, const path *many, uint32_t k, path *out) {
    uint32_t ahead = many->edges - k;
    for (uint32_t i = 0; i < few->edges && i + ahead < many->edges; i++) {
        uint32_t j = i + ahead;
        if (few->nodes[i] > many->nodes[j] || many->nodes[j + 1] > few->nodes[i + 1]) continue;
        memmove(out->nodes + i + 1, many->nodes + j + 1, (many->edges - j) * sizeof *out->nodes);
        memcpy(out->nodes, few->nodes, (i + 1) * sizeof *out->nodes);
        out->edges = k;
        return true;
    }
    return false;
}

// Panter-Dite: cost(k) ~ A / k^2 with A = (sum over bins of cbrt(count * width^2))^3 / 12, so one cluster more is worth
// 2 A / k^3.
static double first_price(const hel_bins *bins, uint32_t k) {
    double total = 0;
    for (uint32_t i = 0; i < bins->n; i++) {
        double low = i ? bins->bins[i - 1].high : bins->bins[i].low;
        double high = i + 1 < bins->n ? bins->bins[i + 1].low : bins->bins[i].high;
        double width = (high - low) / 2;
        total += cbrt(bins->bins[i].count * width * width);
    }
    return pow(total / k, 3) / 6;
}

// What is known of k's price: it lies between those at which `few` (fewer than k edges, the higher price) and `many`
// are shortest paths.
typedef struct bracket {
    path few, many;
    double high, low;
} bracket;

// By the power law while the ends are far apart, else where both ends cost the same: a cutting plane of the dual.
static double next_price(const bracket *ends, uint32_t k, double last_price, uint32_t last_edges, uint32_t round,
                         bool *equal) {
    uint32_t apart = ends->many.edges - ends->few.edges;
    if (round < MAX_POWER_ROUNDS && apart > NEAR) {
        double guess = last_price * pow((double)last_edges / k, 3);
        *equal = false;
        if (guess > ends->low && guess < ends->high) return guess;
    }
    *equal = true;
    return (ends->few.energy - ends->many.energy) / apart;
}

// From price `*at` on: narrows the bracket until a path has k edges or both ends are shortest at one price. False where
// rounding leaves neither.
static bool search(solver *s, uint32_t k, bracket *ends, path *found, double *dual, double *at) {
    double price = *at, rounding = 1e-15 * s->between;
    bool equal = false;
    for (uint32_t round = 0; round < MAX_ROUNDS; round++) {
        *at = price;
        shortest_paths(s, price);
        double least = s->best[s->n];
        *dual = fmax(*dual, least - price * k);
        uint32_t edges = s->edges[s->n];
        if (equal && least >= ends->few.energy + price * ends->few.edges - rounding) break;
        store_path(s, edges < k ? &ends->few : edges > k ? &ends->many : found);
        if (edges == k) return true;
        *(edges < k ? &ends->high : &ends->low) = price;
        price = next_price(ends, k, price, edges, round, &equal);
    }
    return splice(&ends->few, &ends->many, k, found);
}

// ---------------------------------------------------------------- set-up and result

// What rounding takes from a prefix sum is added to the next ones, so that each is wrong by its own last place only.
static void fill_prefixes(const hel_bins *bins, solver *s) {
    double sum = 0, lost = 0;
    for (uint32_t i = 0; i < bins->n; i++) {
        s->count += bins->bins[i].count;
        sum += bins->bins[i].sum;
    }
    double mean = sum / s->count;
    s->prefixes[0] = (prefix){0, 0};
    for (uint32_t i = 0; i < bins->n; i++) {
        const hel_bin *bin = &bins->bins[i];
        double about = bin->sum - bin->count * mean, before = s->prefixes[i].sum, whole = about - lost;
        double after = before + whole;
        lost = after - before - whole;
        s->prefixes[i + 1] = (prefix){s->prefixes[i].count + bin->count, after};
        s->between += about * about / bin->count;
        s->farthest = fmax(s->farthest, fabs(about) / bin->count);
        s->highest = fmax(s->highest, fabs(after));
    }
}

static hel_status solver_create(const hel_bins *bins, solver *s) {
    size_t nodes = (size_t)bins->n + 1;
    s->n = bins->n;
    s->prefixes = hel_alloc_array(nodes, sizeof *s->prefixes);
    s->best = hel_alloc_array(nodes, sizeof *s->best);
    s->before = hel_alloc_array(nodes, sizeof *s->before);
    s->edges = hel_alloc_array(nodes, sizeof *s->edges);
    s->queue = hel_alloc_array(nodes, sizeof *s->queue);
    if (!s->prefixes || !s->best || !s->before || !s->edges || !s->queue)
        return hel_fail_memory(nodes * sizeof(prefix));
    fill_prefixes(bins, s);
    return HEL_OK;
}

static void solver_finish(solver *s) {
    hel_free(s->prefixes);
    hel_free(s->best);
    hel_free(s->before);
    hel_free(s->edges);
    hel_free(s->queue);
}

static double within_bins(const hel_bins *bins) {
    double within = 0;
    for (uint32_t i = 0; i < bins->n; i++) within += bins->bins[i].within;
    return within;
}

void hel_partition_means(const hel_bins *bins, const hel_partition *partition, double *means) {
    for (uint32_t c = 0; c < partition->clusters; c++) {
        double count = 0, sum = 0;
        for (uint32_t i = partition->bounds[c]; i < partition->bounds[c + 1]; i++) {
            count += bins->bins[i].count;
            sum += bins->bins[i].sum;
        }
        means[c] = sum / count;
    }
}

// Squared distances of the bins' means to their cluster's.
static double between_cost(const hel_bins *bins, const uint32_t *bounds, uint32_t clusters) {
    double cost = 0;
    for (uint32_t c = 0; c < clusters; c++) {
        double count = 0, sum = 0;
        for (uint32_t i = bounds[c]; i < bounds[c + 1]; i++) {
            count += bins->bins[i].count;
            sum += bins->bins[i].sum;
        }
        double mean = sum / count;
        for (uint32_t i = bounds[c]; i < bounds[c + 1]; i++) {
            double distance = bins->bins[i].sum / bins->bins[i].count - mean;
            cost += bins->bins[i].count * distance * distance;
        }
    }
    return cost;
}

// How far rounding may have put a lower bound of `cost` above the truth: prefix sums are wrong in their last places and enter
// the energies of `clusters` edges; and means of bins are, in theirs, which moves the root of a cost by at most the root of
// the sum of those squares.
static double rounding_of(const solver *s, const hel_bins *bins, uint32_t clusters, double cost) {
    double place = 4 * DBL_EPSILON * fmax(fabs(bins->bins[0].low), fabs(bins->bins[bins->n - 1].high));
    double moved = s->count * place * place;
    return 4 * DBL_EPSILON * (clusters * s->farthest * s->highest + s->between) + 2 * sqrt(cost * moved) + moved;
}

static void trivial_path(const solver *s, uint32_t edges, path *out) {
    out->edges = edges;
    out->energy = 0;
    for (uint32_t i = 0; i <= edges; i++) out->nodes[i] = edges == 1 ? i * s->n : i;
    for (uint32_t i = 0; i < edges; i++) out->energy += edge(s, out->nodes[i], out->nodes[i + 1]);
}

static hel_status solve(solver *s, uint32_t k, bracket *ends, path *found, double *dual, double *price) {
    if (k == 1 || k == s->n) {
        trivial_path(s, k, found);
        *dual = found->energy;
        return HEL_OK;
    }
    trivial_path(s, 1, &ends->few);
    trivial_path(s, s->n, &ends->many);
    ends->high = INFINITY;
    *dual = -INFINITY;
    if (search(s, k, ends, found, dual, price)) return HEL_OK;
    return hel_fail(HEL_ERROR_INTERNAL, "no partition of %u bins into %u clusters was found", s->n, k);
}

hel_status hel_kmeans1d_solve(const hel_bins *bins, uint32_t k, double price, hel_partition *out) {
    *out = (hel_partition){0};
    solver s = {0};
    bracket ends = {0};
    path found = {0};
    double dual = 0;
    uint32_t clusters = HEL_MIN(k, bins->n);
    size_t nodes = (size_t)bins->n + 1;
    hel_status status;
    HEL_TRY_DONE(solver_create(bins, &s));
    ends.few.nodes = hel_alloc_array(nodes, sizeof(uint32_t));
    ends.many.nodes = hel_alloc_array(nodes, sizeof(uint32_t));
    found.nodes = hel_alloc_array(nodes, sizeof(uint32_t));
    if (!ends.few.nodes || !ends.many.nodes || !found.nodes) {
        status = hel_fail_memory(nodes * sizeof(uint32_t));
        goto done;
    }
    if (!(price > 0)) price = first_price(bins, clusters);
    HEL_TRY_DONE(solve(&s, clusters, &ends, &found, &dual, &price));
    double within = within_bins(bins), between = between_cost(bins, found.nodes, clusters);
    double least = fmin(between, dual + s.between) - rounding_of(&s, bins, clusters, between);
    *out = (hel_partition){.bounds = found.nodes, .clusters = clusters, .cost = between + within, .price = price,
                           .lower_bound = fmax(0, least) + within};
    found.nodes = NULL;
done:
    hel_free(ends.few.nodes);
    hel_free(ends.many.nodes);
    hel_free(found.nodes);
    solver_finish(&s);
    return status;
}

void hel_partition_finish(hel_partition *partition) {
    hel_free(partition->bounds);
    *partition = (hel_partition){0};
}
