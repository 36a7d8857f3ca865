// SPDX-License-Identifier: Apache-2.0
#include "ops/transpose.h"

#include "base/size.h"
#include "kernels.h"

void hel_transpose_run(hel_exec *exec, hel_binding x, const hel_transpose *shape, hel_binding y) {
    hel_transpose_params params = {.rows = shape->rows, .cols = shape->cols, .valid = shape->valid, .x_first = shape->x_first,
                                   .x_stride = shape->x_stride, .y_first = shape->y_first, .y_stride = shape->y_stride};
    uint32_t constants[] = {shape->sum};
    hel_binding bindings[] = {x, y};
    uint64_t tiles = hel_ceil_div(shape->rows, HEL_TRANSPOSE_TILE) * hel_ceil_div(shape->cols, HEL_TRANSPOSE_TILE);
    hel_exec_dispatch(exec, &(hel_call){.kernel = "transpose",
                                        .constants = constants,
                                        .n_constants = HEL_COUNT(constants),
                                        .bindings = bindings,
                                        .n_bindings = HEL_COUNT(bindings),
                                        .params = &params,
                                        .params_size = sizeof params,
                                        .groups = tiles});
}
