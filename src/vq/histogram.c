// SPDX-License-Identifier: Apache-2.0
#include "vq/histogram.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"

enum { LOW_VALUES = 1 << HEL_HISTOGRAM_SHIFT };

static hel_status count_values(void *user, uint64_t first, const float *values, uint64_t count) {
    (void)first;
    hel_histogram *histogram = user;
    uint32_t bits = 0;
    for (uint64_t i = 0; i < count; i++) {
        histogram->cells[hel_float_key(values[i]) >> HEL_HISTOGRAM_SHIFT]++;
        bits |= hel_float_bits(values[i]);
    }
    if (bits & (LOW_VALUES - 1)) histogram->exact = false;
    return HEL_OK;
}

hel_status hel_histogram_create(const hel_values *values, hel_histogram *out) {
    *out = (hel_histogram){0};
    if (values->count > UINT32_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "%llu values are more than one codebook is fitted to",
                        (unsigned long long)values->count);
    uint32_t *cells = hel_alloc_zero(HEL_HISTOGRAM_CELLS, sizeof *cells);
    if (!cells) return hel_fail_memory(HEL_HISTOGRAM_CELLS * sizeof *cells);
    hel_histogram histogram = {.cells = cells, .exact = true};
    hel_status status = hel_values_scan(values, count_values, &histogram);
    uint32_t first = 0, last = HEL_HISTOGRAM_CELLS - 1;
    while (first < last && !cells[first]) first++;
    while (last > first && !cells[last]) last--;
    if (status == HEL_OK && (first <= HEL_KEY_MINUS_INFINITY >> HEL_HISTOGRAM_SHIFT ||
                             last >= HEL_KEY_PLUS_INFINITY >> HEL_HISTOGRAM_SHIFT))
        status = hel_fail(HEL_ERROR_UNSUPPORTED, "the tensor holds NaN or infinity");
    if (status != HEL_OK) {
        hel_free(cells);
        return status;
    }
    histogram.first = first;
    histogram.last = last;
    *out = histogram;
    return HEL_OK;
}

void hel_histogram_finish(hel_histogram *histogram) {
    hel_free(histogram->cells);
    *histogram = (hel_histogram){0};
}

// ---------------------------------------------------------------- order statistics

// Where each rank falls: its cell, the rank within it, and the table that counts the cell's low key bits.
typedef struct selection {
    uint32_t count;
    uint32_t cell[HEL_HISTOGRAM_RANKS];
    uint64_t rank[HEL_HISTOGRAM_RANKS];
    uint32_t low[HEL_HISTOGRAM_RANKS][LOW_VALUES];
} selection;

static hel_status count_low_bits(void *user, uint64_t first, const float *values, uint64_t count) {
    (void)first;
    selection *wanted = user;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t key = hel_float_key(values[i]), cell = key >> HEL_HISTOGRAM_SHIFT;
        for (uint32_t r = 0; r < wanted->count; r++)
            if (cell == wanted->cell[r]) wanted->low[r][key & (LOW_VALUES - 1)]++;
    }
    return HEL_OK;
}

hel_status hel_histogram_select(const hel_histogram *histogram, const hel_values *values, const uint64_t *ranks,
                                uint32_t count, float *out) {
    selection *wanted = hel_alloc_zero(1, sizeof *wanted);
    if (!wanted) return hel_fail_memory(sizeof *wanted);
    wanted->count = count;
    for (uint32_t r = 0; r < count; r++) {
        uint64_t rank = ranks[r];
        uint32_t cell = histogram->first;
        for (; rank >= histogram->cells[cell]; cell++) rank -= histogram->cells[cell];
        wanted->cell[r] = cell;
        wanted->rank[r] = rank;
    }
    hel_status status = hel_values_scan(values, count_low_bits, wanted);
    for (uint32_t r = 0; status == HEL_OK && r < count; r++) {
        uint32_t low = 0;
        for (uint64_t rank = wanted->rank[r]; low < LOW_VALUES && rank >= wanted->low[r][low]; low++) rank -= wanted->low[r][low];
        if (low == LOW_VALUES) status = hel_fail(HEL_ERROR_IO, "the values changed while they were read");
        else out[r] = hel_key_float(wanted->cell[r] << HEL_HISTOGRAM_SHIFT | low);
    }
    hel_free(wanted);
    return status;
}

