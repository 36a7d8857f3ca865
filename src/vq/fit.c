// SPDX-License-Identifier: Apache-2.0
#include "vq/fit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/distinct.h"
#include "vq/fit_bound.h"
#include "vq/kmeans1d.h"
#include "vq/lloyd_reference.h"
#include "vq/polish.h"
#include "vq/sort.h"

// Up to SORT_LIMIT values are sorted and their distinct values are the bins; above, the histogram's cells are, joined and cut
// to BINS where they are not exact.
enum { SORT_LIMIT = 1 << 15, BINS = 1 << 15, POLISH_PASSES = 2 };

// What a fit goes through: the values become bins, with their tallies where values were gathered.
typedef struct job {
    const hel_values *values;
    const hel_fit_options *options;
    hel_fitted *fitted;
    hel_bins bins;
    hel_histogram histogram;
    hel_tally *tallies; // NULL: every bin is one distinct value
    uint32_t n_tallies;
    hel_distinct *distinct; // of bfloat16 values, what the sidecar leaves; NULL: not counted
} job;

// ---------------------------------------------------------------- sidecar and bins

// Calls for each value that the sidecar leaves, in no particular order.
typedef struct sift {
    hel_sidecar *sidecar; // cap 0 leaves everything
    const hel_histogram *histogram;
    hel_tally *tallies;   // NULL: only the sidecar is filled
} sift;

static hel_status sift_values(void *user, uint64_t first, const float *values, uint64_t count) {
    sift *s = user;
    float low = s->sidecar->low, high = s->sidecar->high;
    for (uint64_t i = 0; i < count; i++) {
        float value = values[i];
        bool evicted = false;
        if ((value < low || value > high) && hel_sidecar_offer(s->sidecar, first + i, &value, &evicted) && !evicted)
            continue;
        if (s->tallies) hel_tally_add(&s->tallies[hel_histogram_bin(s->histogram, value)], value + 0.0f);
    }
    return HEL_OK;
}

static hel_status sidecar_from(const hel_percentiles *percentiles, const float *limits, const hel_fit_options *options,
                               hel_sidecar *out) {
    return hel_sidecar_create(percentiles, limits, options->sidecar ? options->cap : 0, out);
}

// Takes from the sorted values those that the sidecar keeps: both are few.
static uint32_t without_kept(float *sorted, uint32_t count, const hel_sidecar *sidecar) {
    for (uint32_t k = 0; k < sidecar->count; k++) {
        uint32_t low = 0, high = count - 1;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (sorted[middle] < sidecar->kept[k].value) low = middle + 1;
            else high = middle;
        }
        memmove(sorted + low, sorted + low + 1, (count - low - 1) * sizeof *sorted);
        count--;
    }
    return count;
}

static hel_status distinct_bins(job *j) {
    const hel_values *values = j->values;
    hel_sidecar *sidecar = &j->fitted->sidecar;
    uint32_t count = (uint32_t)values->count;
    float *sorted = hel_alloc_array(count, sizeof *sorted);
    if (!sorted) return hel_fail_memory(count * sizeof *sorted);
    hel_status status;
    HEL_TRY_DONE(hel_values_copy(values, sorted));
    HEL_TRY_DONE(hel_sort_floats(sorted, count));
    if (!isfinite(sorted[0]) || !isfinite(sorted[count - 1])) {
        status = hel_fail(HEL_ERROR_UNSUPPORTED, "the tensor holds NaN or infinity");
        goto done;
    }
    hel_percentiles percentiles = hel_percentiles_of(j->options->percentile, count);
    float limits[HEL_HISTOGRAM_RANKS];
    for (int r = 0; r < HEL_HISTOGRAM_RANKS; r++) limits[r] = sorted[percentiles.ranks[r]];
    HEL_TRY_DONE(sidecar_from(&percentiles, limits, j->options, sidecar));
    HEL_TRY_DONE(hel_values_scan(values, sift_values, &(sift){.sidecar = sidecar}));
    count = without_kept(sorted, count, sidecar);
    status = hel_bins_from_sorted(sorted, count, &j->bins);
done:
    hel_free(sorted);
    return status;
}

static hel_status gathered_bins(job *j) {
    hel_sidecar *sidecar = &j->fitted->sidecar;
    HEL_TRY(hel_histogram_create(j->values, &j->histogram));
    hel_percentiles percentiles = hel_percentiles_of(j->options->percentile, j->values->count);
    float limits[HEL_HISTOGRAM_RANKS] = {-FLT_MAX, -FLT_MAX, FLT_MAX, FLT_MAX}; // nothing is outside
    if (j->options->sidecar)
        HEL_TRY(hel_histogram_select(&j->histogram, j->values, percentiles.ranks, HEL_HISTOGRAM_RANKS, limits));
    HEL_TRY(sidecar_from(&percentiles, limits, j->options, sidecar));
    HEL_TRY(hel_histogram_group(&j->histogram, BINS, &j->tallies, &j->n_tallies));
    HEL_TRY(hel_values_scan(j->values, sift_values, &(sift){sidecar, &j->histogram, j->tallies}));
    return hel_bins_from_tallies(j->tallies, j->n_tallies, &j->bins);
}

enum { RUN = 64 }; // values looked at together: most runs hold none of the sidecar's

// Orders as the values do, but -0 before +0.
static inline int16_t half_order(uint16_t bits) {
    int16_t value = (int16_t)bits;
    return (int16_t)(value ^ (value >> 15 & 0x7fff));
}

