// SPDX-License-Identifier: Apache-2.0
// One token's products, bound by reading the weights.
#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "bench/product.h"
#include "bench/works.h"

enum { DEFAULT_MEBIBYTES = 256 }; // eight times the L3 cache of a large desktop CPU

static const struct { const char *name; uint32_t k; hel_dtype dtype; } forms[] = {
    {"k256", 256, HEL_U8}, {"k64", 64, HEL_U8},  {"k32", 32, HEL_U8}, {"k16", 16, HEL_U8},
    {"bf16", 0, HEL_BF16}, {"f16", 0, HEL_F16}, {"f32", 0, HEL_F32},
};

static hel_status prepare(hel_bench_run *run, void **state) {
    hel_bench_product *product = *state = hel_alloc_zero(1, sizeof *product);
    if (!product) return hel_fail_memory(sizeof *product);
    uint64_t bytes = run->params.bytes ? run->params.bytes : (uint64_t)DEFAULT_MEBIBYTES << 20;
    HEL_TRY(hel_bench_product_open(run, 1, bytes, product));
    for (size_t i = 0; i < HEL_COUNT(forms); i++)
        if (!run->params.k || !forms[i].k || forms[i].k == run->params.k)
            HEL_TRY(hel_bench_product_add(product, forms[i].name, forms[i].k, forms[i].dtype));
    return HEL_OK;
}

static void finish(hel_bench_run *run, void *state) {
    (void)run;
    if (state) hel_bench_product_finish(state);
    hel_free(state);
}

const hel_bench_work_row hel_bench_work_matvec = {
    .about = {"matvec", "Matrix-vector products with weights in every form, out of memory", "rows cols bytes k"},
    .prepare = prepare, .finish = finish};
