// SPDX-License-Identifier: Apache-2.0
// A checkpoint of one Hyena operator of random weights.
#ifndef HEL_BENCH_RANDOM_OPERATOR_H
#define HEL_BENCH_RANDOM_OPERATOR_H

#include <helicoid/common.h>

// Of order 2, with the sizes of HyenaDNA beside the width; <helicoid/hyena.h> reads it with its defaults.
hel_status hel_bench_write_operator(const char *path, uint32_t width);

#endif
