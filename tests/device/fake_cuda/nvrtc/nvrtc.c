// SPDX-License-Identifier: Apache-2.0
// The fake NVRTC: reads the kernel's name from its text and the rest from the options.
#define _GNU_SOURCE // strdup
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/loader.h"
#include "../fake.h"

enum { OUT_OF_MEMORY = 1, INVALID_OPTION = 5, COMPILATION = 6 };

struct _nvrtcProgram {
    char *source;
    char image[512];
    const char *log;
};

#define NVRTC_DECLARE(name, parameters) FAKE_EXPORT nvrtcResult name parameters;
NVRTC_SYMBOLS(NVRTC_DECLARE)

FAKE_EXPORT fake_nvrtc_compiles_function fake_nvrtc_compiles;

static uint64_t compiles;
uint64_t fake_nvrtc_compiles(void) { return compiles; }

static const int architectures[] = {75, 80, 90};

nvrtcResult nvrtcVersion(int *major, int *minor) {
    *major = 13, *minor = 0;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
    *count = 3;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int *out) {
    memcpy(out, architectures, sizeof architectures);
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *source, const char *name, int headers,
                               const char *const *header_texts, const char *const *header_names) {
    (void)name, (void)headers, (void)header_texts, (void)header_names;
    nvrtcProgram program = calloc(1, sizeof *program);
    if (!program) return OUT_OF_MEMORY;
    program->source = strdup(source);
    program->log = "";
    *out = program;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
    free((*program)->source);
    free(*program);
    *program = NULL;
    return NVRTC_SUCCESS;
}

static bool has_option(int count, const char *const *options, const char *wanted) {
    for (int i = 0; i < count; i++)
        if (strcmp(options[i], wanted) == 0) return true;
    return false;
}

static bool option_value(int count, const char *const *options, const char *prefix, unsigned *out) {
    for (int i = 0; i < count; i++)
        if (strncmp(options[i], prefix, strlen(prefix)) == 0) return sscanf(options[i] + strlen(prefix), "%u", out) == 1;
    return false;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *options) {
    char name[64], prefix[32];
    unsigned value;
    const char *kernel = strstr(program->source, "\nKERNEL(");
    program->log = "fake: the text has no KERNEL";
    if (!kernel || sscanf(kernel, "\nKERNEL(%63[a-z0-9_],", name) != 1) return COMPILATION;
    if (!has_option(count, options, "--gpu-architecture=sm_90") && !has_option(count, options, "--gpu-architecture=compute_90"))
        return INVALID_OPTION;
    if (!has_option(count, options, "--fmad=false")) return INVALID_OPTION;
    if (!option_value(count, options, "-DWORKGROUP=", &value)) return INVALID_OPTION;
    int length = snprintf(program->image, sizeof program->image, FAKE_IMAGE " %s %u", name, value);
    for (int i = 0; snprintf(prefix, sizeof prefix, "-DCONSTANT_%d=", i), option_value(count, options, prefix, &value); i++)
        length += snprintf(program->image + length, sizeof program->image - (size_t)length, " %u", value);
    program->log = "";
    compiles++;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size) {
    *size = strlen(program->log) + 1;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) {
    strcpy(log, program->log);
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *size) {
    *size = strlen(program->image) + 1;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *image) {
    strcpy(image, program->image);
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *size) { return nvrtcGetCUBINSize(program, size); }
nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *image) { return nvrtcGetCUBIN(program, image); }
