// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "models/compress_internal.h"

static hel_status describe_tensor(const hel_compress_job *job, const hel_compress_tensor *tensor,
                                  hel_tensor_report *out) {
    const hel_tensor_info *info = tensor->info;
    *out = (hel_tensor_report){.name = hel_string_copy(info->name),
                               .tensor_class = hel_tensor_class_name(tensor->policy.class),
                               .reason = tensor->compressed ? "" : tensor->policy.exact,
                               .compressed = tensor->compressed, .elements = info->elements,
                               .bytes_before = info->stored_bytes, .cosine = 1};
    if (!out->name) return hel_fail_memory(strlen(info->name));
    for (uint32_t p = 0; p < tensor->n_parts; p++) out->bytes_after += job->entries[tensor->entries[p]].bytes;
    if (!tensor->compressed) return HEL_OK;
    out->k = tensor->fitted.k;
    out->outliers = tensor->fitted.sidecar.count;
    out->cosine = hel_fit_cosine(&tensor->error);
    out->squared_error = tensor->error.squared;
    out->gap = tensor->fitted.lower_bound < 0 ? -1 : fmax(0, tensor->error.squared - tensor->fitted.lower_bound);
    return HEL_OK;
}

static void add(const hel_tensor_report *tensor, hel_compress_report *out) {
    out->f16_bytes += tensor->elements * 2;
    if (!tensor->compressed) return;
    out->compressed++;
    out->outliers += tensor->outliers;
    out->squared_error += tensor->squared_error;
    if (out->compressed == 1 || tensor->cosine < out->worst_cosine) {
        out->worst_cosine = tensor->cosine;
        out->worst_tensor = tensor->name;
    }
}

hel_status hel_compress_report_make(const hel_compress_job *job, uint64_t output_bytes, hel_compress_report *out) {
    *out = (hel_compress_report){
        .source_bytes = job->archive->file_bytes, .output_bytes = output_bytes, .worst_cosine = 1, .worst_tensor = ""};
    out->tensors = hel_alloc_zero(job->count, sizeof *out->tensors);
    if (!out->tensors) return hel_fail_memory(job->count * sizeof *out->tensors);
    for (; out->n_tensors < job->count; out->n_tensors++) {
        hel_tensor_report *tensor = &out->tensors[out->n_tensors];
        hel_status status = describe_tensor(job, &job->tensors[out->n_tensors], tensor);
        if (status != HEL_OK) {
            hel_compress_report_finish(out);
            return status;
        }
        out->resumed += job->tensors[out->n_tensors].fit_known || job->tensors[out->n_tensors].written;
        add(tensor, out);
    }
    out->ratio = output_bytes ? (double)out->source_bytes / (double)output_bytes : 0;
    out->ratio_f16 = output_bytes ? (double)out->f16_bytes / (double)output_bytes : 0;
    out->grew = output_bytes > out->source_bytes;
    return HEL_OK;
}

void hel_compress_report_finish(hel_compress_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->n_tensors; i++) hel_free((void *)(uintptr_t)report->tensors[i].name);
    hel_free(report->tensors);
    *report = (hel_compress_report){0};
}
