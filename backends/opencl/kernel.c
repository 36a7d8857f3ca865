// SPDX-License-Identifier: Apache-2.0
// A program is built from the cached binary where there is one for this text, options, device and driver, else from
// the text; then its binary is cached.
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/text.h"
#include "opencl.h"

static hel_status make_options(const hel_kernel_source *source, const uint32_t *constants, uint32_t workgroup, hel_text *out) {
    hel_kernel_definitions definitions = hel_kernel_define(source, workgroup, constants);
    hel_text_print(out, "-cl-std=CL1.2");
    for (uint32_t i = 0; i < definitions.count; i++) hel_text_print(out, " %s", definitions.text[i]);
    return hel_text_ok(out);
}

static hel_status make_key(const hel_device *device, const hel_kernel_text *text, const hel_text *options,
                           hel_binary_key *out) {
    const hel_binary_part parts[] = {
        {"opencl", 6},
        {text->bytes, text->size},
        {options->bytes, options->size},
        {device->name, strlen(device->name)},
        {device->vendor, strlen(device->vendor)},
        {device->driver, strlen(device->driver)},
    };
    return hel_binary_cache_key(parts, HEL_COUNT(parts), out);
}

// ---------------------------------------------------------------- programs

// The compiler's own words are the reason.
static hel_status fail_build(const opencl_device *device, cl_program program, const char *name, cl_int code) {
    if (code != CL_BUILD_PROGRAM_FAILURE) return opencl_check(code, name);
    size_t size = 0;
    opencl.clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *log = hel_alloc_zero(size + 1, 1);
    if (log && size) opencl.clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    hel_status status = hel_fail(HEL_ERROR_DEVICE, "opencl: %s does not compile: %s", name,
                                 log && log[0] ? log : "the driver gives no reason");
    hel_free(log);
    return status;
}

static bool load_binary(opencl_device *device, const hel_binary_key *key, const char *options, cl_program *out) {
    unsigned char *bytes;
    size_t size;
    cl_int code, binary_status;
    if (!hel_binary_cache_load(&device->cache, key, &bytes, &size)) return false;
    cl_program program = opencl.clCreateProgramWithBinary(device->context, 1, &device->id, &size,
                                                          &(const unsigned char *){bytes}, &binary_status, &code);
    hel_free(bytes);
    if (code != CL_SUCCESS) return false;
    if (opencl.clBuildProgram(program, 1, &device->id, options, NULL, NULL) != CL_SUCCESS) {
        opencl.clReleaseProgram(program);
        return false;
    }
    *out = program;
    return true;
}

static void store_binary(opencl_device *device, const hel_binary_key *key, cl_program program) {
    size_t size = 0;
    if (!device->cache.folder) return;
    if (opencl.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS || !size) return;
    unsigned char *bytes = hel_alloc(size);
    if (!bytes) return;
    if (opencl.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL) == CL_SUCCESS)
        hel_binary_cache_store(&device->cache, key, bytes, size);
    hel_free(bytes);
}

static hel_status build_source(opencl_device *device, const hel_kernel_text *text, const char *name, const char *options,
                               cl_program *out) {
    cl_int code;
    const char *bytes = text->bytes;
    cl_program program = opencl.clCreateProgramWithSource(device->context, 1, &bytes, &text->size, &code);
    HEL_TRY(opencl_check(code, "clCreateProgramWithSource"));
    code = opencl.clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        hel_status status = fail_build(device, program, name, code);
        opencl.clReleaseProgram(program);
        return status;
    }
    *out = program;
    return HEL_OK;
}

static hel_status make_program(opencl_device *device, const hel_kernel_source *source, const hel_text *options, cl_program *out) {
    hel_binary_key key;
    hel_kernel_text text;
    HEL_TRY(hel_kernel_text_find(source, "opencl", &text));
    HEL_TRY(make_key(&device->base.data, &text, options, &key));
    if (load_binary(device, &key, options->bytes, out)) return HEL_OK;
    HEL_TRY(build_source(device, &text, source->name, options->bytes, out));
    store_binary(device, &key, *out);
    return HEL_OK;
}

// ---------------------------------------------------------------- kernels

static hel_status fill_kernel(opencl_device *device, const hel_kernel_source *source, const hel_text *options,
                              opencl_kernel *kernel) {
    HEL_TRY(make_program(device, source, options, &kernel->program));
    cl_int code;
    kernel->kernel = opencl.clCreateKernel(kernel->program, source->name, &code);
    return opencl_check(code, "clCreateKernel");
}

hel_status opencl_kernel_create(const hel_device *data, const hel_kernel_source *source, const uint32_t *constants,
                                hel_kernel **out) {
    opencl_kernel *kernel = hel_alloc_zero(1, sizeof *kernel);
    if (!kernel) return hel_fail_memory(sizeof *kernel);
    hel_text options = {0};
    uint32_t workgroup = hel_kernel_workgroup(source, data, constants);
    kernel->workgroup = workgroup;
    hel_status status = make_options(source, constants, workgroup, &options);
    if (status == HEL_OK) status = fill_kernel(opencl_device_of(data), source, &options, kernel);
    hel_text_finish(&options);
    if (status == HEL_OK) *out = &kernel->base;
    else opencl_kernel_destroy(data, &kernel->base);
    return status;
}

void opencl_kernel_destroy(const hel_device *data, hel_kernel *base) {
    (void)data;
    opencl_kernel *kernel = (opencl_kernel *)base;
    if (kernel->kernel) opencl.clReleaseKernel(kernel->kernel);
    if (kernel->program) opencl.clReleaseProgram(kernel->program);
    hel_free(kernel);
}
