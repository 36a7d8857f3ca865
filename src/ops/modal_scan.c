// SPDX-License-Identifier: Apache-2.0
#include "ops/modal_scan.h"

#include "base/size.h"
#include "kernels.h"

hel_tensor hel_modal_scan(hel_exec *exec, hel_tensor z, const hel_modal_filter *filter, hel_binding state) {
    hel_tensor y = hel_exec_tensor(exec, z.rows, z.cols / 3);
    hel_modal_scan_params params = {.tokens = z.rows, .channels = y.cols, .modes = filter->modes, .split = filter->split};
    uint64_t blocks = hel_ceil_div(filter->modes, HEL_MODAL_SCAN_BLOCK), each = HEL_MODAL_SCAN_BLOCK + 1;
    hel_exec_expect_loops(exec, "modal_scan", blocks * (2 * HEL_MODAL_SCAN_BLOCK + each * z.rows + 4) + 4);
    hel_binding bindings[] = {z.where, filter->poles, filter->residues, filter->direct, state, y.where};
    hel_exec_dispatch(exec, &(hel_call){.kernel = "modal_scan",
                                        .bindings = bindings,
                                        .n_bindings = HEL_COUNT(bindings),
                                        .params = &params,
                                        .params_size = sizeof params,
                                        .groups = hel_ceil_div(y.cols, HEL_MODAL_SCAN_CHUNK)});
    return y;
}
