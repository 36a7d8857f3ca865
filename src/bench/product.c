// SPDX-License-Identifier: Apache-2.0
#include "bench/product.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/size.h"
#include "formats/weight_desc.h"
#include "ops/tune.h"
#include "vq/fit.h"

enum { DEFAULT_SIDE = 4096, CHECKED_COLUMNS = 8, MOST_COPIES = 4096 };

// ---------------------------------------------------------------- the matrix and its exact product

static void multiply_exactly(hel_bench_product *product) {
    for (uint32_t t = 0; t < product->checked; t++)
        for (uint32_t r = 0; r < product->rows; r++) {
            const float *w = product->w + (size_t)r * product->cols, *x = product->x + (size_t)t * product->cols;
            double sums[4] = {0};
            uint32_t c = 0;
            for (; c + 4 <= product->cols; c += 4)
                for (uint32_t i = 0; i < 4; i++) sums[i] += (double)w[c + i] * x[c + i];
            for (; c < product->cols; c++) sums[0] += (double)w[c] * x[c];
            product->exact[(size_t)t * product->rows + r] = sums[0] + sums[1] + sums[2] + sums[3];
        }
}

static hel_status write_for_peers(const hel_bench_product *product) {
    const hel_bench_run *run = product->run;
    if (!run->params.peers || !run->params.peers[0]) return HEL_OK;
    uint64_t w[] = {product->rows, product->cols}, x[] = {product->columns, product->cols};
    uint64_t y[] = {product->checked, product->rows};
    HEL_TRY(hel_bench_write_npy(run, "w.npy", HEL_F32, w, 2, product->w));
    HEL_TRY(hel_bench_write_npy(run, "x.npy", HEL_F32, x, 2, product->x));
    return hel_bench_write_npy(run, "y.npy", HEL_F64, y, 2, product->exact);
}

hel_status hel_bench_product_open(hel_bench_run *run, uint32_t columns, uint64_t bytes, hel_bench_product *out) {
    const hel_bench_params *params = &run->params;
    *out = (hel_bench_product){.run = run, .columns = columns, .bytes = bytes};
    out->checked = HEL_MIN(columns, CHECKED_COLUMNS);
    out->rows = params->rows ? params->rows : DEFAULT_SIDE;
    out->cols = params->cols ? params->cols : DEFAULT_SIDE;
    uint64_t values, inputs;
    if (!hel_size_mul(out->rows, out->cols, &values) || !hel_size_mul(columns, out->cols, &inputs) ||
        values >= UINT32_MAX)
        return hel_fail(HEL_ERROR_ARGUMENT, "a matrix of %u x %u is too large to be measured", out->rows, out->cols);
    out->w = hel_alloc_array(values, sizeof *out->w);
    out->x = hel_alloc_array(inputs, sizeof *out->x);
    out->exact = hel_alloc_array((size_t)out->checked * out->rows, sizeof *out->exact);
    if (!out->w || !out->x || !out->exact) return hel_fail_memory(values * sizeof *out->w);
    hel_bench_gaussian(1, 1.0f / sqrtf((float)out->cols), out->w, values);
    hel_bench_gaussian(2, 1.0f, out->x, inputs);
    multiply_exactly(out);
    hel_bench_tell(run, "rows", out->rows);
    hel_bench_tell(run, "cols", out->cols);
    hel_bench_tell(run, "columns", columns);
    hel_bench_tell(run, "bytes", bytes);
    return write_for_peers(out);
}

static void finish_form(hel_bench_form *form) {
    for (uint32_t i = 0; i < form->n_copies; i++) hel_weight_finish(&form->copies[i]);
    hel_free(form->copies);
    if (form->recording) hel_recording_destroy(form->product->run->device, &form->recording);
    hel_exec_finish(&form->exec);
}

void hel_bench_product_finish(hel_bench_product *product) {
    for (uint32_t i = 0; i < product->n_forms; i++) finish_form(&product->forms[i]);
    hel_free(product->w);
    hel_free(product->x);
    hel_free(product->exact);
    *product = (hel_bench_product){0};
}

// ---------------------------------------------------------------- a form as a file

// What a file of one matrix is made from.
typedef struct matrix_source {
    const hel_bench_form *form;
    float codebook[HEL_CODEBOOK_MAX];
    uint8_t *codes; // NULL: dense
} matrix_source;

