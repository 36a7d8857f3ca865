// SPDX-License-Identifier: Apache-2.0
// One tensor as a scalar codebook, the values its sidecar keeps, and the codes of all the others: fitted in a few
// passes over the values and coded in one more.
#ifndef HEL_VQ_FIT_H
#define HEL_VQ_FIT_H

#include "vq/assign.h"
#include "vq/distinct.h"
#include "vq/policy.h"
#include "vq/sidecar.h"
#include "vq/values.h"

typedef struct hel_fit_options {
    uint32_t k;      // 1 .. 256
    bool reference;  // the reference's Lloyd iterations over all values; else the optimum over what the sidecar leaves
    bool sidecar;
    double percentile;
    uint32_t cap;
} hel_fit_options;

typedef struct hel_fit_error {
    double squared;                  // sum over all values, those of the sidecar being exact
    double dot, source_squares, decoded_squares;
} hel_fit_error;

typedef struct hel_fitted {
    float codebook[HEL_CODEBOOK_MAX]; // ascending; the last one repeated where there are fewer distinct values than k
    uint32_t k;
    bool reference;
    hel_sidecar sidecar;  // sorted by position
    double lower_bound;   // of the squared error of any codebook; negative where it was not computed
    bool measured;        // `error` is known, as it is where the values' counts are
    hel_fit_error error;
} hel_fitted;

// Values that are not finite are HEL_ERROR_UNSUPPORTED. Sequential, so the result depends on nothing but the values.
hel_status hel_fit_values(const hel_values *values, const hel_fit_options *options, hel_fitted *out);
void hel_fitted_finish(hel_fitted *fitted);

// Bytes that fitting and coding allocate beside the values, whatever their number (the reference fit: up to
// 4 * count more).
enum { HEL_FIT_MEMORY = 16 << 20 };

double hel_fit_error_db(const hel_fit_error *error); // 10 log10(signal / error): infinite where nothing was lost, NaN of zeros
double hel_fit_cosine(const hel_fit_error *error); // 1 where both are zero, 0 where one is

enum { HEL_FIT_CODES = 1 << 14 };

// Hands out the nearest codes in order, at most HEL_FIT_CODES a call (those under the sidecar too), and gives the error.
// `values` are those that were fitted, and `fitted` is as the fit left it.
typedef hel_status (*hel_codes_emit)(void *user, uint64_t first, const uint8_t *codes, uint64_t count);
hel_status hel_fit_encode(const hel_values *values, const hel_fitted *fitted, hel_codes_emit emit, void *user,
                          hel_fit_error *error);
// Sets `error` from the counts of what the sidecar leaves.
hel_status hel_fit_measure(hel_fitted *fitted, const hel_distinct *left);
#endif
