// SPDX-License-Identifier: Apache-2.0
// A kernel comes from the disk or from NVRTC: machine code where NVRTC knows the device's architecture, else PTX of
// the newest one it knows, which the driver translates. Without fused multiply-add, so that results are those of the
// other backends.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cuda.h"

enum { MAX_ARCHITECTURES = 64, OWN_OPTIONS = 3, MAX_OPTIONS = OWN_OPTIONS + 1 + HEL_MAX_CONSTANTS };

typedef struct cuda_build {
    const hel_kernel_source *source;
    hel_kernel_text kernel;
    char architecture[40];
    hel_kernel_definitions definitions;
    const char *options[MAX_OPTIONS]; // point at the two above
    int n_options;
    bool binary; // machine code rather than PTX
} cuda_build;

typedef struct cuda_image {
    unsigned char *bytes; // PTX ends in a zero
    size_t size;
} cuda_image;

// ---------------------------------------------------------------- options

hel_status cuda_choose_architecture(int capability, int *out) {
    int count = 0, known[MAX_ARCHITECTURES];
    HEL_TRY(nvrtc_check(nvrtc.nvrtcGetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs"));
    if (count > MAX_ARCHITECTURES) return hel_fail(HEL_ERROR_UNSUPPORTED, "cuda: NVRTC lists %d architectures", count);
    HEL_TRY(nvrtc_check(nvrtc.nvrtcGetSupportedArchs(known), "nvrtcGetSupportedArchs"));
    *out = 0;
    for (int i = 0; i < count; i++)
        if (known[i] <= capability && known[i] > *out) *out = known[i];
    if (*out) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "cuda: this NVRTC does not serve compute capability %d.%d any more",
                    capability / 10, capability % 10);
}

void cuda_architecture_option(const cuda_device *device, char *out, size_t size) {
    const char *kind = device->architecture == device->capability ? "sm" : "compute";
    snprintf(out, size, "--gpu-architecture=%s_%d", kind, device->architecture);
}

static void choose_options(const cuda_device *device, const hel_kernel_source *source, const uint32_t *constants, cuda_build *out) {
    uint32_t workgroup = hel_kernel_workgroup(source, &device->base.data, constants);
    *out = (cuda_build){.source = source,
                        .definitions = hel_kernel_define(source, workgroup, constants),
                        .options = {out->architecture, "--std=c++17", "--fmad=false"},
                        .binary = device->architecture == device->capability};
    cuda_architecture_option(device, out->architecture, sizeof out->architecture);
    for (uint32_t i = 0; i < out->definitions.count; i++) out->options[OWN_OPTIONS + i] = out->definitions.text[i];
    out->n_options = OWN_OPTIONS + (int)out->definitions.count;
}

static hel_status make_key(const hel_device *device, const cuda_build *build, hel_binary_key *out) {
    enum { OTHERS = 4 };
    hel_binary_part parts[OTHERS + MAX_OPTIONS] = {
        {"cuda", 4},
        {build->kernel.bytes, build->kernel.size},
        {device->name, strlen(device->name)},
        {device->driver, strlen(device->driver)},
    };
    for (int i = 0; i < build->n_options; i++)
        parts[OTHERS + i] = (hel_binary_part){build->options[i], strlen(build->options[i])};
    return hel_binary_cache_key(parts, OTHERS + (size_t)build->n_options, out);
}

// ---------------------------------------------------------------- compiling

static hel_status fail_compile(nvrtcProgram program, const char *name) {
    size_t size = 0;
    nvrtc.nvrtcGetProgramLogSize(program, &size);
    char *log = hel_alloc_zero(size + 1, 1);
    if (log && size) nvrtc.nvrtcGetProgramLog(program, log);
    hel_status status = hel_fail(HEL_ERROR_DEVICE, "cuda: %s does not compile: %s", name,
                                 log && log[0] ? log : "NVRTC gives no reason");
    hel_free(log);
    return status;
}

static hel_status take_image(nvrtcProgram program, bool binary, cuda_image *out) {
    size_t size = 0;
    HEL_TRY(nvrtc_check(binary ? nvrtc.nvrtcGetCUBINSize(program, &size) : nvrtc.nvrtcGetPTXSize(program, &size), "image size"));
    char *bytes = hel_alloc_zero(size + 1, 1);
    if (!bytes) return hel_fail_memory(size + 1);
    *out = (cuda_image){(unsigned char *)bytes, size};
    return nvrtc_check(binary ? nvrtc.nvrtcGetCUBIN(program, bytes) : nvrtc.nvrtcGetPTX(program, bytes), "image");
}

static hel_status compile_program(nvrtcProgram program, const cuda_build *build, cuda_image *out) {
    enum { COMPILATION = 6 };
    nvrtcResult code = nvrtc.nvrtcCompileProgram(program, build->n_options, build->options);
    if (code == COMPILATION) return fail_compile(program, build->source->name);
    HEL_TRY(nvrtc_check(code, build->source->name));
    return take_image(program, build->binary, out);
}

static hel_status compile(const cuda_build *build, cuda_image *out) {
    const hel_kernel_source *source = build->source;
    char *text = hel_string_copy_n(build->kernel.bytes, build->kernel.size);
    if (!text) return hel_fail_memory(build->kernel.size + 1);
    nvrtcProgram program;
    hel_status status =
        nvrtc_check(nvrtc.nvrtcCreateProgram(&program, text, source->name, 0, NULL, NULL), "nvrtcCreateProgram");
    if (status == HEL_OK) {
        status = compile_program(program, build, out);
        nvrtc.nvrtcDestroyProgram(&program);
    }
    hel_free(text);
    return status;
}

// ---------------------------------------------------------------- kernels

static hel_status load_image(const cuda_image *image, cuda_kernel *kernel, const char *name) {
    HEL_TRY(cuda_check(cuda.cuModuleLoadData(&kernel->module, image->bytes), "cuModuleLoadData"));
    return cuda_check(cuda.cuModuleGetFunction(&kernel->function, kernel->module, name), name);
}

static hel_status compile_and_keep(cuda_device *device, const cuda_build *build, const hel_binary_key *key, cuda_kernel *kernel) {
    cuda_image image = {0};
    hel_status status = compile(build, &image);
    if (status == HEL_OK) status = load_image(&image, kernel, build->source->name);
    if (status == HEL_OK) hel_binary_cache_store(&device->cache, key, image.bytes, image.size);
    hel_free(image.bytes);
    return status;
}

// A file that the driver refuses is as good as none.
static bool load_kept(cuda_device *device, const cuda_build *build, const hel_binary_key *key, cuda_kernel *kernel) {
    cuda_image image;
    if (!hel_binary_cache_load(&device->cache, key, &image.bytes, &image.size)) return false;
    bool loaded = load_image(&image, kernel, build->source->name) == HEL_OK;
    hel_free(image.bytes);
    if (loaded) return true;
    if (kernel->module) cuda.cuModuleUnload(kernel->module);
    kernel->module = NULL;
    return false;
}

static hel_status fill_kernel(cuda_device *device, const hel_kernel_source *source, const uint32_t *constants,
                              cuda_kernel *kernel) {
    cuda_build build;
    hel_binary_key key;
    choose_options(device, source, constants, &build);
    HEL_TRY(hel_kernel_text_find(source, "cuda", &build.kernel));
    HEL_TRY(make_key(&device->base.data, &build, &key));
    return load_kept(device, &build, &key, kernel) ? HEL_OK : compile_and_keep(device, &build, &key, kernel);
}

static void release(cuda_kernel *kernel) {
    if (kernel->module) cuda.cuModuleUnload(kernel->module);
    hel_free(kernel);
}

static hel_status create(cuda_device *device, const hel_kernel_source *source, const uint32_t *constants, hel_kernel **out) {
    cuda_kernel *kernel = hel_alloc_zero(1, sizeof *kernel);
    if (!kernel) return hel_fail_memory(sizeof *kernel);
    hel_status status = fill_kernel(device, source, constants, kernel);
    if (status == HEL_OK) *out = &kernel->base;
    else release(kernel);
    return status;
}

hel_status cuda_kernel_create(const hel_device *device, const hel_kernel_source *source, const uint32_t *constants,
                              hel_kernel **out) {
    CUDA_WITHIN(device, create(cuda_device_of(device), source, constants, out));
}

void cuda_kernel_destroy(const hel_device *device, hel_kernel *kernel) {
    bool entered = cuda_enter(device) == HEL_OK;
    release((cuda_kernel *)kernel);
    if (entered) cuda_leave();
}