static hel_status fit_codes(matrix_source *source) {
    const hel_bench_product *product = source->form->product;
    hel_values values = {.count = (uint64_t)product->rows * product->cols, .data = product->w};
    hel_fit_options options = {.k = source->form->k, .percentile = 100};
    hel_fitted fitted;
    hel_fit_error error;
    source->codes = hel_alloc(values.count);
    if (!source->codes) return hel_fail_memory(values.count);
    HEL_TRY(hel_fit_values(&values, &options, &fitted));
    memcpy(source->codebook, fitted.codebook, sizeof source->codebook);
    hel_status status = hel_fit_encode(&values, &fitted, hel_bench_keep_codes, source->codes, &error);
    hel_fitted_finish(&fitted);
    return status;
}

static hel_status fill_dense(void *user, size_t entry, uint64_t offset, void *bytes, size_t size) {
    const matrix_source *source = user;
    const float *w = source->form->product->w;
    hel_dtype dtype = source->form->dtype;
    (void)entry;
    if (dtype == HEL_F32) {
        memcpy(bytes, (const char *)w + offset, size);
        return HEL_OK;
    }
    uint16_t *halves = bytes;
    for (size_t i = 0; i < size / 2; i++)
        halves[i] = dtype == HEL_BF16 ? hel_float_to_bf16(w[offset / 2 + i]) : hel_float_to_f16(w[offset / 2 + i]);
    return HEL_OK;
}

static hel_status fill_codes(void *user, size_t entry, uint64_t offset, void *bytes, size_t size) {
    const matrix_source *source = user;
    memcpy(bytes, (entry ? (const char *)source->codes : (const char *)source->codebook) + offset, size);
    return HEL_OK;
}

static hel_status write_form(const hel_bench_form *form, const char *path) {
    const hel_bench_product *product = form->product;
    matrix_source source = {.form = form};
    hel_safetensors_entry dense = {
        .name = "w.weight", .dtype = form->dtype, .rank = 2, .shape = {product->rows, product->cols}};
    if (!form->k) return hel_bench_write_tensors(path, &dense, 1, NULL, fill_dense, &source);
    hel_safetensors_entry coded[] = {
        {.name = "w.codebook", .dtype = HEL_F32, .rank = 1, .shape = {form->k}},
        {.name = "w.indices", .dtype = HEL_U8, .rank = 2, .shape = {product->rows, product->cols}},
    };
    hel_status status = fit_codes(&source);
    if (status == HEL_OK) status = hel_bench_write_tensors(path, coded, HEL_COUNT(coded), NULL, fill_codes, &source);
    hel_free(source.codes);
    return status;
}

// ---------------------------------------------------------------- a form as prepared weights

static hel_status prepare_copies(hel_bench_form *form, hel_archive *archive, const hel_weight_desc *desc) {
    const hel_bench_product *product = form->product;
    uint64_t wanted = 1;
    for (uint64_t i = 0; i < wanted; i++) {
        HEL_TRY(hel_bench_ask(product->run, form->name, i, wanted));
        hel_weight *grown = hel_resize(form->copies, (i + 1) * sizeof *grown);
        if (!grown) return hel_fail_memory((i + 1) * sizeof *grown);
        form->copies = grown;
        HEL_TRY(hel_weight_prepare(product->run->device, archive, desc, &grown[i]));
        form->n_copies++;
        wanted = HEL_MIN(hel_ceil_div(product->bytes, hel_weight_bytes(&grown[i])), MOST_COPIES);
    }
    return HEL_OK;
}

static hel_status load_form(hel_bench_form *form, const char *path) {
    hel_archive *archive = NULL;
    hel_weight_desc desc = {0};
    hel_status status;
    HEL_TRY_DONE(hel_archive_open(path, &archive));
    HEL_TRY_DONE(hel_weight_desc_find(archive, "w", form->product->rows, form->product->cols, &desc));
    status = prepare_copies(form, archive, &desc);
done:
    hel_weight_desc_finish(&desc);
    hel_archive_close(&archive);
    return status;
}

static hel_status tune(const hel_bench_form *form) {
    const hel_bench_run *run = form->product->run;
    const hel_weight **weights = hel_alloc_array(form->n_copies, sizeof *weights);
    if (!weights) return hel_fail_memory(form->n_copies * sizeof *weights);
    for (uint32_t i = 0; i < form->n_copies; i++) weights[i] = &form->copies[i];
    hel_tune_request request = {.device = run->device, .tuning = run->params.tuning, .weights = weights,
                                .n_weights = form->n_copies, .tokens = form->product->columns};
    hel_status status = hel_tune_weights(&request, &hel_tune_standard);
    hel_free(weights);
    return status;
}

