// SPDX-License-Identifier: Apache-2.0
// Compares every kernel on one device with an independent oracle in double precision.
//
//   check [--device NAME] [--kernel PATTERN] [--seed N] [--rounds N] [--scalar] [--isa SET] [--bf16 | --exact]
//         [--workgroup N] [--flags N] [--part K/N] [--kernels K/N] [--compile | --bench]
//   check --lanes N [--ordered] --library PATH ...   the C forms with N threads to a work-group
//
// --isa limits the CPU to the vector kernels of avx2, avx512, avx512vbmi, avx512bf16 or amx; --bf16 lets products
// round, --exact not at all. --flags is the number of sets of flags that each form of weight is checked with: 1, 2 or, as the
// CPU compiles nothing, 16.
// --part takes one N-th of the forms that kernels are compiled in, for which drivers take a second each: the K-th after the
// one whose turn it is (support/part.h). Their cases are the same in whatever part. --kernels takes one N-th of the kernels in
// the same way.
// --compile stops where a kernel is compiled with the constants of the case.
// Exit 0: all right; 1: a kernel is wrong; 2: usage; 77: the device is not there.
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/kernels/table.h"
#include "base/os.h"
#include "harness.h"

typedef struct check_options {
    const char *device, *pattern, *library;
    uint64_t seed;
    uint32_t rounds, lanes, workgroup, flags;
    test_part part, kernels;
    hel_precision precision;
    bool scalar, ordered, compile, bench;
    const char *isa; // the most that the CPU's vector kernels may use
} check_options;

static const check_kernel *const families[] = {check_linear_kernels,    check_elementwise_kernels, check_rowwise_kernels,
                                               check_attention_kernels, check_vq_kernels,          check_fftconv_kernels,
                                               check_scan_kernels,      check_sequence_kernels,    check_mix_kernels,
                                               check_wkv_kernels,       check_modal_kernels,       check_toeplitz_kernels};

static int usage(void) {
    fprintf(stderr, "usage: check [--device NAME] [--kernel PATTERN] [--seed N] [--rounds N] [--scalar] [--isa SET] [--bf16 | --exact]\n"
                    "             [--workgroup N] [--flags N] [--part K/N] [--kernels K/N] [--compile | --bench]\n"
                    "             | --lanes N [--ordered] --library PATH ...\n");
    return 2;
}

static bool take_flag(const char *word, check_options *out) {
    if (!strcmp(word, "--scalar")) out->scalar = true;
    else if (!strcmp(word, "--bf16")) out->precision = HEL_PRECISION_BF16;
    else if (!strcmp(word, "--exact")) out->precision = HEL_PRECISION_EXACT;
    else if (!strcmp(word, "--ordered")) out->ordered = true;
    else if (!strcmp(word, "--compile")) out->compile = true;
    else if (!strcmp(word, "--bench")) out->bench = true;
    else return false;
    return true;
}

static bool take_part(const char *value, test_part *out) {
    uint32_t offset, parts;
    if (sscanf(value, "%u/%u", &offset, &parts) != 2 || !parts) return false;
    *out = part_of(offset, parts);
    return true;
}

static bool take_value(const char *word, const char *value, check_options *out) {
    if (!strcmp(word, "--device")) out->device = value;
    else if (!strcmp(word, "--kernel")) out->pattern = value;
    else if (!strcmp(word, "--library")) out->library = value;
    else if (!strcmp(word, "--isa")) out->isa = value;
    else if (!strcmp(word, "--seed")) out->seed = strtoull(value, NULL, 10);
    else if (!strcmp(word, "--rounds")) out->rounds = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(word, "--flags")) out->flags = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(word, "--lanes")) out->lanes = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(word, "--part")) return take_part(value, &out->part);
    else if (!strcmp(word, "--kernels")) return take_part(value, &out->kernels);
    else if (!strcmp(word, "--workgroup")) out->workgroup = (uint32_t)strtoul(value, NULL, 10);
    else return false;
    return true;
}

static bool parse(int argc, char **argv, check_options *out) {
    for (int i = 1; i < argc; i++) {
        if (take_flag(argv[i], out)) continue;
        if (i + 1 == argc || !take_value(argv[i], argv[i + 1], out)) return false;
        i++;
    }
    return !out->lanes == !out->library;
}