// Whether some of a run of values may lie outside low .. high, which were rounded to bfloat16 and so may be outside, too.
static bool any_outside(const uint16_t halves[RUN], int16_t low, int16_t high) {
    int16_t any = 0;
    for (int i = 0; i < RUN; i++) any |= -((half_order(halves[i]) <= low) | (half_order(halves[i]) >= high));
    return any;
}

static void offer_halves(hel_sidecar *sidecar, uint64_t first, const uint16_t *halves, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        float value = hel_bf16_to_float(halves[i]);
        bool evicted;
        hel_sidecar_offer(sidecar, first + i, &value, &evicted);
    }
}

static hel_status sift_halves(void *user, uint64_t first, const uint16_t *halves, uint64_t count) {
    hel_sidecar *sidecar = user;
    int16_t low = half_order(hel_float_to_bf16(sidecar->low)), high = half_order(hel_float_to_bf16(sidecar->high));
    uint64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        if (any_outside(halves + i, low, high)) offer_halves(sidecar, first + i, halves + i, RUN);
    offer_halves(sidecar, first + i, halves + i, count - i);
    return HEL_OK;
}

// The distinct values are counted in one pass; a second one finds where those of the sidecar are.
static hel_status half_bins(job *j) {
    const hel_values *values = j->values;
    hel_sidecar *sidecar = &j->fitted->sidecar;
    HEL_TRY(hel_distinct_create(values, &j->distinct));
    hel_percentiles percentiles = hel_percentiles_of(j->options->percentile, values->count);
    float limits[HEL_HISTOGRAM_RANKS];
    for (int r = 0; r < HEL_HISTOGRAM_RANKS; r++) limits[r] = hel_distinct_select(j->distinct, percentiles.ranks[r]);
    HEL_TRY(sidecar_from(&percentiles, limits, j->options, sidecar));
    if (sidecar->cap) HEL_TRY(hel_values_scan_halves(values, sift_halves, sidecar));
    for (uint32_t i = 0; i < sidecar->count; i++) hel_distinct_remove(j->distinct, sidecar->kept[i].value);
    return hel_distinct_bins(j->distinct, &j->bins);
}

typedef hel_status (*bins_maker)(job *j);

static bins_maker maker_for(const hel_values *values) {
    if (values->count <= SORT_LIMIT) return distinct_bins;
    return hel_values_are_halves(values) ? half_bins : gathered_bins;
}

// ---------------------------------------------------------------- codebook

static void pad_codebook(hel_fitted *fitted, uint32_t used, uint32_t k) {
    for (uint32_t c = used; c < k; c++) fitted->codebook[c] = fitted->codebook[used - 1];
    fitted->k = k;
}

static hel_status optimal_codebook(const hel_bins *bins, uint32_t k, hel_fitted *out, double *price) {
    hel_partition partition;
    HEL_TRY(hel_kmeans1d_solve(bins, k, 0, &partition));
    *price = partition.price;
    double means[HEL_CODEBOOK_MAX];
    hel_partition_means(bins, &partition, means);
    for (uint32_t c = 0; c < partition.clusters; c++) out->codebook[c] = (float)means[c];
    out->lower_bound = partition.lower_bound;
    pad_codebook(out, partition.clusters, k);
    hel_partition_finish(&partition);
    return HEL_OK;
}

static hel_status fit_optimal(job *j) {
    hel_fitted *out = j->fitted;
    if (!j->bins.n) { // the sidecar holds everything
        pad_codebook(out, 1, j->options->k);
        return HEL_OK;
    }
    double price;
    HEL_TRY(optimal_codebook(&j->bins, j->options->k, out, &price));
    if (hel_bins_exact(&j->bins)) return HEL_OK;
    HEL_TRY(hel_fit_bound(&j->bins, j->options->k, price, &out->lower_bound));
    return hel_fit_polish(j->values, &j->histogram, j->tallies, j->n_tallies, POLISH_PASSES, out);
}

static void finish(job *j) {
    hel_histogram_finish(&j->histogram);
    hel_bins_finish(&j->bins);
    hel_free(j->tallies);
    hel_free(j->distinct);
}

hel_status hel_fit_values(const hel_values *values, const hel_fit_options *options, hel_fitted *out) {
    *out = (hel_fitted){.reference = options->reference};
    if (!values->count || !options->k || options->k > HEL_CODEBOOK_MAX)
        return hel_fail(HEL_ERROR_ARGUMENT, "a codebook has 1 to %d entries and is fitted to at least one value",
                        HEL_CODEBOOK_MAX);
    job j = {.values = values, .options = options, .fitted = out};
    hel_status status;
    HEL_TRY_DONE(maker_for(values)(&j));
    hel_sidecar_sort(&out->sidecar);
    if (options->reference) {
        uint32_t used = 0;
        HEL_TRY_DONE(hel_lloyd_reference_sampled(values, options->k, out->codebook, &used));
        pad_codebook(out, used, options->k);
        out->lower_bound = -1;
    } else {
        HEL_TRY_DONE(fit_optimal(&j));
    }
    if (j.distinct) HEL_TRY_DONE(hel_fit_measure(out, j.distinct));
done:
    finish(&j);
    if (status != HEL_OK) hel_fitted_finish(out);
    return status;
}

void hel_fitted_finish(hel_fitted *fitted) {
    hel_sidecar_finish(&fitted->sidecar);
    *fitted = (hel_fitted){0};
}
