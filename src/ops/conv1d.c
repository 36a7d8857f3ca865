// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

hel_tensor hel_conv1d(hel_exec *exec, hel_columns x, const hel_conv1d_filter *filter, hel_binding state) {
    hel_tensor y = hel_exec_tensor(exec, x.of.rows, x.count);
    hel_conv1d_params params = {.tokens = x.of.rows,
                                .channels = x.count,
                                .width = filter->width,
                                .ahead = filter->ahead,
                                .biased = filter->bias.buffer != NULL,
                                .keeps = state.buffer != NULL,
                                .activation = filter->activation,
                                .x_first = x.first,
                                .x_stride = x.of.cols};
    // What is not read must not be what is bound where the kernel may write.
    hel_binding bias = params.biased ? filter->bias : filter->taps;
    hel_binding kept = params.keeps ? state : hel_bind(exec->nothing);
    hel_binding bindings[] = {x.of.where, filter->taps, bias, kept, y.where};
    uint64_t groups = hel_ceil_div(x.count, HEL_CONV1D_CHUNK) * hel_ceil_div(x.of.rows, HEL_CONV1D_TOKENS);
    hel_exec_dispatch(exec, &(hel_call){"conv1d", NULL, 0, bindings, HEL_COUNT(bindings), &params, sizeof params, groups});
    return y;
}
