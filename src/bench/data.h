// SPDX-License-Identifier: Apache-2.0
// What is measured upon: bell-shaped values as weights have, files for ourselves and for peers, and where they lie.
#ifndef HEL_BENCH_DATA_H
#define HEL_BENCH_DATA_H

#include "bench/run.h"
#include "formats/safetensors.h"

// Creates `path` and what is missing above it.
hel_status hel_bench_folder_create(const char *path);
// Removes a folder with the files in it.
void hel_bench_folder_remove(const char *path);

// Normally distributed values with deviation `scale`; the same for the same seed (Box and Muller 1958).
void hel_bench_gaussian(uint64_t seed, float scale, float *out, uint64_t count);
static inline uint64_t hel_bench_random(uint64_t *state) { // splitmix64, Steele et al. 2014
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// NAME.npy in the run's folder, where peers find it. `descr` is numpy's ("<f4"; bf16 is "<u2"), of `width` bytes.
hel_status hel_bench_write_npy(const hel_bench_run *run, const char *name, const char *descr, uint32_t width,
                               const uint64_t *shape, uint32_t rank, const void *data);

// Gives bytes offset .. offset + size of entry number `entry`.
typedef hel_status (*hel_bench_fill)(void *user, size_t entry, uint64_t offset, void *bytes, size_t size);
// A safetensors file that appears whole or not at all.
hel_status hel_bench_write_tensors(const char *path, hel_safetensors_entry *entries, size_t count,
                                   const json_t *metadata, hel_bench_fill fill, void *user);

// 10 log10(signal / error) of `values` against the exact ones.
double hel_bench_error_db(const float *values, const double *exact, uint64_t count);

#endif
