// SPDX-License-Identifier: Apache-2.0
// What the stages of hel_compress share. Plan: what happens to each tensor. Fit: codebooks and sidecars, which say how
// large everything will be. Write: codes and copies at their places. The journal remembers both for --resume.
#ifndef HEL_MODELS_COMPRESS_INTERNAL_H
#define HEL_MODELS_COMPRESS_INTERNAL_H

#include <helicoid/compress.h>

#include "base/threads.h"
#include "models/checkpoint.h"
#include "vq/fit.h"

enum { HEL_PARTS_MAX = 4 }; // codebook, indices, sidecar positions and values

typedef struct hel_compress_tensor {
    const hel_tensor_info *info;
    hel_policy policy;
    bool compressed;
    hel_dtype stored;               // of a tensor that is kept
    char *names[HEL_PARTS_MAX];     // keys it gets
    size_t entries[HEL_PARTS_MAX];  // where they stand in the checkpoint
    uint32_t n_parts;
    hel_fitted fitted;
    hel_fit_error error;
    uint8_t claimed[HEL_PARTS_MAX][HEL_SHA256_SIZE]; // digests that the journal has for its parts
    uint32_t n_claimed;
    bool fit_known, written;        // taken over from an interrupted run
} hel_compress_tensor;

typedef struct hel_journal {
    hel_os_file file;
    char *path;
    uint64_t size;
    bool sourced; // has the source's record
    hel_os_mutex *mutex;
} hel_journal;

typedef struct hel_compress_job {
    hel_compress_params params;
    hel_archive *archive;
    hel_compress_tensor *tensors; // in the archive's order
    size_t count;
    hel_checkpoint checkpoint;
    hel_safetensors_entry *entries;
    size_t n_entries;
    hel_journal journal;
    uint8_t decisions[HEL_SHA256_SIZE]; // digest of all that decides the output but the source's bytes
    uint8_t plan[HEL_SHA256_SIZE];      // of those, too
    bool sourced;                       // the source's files have been read for that
    char created[HEL_TIME_TEXT];
    hel_threads *threads;
    uint64_t *order;               // tensors in their turn: for a fit by falling size, so that the last ones are short
    uint64_t value_bytes;          // of values a thread may hold
    unsigned char *values;         // during a fit: as many for each thread
    hel_os_mutex *mutex;           // for the five below
    uint64_t done, total;          // bytes of progress
    size_t ended;                  // tensors of the pass
    hel_status status;             // the first failure of a thread
    char message[1024];
} hel_compress_job;

// --- compress_plan.c ---
// Decides about every tensor. Models that are compressed already are HEL_ERROR_UNSUPPORTED.
hel_status hel_compress_plan(hel_compress_job *job);
// Tokenizer, settings, and the digest of the decisions.
hel_status hel_compress_describe(hel_compress_job *job);
// Digests of the source's files and of the plan: reads all of them. Nothing else may touch the metadata meanwhile.
hel_status hel_compress_describe_source(hel_compress_job *job, const hel_digest_watch *watch);
// config.json with quantization_config; names, shapes and order of what is written. Needs the fits.
hel_status hel_compress_entries(hel_compress_job *job);
uint32_t hel_compress_index_bits(const hel_compress_params *params); // 8, or less where packed

// --- compress_encode.c: in parallel over tensors ---
hel_status hel_compress_read_source(hel_compress_job *job); // describes it; tells how far, and can be stopped
hel_status hel_compress_fit(hel_compress_job *job); // and, meanwhile, what is not known of the source yet
hel_status hel_compress_write(hel_compress_job *job);
hel_status hel_compress_measure(hel_compress_job *job); // errors without writing

// --- compress_journal.c ---
// Reads what is there and agrees with the plan, which needs the source described, or starts anew. Sets `fit_known` and the
// job's time stamp.
hel_status hel_journal_open(hel_compress_job *job, bool resume);
// With the checkpoint laid out: sets `written`.
hel_status hel_journal_check_written(hel_compress_job *job);
hel_status hel_journal_add_source(hel_compress_job *job); // fits count only beside it
hel_status hel_journal_add_fit(hel_compress_job *job, size_t tensor);
hel_status hel_journal_add_written(hel_compress_job *job, size_t tensor); // digests of the checkpoint included
void hel_journal_close(hel_journal *journal);

// --- compress_report.c ---
hel_status hel_compress_report_make(const hel_compress_job *job, uint64_t output_bytes, hel_compress_report *out);
#endif
