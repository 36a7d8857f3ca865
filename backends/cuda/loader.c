// SPDX-License-Identifier: Apache-2.0
// Opens the driver and the run-time compiler and fills the tables of symbols.
#include "loader.h"

#include "base/error.h"
#include "device/driver_library.h"

cuda_functions cuda;
cuda_graph_functions cuda_graphs;
bool cuda_graphs_found;
nvrtc_functions nvrtc;

#ifdef _WIN32
static const char *const driver_names[] = {"nvcuda.dll", NULL};
static const char *const nvrtc_names[] = {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll", NULL};
#else
static const char *const driver_names[] = {"libcuda.so.1", NULL};
// The last one is where the toolkit's installer puts it without telling the dynamic linker.
static const char *const nvrtc_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so",
                                          "/usr/local/cuda/lib64/libnvrtc.so", NULL};
#endif

static bool fill_graphs(void *library) {
#define RESOLVE_GRAPH(name, parameters) HEL_DRIVER_RESOLVE(library, cuda_graphs.name, #name)
    CUDA_GRAPH_SYMBOLS(RESOLVE_GRAPH)
    return true;
}

static bool fill_driver(void *library) {
#define RESOLVE_CUDA(name, parameters) HEL_DRIVER_RESOLVE(library, cuda.name, #name)
    CUDA_SYMBOLS(RESOLVE_CUDA)
    cuda_graphs_found = fill_graphs(library);
    return true;
}

static bool fill_nvrtc(void *library) {
#define RESOLVE_NVRTC(name, parameters) HEL_DRIVER_RESOLVE(library, nvrtc.name, #name)
    NVRTC_SYMBOLS(RESOLVE_NVRTC)
    return true;
}

hel_status cuda_load(void) {
    static hel_driver_library driver = {driver_names, fill_driver, 0}, compiler = {nvrtc_names, fill_nvrtc, 0};
    if (!hel_driver_library_load(&driver))
        return hel_fail(HEL_ERROR_UNAVAILABLE, "cuda: no NVIDIA driver (%s) on this machine", driver_names[0]);
    if (!hel_driver_library_load(&compiler))
        return hel_fail(HEL_ERROR_UNAVAILABLE, "cuda: no NVRTC 11.2 or later (%s) on this machine", nvrtc_names[0]);
    return cuda_check(cuda.cuInit(0), "cuInit");
}

// ---------------------------------------------------------------- errors

// Codes of cuda.h. After those marked lost the context is of no use any more.
static hel_status status_of(CUresult code) {
    switch (code) {
    case CUDA_SUCCESS: return HEL_OK;
    case 2: return HEL_ERROR_DEVICE_MEMORY; // OUT_OF_MEMORY
    case 3:                                 // NOT_INITIALIZED
    case 34:                                // STUB_LIBRARY
    case 100:                               // NO_DEVICE
    case 101:                               // INVALID_DEVICE
    case 803:                               // SYSTEM_DRIVER_MISMATCH
    case 804: return HEL_ERROR_UNAVAILABLE; // COMPAT_NOT_SUPPORTED_ON_DEVICE
    case 214:                               // ECC_UNCORRECTABLE, lost
    case 220:                               // NVLINK_UNCORRECTABLE, lost
    case 700:                               // ILLEGAL_ADDRESS, lost
    case 702:                               // LAUNCH_TIMEOUT, lost
    case 709:                               // CONTEXT_IS_DESTROYED
    case 710:                               // ASSERT, lost
    case 714:                               // HARDWARE_STACK_ERROR, lost
    case 715:                               // ILLEGAL_INSTRUCTION, lost
    case 716:                               // MISALIGNED_ADDRESS, lost
    case 717:                               // INVALID_ADDRESS_SPACE, lost
    case 718:                               // INVALID_PC, lost
    case 719: return HEL_ERROR_DEVICE_LOST; // LAUNCH_FAILED, lost
    default: return HEL_ERROR_DEVICE;
    }
}

hel_status cuda_check(CUresult code, const char *what) {
    if (code == CUDA_SUCCESS) return HEL_OK;
    const char *name = NULL;
    cuda.cuGetErrorName(code, &name);
    return hel_fail(status_of(code), "cuda: %s: %s (%d)", what, name ? name : "unknown error", code);
}

hel_status nvrtc_check(nvrtcResult code, const char *what) {
    if (code == NVRTC_SUCCESS) return HEL_OK;
    enum { OUT_OF_MEMORY = 1 };
    return hel_fail(code == OUT_OF_MEMORY ? HEL_ERROR_MEMORY : HEL_ERROR_DEVICE, "cuda: %s: NVRTC error %d", what, code);
}
