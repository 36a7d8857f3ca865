// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/size.h"
#include "opencl.h"

enum {
    MAX_PLATFORMS = 16,
    MAX_DEVICES = 64,
    MAX_EXTENSIONS = 16384,
    DEVICE_WARP_SIZE_NV = 0x4003, // cl_nv_device_attribute_query
    DEVICE_WAVEFRONT_WIDTH_AMD = 0x4043, // cl_amd_device_attribute_query
};

// ---------------------------------------------------------------- finding

typedef struct found_devices {
    cl_platform_id platforms[MAX_DEVICES];
    cl_device_id ids[MAX_DEVICES];
    uint32_t count;
} found_devices;

static void platform_name(cl_platform_id platform, char name[128]) {
    memset(name, 0, 128);
    opencl.clGetPlatformInfo(platform, CL_PLATFORM_NAME, 127, name, NULL);
}

// The loader's order may change from run to run; names do not.
static void sort_platforms(cl_platform_id *platforms, uint32_t count) {
    char name[128], other[128];
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0; j--) {
            platform_name(platforms[j], name);
            platform_name(platforms[j - 1], other);
            if (strcmp(other, name) <= 0) break;
            cl_platform_id platform = platforms[j];
            platforms[j] = platforms[j - 1];
            platforms[j - 1] = platform;
        }
}

static hel_status add_platform(cl_platform_id platform, found_devices *out) {
    cl_uint room = MAX_DEVICES - out->count, count = 0;
    if (!room) return HEL_OK;
    cl_int code = opencl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, room, out->ids + out->count, &count);
    if (code == CL_DEVICE_NOT_FOUND) return HEL_OK;
    HEL_TRY(opencl_check(code, "clGetDeviceIDs"));
    count = HEL_MIN(count, room);
    for (uint32_t i = 0; i < count; i++) out->platforms[out->count++] = platform;
    return HEL_OK;
}

static hel_status find_devices(found_devices *out) {
    *out = (found_devices){0};
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    HEL_TRY(opencl_load());
    HEL_TRY(opencl_check(opencl.clGetPlatformIDs(MAX_PLATFORMS, platforms, &count), "clGetPlatformIDs"));
    count = HEL_MIN(count, MAX_PLATFORMS);
    sort_platforms(platforms, count);
    // A broken driver must not hide the others; it is the answer only where there is no other.
    hel_status failure = HEL_OK;
    for (uint32_t i = 0; i < count; i++) {
        hel_status status = add_platform(platforms[i], out);
        if (status == HEL_OK) continue;
        char name[128];
        platform_name(platforms[i], name);
        hel_log(HEL_LOG_WARNING, "opencl: platform \"%s\" is left out: %s", name, hel_error_message());
        failure = status;
    }
    if (out->count) return HEL_OK;
    return failure != HEL_OK ? failure : hel_fail(HEL_ERROR_UNAVAILABLE, "opencl: no platform has a device");
}

static hel_status count(uint32_t *out) {
    found_devices found;
    HEL_TRY(find_devices(&found));
    *out = found.count;
    return HEL_OK;
}

// ---------------------------------------------------------------- describing

static hel_status get_text(cl_device_id id, cl_device_info what, char *text, size_t size) {
    size_t length = 0;
    HEL_TRY(opencl_check(opencl.clGetDeviceInfo(id, what, 0, NULL, &length), "clGetDeviceInfo"));
    char *whole = hel_alloc_zero(length + 1, 1);
    if (!whole) return hel_fail_memory(length + 1);
    hel_status status = opencl_check(opencl.clGetDeviceInfo(id, what, length, whole, NULL), "clGetDeviceInfo");
    snprintf(text, size, "%s", whole);
    hel_free(whole);
    return status;
}

static hel_status get_value(cl_device_id id, cl_device_info what, void *value, size_t size) {
    return opencl_check(opencl.clGetDeviceInfo(id, what, size, value, NULL), "clGetDeviceInfo");
}

static hel_device_type type_of(cl_device_type type, cl_bool unified) {
    if (type & CL_DEVICE_TYPE_CPU) return HEL_DEVICE_TYPE_SOFTWARE;
    return unified ? HEL_DEVICE_TYPE_INTEGRATED : HEL_DEVICE_TYPE_DISCRETE;
}

