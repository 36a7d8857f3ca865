// SPDX-License-Identifier: Apache-2.0
// y = W x through the weights and the operator that models use: one random matrix, prepared in several forms, each so
// often that the copies together outgrow every cache.
#ifndef HEL_BENCH_PRODUCT_H
#define HEL_BENCH_PRODUCT_H

#include "bench/data.h"
#include "ops/operators.h"

typedef struct hel_bench_product hel_bench_product;

// One form of W as it is multiplied.
typedef struct hel_bench_form {
    hel_bench_product *product;
    const char *name; // "k256", "bf16"
    uint32_t k;       // 0: dense, of `dtype`
    hel_dtype dtype;
    hel_weight *copies;
    uint32_t n_copies;
    hel_exec exec;
    hel_tensor x;
    hel_tensor y;
    bool replays;             // the device records, and models would: products with one column
    hel_recording *recording; // of products with all copies; made at the first round
    bool checked; // its error is known
} hel_bench_form;

enum { HEL_BENCH_FORMS = 8 };

struct hel_bench_product {
    hel_bench_run *run;
    uint32_t rows, cols, columns;
    uint64_t bytes; // of weights that a round walks through, at least
    float *w, *x;   // [rows, cols], [columns, cols]
    double *exact;  // [checked, rows], of the first columns
    uint32_t checked;
    hel_bench_form forms[HEL_BENCH_FORMS];
    uint32_t n_forms;
};

// W, x and the exact product, in memory and as w.npy, x.npy and y.npy for peers, whom it tells the sizes.
hel_status hel_bench_product_open(hel_bench_run *run, uint32_t columns, uint64_t bytes, hel_bench_product *out);
void hel_bench_product_finish(hel_bench_product *product); // accepts a zeroed one
// Adds W in one form, and an entry that times it.
hel_status hel_bench_product_add(hel_bench_product *product, const char *name, uint32_t k, hel_dtype dtype);

#endif
