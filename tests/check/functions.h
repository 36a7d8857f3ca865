// SPDX-License-Identifier: Apache-2.0
// The functions of shaders/functions.kh in double precision.
#ifndef CHECK_FUNCTIONS_H
#define CHECK_FUNCTIONS_H

#include <stdint.h>

// What a function should be, and by how much of it a device may be off: Vulkan allows exp an error of 3 + 2 |x| units in the
// last place, a division 2.5; below 2^-126 a factor may vanish altogether.
typedef struct check_value {
    double value, error;
} check_value;

check_value check_function(uint32_t activation, double x);
double check_exp_error(double x); // relative, of e^x

#endif