// OpenCL 1.2 itself has no question for it.
static uint32_t subgroup_of(cl_device_id id, const char *extensions) {
    cl_uint width = 1;
    if (strstr(extensions, "cl_nv_device_attribute_query")) get_value(id, DEVICE_WARP_SIZE_NV, &width, sizeof width);
    if (strstr(extensions, "cl_amd_device_attribute_query")) get_value(id, DEVICE_WAVEFRONT_WIDTH_AMD, &width, sizeof width);
    return HEL_MAX(width, 1u);
}

static hel_status describe_limits(cl_device_id id, hel_device_limits *out) {
    cl_ulong memory, allocation, local;
    cl_uint alignment_bits, units;
    size_t group, items[8] = {0};
    HEL_TRY(get_value(id, CL_DEVICE_GLOBAL_MEM_SIZE, &memory, sizeof memory));
    HEL_TRY(get_value(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &allocation, sizeof allocation));
    HEL_TRY(get_value(id, CL_DEVICE_LOCAL_MEM_SIZE, &local, sizeof local));
    HEL_TRY(get_value(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &alignment_bits, sizeof alignment_bits));
    HEL_TRY(get_value(id, CL_DEVICE_MAX_COMPUTE_UNITS, &units, sizeof units));
    HEL_TRY(get_value(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, &group, sizeof group));
    HEL_TRY(get_value(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, items, sizeof items));
    out->memory = memory;
    out->max_buffer = out->max_binding = allocation;
    out->offset_alignment = HEL_MAX(alignment_bits / 8, 16u);
    out->max_workgroup = (uint32_t)HEL_MIN(HEL_MIN(group, items[0]), 65536u);
    out->shared_memory = (uint32_t)HEL_MIN(local, UINT32_MAX);
    out->compute_units = units;
    return HEL_OK;
}

static hel_status describe_features(cl_device_id id, hel_device *out) {
    char *extensions = hel_alloc(MAX_EXTENSIONS);
    if (!extensions) return hel_fail_memory(MAX_EXTENSIONS);
    hel_status status = get_text(id, CL_DEVICE_EXTENSIONS, extensions, MAX_EXTENSIONS);
    if (status == HEL_OK) {
        out->limits.subgroup = subgroup_of(id, extensions);
        out->features.timers = true;
    }
    hel_free(extensions);
    return status;
}

// The platform's version tells two builds of one driver apart where the driver's own number does not.
static hel_status describe_driver(cl_platform_id platform, cl_device_id id, hel_device *out) {
    char driver[32];
    size_t length = 0;
    HEL_TRY(get_text(id, CL_DRIVER_VERSION, driver, sizeof driver));
    HEL_TRY(opencl_check(opencl.clGetPlatformInfo(platform, CL_PLATFORM_VERSION, 0, NULL, &length), "clGetPlatformInfo"));
    char *version = hel_alloc_zero(length + 1, 1);
    if (!version) return hel_fail_memory(length + 1);
    hel_status status = opencl_check(opencl.clGetPlatformInfo(platform, CL_PLATFORM_VERSION, length, version, NULL),
                                     "clGetPlatformInfo");
    snprintf(out->driver, sizeof out->driver, "%s, %.80s", driver, version);
    hel_free(version);
    return status;
}

// What the kernels need beyond OpenCL 1.2 being there.
static hel_status check_usable(cl_device_id id) {
    cl_bool available, compiler, little;
    char version[128];
    unsigned major = 0, minor = 0;
    HEL_TRY(get_value(id, CL_DEVICE_AVAILABLE, &available, sizeof available));
    HEL_TRY(get_value(id, CL_DEVICE_COMPILER_AVAILABLE, &compiler, sizeof compiler));
    HEL_TRY(get_value(id, CL_DEVICE_ENDIAN_LITTLE, &little, sizeof little));
    HEL_TRY(get_text(id, CL_DEVICE_VERSION, version, sizeof version));
    if (!available || !compiler) return hel_fail(HEL_ERROR_UNAVAILABLE, "opencl: the device is off or has no compiler");
    if (!little) return hel_fail(HEL_ERROR_UNSUPPORTED, "opencl: big-endian device");
    if (sscanf(version, "OpenCL %u.%u", &major, &minor) != 2 || major * 10 + minor < 12)
        return hel_fail(HEL_ERROR_UNSUPPORTED, "opencl: OpenCL 1.2 is needed, the device has \"%s\"", version);
    return HEL_OK;
}

