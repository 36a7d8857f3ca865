// SPDX-License-Identifier: Apache-2.0
// What vkfft_peer.py calls: long convolutions on PoCL, transformed by VkFFT, between two small kernels of our own.
//   cc -O2 -shared -fPIC -DVKFFT_BACKEND=3 vkfft_peer.c -lOpenCL -lm -o libvkfft_peer.so
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CL/cl.h>

// PoCL says that a second-level cache is local memory and that work-groups have 4,096 lanes. VkFFT takes them at their word;
// then it is several times slower, and at 2^16 steps its kernels overflow their stacks. Of the limits tried, these are its best.
enum { LOCAL_BYTES = 32768, LANES = 256 };

static cl_int device_info(cl_device_id device, cl_device_info what, size_t size, void *value, size_t *out_size) {
    cl_int status = clGetDeviceInfo(device, what, size, value, out_size);
    if (value && what == CL_DEVICE_LOCAL_MEM_SIZE && *(cl_ulong *)value > LOCAL_BYTES) *(cl_ulong *)value = LOCAL_BYTES;
    if (value && what == CL_DEVICE_MAX_WORK_GROUP_SIZE && *(size_t *)value > LANES) *(size_t *)value = LANES;
    return status;
}
#define clGetDeviceInfo device_info
#include <vkFFT.h>

// Rows of `pitch` floats, of which VkFFT makes `pitch` / 2 complex ones in place. It reads no place from `steps` on (zero
// padding), and writes none on the way back.
static const char text[] =
    "__kernel void enter(__global const float *u, __global const float *gate, __global float *rows, uint steps, uint pitch) {\n"
    "    size_t t = get_global_id(0), row = get_global_id(1), at = row * steps + t;\n"
    "    rows[row * pitch + t] = u[at] * gate[at];\n"
    "}\n"
    "__kernel void multiply(__global float2 *rows, __global const float2 *filters) {\n"
    "    size_t i = get_global_id(0);\n"
    "    float2 x = rows[i], h = filters[i];\n"
    "    rows[i] = (float2)(x.x * h.x - x.y * h.y, x.x * h.y + x.y * h.x);\n"
    "}\n"
    "__kernel void leave(__global const float *rows, __global const float *gate, __global float *y, uint steps, uint pitch) {\n"
    "    size_t t = get_global_id(0), row = get_global_id(1), at = row * steps + t;\n"
    "    y[at] = rows[row * pitch + t] * gate[at];\n"
    "}\n";

enum { ENTER, MULTIPLY, LEAVE, KERNELS };

typedef struct peer {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel kernels[KERNELS];
    cl_mem u, gate, y, rows, filters;
    uint64_t rows_size, n_rows, steps, pitch;
    VkFFTApplication transform;
} peer;

static int find_pocl(peer *p) {
    cl_platform_id ids[16];
    cl_uint count = 0;
    char name[256];
    if (clGetPlatformIDs(16, ids, &count) != CL_SUCCESS) return 0;
    for (cl_uint i = 0; i < count && i < 16; i++) {
        clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof name, name, NULL);
        if (strcmp(name, "Portable Computing Language") != 0) continue;
        p->platform = ids[i];
        return clGetDeviceIDs(ids[i], CL_DEVICE_TYPE_ALL, 1, &p->device, NULL) == CL_SUCCESS;
    }
    return 0;
}

static cl_mem buffer_of(const peer *p, uint64_t size, const float *from) {
    return clCreateBuffer(p->context, from ? CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE, size, (void *)from, NULL);
}

static int make_kernels(peer *p) {
    static const char *const names[KERNELS] = {"enter", "multiply", "leave"};
    const char *source = text;
    p->program = clCreateProgramWithSource(p->context, 1, &source, NULL, NULL);
    if (clBuildProgram(p->program, 1, &p->device, "", NULL, NULL) != CL_SUCCESS) return 0;
    for (int i = 0; i < KERNELS; i++) p->kernels[i] = clCreateKernel(p->program, names[i], NULL);
    return p->kernels[ENTER] && p->kernels[MULTIPLY] && p->kernels[LEAVE];
}

static int make_transform(peer *p, uint64_t size) {
    VkFFTConfiguration plan = {0};
    plan.FFTdim = 1;
    plan.size[0] = size;
    plan.numberBatches = p->n_rows;
    plan.performR2C = 1;
    plan.performZeropadding[0] = 1;
    plan.fft_zeropad_left[0] = p->steps;
    plan.fft_zeropad_right[0] = size;
    plan.platform = &p->platform;
    plan.device = &p->device;
    plan.context = &p->context;
    plan.buffer = &p->rows;
    plan.bufferSize = &p->rows_size;
    return initializeVkFFT(&p->transform, plan) == VKFFT_SUCCESS;
}

