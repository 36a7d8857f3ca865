// SPDX-License-Identifier: Apache-2.0
// Floats in ascending order, by radix sort of their keys; -0 becomes +0.
#ifndef HEL_VQ_SORT_H
#define HEL_VQ_SORT_H

#include <helicoid/common.h>

hel_status hel_sort_floats(float *values, uint32_t count);
#endif
