// SPDX-License-Identifier: Apache-2.0
#include "functions.h"

#include <math.h>

#include "harness.h"
#include "kernels.h"

double check_exp_error(double x) { return (8.0 + 4.0 * fmin(fabs(x), 200.0)) * CHECK_U; }

double check_near_exp_error(double x, double error) { return expm1(fmin(error, 50.0)) + check_exp_error(x); }

double check_near_sigmoid_error(double x, double error) {
    double value = 1.0 / (1.0 + exp(-x));
    return value * ((1.0 - value) * check_near_exp_error(x, error) + 12.0 * CHECK_U) + 2.0 * CHECK_TINY;
}

static check_value sigmoid_value(double x) {
    double value = x < 0.0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x));
    return (check_value){value, value * (check_exp_error(x) + 8.0 * CHECK_U) + CHECK_TINY};
}

static check_value times(double x, check_value of) {
    return (check_value){x * of.value, fabs(x) * (of.error + 2.0 * CHECK_U * of.value) + CHECK_TINY * (1.0 + of.value)};
}

// The part of the normal distribution beyond |x| carries the error of e^(-x^2 / 2), whose exponent is rounded twice.
static check_value gelu_value(double x) {
    double beyond = 0.5 * erfc(fabs(x) * sqrt(0.5)), value = x < 0.0 ? x * beyond : x - x * beyond;
    double error = fabs(x) * beyond * (check_exp_error(x * x) + 32.0 * CHECK_U) + 2.0 * CHECK_U * fabs(value);
    return (check_value){value, error + CHECK_TINY * (2.0 + fabs(x))};
}

static check_value gelu_tanh_value(double x) {
    double bent = 2.0 * sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x);
    check_value part = sigmoid_value(bent);
    part.error += part.value * 8.0 * CHECK_U * fmin(fabs(bent), 200.0);
    return times(x, part);
}

check_value check_function(uint32_t activation, double x) {
    double positive = fmax(x, 0.0), softplus = positive + log1p(exp(-fabs(x)));
    switch (activation) {
    case HEL_ACTIVATION_RELU: return (check_value){positive, CHECK_TINY};
    case HEL_ACTIVATION_RELU_SQUARED: return times(positive, (check_value){positive, CHECK_TINY});
    case HEL_ACTIVATION_SIGMOID: return sigmoid_value(x);
    case HEL_ACTIVATION_SILU: return times(x, sigmoid_value(x));
    case HEL_ACTIVATION_TANH: return (check_value){tanh(x), 32.0 * CHECK_U * fabs(tanh(x)) + CHECK_TINY};
    case HEL_ACTIVATION_SOFTPLUS: return (check_value){softplus, softplus * (check_exp_error(x) + 16.0 * CHECK_U) + CHECK_TINY};
    case HEL_ACTIVATION_GELU: return gelu_value(x);
    case HEL_ACTIVATION_GELU_TANH: return gelu_tanh_value(x);
    default: return (check_value){x, CHECK_TINY};
    }
}
