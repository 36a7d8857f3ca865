// SPDX-License-Identifier: Apache-2.0
#include "vq/fit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/bins.h"
#include "vq/histogram.h"
#include "vq/kmeans1d.h"
#include "vq/lloyd_reference.h"
#include "vq/sort.h"

// Up to SORT_LIMIT values are sorted and their distinct values are the bins; above, the histogram's cells are, gathered
// to BINS where they are not exact.
enum { SORT_LIMIT = 1 << 15, BINS = 1 << 15, POLISH_PASSES = 2 };

// ---------------------------------------------------------------- sidecar and bins

// Calls for each value that the sidecar leaves, in no particular order.
typedef struct sift {
    hel_sidecar *sidecar; // cap 0 leaves everything
    const hel_histogram *histogram;
    hel_bins *bins;       // NULL: only the sidecar is filled
} sift;

static hel_status sift_values(void *user, uint64_t first, const float *values, uint64_t count) {
    sift *s = user;
    float low = s->sidecar->low, high = s->sidecar->high;
    for (uint64_t i = 0; i < count; i++) {
        float value = values[i];
        bool evicted = false;
        if ((value < low || value > high) && hel_sidecar_offer(s->sidecar, first + i, &value, &evicted) && !evicted)
            continue;
        if (s->bins) hel_bin_add(&s->bins->bins[hel_histogram_bin(s->histogram, value)], value + 0.0f);
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

typedef struct copy { float *out; } copy;

static hel_status copy_values(void *user, uint64_t first, const float *values, uint64_t count) {
    memcpy(((copy *)user)->out + first, values, count * sizeof *values);
    return HEL_OK;
}

static hel_status distinct_bins(const hel_values *values, const hel_fit_options *options, hel_sidecar *sidecar,
                                hel_bins *bins) {
    uint32_t count = (uint32_t)values->count;
    float *sorted = hel_alloc_array(count, sizeof *sorted);
    if (!sorted) return hel_fail_memory(count * sizeof *sorted);
    hel_status status;
    HEL_TRY_DONE(hel_values_scan(values, copy_values, &(copy){sorted}));
    HEL_TRY_DONE(hel_sort_floats(sorted, count));
    if (!isfinite(sorted[0]) || !isfinite(sorted[count - 1])) {
        status = hel_fail(HEL_ERROR_UNSUPPORTED, "the tensor holds NaN or infinity");
        goto done;
    }
    hel_percentiles percentiles = hel_percentiles_of(options->percentile, count);
    float limits[HEL_HISTOGRAM_RANKS];
    for (int r = 0; r < HEL_HISTOGRAM_RANKS; r++) limits[r] = sorted[percentiles.ranks[r]];
    HEL_TRY_DONE(sidecar_from(&percentiles, limits, options, sidecar));
    HEL_TRY_DONE(hel_values_scan(values, sift_values, &(sift){.sidecar = sidecar}));
    count = without_kept(sorted, count, sidecar);
    status = hel_bins_from_sorted(sorted, count, bins);
done:
    hel_free(sorted);
    return status;
}

static hel_status gathered_bins(const hel_values *values, const hel_fit_options *options, hel_sidecar *sidecar,
                                hel_bins *bins) {
    hel_histogram histogram;
    HEL_TRY(hel_histogram_create(values, &histogram));
    hel_percentiles percentiles = hel_percentiles_of(options->percentile, values->count);
    float limits[HEL_HISTOGRAM_RANKS];
    hel_status status;
    HEL_TRY_DONE(hel_histogram_select(&histogram, values, percentiles.ranks, HEL_HISTOGRAM_RANKS, limits));
    HEL_TRY_DONE(sidecar_from(&percentiles, limits, options, sidecar));
    HEL_TRY_DONE(hel_histogram_group(&histogram, BINS, bins));
    HEL_TRY_DONE(hel_values_scan(values, sift_values, &(sift){sidecar, &histogram, bins}));
    hel_bins_tidy(bins);
done:
    hel_histogram_finish(&histogram);
    return status;
}

// ---------------------------------------------------------------- codebook

static void pad_codebook(hel_fitted *fitted, uint32_t used, uint32_t k) {
    for (uint32_t c = used; c < k; c++) fitted->codebook[c] = fitted->codebook[used - 1];
    fitted->k = k;
}

// A bin that a boundary cuts can gain by being split: at most its count * its width * the distance of the two codes / 2.
static double split_gain(const hel_bins *bins, const hel_partition *partition, const double *means) {
    double gain = 0;
    for (uint32_t c = 1; c < partition->clusters; c++) {
        double gap = means[c] - means[c - 1], most = 0;
        for (uint32_t b = partition->bounds[c] - 1; b <= partition->bounds[c]; b++) {
            const hel_bin *bin = &bins->bins[b];
            most = fmax(most, bin->count * ((double)bin->high - bin->low) * gap / 2);
        }
        gain += most;
    }
    return gain;
}

static hel_status optimal_codebook(const hel_bins *bins, uint32_t k, hel_fitted *out) {
    hel_partition partition;
    HEL_TRY(hel_kmeans1d_solve(bins, k, &partition));
    double means[HEL_CODEBOOK_MAX];
    hel_partition_means(bins, &partition, means);
    for (uint32_t c = 0; c < partition.clusters; c++) out->codebook[c] = (float)means[c];
    out->lower_bound = fmax(0, partition.lower_bound - split_gain(bins, &partition, means));
    pad_codebook(out, partition.clusters, k);
    hel_partition_finish(&partition);
    return HEL_OK;
}

// One of Lloyd's steps on the values themselves; never worse, and better where boundaries cut bins.
typedef struct polish {
    hel_assigner assigner;
    const hel_sidecar *sidecar;
    uint32_t kept; // sidecar values passed
    double sum[HEL_CODEBOOK_MAX];
    uint64_t count[HEL_CODEBOOK_MAX];
} polish;

static void add_run(polish *p, const float *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint32_t code = hel_assign_exact(&p->assigner, values[i]);
        p->sum[code] += values[i];
        p->count[code]++;
    }
}

static hel_status add_to_means(void *user, uint64_t first, const float *values, uint64_t count) {
    polish *p = user;
    uint64_t done = 0;
    for (; p->kept < p->sidecar->count && p->sidecar->kept[p->kept].position < first + count; p->kept++) {
        uint64_t next = p->sidecar->kept[p->kept].position - first;
        add_run(p, values + done, next - done);
        done = next + 1;
    }
    add_run(p, values + done, count - done);
    return HEL_OK;
}

static hel_status polish_codebook(const hel_values *values, hel_fitted *fitted) {
    polish *p = hel_alloc(sizeof *p);
    if (!p) return hel_fail_memory(sizeof *p);
    hel_status status = HEL_OK;
    for (int pass = 0; status == HEL_OK && pass < POLISH_PASSES; pass++) {
        memset(p, 0, sizeof *p);
        p->sidecar = &fitted->sidecar;
        hel_assigner_init(&p->assigner, fitted->codebook, fitted->k, false);
        status = hel_values_scan(values, add_to_means, p);
        for (uint32_t c = 0; status == HEL_OK && c < fitted->k; c++)
            if (p->count[c]) fitted->codebook[c] = (float)(p->sum[c] / (double)p->count[c]);
    }
    hel_free(p);
    return status;
}

static hel_status fit_optimal(const hel_values *values, const hel_fit_options *options, const hel_bins *bins,
                              hel_fitted *out) {
    if (!bins->n) { // the sidecar holds everything
        pad_codebook(out, 1, options->k);
        return HEL_OK;
    }
    HEL_TRY(optimal_codebook(bins, options->k, out));
    return hel_bins_exact(bins) ? HEL_OK : polish_codebook(values, out);
}

hel_status hel_fit_values(const hel_values *values, const hel_fit_options *options, hel_fitted *out) {
    *out = (hel_fitted){.reference = options->reference};
    if (!values->count || !options->k || options->k > HEL_CODEBOOK_MAX)
        return hel_fail(HEL_ERROR_ARGUMENT, "a codebook has 1 to %d entries and is fitted to at least one value",
                        HEL_CODEBOOK_MAX);
    hel_bins bins = {0};
    hel_status status;
    HEL_TRY_DONE((values->count <= SORT_LIMIT ? distinct_bins : gathered_bins)(values, options, &out->sidecar, &bins));
    hel_sidecar_sort(&out->sidecar);
    if (options->reference) {
        uint32_t used = 0;
        HEL_TRY_DONE(hel_lloyd_reference_sampled(values, options->k, out->codebook, &used));
        pad_codebook(out, used, options->k);
        out->lower_bound = -1;
    } else {
        HEL_TRY_DONE(fit_optimal(values, options, &bins, out));
    }
done:
    hel_bins_finish(&bins);
    if (status != HEL_OK) hel_fitted_finish(out);
    return status;
}

void hel_fitted_finish(hel_fitted *fitted) {
    hel_sidecar_finish(&fitted->sidecar);
    *fitted = (hel_fitted){0};
}

// ---------------------------------------------------------------- codes

typedef struct coder {
    hel_assigner assigner;
    const hel_sidecar *sidecar;
    uint32_t kept;
    hel_codes_emit emit;
    void *user;
    hel_fit_error *error;
    uint8_t codes[HEL_FIT_CODES];
} coder;

// Sums of one short run are kept apart and added once, which also keeps rounding small.
static void code_run(coder *c, const float *values, uint8_t *codes, uint64_t count) {
    hel_fit_error run = {0};
    for (uint64_t i = 0; i < count; i++) {
        uint32_t code = hel_assign(&c->assigner, values[i]);
        double value = values[i], decoded = c->assigner.codebook[code];
        codes[i] = (uint8_t)code;
        run.squared += (value - decoded) * (value - decoded);
        run.dot += value * decoded;
        run.source_squares += value * value;
        run.decoded_squares += decoded * decoded;
    }
    c->error->squared += run.squared;
    c->error->dot += run.dot;
    c->error->source_squares += run.source_squares;
    c->error->decoded_squares += run.decoded_squares;
}

static void code_kept(coder *c, float value, uint8_t *code) {
    double square = (double)value * value;
    *code = (uint8_t)hel_assign(&c->assigner, value);
    c->error->dot += square;
    c->error->source_squares += square;
    c->error->decoded_squares += square;
}

static hel_status code_piece(coder *c, uint64_t first, const float *values, uint64_t count) {
    uint64_t done = 0;
    for (; c->kept < c->sidecar->count && c->sidecar->kept[c->kept].position < first + count; c->kept++) {
        uint64_t next = c->sidecar->kept[c->kept].position - first;
        code_run(c, values + done, c->codes + done, next - done);
        code_kept(c, values[next], c->codes + next);
        done = next + 1;
    }
    code_run(c, values + done, c->codes + done, count - done);
    return c->emit(c->user, first, c->codes, count);
}

static hel_status code_values(void *user, uint64_t first, const float *values, uint64_t count) {
    for (uint64_t done = 0; done < count; done += HEL_FIT_CODES)
        HEL_TRY(code_piece(user, first + done, values + done, HEL_MIN(HEL_FIT_CODES, count - done)));
    return HEL_OK;
}

hel_status hel_fit_encode(const hel_values *values, const hel_fitted *fitted, hel_codes_emit emit, void *user,
                          hel_fit_error *error) {
    coder *c = hel_alloc(sizeof *c);
    if (!c) return hel_fail_memory(sizeof *c);
    c->sidecar = &fitted->sidecar;
    c->kept = 0;
    c->emit = emit;
    c->user = user;
    c->error = error;
    *error = (hel_fit_error){0};
    hel_assigner_init(&c->assigner, fitted->codebook, fitted->k, fitted->reference);
    hel_status status = hel_values_scan(values, code_values, c);
    hel_free(c);
    return status;
}

double hel_fit_cosine(const hel_fit_error *error) {
    if (error->source_squares == 0 && error->decoded_squares == 0) return 1;
    double norms = sqrt(error->source_squares) * sqrt(error->decoded_squares);
    return norms > 0 ? fmin(1, error->dot / norms) : 0;
}
