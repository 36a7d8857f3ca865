// SPDX-License-Identifier: Apache-2.0
// k-means in any number of dimensions: codebooks of k centroids for n points of d values, by Lloyd's iterations
// ("Least squares quantization in PCM", 1982) on a device. Distances are squared Euclidean ones in f32, rounded operation
// by operation in the order of the dimensions, so a point has the same label on every device; of equal distances the
// lowest label is taken. The points are scaled by a power of two first, so their magnitude does not matter.
#ifndef HELICOID_KMEANS_H
#define HELICOID_KMEANS_H

#include <helicoid/common.h>
#include <helicoid/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hel_kmeans_start {
    HEL_KMEANS_START_PLUSPLUS, // k-means++ (Arthur and Vassilvitskii, 2007): each centroid a point drawn with a probability
                               // proportional to its squared distance from those before it; over all points while
                               // n k d <= 2^30, else over a sample of 2^30 / (k d), at least 2 k of them
    HEL_KMEANS_START_SAMPLE,   // k points, none of them twice
} hel_kmeans_start;

// What becomes of a centroid that no point is nearest to.
typedef enum hel_kmeans_empty {
    HEL_KMEANS_EMPTY_SPLIT,    // it moves to that point of the cluster with most points which is farthest from its centroid
    HEL_KMEANS_EMPTY_FARTHEST, // it moves to the point that is farthest from its centroid of all
    HEL_KMEANS_EMPTY_KEEP,     // it stays
    HEL_KMEANS_EMPTY_ERROR,    // HEL_ERROR_UNSUPPORTED
} hel_kmeans_empty;

typedef struct hel_kmeans_params {
    size_t struct_size;
    uint32_t k;             // centroids, 1 .. n; default 256
    uint32_t iterations;    // at most; default 25. 0 leaves the starting centroids
    double tolerance;       // done once no centroid moves farther than this times the points' root mean square distance
                            // from their mean; default 1e-4. 0: until no label changes
    hel_kmeans_start start; // default HEL_KMEANS_START_PLUSPLUS
    hel_kmeans_empty empty; // default HEL_KMEANS_EMPTY_SPLIT
    uint64_t seed;          // of the start; default 0
    bool exact;             // sums in double on the host, in the points' order: the same centroids, to the bit, on every
                            // device. Otherwise f32 sums on the device: the same in every run and for every number of
                            // threads. For d = 1 the codebook is then the optimum, ascending, and start, iterations and
                            // tolerance play no part; of more than 2^22 values (k <= 256) that of a fine histogram, with
                            // less than 16 MiB. Of fewer, or for more centroids, it takes up to 84 bytes a value on the
                            // host; 2^32 values and more are UNSUPPORTED
    hel_progress_callback progress; // unit: points labelled, of those of all iterations, and, where hel_kmeans_file goes
                                    // through a file in pieces, points read before; called on the calling thread; may be NULL
    void *user;
} hel_kmeans_params;

// The defaults above.
HEL_API void hel_kmeans_params_init(hel_kmeans_params *params, size_t struct_size);
HEL_DEFAULT(hel_kmeans_params)

typedef struct hel_kmeans_result {
    float *centroids;     // [k, d], in no particular order
    uint64_t *counts;     // [k]: points whose nearest centroid it is
    uint32_t *labels;     // [n]: the nearest centroid of each point; NULL where hel_kmeans_file says so
    uint64_t n;
    uint32_t k, d;
    uint32_t iterations;  // done
    uint32_t empty;       // centroids without points
    bool converged;       // the tolerance was met, or no label changed any more
    double squared_error; // sum over all points of the squared distance to their centroid, in double
} hel_kmeans_result;

// Fits a codebook to `points` [n, d], row-major, and labels them with it. The points stay the caller's; a copy of them
// lies on the device meanwhile, in as many buffers as its limits ask for. The host needs 4 n bytes beside the result, and
// 4 d + 4 for each point that k-means++ draws from. `params` may be NULL. After HEL_OK the result is released with
// hel_kmeans_result_finish; after a failure it is zero.
// Statuses: ARGUMENT for n = 0, d = 0, k = 0, k > n, n d or k d that cannot be addressed, a negative or NaN tolerance;
// UNSUPPORTED for points with NaN or infinity, for a codebook over the device's binding limit or, with
// HEL_KMEANS_EMPTY_ERROR, for a cluster that became empty; CANCELLED; DEVICE_MEMORY, DEVICE, DEVICE_LOST, MEMORY.
// Blocking. Thread-safety: safe, also on one device.
HEL_API hel_status hel_kmeans_fit(const hel_device *device, const float *points, uint64_t n, uint32_t d,
                                  const hel_kmeans_params *params, hel_kmeans_result *out);

// Releases what the result owns and zeroes it; accepts NULL and a zeroed result.
HEL_API void hel_kmeans_result_finish(hel_kmeans_result *result);

// The nearest of `centroids` [k, d] for each of `points` [n, d]: out_labels [n], and out_distances [n], the squared
// distances summed in double; either may be NULL. Statuses as hel_kmeans_fit (k > n is allowed). Blocking.
// Thread-safety: safe, also on one device.
HEL_API hel_status hel_kmeans_assign(const hel_device *device, const float *points, uint64_t n, uint32_t d,
                                     const float *centroids, uint32_t k, uint32_t *out_labels, float *out_distances);

// hel_kmeans_fit from file to file. `data` is an array of f32, f16 or f64 in a file of NPY, [n, d] or [n]; a flat array is
// cut into points of d values (d = 0: 1), whose number must go into it. `codebook` becomes an NPY array f32 [k, d] and
// `labels`, unless it is NULL, one of u32 [n]. Both are written under temporary names, synced and renamed; where one
// exists and `overwrite` is false nothing is done. `result` may be NULL. With `exact`, more than 2^22 points of d = 1 and
// k <= 256 the file is read in pieces, about six times, and never lies in memory; the result then has no labels. Other fits
// need what hel_kmeans_fit needs, and 4 n d bytes.
// Statuses as hel_kmeans_fit, and NOT_FOUND, EXISTS, FORMAT, IO; ARGUMENT where d does not fit the array's shape.
// Blocking. Thread-safety: safe for different outputs.
HEL_API hel_status hel_kmeans_file(const hel_device *device, const char *data, uint32_t d, const char *codebook,
                                   const char *labels, bool overwrite, const hel_kmeans_params *params,
                                   hel_kmeans_result *result);

#ifdef __cplusplus
}
#endif

#endif