static const check_kernel *find_kernel(const char *name) {
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const check_kernel *kernel = families[f]; kernel->name; kernel++)
            if (!strcmp(kernel->name, name)) return kernel;
    return NULL;
}

// Every kernel that the library has must have its cases.
static bool check_source(check *c, const hel_kernel_source *source, const check_options *options) {
    const check_kernel *kernel = find_kernel(source->name);
    if (!kernel) {
        printf("FAILED kernel %s: nothing checks it\n", source->name);
        return false;
    }
    c->kernel = source->name;
    c->number = 0;
    c->has_form = false;
    c->workgroup = c->runner->workgroup_of_one ? c->runner->workgroup_of_one : source->workgroup;
    uint32_t cases = c->cases;
    uint64_t start = hel_os_time_ns();
    void (*run)(check *) = options->bench ? kernel->bench : kernel->cases;
    if (run) run(c);
    if (options->bench) return true;
    printf("%-20s %5u cases %7.2f s\n", source->name, c->cases - cases, (double)(hel_os_time_ns() - start) / 1e9);
    fflush(stdout);
    return c->cases > cases;
}

// False where the processor does not have the set.
static bool limit_isa(const char *name) {
    static const struct { const char *name; cpu_isa isa; } sets[] = {
        {"avx2", CPU_ISA_AVX2}, {"avx512", CPU_ISA_AVX512}, {"avx512vbmi", CPU_ISA_AVX512VBMI},
        {"avx512bf16", CPU_ISA_AVX512BF16}, {"amx", CPU_ISA_AMX}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (!strcmp(sets[i].name, name)) {
            cpu_isa_limit(sets[i].isa);
            return cpu_isa_best() == sets[i].isa;
        }
    return false;
}

static int check_all(check *c, const check_options *options) {
    bool complete = true;
    if (options->bench) printf("kernel,device,shape,median_us,gb_per_s\n");
    uint64_t number = 0;
    for (size_t i = 0; i < hel_kernel_source_count; i++) {
        const hel_kernel_source *source = hel_kernel_sources[i];
        if (options->pattern && fnmatch(options->pattern, source->name, 0)) continue;
        if (part_has(options->kernels, number++)) complete &= check_source(c, source, options);
    }
    check_finish(c);
    if (!options->bench)
        printf("check: %s (%s), part %u of %u: %u cases, %u left to other parts, %u failed, %u expected failures\n", c->device,
               c->runner->name, c->part.number, c->part.parts, c->cases, c->left, c->failures, c->expected);
    return complete && !c->failures && (c->cases || options->bench) ? 0 : 1;
}

int main(int argc, char **argv) {
    check_options options = {.device = "cpu", .seed = 1, .rounds = 3, .part = {0, 1}, .kernels = {0, 1}};
    if (!parse(argc, argv, &options)) return usage();
    if (options.isa && !limit_isa(options.isa)) {
        printf("skipped: this processor has no %s\n", options.isa);
        return 77;
    }
    check c = {.device = options.device, .seed = options.seed, .rounds = options.rounds, .compile = options.compile,
               .part = options.part};
    c.vectors = !options.lanes && !options.scalar && !strcmp(options.device, "cpu");
    bool rounds = options.precision == HEL_PRECISION_BF16, exact = options.precision == HEL_PRECISION_EXACT;
    if (c.vectors && cpu_isa_best() >= CPU_ISA_AVX512VBMI && !exact) c.fixed_error = rounds ? 1.01 * 0x1p-14 : 0x1p-20;
    if (c.vectors && cpu_isa_best() >= CPU_ISA_AVX512BF16 && rounds) c.pair_error = CHECK_PAIR_ERROR;
    c.flags_per_form = options.flags ? options.flags : !options.lanes && !strcmp(options.device, "cpu") ? 16 : 2;
    bool missing = false;
    const char *reason;
    if (options.lanes) {
        c.device = "lanes";
        reason = check_runner_lanes(options.library, options.lanes, options.ordered, &c.runner);
    } else {
        hel_device_params params = hel_device_params_default();
        params.scalar = options.scalar;
        params.precision = options.precision;
        reason = check_runner_device(options.device, &params, options.workgroup, &c.runner, &missing);
    }
    if (reason) {
        printf("%s: %s: %s\n", missing ? "skipped" : "FAILED", c.device, reason);
        return missing ? 77 : 1;
    }
    int result = check_all(&c, &options);
    c.runner->destroy(c.runner);
    return result;
}
