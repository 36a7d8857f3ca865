// SPDX-License-Identifier: Apache-2.0
// What every kernel's check is made of: memory for a case, values to fill it with, a call with canaries round each
// binding, and comparison with an oracle within a stated limit.
#ifndef CHECK_HARNESS_H
#define CHECK_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <helicoid/device.h>

#include "device/kernel_source.h"
#include "support/part.h"

// Half a unit in the last place of a float at 1: the largest relative error of one rounding.
#define CHECK_U 0x1p-24
// Relative error of a product whose two factors are rounded to bf16, but for what is left of higher order.
#define CHECK_PAIR_ERROR 0x1p-7
// The smallest normal float: results and inputs below it may be flushed to zero.
#define CHECK_TINY 0x1p-126

typedef enum check_fill {
    CHECK_UNIFORM, // -1 .. 1
    CHECK_ZERO,
    CHECK_EXTREME, // both signs, magnitudes 2^-range .. 2^range
    CHECK_DENORMAL, // every other value is below 2^-126
    CHECK_FILLS,
    CHECK_LEVEL = CHECK_FILLS, // all 1, so that sums are as large as they get, and exact as floats; where a case asks for it
} check_fill;

typedef struct check_binding {
    const void *data; // what the kernel finds there; NULL: canary words
    uint32_t words; // 0: an input that this call does not use
    void *result; // gets what the kernel leaves there; NULL: the kernel must leave it alone
} check_binding;

// An input without data is still bound, to 16 bytes.
static inline uint32_t check_bound_words(const check_binding *binding) { return binding->words ? binding->words : 4; }

typedef struct check_call {
    const char *kernel;
    uint32_t constants[HEL_MAX_CONSTANTS], n_constants;
    check_binding bindings[HEL_MAX_BINDINGS];
    uint32_t n_bindings;
    const void *params;
    uint32_t params_size;
    uint64_t groups;
} check_call;

// Something that runs kernels. `blocks` are the bindings with their canaries, `margin` words on either side.
typedef struct check_runner {
    const char *name;
    uint32_t workgroup_of_one; // 0: the kernel's own work-group size; else the size that every kernel runs with
    uint32_t margin;
    const hel_device *device; // NULL: not a device of the library
    // NULL where all went well, else the reason. With 0 repeats the kernel is compiled and no more. `out_ns` is NULL,
    // or gets the times of `repeats` runs.
    const char *(*run)(struct check_runner *runner, const check_call *call, uint32_t *const *blocks, uint32_t repeats,
                       uint64_t *out_ns);
    void (*destroy)(struct check_runner *runner);
} check_runner;


const char *check_runner_device(const char *device, const hel_device_params *params, uint32_t workgroup, check_runner **out,
                                bool *out_missing);
// The C forms in a shared library built with HEL_C_LANES, `lanes` threads to a work-group: all at once, or, where
// `ordered`, one after the other between barriers, so that a missing barrier shows every time.
const char *check_runner_lanes(const char *library, uint32_t lanes, bool ordered, check_runner **out);

typedef struct check {
    check_runner *runner;
    const char *device; // as asked for
    uint64_t seed;
    uint64_t random;
    uint32_t rounds; // random shapes per kernel and fill
    bool compile; // and no more
    test_part part; // of the forms of each kernel: others are left out
    bool vectors; // the CPU's vector kernels run
    // What the CPU adds to the error of a product of the two greatest magnitudes where it multiplies in fixed point, and of
    // each product where it rounds to pairs of halves.
    double fixed_error, pair_error;
    uint32_t flags_per_form; // sets of flags with each form of weight: devices compile each anew
    const char *kernel; // under check
    uint32_t workgroup; // of that kernel on this runner
    bool has_form; // of that kernel
    uint32_t first_form; // which is in each part
    uint32_t number; // of the case within the kernel
    char shape[256];
    check_fill fill;
    struct check_memory *memory;
    bool case_failed, case_left; // left to another part
    uint32_t cases, left, failures, expected;
} check;

// ---------------------------------------------------------------- a case

// Begins a case: frees the last one's memory, starts the random stream anew.
void check_begin(check *c, check_fill fill);
// The words by which a failure, and the list of expected ones, know the case.
void check_shape(check *c, const char *format, ...) HEL_PRINTF(2, 3);
void check_end(check *c);
void check_finish(check *c); // after the last case
const char *check_fill_name(check_fill fill);

// Memory until the next check_begin. Zeroed.
void *check_memory(check *c, size_t count, size_t size);
float *check_floats(check *c, size_t count);
double *check_doubles(check *c, size_t count);
uint32_t *check_words(check *c, size_t count);

// Runs one(c, fill) for every fill, `times` times the rounds asked for.
void check_each_fill(check *c, uint32_t times, void (*one)(check *c, check_fill fill));

// ---------------------------------------------------------------- values

uint32_t check_random(check *c, uint32_t below);
double check_uniform(check *c); // 0 <= u < 1
// A size from 1 to `most`: now and then 1, the work-group size and its neighbours, primes.
uint32_t check_size(check *c, uint32_t most);
// `range` is the largest power of two of CHECK_EXTREME.
float *check_values(check *c, size_t count, check_fill fill, int range);

// ---------------------------------------------------------------- calling and comparing

// Runs the call; checks canaries and inputs; fills the results. False where something broke, which fails the case, where
// the call is only compiled, or where its form is left to another part.
bool check_run(check *c, const check_call *call);
// got[i] within limit[i] of want[i]; a negative limit means that bit patterns must agree with `before`.
void check_compare(check *c, const char *what, const float *got, const double *want, const double *limit, size_t count,
                   const float *before);
void check_compare_words(check *c, const char *what, const uint32_t *got, const uint32_t *want, size_t count);
void check_fail(check *c, const char *format, ...) HEL_PRINTF(2, 3);
// Error of a sum of n products whose magnitudes sum to `magnitude`, in any order, each rounded: Higham and Mary 2019
// show growth with sqrt(n) for all but adversarial data; small constants cover what happens to the terms.
double check_sum_limit(double n, double magnitude);

// Times a call and prints a line of CSV: kernel, device, shape, median microseconds, GB/s.
void check_bench(check *c, const check_call *call, const char *shape, double bytes);

// ---------------------------------------------------------------- the kernels

typedef struct check_kernel {
    const char *name;
    void (*cases)(check *c);
    void (*bench)(check *c); // may be NULL
} check_kernel;

extern const check_kernel check_linear_kernels[], check_elementwise_kernels[], check_rowwise_kernels[],
    check_attention_kernels[], check_vq_kernels[], check_fftconv_kernels[], check_scan_kernels[],
    check_sequence_kernels[], check_mix_kernels[], check_wkv_kernels[], check_modal_kernels[],
    check_toeplitz_kernels[];

#endif
