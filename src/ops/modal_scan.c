// SPDX-License-Identifier: Apache-2.0
// A lane goes through the tokens one by one; where a driver ends long loops, it is several dispatches, each going on from the state
// that the last one left.
#include "ops/modal_scan.h"

#include "base/size.h"
#include "kernels.h"

// Tokens of one dispatch.
static uint32_t tokens_at_once(const hel_exec *exec, uint32_t tokens, uint32_t modes) {
    uint64_t blocks = hel_ceil_div(modes, HEL_MODAL_SCAN_BLOCK);
    return hel_exec_steps_at_once(exec, tokens, blocks * (2 * HEL_MODAL_SCAN_BLOCK + 4) + 4, blocks * (HEL_MODAL_SCAN_BLOCK + 1));
}

hel_tensor hel_modal_scan(hel_exec *exec, hel_tensor z, const hel_modal_filter *filter, hel_binding state) {
    hel_tensor y = hel_exec_tensor(exec, z.rows, z.cols / 3);
    hel_modal_scan_params params = {.channels = y.cols, .modes = filter->modes, .split = filter->split};
    hel_binding bindings[] = {z.where, filter->poles, filter->residues, filter->direct, state, y.where};
    uint32_t most = tokens_at_once(exec, z.rows, filter->modes);
    for (; params.first < z.rows; params.first += params.tokens) {
        params.tokens = HEL_MIN(most, z.rows - params.first);
        hel_exec_dispatch(exec, &(hel_call){.kernel = "modal_scan",
                                            .bindings = bindings,
                                            .n_bindings = HEL_COUNT(bindings),
                                            .params = &params,
                                            .params_size = sizeof params,
                                            .groups = hel_ceil_div(y.cols, HEL_MODAL_SCAN_CHUNK)});
    }
    return y;
}
