// SPDX-License-Identifier: Apache-2.0
#include "vq/polish.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

typedef struct polish {
    hel_assigner assigner;
    const hel_histogram *histogram;
    const hel_sidecar *sidecar;
    uint32_t kept; // sidecar values passed
    bool *cut;     // by bin: its values belong to several codes
    double sum[HEL_CODEBOOK_MAX];
    uint64_t count[HEL_CODEBOOK_MAX];
} polish;

// Bins of one code are added whole; the others are marked.
static void add_whole_bins(polish *p, const hel_tally *tallies, uint32_t count) {
    for (uint32_t b = 0; b < count; b++) {
        const hel_tally *tally = &tallies[b];
        p->cut[b] = false;
        if (!tally->count) continue;
        uint32_t code = hel_assign_exact(&p->assigner, tally->low);
        p->cut[b] = code != hel_assign_exact(&p->assigner, tally->high);
        if (p->cut[b]) continue;
        p->sum[code] += (double)tally->count * tally->origin + tally->sum;
        p->count[code] += tally->count;
    }
}

static void add_run(polish *p, const float *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (!p->cut[hel_histogram_bin(p->histogram, values[i])]) continue;
        uint32_t code = hel_assign_exact(&p->assigner, values[i]);
        p->sum[code] += values[i];
        p->count[code]++;
    }
}

static hel_status add_cut_bins(void *user, uint64_t first, const float *values, uint64_t count) {
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

static hel_status step(polish *p, const hel_values *values, const hel_tally *tallies, uint32_t count, hel_fitted *fitted) {
    memset(p->sum, 0, sizeof p->sum);
    memset(p->count, 0, sizeof p->count);
    p->kept = 0;
    hel_assigner_init(&p->assigner, fitted->codebook, fitted->k, false);
    add_whole_bins(p, tallies, count);
    HEL_TRY(hel_values_scan(values, add_cut_bins, p));
    for (uint32_t c = 0; c < fitted->k; c++)
        if (p->count[c]) fitted->codebook[c] = (float)(p->sum[c] / (double)p->count[c]);
    return HEL_OK;
}

hel_status hel_fit_polish(const hel_values *values, const hel_histogram *histogram, const hel_tally *tallies, uint32_t count,
                          uint32_t passes, hel_fitted *fitted) {
    polish *p = hel_alloc(sizeof *p);
    if (!p) return hel_fail_memory(sizeof *p);
    p->histogram = histogram;
    p->sidecar = &fitted->sidecar;
    p->cut = hel_alloc_array(count, sizeof *p->cut);
    hel_status status = p->cut ? HEL_OK : hel_fail_memory(count * sizeof *p->cut);
    for (uint32_t pass = 0; status == HEL_OK && pass < passes; pass++) status = step(p, values, tallies, count, fitted);
    hel_free(p->cut);
    hel_free(p);
    return status;
}