static int transform_rows(peer *p, int direction) {
    VkFFTLaunchParams launch = {0};
    launch.buffer = &p->rows;
    launch.commandQueue = &p->queue;
    return VkFFTAppend(&p->transform, direction, &launch) == VKFFT_SUCCESS;
}

static int exchange(peer *p, int kernel, const cl_mem *buffers) {
    const cl_uint sizes[] = {(cl_uint)p->steps, (cl_uint)p->pitch};
    const size_t whole[] = {p->steps, p->n_rows};
    for (cl_uint i = 0; i < 3; i++) clSetKernelArg(p->kernels[kernel], i, sizeof(cl_mem), &buffers[i]);
    for (cl_uint i = 0; i < 2; i++) clSetKernelArg(p->kernels[kernel], 3 + i, sizeof sizes[i], &sizes[i]);
    return clEnqueueNDRangeKernel(p->queue, p->kernels[kernel], 2, NULL, whole, NULL, 0, NULL, NULL) == CL_SUCCESS;
}

static int multiply(peer *p) {
    const size_t points = p->n_rows * p->pitch / 2;
    clSetKernelArg(p->kernels[MULTIPLY], 0, sizeof(cl_mem), &p->rows);
    clSetKernelArg(p->kernels[MULTIPLY], 1, sizeof(cl_mem), &p->filters);
    return clEnqueueNDRangeKernel(p->queue, p->kernels[MULTIPLY], 1, NULL, &points, NULL, 0, NULL, NULL) == CL_SUCCESS;
}

// Filters' spectra, over `size`, from their taps between gates of 1 / size.
static int make_filters(peer *p, const float *h, uint64_t size) {
    uint64_t count = p->n_rows * p->steps;
    float *scales = malloc(count * sizeof *scales);
    if (!scales) return 0;
    for (uint64_t i = 0; i < count; i++) scales[i] = 1.0f / (float)size;
    cl_mem taps = buffer_of(p, count * sizeof *h, h), scale = buffer_of(p, count * sizeof *scales, scales);
    p->filters = buffer_of(p, p->rows_size, NULL);
    int done = exchange(p, ENTER, (const cl_mem[]){taps, scale, p->rows}) && transform_rows(p, -1) &&
               clEnqueueCopyBuffer(p->queue, p->rows, p->filters, 0, 0, p->rows_size, 0, NULL, NULL) == CL_SUCCESS &&
               clFinish(p->queue) == CL_SUCCESS;
    clReleaseMemObject(taps);
    clReleaseMemObject(scale);
    free(scales);
    return done;
}

// Rows of `steps`, padded to `size`. NULL where something fails; freed when the process ends.
peer *peer_create(const float *u, const float *h, const float *gate, uint64_t rows, uint64_t steps, uint64_t size) {
    peer *p = calloc(1, sizeof *p);
    if (!p || !find_pocl(p)) return NULL;
    p->n_rows = rows, p->steps = steps, p->pitch = size + 2, p->rows_size = rows * p->pitch * sizeof(float);
    p->context = clCreateContext(NULL, 1, &p->device, NULL, NULL, NULL);
    p->queue = clCreateCommandQueue(p->context, p->device, 0, NULL);
    p->u = buffer_of(p, rows * steps * sizeof *u, u);
    p->gate = buffer_of(p, rows * steps * sizeof *gate, gate);
    p->y = buffer_of(p, rows * steps * sizeof(float), NULL);
    p->rows = buffer_of(p, p->rows_size, NULL);
    return make_kernels(p) && make_transform(p, size) && make_filters(p, h, size) ? p : NULL;
}

// Gate, transform, multiply, back, crop, gate; waits.
int peer_convolve(peer *p) {
    return exchange(p, ENTER, (const cl_mem[]){p->u, p->gate, p->rows}) && transform_rows(p, -1) && multiply(p) &&
           transform_rows(p, 1) && exchange(p, LEAVE, (const cl_mem[]){p->rows, p->gate, p->y}) &&
           clFinish(p->queue) == CL_SUCCESS;
}

int peer_read(peer *p, float *first_row) {
    return clEnqueueReadBuffer(p->queue, p->y, CL_TRUE, 0, p->steps * sizeof(float), first_row, 0, NULL, NULL) == CL_SUCCESS;
}

int peer_version(void) { return VkFFTGetVersion(); }