// The arena is sized as models size theirs: by the same calls, dispatching nothing.
static hel_status plan(hel_bench_form *form) {
    const hel_bench_product *product = form->product;
    hel_exec *exec = &form->exec;
    HEL_TRY(hel_exec_init(exec, product->run->device));
    hel_exec_plan_begin(exec);
    hel_linear(exec, hel_exec_tensor(exec, product->columns, product->cols), &form->copies[0]);
    HEL_TRY(hel_exec_plan_end(exec));
    hel_exec_reset(exec);
    form->x = hel_exec_tensor(exec, product->columns, product->cols);
    hel_exec_upload(exec, form->x, product->x);
    return exec->status;
}

// ---------------------------------------------------------------- timing

static hel_status check_error(hel_bench_form *form, hel_bench_measure *measure) {
    const hel_bench_product *product = form->product;
    float *values = hel_alloc_array((size_t)product->columns * product->rows, sizeof *values);
    if (!values) return hel_fail_memory((size_t)product->columns * product->rows * sizeof *values);
    hel_exec_download(&form->exec, form->y, values);
    measure->error_db = hel_bench_error_db(values, product->exact, (uint64_t)product->checked * product->rows);
    hel_free(values);
    form->checked = true;
    return form->exec.status;
}

// One after the other with each copy; what they need of the arena is given back, and y stays until the next time.
static hel_status multiply(hel_bench_form *form) {
    hel_exec *exec = &form->exec;
    uint64_t mark = hel_exec_mark(exec);
    for (uint32_t i = 0; i < form->n_copies; i++) {
        hel_exec_release(exec, mark);
        form->y = hel_linear(exec, form->x, &form->copies[i]);
    }
    hel_exec_release(exec, mark);
    return exec->status;
}

// Replayed, as passes of one token are, launches do not bound products of small matrices. A driver that does not record them
// gets them one by one.
static hel_status record(hel_bench_form *form) {
    hel_exec *exec = &form->exec;
    hel_exec_record_begin(exec);
    (void)multiply(form);
    hel_status status = hel_exec_record_end(exec, &form->recording);
    if (status == HEL_OK || exec->status != HEL_OK) return status;
    hel_bench_note(form->product->run, "%s: not recorded: %s", form->name, hel_error_message());
    form->replays = false;
    return HEL_OK;
}

static hel_status time_form(void *user, hel_bench_measure *measure, double *out_seconds) {
    hel_bench_form *form = user;
    const hel_device *device = form->exec.device;
    if (form->replays && !form->recording) HEL_TRY(record(form));
    double start = hel_bench_now();
    HEL_TRY(form->recording ? hel_recording_replay(device, form->recording) : multiply(form));
    HEL_TRY(hel_exec_wait(&form->exec));
    *out_seconds = (hel_bench_now() - start) / form->n_copies;
    return form->checked ? HEL_OK : check_error(form, measure);
}

static hel_status add_entry(hel_bench_form *form) {
    const hel_bench_product *product = form->product;
    hel_bench_entry *entry = hel_bench_add(product->run, "helicoid", form->name);
    if (!entry) return HEL_ERROR_MEMORY;
    entry->round = time_form;
    entry->user = form;
    entry->measure.flops = 2.0 * product->rows * product->cols * product->columns;
    double vectors = sizeof(float) * ((double)product->rows + product->cols);
    if (product->columns == 1) entry->measure.bytes = (double)hel_weight_bytes(&form->copies[0]) + vectors;
    return HEL_OK;
}

hel_status hel_bench_product_add(hel_bench_product *product, const char *name, uint32_t k, hel_dtype dtype) {
    hel_bench_form *form = &product->forms[product->n_forms++];
    *form = (hel_bench_form){.product = product, .name = name, .k = k, .dtype = dtype,
                              .replays = product->columns == 1 && product->run->device->features.recording};
    char *path, file[HEL_BENCH_NAME];
    snprintf(file, sizeof file, "%s.safetensors", name);
    HEL_TRY(hel_bench_path(product->run, file, &path));
    hel_status status = write_form(form, path);
    if (status == HEL_OK) status = load_form(form, path);
    hel_os_remove(path);
    hel_free(path);
    if (status == HEL_OK) status = tune(form);
    if (status == HEL_OK) status = plan(form);
    return status == HEL_OK ? add_entry(form) : status;
}
