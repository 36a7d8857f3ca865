// SPDX-License-Identifier: Apache-2.0
// With the nearest of the codes c a value v costs v^2 - f(v), where f(v) = max over c of 2 v c - c^2. A maximum of straight
// lines is convex, whatever the codebook. So take a bin's values apart and put them at two places l <= v <= r that enclose
// them, with the same count and the same sum: f lies below its chord from l to r, hence the sum of f does not fall, and the
// values cost at least what these atoms cost, less what the sum of squares has grown by. That holds of every codebook at
// once, and the codebook for which the atoms cost least can be found, as they are a few distinct values (src/vq/kmeans1d.h).
// Where f is straight across a bin, nothing is lost: only bins count in which one code takes over from another.
#include "vq/fit_bound.h"

#include <float.h>
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/kmeans1d.h"

typedef struct atoms {
    hel_bins at;   // one distinct value each
    double growth; // of the sum of squares, rounded up: sums of `count` squares of at most width^2 each, one by one
} atoms;

static void add_atom(hel_bins *to, double count, float place) {
    hel_bin *last = to->n ? &to->bins[to->n - 1] : NULL;
    if (last && last->low == place) *last = hel_bin_of(last->count + count, place);
    else if (count > 0) to->bins[to->n++] = hel_bin_of(count, place);
}

// Where a bin's values are taken to end: at the next bin's beginning, so that both share an atom, unless that is far away.
static float end_of(const hel_bins *bins, uint32_t b) {
    const hel_bin *bin = &bins->bins[b], *next = b + 1 < bins->n ? bin + 1 : NULL;
    double width = (double)bin->high - bin->low;
    return next && (double)next->low - bin->high <= width / 16 ? next->low : bin->high;
}

static void split_bin(const hel_bins *bins, uint32_t b, atoms *out) {
    const hel_bin *bin = &bins->bins[b];
    if (bin->low == bin->high) {
        add_atom(&out->at, bin->count, bin->low);
        return;
    }
    float end = end_of(bins, b);
    double width = (double)end - bin->low, mean = bin->sum / bin->count;
    double above = fmin(fmax(bin->count * ((mean - bin->low) / width), 0), bin->count), below = bin->count - above;
    double squares = below * above / bin->count * width * width;
    add_atom(&out->at, below, bin->low);
    add_atom(&out->at, above, end);
    out->growth += fmax(0, squares - bin->within) + bin->count * DBL_EPSILON * bin->count * width * width;
}

hel_status hel_fit_bound(const hel_bins *bins, uint32_t k, double price, double *out) {
    atoms split = {.at.bins = hel_alloc_array(bins->n, 2 * sizeof *split.at.bins)};
    if (!split.at.bins) return hel_fail_memory(bins->n * 2 * sizeof *split.at.bins);
    for (uint32_t b = 0; b < bins->n; b++) split_bin(bins, b, &split);
    hel_partition partition;
    hel_status status = hel_kmeans1d_solve(&split.at, k, price, &partition);
    if (status == HEL_OK) {
        *out = fmax(0, partition.lower_bound - split.growth);
        hel_partition_finish(&partition);
    }
    hel_bins_finish(&split.at);
    return status;
}