// ---------------------------------------------------------------- bins

// Halves of either kind have fewer distinct values than MOST_EXACT.
enum { BASE_BITS = HEL_HISTOGRAM_BASE_BITS, SEARCH_ROUNDS = 12, MOST_EXACT = 1 << 16 };

static double cell_low(uint32_t cell) { return hel_key_float(cell << HEL_HISTOGRAM_SHIFT); }
static double cell_high(uint32_t cell) { return hel_key_float(cell << HEL_HISTOGRAM_SHIFT | (LOW_VALUES - 1)); }

// Into how many parts a cell is cut: as many as leave each `limit`, but no more than there are values.
static uint32_t parts_for(const hel_histogram *histogram, uint32_t cell, double width, double limit) {
    uint32_t count = histogram->cells[cell], most = HEL_MIN(count, LOW_VALUES);
    if (histogram->exact || most == 1 || count * width * width <= limit) return 1;
    double parts = ceil(cbrt(count * width * width / limit));
    return parts < most ? HEL_MAX((uint32_t)parts, 1) : most;
}

// Walks the occupied cells: cuts those of more than `limit` and joins the others to runs of at most that.
// With `number` the cells are given the number of their first bin and their parts. Returns the number of bins.
static uint64_t group(hel_histogram *histogram, double limit, bool number) {
    uint64_t bins = 0, base = 0;
    double count = INFINITY, start = 0; // of the run that is open
    for (uint32_t cell = histogram->first; cell <= histogram->last; cell++) {
        uint32_t here = histogram->cells[cell], parts = 1;
        if (here) {
            double width = cell_high(cell) - cell_low(cell), joined = cell_high(cell) - start;
            parts = parts_for(histogram, cell, width, limit);
            if (parts > 1 || histogram->exact || !((count + here) * joined * joined <= limit)) {
                base = bins;
                bins += parts;
                start = cell_low(cell);
                count = parts > 1 ? INFINITY : 0; // nothing joins the parts of a cell
            }
            count += here;
        }
        if (number) histogram->cells[cell] = (parts - 1) << BASE_BITS | (uint32_t)base;
    }
    return bins;
}

// A limit that gives at most `most` bins, and few less. Where the density is smooth their number goes with the cube root.
static double choose_limit(hel_histogram *histogram, uint32_t most) {
    double total = 0, low = 0, high = INFINITY;
    for (uint32_t cell = histogram->first; cell <= histogram->last; cell++) {
        if (!histogram->cells[cell]) continue;
        double width = cell_high(cell) - cell_low(cell);
        total += cbrt(histogram->cells[cell] * width * width);
    }
    double limit = pow(total / most, 3);
    for (uint32_t round = 0; round < SEARCH_ROUNDS || high == INFINITY; round++) {
        uint64_t bins = group(histogram, limit, false);
        *(bins > most ? &low : &high) = limit;
        if (bins <= most && bins >= most - most / 8) break;
        double next = limit * pow((double)bins / (most - most / 16), 3);
        limit = next > low && next < high ? next : high == INFINITY ? 8 * limit : low > 0 ? sqrt(low) * sqrt(high) : high / 8;
    }
    return high;
}

hel_status hel_histogram_group(hel_histogram *histogram, uint32_t most, hel_tally **out, uint32_t *out_count) {
    uint64_t occupied = group(histogram, 0, false);
    if (occupied > MOST_EXACT) histogram->exact = false;
    double limit = occupied > most && !histogram->exact ? choose_limit(histogram, most) : 0;
    uint32_t bins = (uint32_t)group(histogram, limit, true);
    *out = hel_alloc_zero(bins, sizeof **out);
    *out_count = bins;
    return *out ? HEL_OK : hel_fail_memory(bins * sizeof **out);
}
