// SPDX-License-Identifier: Apache-2.0
// A prompt's products, bound by arithmetic.
#include "base/error.h"
#include "base/memory.h"
#include "bench/product.h"
#include "bench/works.h"

enum { DEFAULT_COLUMNS = 512, DEFAULT_MEBIBYTES = 64 };

static hel_status prepare(hel_bench_run *run, void **state) {
    hel_bench_product *product = *state = hel_alloc_zero(1, sizeof *product);
    if (!product) return hel_fail_memory(sizeof *product);
    const hel_bench_params *params = &run->params;
    uint64_t bytes = params->bytes ? params->bytes : (uint64_t)DEFAULT_MEBIBYTES << 20;
    HEL_TRY(hel_bench_product_open(run, params->columns ? params->columns : DEFAULT_COLUMNS, bytes, product));
    uint32_t k = params->k ? params->k : 256;
    HEL_TRY(hel_bench_product_add(product, k == 256 ? "k256" : k == 64 ? "k64" : k == 32 ? "k32" : "k16", k, HEL_U8));
    return hel_bench_product_add(product, "bf16", 0, HEL_BF16);
}

static void finish(hel_bench_run *run, void *state) {
    (void)run;
    if (state) hel_bench_product_finish(state);
    hel_free(state);
}

const hel_bench_work_row hel_bench_work_matmul = {
    .about = {"matmul", "Products with the tokens of a prompt", "rows cols columns bytes k"},
    .prepare = prepare, .finish = finish};
