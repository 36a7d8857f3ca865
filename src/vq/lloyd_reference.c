// SPDX-License-Identifier: Apache-2.0
#include "vq/lloyd_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "vq/assign.h"
#include "vq/numpy_random.h"
#include "vq/sidecar.h"
#include "vq/sort.h"

enum { ITERATIONS = 10, SAMPLE_SEED = 42, PAIRWISE_BLOCK = 128 };

// numpy's float sum: eight partial sums in blocks of up to 128 values, halves above.
static float pairwise_sum(const float *a, uint32_t n) {
    if (n < 8) {
        float sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += a[i];
        return sum;
    }
    if (n <= PAIRWISE_BLOCK) {
        float r[8];
        memcpy(r, a, sizeof r);
        uint32_t i = 8;
        for (; i < n - n % 8; i += 8)
            for (uint32_t j = 0; j < 8; j++) r[j] += a[i + j];
        float sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; i < n; i++) sum += a[i];
        return sum;
    }
    uint32_t half = n / 2 - n / 2 % 8;
    return pairwise_sum(a, half) + pairwise_sum(a + half, n - half);
}

typedef struct lloyd {
    const float *data;
    uint32_t count, k;
    hel_assigner assigner;
    uint8_t *codes;   // of each value
    float *gathered;  // values ordered by code, within a code as in the data
    float centroids[HEL_CODEBOOK_MAX], moved[HEL_CODEBOOK_MAX];
} lloyd;

static void gather(lloyd *l, uint32_t starts[HEL_CODEBOOK_MAX + 1]) {
    hel_assigner_init(&l->assigner, l->centroids, l->k, true);
    memset(starts, 0, (HEL_CODEBOOK_MAX + 1) * sizeof *starts);
    for (uint32_t i = 0; i < l->count; i++) {
        l->codes[i] = (uint8_t)hel_assign(&l->assigner, l->data[i]);
        starts[l->codes[i] + 1]++;
    }
    for (uint32_t c = 0; c < l->k; c++) starts[c + 1] += starts[c];
    uint32_t next[HEL_CODEBOOK_MAX];
    memcpy(next, starts, sizeof next);
    for (uint32_t i = 0; i < l->count; i++) l->gathered[next[l->codes[i]]++] = l->data[i];
}

static void move_centroids(lloyd *l) {
    uint32_t starts[HEL_CODEBOOK_MAX + 1];
    gather(l, starts);
    for (uint32_t c = 0; c < l->k; c++) {
        uint32_t n = starts[c + 1] - starts[c];
        l->moved[c] = n ? pairwise_sum(l->gathered + starts[c], n) / (float)n : l->centroids[c];
    }
}

static bool settled(const lloyd *l, hel_reference_stop stop, double tolerance) {
    for (uint32_t c = 0; c < l->k; c++) {
        float distance = fabsf(l->moved[c] - l->centroids[c]);
        if (stop == HEL_REFERENCE_RANGE ? !(distance < tolerance) : !(distance <= 1e-8 + 1e-5 * fabsf(l->moved[c])))
            return false;
    }
    return true;
}

// Percentiles linspace(0, 100, k) of the sorted values.
static void initial_centroids(const float *sorted, uint32_t count, uint32_t k, float *out) {
    double step = k > 1 ? 100.0 / (k - 1) : 0;
    for (uint32_t c = 0; c < k; c++) {
        double percent = k > 1 && c == k - 1 ? 100 : c * step;
        double index = percent / 100 * (count - 1), whole = floor(index);
        uint32_t rank = (uint32_t)whole, next = HEL_MIN(rank + 1, count - 1);
        out[c] = hel_interpolate(sorted[rank], sorted[next], index - whole);
    }
}

