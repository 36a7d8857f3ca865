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
// The same of an x that is off by `error` already, and the error of 1 / (1 + e^-x) then.
double check_near_exp_error(double x, double error);
double check_near_sigmoid_error(double x, double error);

#endif
