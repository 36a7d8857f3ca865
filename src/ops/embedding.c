// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"
#include "kernels.h"
#include "ops/operators.h"

hel_tensor hel_embedding(hel_exec *exec, hel_binding tokens, uint32_t count, const hel_weight *weight) {
    hel_tensor y = hel_exec_tensor(exec, count, weight->cols);
    uint32_t constants[] = {weight->format, weight->bits, weight->d, hel_weight_flags(weight) & ~HEL_FLAG_BIAS};
    // A lane goes through the outliers of a block of rows for each of its columns.
    uint64_t columns = hel_ceil_div(weight->cols, HEL_EMBEDDING_WORKGROUP);
    hel_exec_expect_loops(exec, "embedding", columns * ((uint64_t)weight->block_outliers + 2));
    for (uint32_t i = 0; i < weight->n_slices; i++) {
        const hel_weight_slice *slice = &weight->slices[i];
        hel_embedding_params params = {.rows = slice->rows,
                                       .cols = weight->cols,
                                       .tokens = count,
                                       .row_words = weight->row_words,
                                       .group = weight->group,
                                       .first_row = slice->first};
        hel_binding bindings[] = {{.buffer = slice->words},
                                  hel_exec_optional(exec, weight->codebook),
                                  hel_exec_optional(exec, weight->sidecar_blocks),
                                  hel_exec_optional(exec, weight->sidecar_entries),
                                  hel_exec_optional(exec, weight->group_scales),
                                  tokens,
                                  y.where};
        hel_exec_dispatch(exec, &(hel_call){"embedding", constants, HEL_COUNT(constants), bindings, HEL_COUNT(bindings),
                                            &params, sizeof params, count});
    }
    return y;
}
