// SPDX-License-Identifier: Apache-2.0
// Compressing models by vector quantisation, and what belongs to it: looking into model files, checking them,
// writing them out dense again. None of these functions needs to know how to run the model: any file with named
// tensors will do.
#ifndef HELICOID_COMPRESS_H
#define HELICOID_COMPRESS_H

#include <helicoid/common.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------- compress

typedef enum hel_fit {
    HEL_FIT_OPTIMAL,   // least squared error of all codebooks (exact for 16-bit sources, certified gap for f32)
    HEL_FIT_REFERENCE, // the Lloyd iterations of helix-substrate 0.3.3, value for value
} hel_fit;

typedef struct hel_compress_params {
    size_t struct_size;
    uint32_t k;                 // codebook entries: 256 (default), 64, 32 or 16
    bool sidecar;               // keep the few largest values of each matrix exactly (default true)
    bool packed;                // store indices below 8 bits packed; helix-substrate cannot load such a file
    hel_fit fit;                // default HEL_FIT_OPTIMAL
    const char *const *include; // NULL-terminated globs (* and ?) of tensor names to compress although their class is
                                // kept exact (embeddings, lm_head); only 2-D float tensors can be
    const char *const *exclude; // NULL-terminated globs of tensor names to keep exact; wins over `include`
    bool resume;                // continue what an interrupted run with the same source and settings left
    bool overwrite;             // replace an existing output
    bool dry_run;               // fit and report, write nothing; `output` may be ""
    uint32_t threads;           // 0: one per processor; the output does not depend on it
    uint64_t memory_limit;      // bytes for buffers; 0 means 160 MiB. Fewer threads run where it is short. The
                                // reference fit needs 4 bytes a value of a tensor and thread on top, for its shuffle
    const char *tokenizer;      // tokenizer file to put beside the model where it has none of its own, or NULL
    hel_progress_callback progress; // bytes of source tensors done, the stage names the pass and counts its tensors;
                                    // called by one thread at a time; may be NULL
    void *user;
} hel_compress_params;

// k = 256, sidecar, optimal fit, nothing overwritten.
HEL_API void hel_compress_params_init(hel_compress_params *params, size_t struct_size);
HEL_DEFAULT(hel_compress_params)

// What became of one tensor of the source.
typedef struct hel_tensor_report {
    const char *name;
    const char *tensor_class;  // "attention_qk", "attention_vo", "ffn", "norm", "embedding", "lm_head", "unknown"
    const char *reason;        // why it was kept exactly; "" where it was compressed
    bool compressed;
    uint32_t k;                // codebook entries; 0 where it was kept
    uint64_t elements;
    uint64_t bytes_before;     // as the source stores it
    uint64_t bytes_after;
    uint64_t outliers;         // values in the sidecar
    double cosine;             // of the tensor with what will be decoded; 1 where it was kept or is all zero
    double squared_error;      // sum over all elements, after the sidecar
    double gap;                // squared_error is at most this far above that of the best codebook for the same
                               // sidecar; only rounding for sources of 16 bits; negative where not computed
                               // (reference fit)
} hel_tensor_report;

typedef struct hel_compress_report {
    size_t n_tensors;
    hel_tensor_report *tensors; // in the source's order; belongs to the report
    uint64_t source_bytes;      // files that hold the tensors
    uint64_t f16_bytes;         // elements * 2: what a plain half-precision file would take
    uint64_t output_bytes;      // tensor file with its header
    double ratio;               // source_bytes / output_bytes
    double ratio_f16;           // f16_bytes / output_bytes
    bool grew;                  // output_bytes > source_bytes
    uint64_t compressed;        // tensors
    uint64_t resumed;           // tensors taken over from the interrupted run
    uint64_t outliers;
    double worst_cosine;        // over compressed tensors; 1 where there is none
    const char *worst_tensor;   // belongs to the report; "" where there is none
    double squared_error;
    double seconds;
} hel_compress_report;

