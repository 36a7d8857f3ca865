// SPDX-License-Identifier: Apache-2.0
// Lloyd's steps on the values themselves for a codebook that was fitted to bins of them: never worse, and better where the
// middles of codes cut bins. Values of other bins go by with one look at a table.
#ifndef HEL_VQ_POLISH_H
#define HEL_VQ_POLISH_H

#include "vq/fit.h"

// `tallies` [count] are those of `histogram`'s bins and hold all values that the fit's sidecar leaves.
hel_status hel_fit_polish(const hel_values *values, const hel_histogram *histogram, const hel_tally *tallies, uint32_t count,
                          uint32_t passes, hel_fitted *fitted);

#endif