hel_status hel_lloyd_reference(const float *data, uint32_t count, uint32_t k, hel_reference_stop stop, float *codebook,
                               uint32_t *out_k) {
    lloyd *l = hel_alloc_zero(1, sizeof *l);
    if (!l) return hel_fail_memory(sizeof *l);
    hel_status status = HEL_OK;
    l->data = data;
    l->count = count;
    l->codes = hel_alloc(count);
    l->gathered = hel_alloc_array(count, sizeof *l->gathered);
    if (!l->codes || !l->gathered) {
        status = hel_fail_memory((size_t)count * sizeof *l->gathered);
        goto done;
    }
    memcpy(l->gathered, data, count * sizeof *data);
    HEL_TRY_DONE(hel_sort_floats(l->gathered, count));
    uint32_t distinct = 1;
    for (uint32_t i = 1; i < count && distinct < k; i++) distinct += l->gathered[i] != l->gathered[i - 1];
    l->k = HEL_MIN(k, distinct);
    initial_centroids(l->gathered, count, l->k, l->centroids);
    double range = l->centroids[l->k - 1] - l->centroids[0], tolerance = 0.001 * (range < 1e-30 ? 1.0 : range);
    for (int i = 0; i < ITERATIONS; i++) {
        move_centroids(l);
        if (settled(l, stop, tolerance)) break;
        memcpy(l->centroids, l->moved, sizeof l->centroids);
    }
    memcpy(codebook, l->centroids, l->k * sizeof *codebook);
    *out_k = l->k;
done:
    hel_free(l->codes);
    hel_free(l->gathered);
    hel_free(l);
    return status;
}

// ---------------------------------------------------------------- the sample of large tensors

// Sample elements ordered by where they stand in the tensor.
typedef struct pick {
    uint32_t position, order;
} pick;

typedef struct sampling {
    const pick *picks;
    uint32_t next, count;
    float *sample;
} sampling;

static hel_status take_sample(void *user, uint64_t first, const float *values, uint64_t count) {
    sampling *s = user;
    for (; s->next < s->count && s->picks[s->next].position < first + count; s->next++)
        s->sample[s->picks[s->next].order] = values[s->picks[s->next].position - first];
    return HEL_OK;
}

static int by_position(const void *a, const void *b) {
    uint32_t left = ((const pick *)a)->position, right = ((const pick *)b)->position;
    return (left > right) - (left < right);
}

static hel_status draw(uint32_t n, uint32_t size, pick *picks) {
    uint32_t *chosen = hel_alloc_array(size, sizeof *chosen);
    if (!chosen) return hel_fail_memory(size * sizeof *chosen);
    hel_status status = hel_numpy_choice(SAMPLE_SEED, n, size, chosen);
    for (uint32_t i = 0; status == HEL_OK && i < size; i++) picks[i] = (pick){chosen[i], i};
    hel_free(chosen);
    if (status == HEL_OK) qsort(picks, size, sizeof *picks, by_position);
    return status;
}

hel_status hel_lloyd_reference_sampled(const hel_values *values, uint32_t k, float *codebook, uint32_t *out_k) {
    if (values->count > UINT32_MAX)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "the reference fit takes less than 2^32 values");
    uint32_t count = (uint32_t)values->count, size = HEL_MIN(count, HEL_REFERENCE_SAMPLE);
    pick *picks = hel_alloc_array(size, sizeof *picks);
    float *sample = hel_alloc_array(size, sizeof *sample);
    hel_status status = HEL_OK;
    if (!picks || !sample) {
        status = hel_fail_memory(size * sizeof *picks);
        goto done;
    }
    if (size < count) HEL_TRY_DONE(draw(count, size, picks));
    else for (uint32_t i = 0; i < size; i++) picks[i] = (pick){i, i};
    sampling s = {.picks = picks, .count = size, .sample = sample};
    HEL_TRY_DONE(hel_values_scan(values, take_sample, &s));
    status = hel_lloyd_reference(sample, size, k, HEL_REFERENCE_RANGE, codebook, out_k);
done:
    hel_free(picks);
    hel_free(sample);
    return status;
}