static hel_status describe_device(cl_platform_id platform, cl_device_id id, hel_device *out) {
    cl_device_type type;
    cl_bool unified;
    HEL_TRY(get_text(id, CL_DEVICE_NAME, out->name, sizeof out->name));
    HEL_TRY(get_text(id, CL_DEVICE_VENDOR, out->vendor, sizeof out->vendor));
    HEL_TRY(describe_driver(platform, id, out));
    HEL_TRY(get_value(id, CL_DEVICE_TYPE, &type, sizeof type));
    HEL_TRY(get_value(id, CL_DEVICE_HOST_UNIFIED_MEMORY, &unified, sizeof unified));
    out->type = type_of(type, unified);
    HEL_TRY(describe_limits(id, &out->limits));
    HEL_TRY(describe_features(id, out));
    return check_usable(id);
}

// All devices, of which there is one with that index.
static hel_status find_device(uint32_t index, found_devices *out) {
    HEL_TRY(find_devices(out));
    if (index < out->count) return HEL_OK;
    return hel_fail(HEL_ERROR_UNAVAILABLE, "opencl:%u: no such device; their number is %u", index, out->count);
}

static hel_status describe(uint32_t index, hel_device *out) {
    found_devices found;
    HEL_TRY(find_device(index, &found));
    return describe_device(found.platforms[index], found.ids[index], out);
}

// ---------------------------------------------------------------- opening

static void destroy(hel_device *data) {
    opencl_device *device = opencl_device_of(data);
    if (device->queue) opencl.clFinish(device->queue);
    opencl_staging_finish(&device->staging);
    for (int i = 0; i < OPENCL_TICKETS; i++) opencl_event_release(&device->tickets[i].event);
    for (int i = 0; i < HEL_TIMER_SLOTS; i++) opencl_event_release(&device->timers[i]);
    if (device->queue) opencl.clReleaseCommandQueue(device->queue);
    if (device->context) opencl.clReleaseContext(device->context);
    hel_binary_cache_finish(&device->cache);
    hel_free(device);
}

static const hel_device_functions functions = {
    .destroy = destroy,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .buffer_copy = opencl_buffer_copy,
    .buffer_fill = opencl_buffer_fill,
    .kernel_create = opencl_kernel_create,
    .kernel_destroy = opencl_kernel_destroy,
    .dispatch = opencl_dispatch,
    .flush = opencl_flush,
    .mark = opencl_mark,
    .wait = opencl_wait,
    .timer_query = opencl_timer_query,
#ifdef HEL_HAVE_OPENCL_TRANSFORM
    .transform_least = opencl_transform_least,
    .transform_create = opencl_transform_create,
    .transform_run = opencl_transform_run,
    .transform_destroy = opencl_transform_destroy,
#endif
};

static hel_status prepare(opencl_device *device, cl_platform_id platform, cl_device_id id, const char *cache_directory) {
    HEL_TRY(describe_device(platform, id, &device->base.data));
    device->id = id;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_int code;
    device->context = opencl.clCreateContext(properties, 1, &id, NULL, NULL, &code);
    HEL_TRY(opencl_check(code, "clCreateContext"));
    device->queue = opencl.clCreateCommandQueue(device->context, id, CL_QUEUE_PROFILING_ENABLE, &code);
    HEL_TRY(opencl_check(code, "clCreateCommandQueue"));
    return hel_binary_cache_init(cache_directory, &device->cache);
}

static hel_status open(uint32_t index, const hel_device_params *params, hel_device_base **out) {
    found_devices found;
    HEL_TRY(find_device(index, &found));
    opencl_device *device = hel_alloc_zero(1, sizeof *device);
    if (!device) return hel_fail_memory(sizeof *device);
    device->base.functions = &functions;
    hel_status status = prepare(device, found.platforms[index], found.ids[index], params->cache_directory);
    if (status == HEL_OK) *out = &device->base;
    else destroy(&device->base.data);
    return status;
}

const hel_backend hel_backend_opencl = {"opencl", count, describe, open};
