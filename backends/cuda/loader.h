// SPDX-License-Identifier: Apache-2.0
// What is used of the CUDA driver interface (11.2 or later) and of NVRTC, declared here so that the backend compiles
// without NVIDIA's headers. Names, values and prototypes are those of cuda.h and nvrtc.h.
#ifndef BACKENDS_CUDA_LOADER_H
#define BACKENDS_CUDA_LOADER_H

#include <helicoid/common.h>

#ifdef _WIN32
#define CUDAAPI __stdcall
#else
#define CUDAAPI
#endif

typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef int CUfunction_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef int CUstreamCaptureMode;
typedef int nvrtcResult;
typedef struct _nvrtcProgram *nvrtcProgram;

enum { CUDA_SUCCESS = 0, NVRTC_SUCCESS = 0 };
enum { CU_STREAM_CAPTURE_MODE_RELAXED = 2 };
enum { CU_STREAM_NON_BLOCKING = 1, CU_EVENT_DEFAULT = 0, CU_EVENT_DISABLE_TIMING = 2 };
enum {
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
    CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CU_DEVICE_ATTRIBUTE_INTEGRATED = 18,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};

#define CUDA_SYMBOLS(X)                                                                                  \
    X(cuInit, (unsigned int))                                                                            \
    X(cuGetErrorName, (CUresult, const char **))                                                         \
    X(cuDriverGetVersion, (int *))                                                                       \
    X(cuDeviceGetCount, (int *))                                                                         \
    X(cuDeviceGet, (CUdevice *, int))                                                                    \
    X(cuDeviceGetName, (char *, int, CUdevice))                                                          \
    X(cuDeviceGetAttribute, (int *, CUdevice_attribute, CUdevice))                                       \
    X(cuDeviceTotalMem_v2, (size_t *, CUdevice))                                                         \
    X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                                 \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice))                                                          \
    X(cuCtxPushCurrent_v2, (CUcontext))                                                                  \
    X(cuCtxPopCurrent_v2, (CUcontext *))                                                                 \
    X(cuStreamCreate, (CUstream *, unsigned int))                                                        \
    X(cuStreamDestroy_v2, (CUstream))                                                                    \
    X(cuStreamSynchronize, (CUstream))                                                                   \
    X(cuStreamWaitEvent, (CUstream, CUevent, unsigned int))                                              \
    X(cuEventCreate, (CUevent *, unsigned int))                                                          \
    X(cuEventDestroy_v2, (CUevent))                                                                      \
    X(cuEventRecord, (CUevent, CUstream))                                                                \
    X(cuEventQuery, (CUevent))                                                                           \
    X(cuEventSynchronize, (CUevent))                                                                     \
    X(cuEventElapsedTime, (float *, CUevent, CUevent))                                                   \
    X(cuMemGetInfo_v2, (size_t *, size_t *))                                                             \
    X(cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                            \
    X(cuMemFree_v2, (CUdeviceptr))                                                                       \
    X(cuMemHostAlloc, (void **, size_t, unsigned int))                                                   \
    X(cuMemFreeHost, (void *))                                                                           \
    X(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream))                               \
    X(cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream))                                     \
    X(cuMemcpyDtoDAsync_v2, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                \
    X(cuMemsetD32Async, (CUdeviceptr, unsigned int, size_t, CUstream))                                   \
    X(cuModuleLoadData, (CUmodule *, const void *))                                                      \
    X(cuModuleUnload, (CUmodule))                                                                        \
    X(cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                       \
    X(cuFuncSetAttribute, (CUfunction, CUfunction_attribute, int))                                       \
    X(cuLaunchKernel, (CUfunction, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, \
                       unsigned int, unsigned int, CUstream, void **, void **))

// Of drivers from 11.4 on; without them nothing is recorded.
#define CUDA_GRAPH_SYMBOLS(X)                                                       \
    X(cuStreamBeginCapture_v2, (CUstream, CUstreamCaptureMode))                     \
    X(cuStreamEndCapture, (CUstream, CUgraph *))                                    \
    X(cuGraphInstantiateWithFlags, (CUgraphExec *, CUgraph, unsigned long long))    \
    X(cuGraphDestroy, (CUgraph))                                                    \
    X(cuGraphLaunch, (CUgraphExec, CUstream))                                       \
    X(cuGraphExecDestroy, (CUgraphExec))

#define NVRTC_SYMBOLS(X)                                                                                           \
    X(nvrtcVersion, (int *, int *))                                                                                \
    X(nvrtcGetNumSupportedArchs, (int *))                                                                          \
    X(nvrtcGetSupportedArchs, (int *))                                                                             \
    X(nvrtcCreateProgram, (nvrtcProgram *, const char *, const char *, int, const char *const *, const char *const *)) \
    X(nvrtcDestroyProgram, (nvrtcProgram *))                                                                       \
    X(nvrtcCompileProgram, (nvrtcProgram, int, const char *const *))                                               \
    X(nvrtcGetProgramLogSize, (nvrtcProgram, size_t *))                                                            \
    X(nvrtcGetProgramLog, (nvrtcProgram, char *))                                                                  \
    X(nvrtcGetCUBINSize, (nvrtcProgram, size_t *))                                                                 \
    X(nvrtcGetCUBIN, (nvrtcProgram, char *))                                                                       \
    X(nvrtcGetPTXSize, (nvrtcProgram, size_t *))                                                                   \
    X(nvrtcGetPTX, (nvrtcProgram, char *))

#define CUDA_MEMBER(name, parameters) CUresult(CUDAAPI *name) parameters;
typedef struct cuda_functions {
    CUDA_SYMBOLS(CUDA_MEMBER)
} cuda_functions;

typedef struct cuda_graph_functions {
    CUDA_GRAPH_SYMBOLS(CUDA_MEMBER)
} cuda_graph_functions;

#define NVRTC_MEMBER(name, parameters) nvrtcResult(*name) parameters;
typedef struct nvrtc_functions {
    NVRTC_SYMBOLS(NVRTC_MEMBER)
} nvrtc_functions;

// The tables of symbols, filled by cuda_load; the second is complete where cuda_graphs_found.
extern cuda_functions cuda;
extern cuda_graph_functions cuda_graphs;
extern bool cuda_graphs_found;
extern nvrtc_functions nvrtc;

// Opens driver and NVRTC at the first call and initialises the driver. UNAVAILABLE says what is missing. Thread-safe.
hel_status cuda_load(void);
// CUDA_SUCCESS is HEL_OK; all else is a failure with words: what was tried and the code's name.
hel_status cuda_check(CUresult code, const char *what);
hel_status nvrtc_check(nvrtcResult code, const char *what);

#endif