// Compresses the model at `path` (Hugging Face folder, .safetensors, GGUF, llama2.c) to `output`: one self-contained
// file with config and tokenizer in its metadata where `output` ends in ".safetensors", otherwise a Hugging Face
// folder (config.json with quantization_config, tokenizer files, model.safetensors) as helix-substrate's convert_to_hf
// writes it. Codebooks by one-dimensional k-means over all values but the sidecar's; the classes, percentiles and caps
// are the reference's. Tensors are read in pieces, so memory does not grow with the model.
// Everything is written under the name `output`.part and renamed when it is complete and synced. What a SIGKILL or
// HEL_ERROR_CANCELLED leaves there is continued with `resume` and ends byte-equal to an uninterrupted run (its time
// stamp is kept; the environment variable SOURCE_DATE_EPOCH fixes it). After other failures it is removed; with
// `resume` it also survives HEL_ERROR_IO. Resuming a run that had finished checks its output and reports.
// `params` may be NULL. `report` may be NULL; after HEL_OK it is released with hel_compress_report_finish.
// Statuses: ARGUMENT, NOT_FOUND, EXISTS, FORMAT, UNSUPPORTED, MEMORY, IO, CANCELLED. Blocking.
// Thread-safety: safe for different outputs.
HEL_API hel_status hel_compress(const char *path, const char *output, const hel_compress_params *params,
                                hel_compress_report *report);

// Releases what the report owns and zeroes it; accepts NULL and a zeroed report.
HEL_API void hel_compress_report_finish(hel_compress_report *report);

// ---------------------------------------------------------------- verify

typedef struct hel_verify_report {
    bool checksummed; // the file carries our digests; without them only structure is checked
    uint64_t tensors; // whose digest was recomputed; without digests, that were checked for structure
    uint64_t files;   // files read
    uint64_t bytes;   // of the files
} hel_verify_report;

// Checks a model file or folder. Files written by hel_compress and hel_export carry SHA-256 digests of their header, of
// every tensor, of the data part as a whole and of the files beside them; all are recomputed, so that any changed byte
// is found (HEL_ERROR_INTEGRITY, or HEL_ERROR_FORMAT where the header can no longer be read). For other files: the
// format's own rules, indices below the codebook's size, sidecar positions inside the matrix.
// `progress` (bytes, on the calling thread) and `report` may be NULL; the report is filled after an error too. Blocking.
// Thread-safety: safe. Statuses: ARGUMENT, NOT_FOUND, FORMAT, INTEGRITY, UNSUPPORTED, MEMORY, IO, CANCELLED.
HEL_API hel_status hel_verify(const char *path, hel_progress_callback progress, void *user, hel_verify_report *report);

// ---------------------------------------------------------------- info

// Describes a model file as JSON text: format, config summary, tensors (name, shape, dtype, stored_as, class, k, d,
// index_bits, sidecar values, bytes), totals and ratios. GGUF tensors of quantised types are marked
// "expanded_to": "F16". *out is zero-terminated and freed with hel_info_free. Blocks on the file's header. Thread-safety:
// safe. Statuses: ARGUMENT, NOT_FOUND, FORMAT, UNSUPPORTED, MEMORY, IO.
HEL_API hel_status hel_info_json(const char *path, char **out);
HEL_API void hel_info_free(char *json); // accepts NULL; thread-safety: safe

// ---------------------------------------------------------------- export

typedef enum hel_export_dtype {
    HEL_EXPORT_NATIVE, // compressed matrices in f32, everything else as it is stored
    HEL_EXPORT_F32,
    HEL_EXPORT_F16,    // values beyond 65504 are an error, not infinity
    HEL_EXPORT_BF16,
} hel_export_dtype;

typedef struct hel_export_params {
    size_t struct_size;
    hel_export_dtype dtype; // of all float tensors; default HEL_EXPORT_F32
    bool overwrite;
    const char *tokenizer;  // as in hel_compress_params
    hel_progress_callback progress; // bytes written; may be NULL
    void *user;
} hel_export_params;

// F32, nothing overwritten.
HEL_API void hel_export_params_init(hel_export_params *params, size_t struct_size);
HEL_DEFAULT(hel_export_params)

// Writes a model out dense: a Hugging Face folder, or one file where `output` ends in ".safetensors". Compressed
// matrices are decoded a few rows at a time; memory does not grow with the model. Digests as hel_compress writes them.
// `params` and `out_bytes` (size of the tensor file) may be NULL. After an error nothing is left of the output. Blocking.
// Statuses as hel_compress. Thread-safety: safe for different outputs.
HEL_API hel_status hel_export(const char *path, const char *output, const hel_export_params *params,
                              uint64_t *out_bytes);

#ifdef __cplusplus
}
#endif

#endif
