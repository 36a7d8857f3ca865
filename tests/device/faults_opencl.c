// SPDX-License-Identifier: Apache-2.0
// Puts a counting and failing layer between the OpenCL backend and the driver by changing the table of symbols.
#include "backends/opencl/opencl.h"
#include "faults.h"

const char injector_device[] = "opencl";

enum { INJECTED = -9999 };

static opencl_functions real;
static uint64_t calls, fail_at, live;

void injector_fail_at(uint64_t n) { fail_at = n ? calls + n : 0; }
uint64_t injector_calls(void) { return calls; }
uint64_t injector_live(void) { return live; }
uint64_t injector_violations(void) { return 0; }

static bool due(void) { return ++calls == fail_at; }

// A call that does nothing when it is the one to fail, and its last argument, if it makes an event.
#define ASK(name, parameters, arguments) \
    static cl_int CL_API_CALL my_##name parameters { return due() ? INJECTED : real.name arguments; }
#define ENQUEUE(name, parameters, arguments)                      \
    static cl_int CL_API_CALL my_##name parameters {              \
        if (due()) return INJECTED;                               \
        cl_int code = real.name arguments;                        \
        if (code == CL_SUCCESS && event) live++;                  \
        return code;                                              \
    }
// A call that makes an object, with its code in *code.
#define CREATE(type, name, parameters, arguments)     \
    static type CL_API_CALL my_##name parameters {    \
        if (due()) {                                  \
            *code = INJECTED;                         \
            return NULL;                              \
        }                                             \
        type object = real.name arguments;            \
        if (*code == CL_SUCCESS) live++;              \
        return object;                                \
    }
// A call that does its work even when it is the one to fail: afterwards nothing may be left.
#define RELEASE(name, type)                           \
    static cl_int CL_API_CALL my_##name(type object) { \
        bool failing = due();                         \
        live--;                                       \
        cl_int code = real.name(object);              \
        return failing ? INJECTED : code;             \
    }

ASK(clGetPlatformIDs, (cl_uint room, cl_platform_id *ids, cl_uint *count), (room, ids, count))
ASK(clGetDeviceIDs, (cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *ids, cl_uint *count),
    (platform, type, room, ids, count))
ASK(clGetPlatformInfo, (cl_platform_id id, cl_platform_info what, size_t room, void *value, size_t *size), (id, what, room, value, size))
ASK(clGetDeviceInfo, (cl_device_id id, cl_device_info what, size_t room, void *value, size_t *size), (id, what, room, value, size))
ASK(clGetEventInfo, (cl_event event, cl_event_info what, size_t room, void *value, size_t *size), (event, what, room, value, size))
ASK(clGetEventProfilingInfo, (cl_event event, cl_profiling_info what, size_t room, void *value, size_t *size),
    (event, what, room, value, size))
ASK(clGetProgramInfo, (cl_program program, cl_program_info what, size_t room, void *value, size_t *size),
    (program, what, room, value, size))
ASK(clGetProgramBuildInfo, (cl_program program, cl_device_id id, cl_program_build_info what, size_t room, void *value, size_t *size),
    (program, id, what, room, value, size))
ASK(clBuildProgram, (cl_program program, cl_uint count, const cl_device_id *ids, const char *options,
                     void(CL_CALLBACK *done)(cl_program, void *), void *user), (program, count, ids, options, done, user))
ASK(clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value), (kernel, index, size, value))
ASK(clFlush, (cl_command_queue queue), (queue))

CREATE(cl_context, clCreateContext, (const cl_context_properties *properties, cl_uint count, const cl_device_id *ids,
                                     void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *code),
       (properties, count, ids, notify, user, code))
CREATE(cl_command_queue, clCreateCommandQueue, (cl_context context, cl_device_id id, cl_command_queue_properties flags, cl_int *code),
       (context, id, flags, code))
CREATE(cl_mem, clCreateBuffer, (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *code),
       (context, flags, size, host, code))
CREATE(cl_mem, clCreateSubBuffer, (cl_mem memory, cl_mem_flags flags, cl_buffer_create_type type, const void *region, cl_int *code),
       (memory, flags, type, region, code))
CREATE(cl_program, clCreateProgramWithBinary,
       (cl_context context, cl_uint count, const cl_device_id *ids, const size_t *sizes, const unsigned char **binaries,
        cl_int *each, cl_int *code), (context, count, ids, sizes, binaries, each, code))
CREATE(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *code), (program, name, code))

#define WAIT_LIST cl_uint waits, const cl_event *wait_list, cl_event *event
ENQUEUE(clEnqueueCopyBuffer, (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_at, size_t to_at, size_t size, WAIT_LIST),
        (queue, from, to, from_at, to_at, size, waits, wait_list, event))
ENQUEUE(clEnqueueFillBuffer, (cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_size, size_t at, size_t size,
                              WAIT_LIST), (queue, memory, pattern, pattern_size, at, size, waits, wait_list, event))
ENQUEUE(clEnqueueMarkerWithWaitList, (cl_command_queue queue, WAIT_LIST), (queue, waits, wait_list, event))
ENQUEUE(clEnqueueNDRangeKernel, (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                 const size_t *global, const size_t *local, WAIT_LIST),
        (queue, kernel, dimensions, offset, global, local, waits, wait_list, event))
ENQUEUE(clEnqueueReadBuffer, (cl_command_queue queue, cl_mem memory, cl_bool block, size_t at, size_t size, void *bytes, WAIT_LIST),
        (queue, memory, block, at, size, bytes, waits, wait_list, event))
ENQUEUE(clEnqueueWriteBuffer, (cl_command_queue queue, cl_mem memory, cl_bool block, size_t at, size_t size, const void *bytes,
                               WAIT_LIST), (queue, memory, block, at, size, bytes, waits, wait_list, event))

RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseContext, cl_context)
RELEASE(clReleaseEvent, cl_event)
RELEASE(clReleaseKernel, cl_kernel)
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseProgram, cl_program)

static uint64_t compiles;
uint64_t injector_compiles(void) { return compiles; }

static cl_program CL_API_CALL my_clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts, const size_t *sizes,
                                                           cl_int *code) {
    *code = INJECTED;
    if (due()) return NULL;
    cl_program program = real.clCreateProgramWithSource(context, count, texts, sizes, code);
    if (*code == CL_SUCCESS) live++, compiles++;
    return program;
}

static cl_int CL_API_CALL my_clRetainEvent(cl_event event) {
    if (due()) return INJECTED;
    live++;
    return real.clRetainEvent(event);
}

// Waits wait even when they fail: the memory behind pending commands is about to go.
static cl_int CL_API_CALL my_clFinish(cl_command_queue queue) {
    bool failing = due();
    cl_int code = real.clFinish(queue);
    return failing ? INJECTED : code;
}

static cl_int CL_API_CALL my_clWaitForEvents(cl_uint count, const cl_event *events) {
    bool failing = due();
    cl_int code = real.clWaitForEvents(count, events);
    return failing ? INJECTED : code;
}

bool injector_load(void) {
    real = opencl;
#define REPLACE(name) opencl.name = my_##name;
    OPENCL_SYMBOLS(REPLACE)
    return true;
}
