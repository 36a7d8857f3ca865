// SPDX-License-Identifier: Apache-2.0
// numpy.random.RandomState(seed).choice(n, size, replace=False): MT19937 (Matsumoto, Nishimura 1998) seeded as
// init_genrand, a Fisher-Yates shuffle of 0..n-1 from the end with masked rejection, and its first elements.
#ifndef HEL_VQ_NUMPY_RANDOM_H
#define HEL_VQ_NUMPY_RANDOM_H

#include <helicoid/common.h>

// `size` <= n < 2^32 indices into `out`. Needs 4 n bytes for the shuffle, as the method does.
hel_status hel_numpy_choice(uint32_t seed, uint32_t n, uint32_t size, uint32_t *out);
#endif
