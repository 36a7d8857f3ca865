// SPDX-License-Identifier: Apache-2.0
// Opens the OpenCL loader of the machine at run time and fills the table of symbols.
#include "base/error.h"
#include "device/driver_library.h"
#include "opencl.h"

opencl_functions opencl;

static const char *const library_names[] = {
#ifdef _WIN32
    "OpenCL.dll",
#else
    "libOpenCL.so.1",
    "libOpenCL.so",
    "/vendor/lib64/libOpenCL.so", // Android keeps it outside the search path
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
#endif
    NULL,
};

static bool fill_table(void *library) {
#define RESOLVE(name) HEL_DRIVER_RESOLVE(library, opencl.name, #name)
    OPENCL_SYMBOLS(RESOLVE)
    return true;
}

hel_status opencl_load(void) {
    static hel_driver_library library = {library_names, fill_table, 0};
    if (hel_driver_library_load(&library)) return HEL_OK;
    return hel_fail(HEL_ERROR_UNAVAILABLE, "opencl: no OpenCL 1.2 loader (%s) on this machine", library_names[0]);
}

// ---------------------------------------------------------------- errors

enum { PLATFORM_NOT_FOUND_KHR = -1001 };

static const char *code_name(cl_int code) {
    switch (code) {
#define NAMED(name) case name: return #name;
    NAMED(CL_DEVICE_NOT_FOUND)
    NAMED(CL_DEVICE_NOT_AVAILABLE)
    NAMED(CL_COMPILER_NOT_AVAILABLE)
    NAMED(CL_MEM_OBJECT_ALLOCATION_FAILURE)
    NAMED(CL_OUT_OF_RESOURCES)
    NAMED(CL_OUT_OF_HOST_MEMORY)
    NAMED(CL_BUILD_PROGRAM_FAILURE)
    NAMED(CL_MISALIGNED_SUB_BUFFER_OFFSET)
    NAMED(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
    NAMED(CL_INVALID_VALUE)
    NAMED(CL_INVALID_CONTEXT)
    NAMED(CL_INVALID_COMMAND_QUEUE)
    NAMED(CL_INVALID_MEM_OBJECT)
    NAMED(CL_INVALID_BINARY)
    NAMED(CL_INVALID_BUILD_OPTIONS)
    NAMED(CL_INVALID_KERNEL_NAME)
    NAMED(CL_INVALID_KERNEL_ARGS)
    NAMED(CL_INVALID_ARG_SIZE)
    NAMED(CL_INVALID_WORK_GROUP_SIZE)
    NAMED(CL_INVALID_BUFFER_SIZE)
#undef NAMED
    case PLATFORM_NOT_FOUND_KHR: return "CL_PLATFORM_NOT_FOUND_KHR";
    default: return "OpenCL error";
    }
}

static hel_status status_of(cl_int code) {
    switch (code) {
    case CL_SUCCESS: return HEL_OK;
    case CL_OUT_OF_HOST_MEMORY: return HEL_ERROR_MEMORY;
    case CL_OUT_OF_RESOURCES:
    case CL_MEM_OBJECT_ALLOCATION_FAILURE: return HEL_ERROR_DEVICE_MEMORY;
    case CL_DEVICE_NOT_FOUND:
    case PLATFORM_NOT_FOUND_KHR: return HEL_ERROR_UNAVAILABLE;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_INVALID_COMMAND_QUEUE:
    case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST: return HEL_ERROR_DEVICE_LOST;
    default: return HEL_ERROR_DEVICE;
    }
}

hel_status opencl_check(cl_int code, const char *what) {
    if (code == CL_SUCCESS) return HEL_OK;
    return hel_fail(status_of(code), "opencl: %s: %s (%d)", what, code_name(code), (int)code);
}
