// SPDX-License-Identifier: Apache-2.0
// What is measured upon: bell-shaped values as weights have, files for ourselves and for peers, and where they lie.
#ifndef HEL_BENCH_DATA_H
#define HEL_BENCH_DATA_H

#include "bench/run.h"
#include "formats/safetensors.h"
#include "vq/random.h"

// Creates `path` and what is missing above it.
hel_status hel_bench_folder_create(const char *path);
// Removes a folder with the files in it.
void hel_bench_folder_remove(const char *path);

// Normally distributed values with deviation `scale`; the same for the same seed (Box and Muller 1958).
void hel_bench_gaussian(uint64_t seed, float scale, float *out, uint64_t count);

// Puts codes where `user` points, an array for all of them (hel_codes_emit).
hel_status hel_bench_keep_codes(void *user, uint64_t first, const uint8_t *codes, uint64_t count);

// NAME.npy in the run's folder, where peers find it; bf16 goes as HEL_U16, which numpy has.
hel_status hel_bench_write_npy(const hel_bench_run *run, const char *name, hel_dtype dtype, const uint64_t *shape,
                               uint32_t rank, const void *data);

// Gives bytes offset .. offset + size of entry number `entry`.
typedef hel_status (*hel_bench_fill)(void *user, size_t entry, uint64_t offset, void *bytes, size_t size);
// A safetensors file that appears whole or not at all.
hel_status hel_bench_write_tensors(const char *path, hel_safetensors_entry *entries, size_t count,
                                   const json_t *metadata, hel_bench_fill fill, void *user);

// 10 log10(signal / error) of `values` against the exact ones.
double hel_bench_error_db(const float *values, const double *exact, uint64_t count);

#endif
